// The two ends of the audio, on the audio thread: `capture` cuts what goes out into 20 ms frames, `player` plays what
// comes in.

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

const LEAST_CUSHION = 0.06; // seconds
const MOST_CUSHION = 0.3;
const EXCESS = 0.25; // waiting beyond the cushion before quiet pieces are left out
const QUIET = 100; // of 32768
const PIECE = Math.round(sampleRate * 0.01);
const CALM = sampleRate * 20; // samples without a hole, after which the cushion may shrink

// Waits for a cushion of audio before it starts, so that the network's unevenness is not heard. A hole in the middle of
// speech makes the cushion larger, calm makes it smaller again. What piles up after a stall is worked off by leaving out
// quiet pieces. It counts every sample that was played, so what was heard of an answer is known, not guessed.
class Player extends AudioWorkletProcessor {
  constructor() {
    super();
    this.queue = []; // Int16Array, or {mark}
    this.offset = 0;
    this.queued = 0;
    this.playing = false;
    this.cushion = LEAST_CUSHION * sampleRate;
    this.calm = 0;
    this.holes = 0;
    this.left = 0; // left out, in samples
    this.last = 0;
    this.peak = 0;
    this.counted = 0;
    this.heard = 0; // of the current utterance, in samples
    this.dry = Infinity; // samples since it ran dry
    this.port.onmessage = ({ data }) => this.told(data);
  }

  told(data) {
    if (data.clear !== undefined) {
      const dropped = this.queued;
      this.queue = [];
      this.queued = 0;
      this.offset = 0;
      this.playing = false;
      this.dry = Infinity;
      this.port.postMessage({ cleared: { number: data.clear, heard: this.heard / sampleRate, dropped: dropped / sampleRate } });
      this.heard = 0;
    } else if (data.mark !== undefined) {
      if (this.queued) this.queue.push({ mark: data.mark });
      else this.port.postMessage({ mark: data.mark });
    } else if (data.utterance) {
      this.heard = 0;
    } else if (data.pcm.byteLength >= 2) {
      if (this.dry < sampleRate * 0.15) {
        // It went on at once: that was a hole, not the end of speech.
        this.holes += 1;
        this.calm = 0;
        this.cushion = Math.min(MOST_CUSHION * sampleRate, this.cushion + this.dry + 0.02 * sampleRate);
      }
      this.dry = Infinity;
      const samples = new Int16Array(data.pcm);
      this.queue.push(samples);
      this.queued += samples.length;
    }
  }

  marks() {
    while (this.queue.length && this.queue[0].mark !== undefined) this.port.postMessage({ mark: this.queue.shift().mark });
  }

  workOff() {
    if (this.queued < this.cushion + EXCESS * sampleRate) return;
    const samples = this.queue[0];
    if (!samples?.length || samples.length - this.offset < PIECE) return;
    for (let i = 0; i < PIECE; i += 1) if (Math.abs(samples[this.offset + i]) > QUIET) return;
    this.offset += PIECE;
    this.queued -= PIECE;
    this.left += PIECE;
    this.next();
  }

  next() {
    if (this.queue.length && this.offset === this.queue[0].length) {
      this.queue.shift();
      this.offset = 0;
      this.marks();
    }
  }

  process(_inputs, [output]) {
    const channel = output[0];
    if (!this.playing && this.queued >= this.cushion) this.playing = true;
    // The tail of an utterance may be shorter than the cushion: nothing has come for a while, so it is played.
    this.waited = !this.playing && this.queued ? (this.waited ?? 0) + channel.length : 0;
    if (this.waited > this.cushion * 2) this.playing = true;
    if (this.playing) this.workOff();
    for (let i = 0; i < channel.length; i += 1) {
      let sample = 0;
      if (this.playing && this.queue.length) {
        sample = this.queue[0][this.offset] / 32768;
        this.offset += 1;
        this.queued -= 1;
        this.heard += 1;
        this.next();
      } else if (this.last !== 0) {
        sample = Math.abs(this.last) < 1e-4 ? 0 : this.last * 0.97; // a cut falls off in 2 ms instead of clicking
      }
      if (this.playing && !this.queue.length) {
        this.playing = false;
        this.dry = 0;
      }
      channel[i] = sample;
      this.last = sample;
      this.peak = Math.max(this.peak, Math.abs(sample));
      this.counted += 1;
      if (this.counted === FRAME) this.report();
    }
    if (!this.playing) this.dry += channel.length;
    this.calm += channel.length;
    if (this.calm > CALM) {
      this.calm = 0;
      this.cushion = Math.max(LEAST_CUSHION * sampleRate, this.cushion * 0.8);
    }
    return true;
  }

  report() {
    this.port.postMessage({
      peak: this.peak,
      playing: this.playing,
      queued: this.queued / sampleRate,
      cushion: this.cushion / sampleRate,
      holes: this.holes,
      heard: this.heard / sampleRate,
      leftOut: this.left / sampleRate,
    });
    this.counted = 0;
    this.peak = 0;
  }
}

registerProcessor("capture", Capture);
registerProcessor("player", Player);
