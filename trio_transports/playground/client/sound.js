// @ts-check
// Everything that touches the sound card: the microphone, recorded sounds, what the bot says, and which devices are used.

/**
 * @typedef {object} Played What the player tells, fifty times a second.
 * @property {number} peak from 0 to 1
 * @property {boolean} playing
 * @property {number} queued seconds that wait to be played
 * @property {number} cushion seconds that are gathered before it starts
 * @property {number} holes how often it ran dry in the middle of speech
 * @property {number} heard seconds of this utterance that were played
 * @property {number} leftOut seconds of quiet that were left out to catch up
 */

/**
 * @typedef {object} SoundHandlers
 * @property {(pcm: ArrayBuffer, peak: number) => void} onFrame 20 ms of the microphone
 * @property {(played: Played) => void} onPlayed
 * @property {(mark: string) => void} onMark what was in front of this mark was played
 * @property {(why: string) => void} onMicrophoneLost it was unplugged, or taken away
 * @property {(running: boolean) => void} onRunning the browser or the system has stopped this page's sound, or it goes on
 */

const CLEARED_MS = 300;

export class Sound {
  /** @param {SoundHandlers} handlers */
  constructor(handlers) {
    this.handlers = handlers;
    /** @type {MediaStream | null} */
    this.stream = null;
    this.muted = false;
    /** @type {AudioContext} */
    this.context = /** @type {any} */ (null);
    this.over = false;
    this.asked = 0; // which request for a microphone is the last one
    /** @type {Map<number, (cleared: {heard: number, dropped: number}) => void>} */
    this.clearing = new Map();
    this.clears = 0;
    /** @type {Played | null} */
    this.latest = null;
    /** @type {Promise<void>} settled once the browser lets the page make sound */
    this.running = Promise.resolve();
  }

  get rate() {
    return this.context.sampleRate;
  }

  /** Seconds between a sample leaving the player and being heard. */
  get latency() {
    return (this.context.outputLatency || 0) + (this.context.baseLatency || 0);
  }

  async open() {
    this.context = new AudioContext({ latencyHint: "interactive" });
    this.running = this.context.resume(); // while the visitor's click still counts
    this.running.catch(() => {});
    if (!this.context.audioWorklet) throw new Error("this browser allows sound only on https or on localhost");
    await this.context.audioWorklet.addModule(new URL("worklet.js", import.meta.url)).catch(() => {
      throw new Error("the server cannot be reached");
    });
    this.capture = new AudioWorkletNode(this.context, "capture", { channelCount: 1, channelCountMode: "explicit" });
    this.capture.port.onmessage = ({ data }) => this.handlers.onFrame(data.pcm, data.peak);
    this.player = new AudioWorkletNode(this.context, "player", { numberOfInputs: 0, outputChannelCount: [1] });
    this.player.port.onmessage = ({ data }) => this.told(data);
    this.volume = this.context.createGain();
    this.player.connect(this.volume).connect(this.context.destination);
    // A capture that leads nowhere might never be run; it has no output of its own, so this is silent.
    this.capture.connect(this.context.destination);
  }

  /** From here on, tell when the sound is stopped from outside, as a phone call does it, and take it up again. */
  watch() {
    let wasRunning = true;
    this.context.onstatechange = () => {
      const running = this.context.state === "running";
      if (this.over || running === wasRunning) return;
      wasRunning = running;
      this.handlers.onRunning(running);
      if (!running) this.context.resume().catch(() => {});
    };
  }

  /** @param {any} data */
  told(data) {
    if (data.cleared) {
      this.clearing.get(data.cleared.number)?.(data.cleared);
    } else if (data.mark !== undefined) {
      this.handlers.onMark(data.mark);
    } else {
      this.latest = data;
      this.handlers.onPlayed(data);
    }
  }

  /** @param {string} [deviceId] the browser's own choice without */
  async openMicrophone(deviceId) {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Error("this page may use a microphone only on https or on localhost");
    }
    const asked = (this.asked += 1);
    const stream = await navigator.mediaDevices.getUserMedia({
      audio: {
        channelCount: 1,
        echoCancellation: true,
        noiseSuppression: true,
        autoGainControl: true,
        ...(deviceId ? { deviceId: { exact: deviceId } } : {}),
      },
    });
    if (this.over || asked !== this.asked) {
      // Allowed too late, or another was chosen meanwhile: nobody listens to this one.
      for (const track of stream.getTracks()) track.stop();
      return;
    }
    this.closeMicrophone();
    this.stream = stream;
    for (const track of stream.getTracks()) {
      track.addEventListener("ended", () => {
        if (this.stream !== stream) return;
        this.closeMicrophone();
        this.handlers.onMicrophoneLost("it was unplugged or taken away");
      });
    }
    this.microphone = this.context.createMediaStreamSource(stream);
    this.microphone.connect(/** @type {AudioNode} */ (this.capture));
    this.setMuted(this.muted);
  }

  closeMicrophone() {
    this.microphone?.disconnect();
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = null;
  }

  /** @param {string} deviceId "" for the browser's own choice */
  async useSpeaker(deviceId) {
    const context = /** @type {any} */ (this.context);
    if (!context.setSinkId) throw new Error("this browser cannot choose a speaker");
    await context.setSinkId(deviceId);
  }

  /** @param {boolean} muted */
  setMuted(muted) {
    this.muted = muted;
    for (const track of this.stream?.getAudioTracks() ?? []) track.enabled = !muted;
  }

  /** @param {number} share from 0 to 1 */
  setVolume(share) {
    this.volume?.gain.setTargetAtTime(share, this.context.currentTime, 0.02);
  }

  /**
   * Say a recorded sound as if it came from the microphone; resolves when it is over.
   * @param {AudioBuffer} buffer
   */
  async say(buffer) {
    const source = new AudioBufferSourceNode(this.context, { buffer });
    source.connect(/** @type {AudioNode} */ (this.capture));
    source.connect(/** @type {AudioNode} */ (this.volume));
    source.start();
    await new Promise((resolve) => source.addEventListener("ended", resolve, { once: true }));
  }

  /** @param {ArrayBuffer} pcm */
  play(pcm) {
    this.player?.port.postMessage({ pcm }, [pcm]);
  }

  /** @param {string} mark told again once everything before it was played */
  mark(mark) {
    this.player?.port.postMessage({ mark });
  }

  /** From here on, `heard` is counted anew. */
  beginUtterance() {
    this.player?.port.postMessage({ utterance: true });
  }

  /**
   * Stop what is playing; resolves with what was really heard of it, in seconds.
   * @returns {Promise<{heard: number, dropped: number}>}
   */
  clear() {
    const number = (this.clears += 1);
    return new Promise((resolve) => {
      /** @param {{heard: number, dropped: number}} cleared */
      const done = ({ heard, dropped }) => {
        clearTimeout(timer);
        this.clearing.delete(number);
        const onItsWay = Math.min(heard, this.latency); // left the player, and was not heard yet
        resolve({ heard: heard - onItsWay, dropped: dropped + onItsWay });
      };
      // A player that is stopped answers later, or never: nobody may wait for it.
      const timer = setTimeout(() => done({ heard: this.latest?.heard ?? 0, dropped: this.latest?.queued ?? 0 }), CLEARED_MS);
      this.clearing.set(number, done);
      this.player?.port.postMessage({ clear: number });
    });
  }

  async close() {
    this.over = true;
    this.closeMicrophone();
    if (this.context && this.context.state !== "closed") await this.context.close();
  }
}
