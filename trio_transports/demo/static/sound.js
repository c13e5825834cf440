// Everything that touches the sound card: the microphone, the samples, and what the bot says.

export class Sound {
  constructor({ onFrame, onPlayed }) {
    this.onFrame = onFrame;
    this.onPlayed = onPlayed;
    this.samples = new Map();
    this.stream = null;
  }

  get rate() {
    return this.context.sampleRate;
  }

  async open() {
    this.context = new AudioContext({ latencyHint: "interactive" });
    const running = this.context.resume(); // while the visitor's click still counts
    if (!this.context.audioWorklet) throw new Error("this browser allows sound only on https or on localhost");
    await this.context.audioWorklet.addModule("worklet.js").catch(() => {
      throw new Error("the server cannot be reached");
    });
    this.capture = new AudioWorkletNode(this.context, "capture", { channelCount: 1, channelCountMode: "explicit" });
    this.capture.port.onmessage = ({ data }) => this.onFrame(data.pcm, data.peak);
    this.player = new AudioWorkletNode(this.context, "player", { numberOfInputs: 0, outputChannelCount: [1] });
    this.player.port.onmessage = ({ data }) => this.onPlayed(data);
    this.volume = this.context.createGain();
    this.player.connect(this.volume).connect(this.context.destination);
    // A capture that leads nowhere might never be run; it has no output of its own, so this is silent.
    this.capture.connect(this.context.destination);
    await running;
  }

  async openMicrophone() {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Error("this page may use a microphone only on https or on localhost");
    }
    this.stream = await navigator.mediaDevices.getUserMedia({
      audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true },
    });
    this.microphone = this.context.createMediaStreamSource(this.stream);
    this.microphone.connect(this.capture);
  }

  setMuted(muted) {
    for (const track of this.stream?.getAudioTracks() ?? []) track.enabled = !muted;
  }

  setVolume(share) {
    if (this.volume) this.volume.gain.setTargetAtTime(share, this.context.currentTime, 0.02);
  }

  // Speak a recorded sentence as if it came from the microphone; resolves when it is over.
  async say(name) {
    if (!this.samples.has(name)) {
      const response = await fetch(`${name}.wav`);
      if (!response.ok) throw new Error(`the sample ${name} could not be loaded`);
      this.samples.set(name, await this.context.decodeAudioData(await response.arrayBuffer()));
    }
    const source = new AudioBufferSourceNode(this.context, { buffer: this.samples.get(name) });
    source.connect(this.capture);
    source.connect(this.volume);
    source.start();
    await new Promise((resolve) => source.addEventListener("ended", resolve, { once: true }));
  }

  play(pcm) {
    this.player.port.postMessage({ pcm }, [pcm]);
  }

  clear() {
    this.player.port.postMessage({ clear: true });
  }

  async close() {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = null;
    if (this.context && this.context.state !== "closed") await this.context.close();
  }
}
