// The two ends of the audio: `capture` cuts what goes out into 20 ms frames, `player` plays what comes in.

const FRAME_MS = 20;
const FRAME = Math.round((sampleRate * FRAME_MS) / 1000);

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.frame = new Int16Array(FRAME);
    this.filled = 0;
    this.peak = 0;
  }

  process([input]) {
    const channel = input[0]; // no source connected: silence, so that the server's clock for speech goes on
    const length = channel ? channel.length : 128;
    for (let i = 0; i < length; i += 1) {
      const sample = channel ? Math.max(-1, Math.min(1, channel[i])) : 0;
      this.frame[this.filled] = Math.round(sample * 32767);
      this.peak = Math.max(this.peak, Math.abs(sample));
      this.filled += 1;
      if (this.filled === FRAME) {
        const pcm = this.frame.buffer;
        this.port.postMessage({ pcm, peak: this.peak }, [pcm]);
        this.frame = new Int16Array(FRAME);
        this.filled = 0;
        this.peak = 0;
      }
    }
    return true;
  }
}

// Waits for a little audio before it starts, so that the network's unevenness is not heard; then plays until it runs dry.
class Player extends AudioWorkletProcessor {
  constructor() {
    super();
    this.queue = [];
    this.offset = 0;
    this.queued = 0;
    this.playing = false;
    this.cushion = Math.round(sampleRate * 0.06);
    this.last = 0;
    this.peak = 0;
    this.counted = 0;
    this.port.onmessage = ({ data }) => {
      if (data.clear) {
        this.queue = [];
        this.queued = 0;
        this.offset = 0;
        this.playing = false;
      } else {
        const samples = new Int16Array(data.pcm);
        this.queue.push(samples);
        this.queued += samples.length;
      }
    };
  }

  process(_inputs, [output]) {
    const channel = output[0];
    if (!this.playing && this.queued >= this.cushion) this.playing = true;
    for (let i = 0; i < channel.length; i += 1) {
      let sample = 0;
      if (this.playing && this.queue.length) {
        sample = this.queue[0][this.offset] / 32768;
        this.offset += 1;
        this.queued -= 1;
        if (this.offset === this.queue[0].length) {
          this.queue.shift();
          this.offset = 0;
        }
      } else if (this.last !== 0) {
        sample = Math.abs(this.last) < 1e-4 ? 0 : this.last * 0.97; // a cut falls off in 2 ms instead of clicking
      }
      if (this.playing && !this.queue.length) this.playing = false;
      channel[i] = sample;
      this.last = sample;
      this.peak = Math.max(this.peak, Math.abs(sample));
      this.counted += 1;
      if (this.counted === FRAME) {
        this.port.postMessage({ peak: this.peak, queued: this.queued / sampleRate, playing: this.playing });
        this.counted = 0;
        this.peak = 0;
      }
    }
    return true;
  }
}

registerProcessor("capture", Capture);
registerProcessor("player", Player);
