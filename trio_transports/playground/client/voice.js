// @ts-check
/**
 * A voice bot in a web page: the microphone and the speaker, one WebSocket, and all that can go wrong between them.
 *
 *     import { Voice } from "/client/voice.js";
 *     const voice = new Voice({ url: "/ws" });
 *     voice.addEventListener("frame", ({ detail }) => console.log(detail));
 *     await voice.connect();            // in a click, so that the browser allows sound
 *     voice.sendText("hello");
 *     voice.disconnect();
 *
 * Events (each a CustomEvent; `detail` is):
 * - `state`: `{state, code?, reason?, attempt?, retryInMs?}`, whenever `voice.state` changes
 * - `frame`: a frame of the JSON dialect that the bot sent, as an object with `type`
 * - `speech`: `{speaking, at, atSeconds}`, the user's, as the server found it; `at` is on the page's clock
 * - `answer`: `{speaking, at}`, the bot's, as it is heard; `at` is on the page's clock
 * - `turn`: `{latencyMs}`, from the user's last word to the first of the bot's that is heard
 * - `interrupted`: `{heardSeconds, droppedSeconds}`, how much of the answer was really heard
 * - `level`: `{who: "you" | "bot", peak, playing?}`, fifty times a second each
 * - `microphone`: `{lost}`, why it is gone in the middle of a call; the call goes on, `setMicrophone` takes another
 * - `sound`: `{running}`, false when the browser or the system has stopped it; it is taken up again as soon as it may be
 * - `pong`: `{roundTripMs, jitterMs, session, player}`, twice a second
 */

import { Link } from "./link.js";
import { pictureFrame } from "./picture.js";
import { Sound } from "./sound.js";

/** @typedef {"idle" | "connecting" | "connected" | "stalled" | "reconnecting" | "ended"} State */

/**
 * @typedef {object} VoiceOptions
 * @property {string | (() => string | Promise<string>)} [url] of the WebSocket; a function is asked anew for each attempt
 * @property {number} [timeoutMs] how long one attempt to connect may take
 * @property {boolean} [reconnect] whether to come back after a connection was lost
 * @property {number} [firstRetryMs]
 * @property {number} [maxRetryMs]
 */

/** After these the server did not mean to end the call. */
const WORTH_A_RETRY = new Set([1001, 1005, 1006, 1011, 1012, 1013, 1014]);
const STABLE_MS = 5000;
const AUDIBLE = 0.002;
const QUIET_MS = 400;

/**
 * Wait for something no longer than this, and no longer than it is wanted.
 * @template T
 * @param {AbortSignal} wanted
 * @param {number | null} timeoutMs
 * @param {Promise<T>} promise
 * @param {string} [late] what to say when it took too long
 * @returns {Promise<T>}
 */
async function within(wanted, timeoutMs, promise, late = "the server did not answer in time") {
  const limit = timeoutMs === null ? wanted : AbortSignal.any([wanted, AbortSignal.timeout(timeoutMs)]);
  promise.catch(() => {}); // whoever stopped waiting does not want to hear of it
  return await new Promise((resolve, reject) => {
    const stop = () => reject(wanted.aborted ? wanted.reason : new Error(late));
    if (limit.aborted) stop();
    limit.addEventListener("abort", stop, { once: true });
    promise.then(resolve, reject);
  });
}

export class Voice extends EventTarget {
  /** @param {VoiceOptions} [options] */
  constructor({ url = "/ws", timeoutMs = 10000, reconnect = true, firstRetryMs = 500, maxRetryMs = 8000 } = {}) {
    super();
    this.settings = { url, timeoutMs, reconnect, firstRetryMs, maxRetryMs };
    /** @type {State} */
    this.state = "idle";
    this.microphoneError = "";
    /** @type {Sound | null} */
    this.sound = null;
    /** @type {Link | null} */
    this.link = null;
    this.volume = 1;
    this.isMuted = false;
    this.answering = false;
    this.audibleAt = 0;
    /** @type {number | null} */
    this.userStoppedAt = null;
    /** @type {Map<string, AudioBuffer>} */
    this.recordings = new Map();
    this.abort = new AbortController();
    this.jitterMs = 0;
    /** @type {any} */
    this.player = null;
    this.attempt = 0;
    this.upSince = 0;
  }

  /**
   * Connect; resolves once the bot can be heard. Call it from a click. `signal` gives it up, and so does `disconnect`.
   * A microphone that cannot be had is no failure: see `microphoneError`.
   * @param {{microphone?: boolean | string, signal?: AbortSignal}} [options] true, a device's id, or false for none
   */
  async connect({ microphone = true, signal } = {}) {
    if (this.state !== "idle" && this.state !== "ended") throw new Error(`there is a call already: ${this.state}`);
    signal?.throwIfAborted();
    const abort = (this.abort = new AbortController());
    signal?.addEventListener("abort", () => abort.abort(signal.reason), { once: true, signal: abort.signal });
    this.attempt = 0;
    this.microphoneError = "";
    this.become("connecting");
    const sound = (this.sound = new Sound({
      onFrame: (pcm, peak) => this.outbound(pcm, peak),
      onPlayed: (played) => this.played(played),
      onMark: (mark) => this.link?.send({ type: "mark", mark }),
      onMicrophoneLost: (why) => this.lostMicrophone(why),
      onRunning: (running) => this.tell("sound", { running }),
    }));
    try {
      const { timeoutMs } = this.settings;
      await within(abort.signal, timeoutMs, sound.open());
      await within(abort.signal, timeoutMs, sound.running, "the browser lets this page make no sound yet: connect in a click");
      sound.watch();
      // Whether the microphone is allowed is for a person to say: that takes as long as it takes, but can be given up.
      const device = typeof microphone === "string" ? microphone : undefined;
      if (microphone) await within(abort.signal, null, this.tryMicrophone(sound, device));
      sound.setVolume(this.volume);
      sound.setMuted(this.isMuted);
      await this.dial(abort, sound);
    } catch (error) {
      // Whoever gave up may have called again already: what is the next call's stays as it is.
      if (this.abort === abort && this.state !== "ended") {
        this.sound = null;
        this.link = null;
        this.become("idle");
      }
      await sound.close();
      throw error;
    }
  }

  /** Say goodbye. */
  disconnect() {
    if (this.state === "idle" || this.state === "ended") return;
    this.abort?.abort(new Error("it was given up"));
    this.link?.close();
    this.finish({ code: 1000, reason: "you disconnected" });
  }

  /** Try at once to come back, instead of waiting for the next attempt. */
  retryNow() {
    this.wake?.();
  }

  /** Give up a connection that does not answer, and open another. */
  redial() {
    this.link?.end({ code: 1006, reason: "it did not answer" });
  }

  // What is sent

  /** @param {string} text */
  sendText(text) {
    this.send({ type: "text", text });
  }

  /** @param {string} digits of 0123456789*#ABCD */
  sendDigits(digits) {
    for (const digit of digits) this.send({ type: "dtmf", digit });
  }

  /**
   * Send what a camera's video, a canvas or an image shows now, as JPEG; the bot needs `video_in_enabled`. False: it was
   * left out, since there is no line or it does not keep up. The next one may go.
   * @param {import("./picture.js").Source} source
   * @param {{maxWidth?: number, quality?: number}} [options]
   */
  async sendPicture(source, options) {
    const link = this.link;
    if (!link?.takesPictures) return false;
    const frame = await pictureFrame(source, options);
    if (link !== this.link || !link.takesPictures) return false; // it was another call's, or the line has filled up
    link.send(frame);
    return true;
  }

  /** @param {any} message JSON of the application's own */
  sendMessage(message) {
    this.send({ type: "message", message });
  }

  /** @param {{type: string, [member: string]: any}} frame of the JSON dialect */
  send(frame) {
    this.link?.send(frame);
  }

  /**
   * Say a recording as if it came from the microphone; resolves when it is over.
   * @param {string | URL} address
   */
  async say(address) {
    const sound = this.sound;
    if (!sound) return;
    const key = String(address);
    let recording = this.recordings.get(key);
    if (!recording) {
      const response = await fetch(key);
      if (!response.ok) throw new Error(`the recording ${key} could not be loaded`);
      recording = await sound.context.decodeAudioData(await response.arrayBuffer());
      this.recordings.set(key, recording);
    }
    await sound.say(recording);
  }

  // Devices

  /** @returns {Promise<{microphones: MediaDeviceInfo[], speakers: MediaDeviceInfo[]}>} named once one was allowed */
  static async devices() {
    const all = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    return {
      microphones: all.filter(({ kind }) => kind === "audioinput"),
      speakers: all.filter(({ kind }) => kind === "audiooutput"),
    };
  }

  get hasMicrophone() {
    return Boolean(this.sound?.stream);
  }

  /** @param {string} [deviceId] */
  async setMicrophone(deviceId) {
    await this.sound?.openMicrophone(deviceId);
  }

  /** @param {string} deviceId */
  async setSpeaker(deviceId) {
    await this.sound?.useSpeaker(deviceId);
  }

  /** @param {boolean} muted */
  setMuted(muted) {
    this.isMuted = muted;
    this.sound?.setMuted(muted);
  }

  /** @param {number} share from 0 to 1 */
  setVolume(share) {
    this.volume = share;
    this.sound?.setVolume(share);
  }

  // Inside

  /**
   * @param {string} name
   * @param {any} detail
   */
  tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  /**
   * @param {State} state
   * @param {object} [more]
   */
  become(state, more = {}) {
    this.state = state;
    this.tell("state", { state, ...more });
  }

  /** @param {string} why */
  lostMicrophone(why) {
    this.microphoneError = why;
    this.tell("microphone", { lost: why });
  }

  /**
   * @param {Sound} sound
   * @param {string} [deviceId]
   */
  async tryMicrophone(sound, deviceId) {
    try {
      await sound.openMicrophone(deviceId);
    } catch (problem) {
      const error = /** @type {Error} */ (problem);
      const known = { NotAllowedError: "it was not allowed", NotFoundError: "there is none", NotReadableError: "another program uses it" };
      this.microphoneError = known[/** @type {keyof typeof known} */ (error.name)] ?? error.message;
    }
  }

  /**
   * Open a connection, within the time that it may take.
   * @param {AbortController} abort of the call that it belongs to
   * @param {Sound} sound
   */
  async dial(abort, sound) {
    const limit = AbortSignal.timeout(this.settings.timeoutMs);
    const signal = AbortSignal.any([limit, abort.signal]);
    const link = new Link({
      onAudio: (pcm) => this.inbound(pcm),
      onFrame: (frame) => this.told(frame),
      onPong: (roundTripMs, session) =>
        this.tell("pong", { roundTripMs, jitterMs: link.previous ? link.jitter : null, session, player: this.player }),
      onStalled: (stalled) => this.become(stalled ? "stalled" : "connected"),
      onClose: (event) => this.closed(event, abort, sound),
    });
    try {
      const { url } = this.settings;
      const address = typeof url === "function" ? await within(signal, null, Promise.resolve(url())) : url;
      await link.open(address, sound.rate, signal);
    } catch (error) {
      if (limit.aborted && !abort.signal.aborted) throw new Error("the server did not answer in time");
      throw error;
    }
    if (abort.signal.aborted) {
      link.close();
      throw abort.signal.reason;
    }
    this.link = link;
    this.upSince = performance.now();
    this.become("connected");
  }

  /**
   * @param {{code: number, reason: string}} event
   * @param {AbortController} abort
   * @param {Sound} sound
   */
  async closed(event, abort, sound) {
    if (abort.signal.aborted) return;
    this.link = null;
    await this.stopPlaying();
    if (abort.signal.aborted) return;
    if (!this.settings.reconnect || !WORTH_A_RETRY.has(event.code)) {
      this.finish(event);
      return;
    }
    // A server that takes every call and drops it must not be called without a pause.
    if (performance.now() - this.upSince > STABLE_MS) this.attempt = 0;
    while (!abort.signal.aborted) {
      const longest = Math.min(this.settings.maxRetryMs, this.settings.firstRetryMs * 2 ** this.attempt);
      const retryInMs = longest * (0.5 + Math.random() / 2);
      this.attempt += 1;
      this.become("reconnecting", { ...event, attempt: this.attempt, retryInMs });
      await this.pause(retryInMs, abort.signal);
      if (abort.signal.aborted) return;
      try {
        await this.dial(abort, sound);
        return;
      } catch {
        // The next attempt says it again.
      }
    }
  }

  /**
   * @param {number} ms
   * @param {AbortSignal} signal
   */
  pause(ms, signal) {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        resolve(undefined);
      };
      const timer = setTimeout(done, ms);
      this.wake = done;
      signal.addEventListener("abort", done, { once: true });
    });
  }

  /** @param {{code: number, reason: string}} event */
  finish({ code, reason }) {
    this.link = null;
    const sound = this.sound;
    this.sound = null;
    this.setAnswering(false);
    this.userStoppedAt = null;
    this.become("ended", { code, reason });
    sound?.close();
  }

  async stopPlaying() {
    const heard = await this.sound?.clear();
    this.setAnswering(false);
    return heard;
  }

  /**
   * @param {ArrayBuffer} pcm
   * @param {number} peak
   */
  outbound(pcm, peak) {
    if (!this.link?.isOpen) return;
    this.link.sendAudio(pcm);
    this.tell("level", { who: "you", peak: this.isMuted ? 0 : peak });
  }

  /** @param {ArrayBuffer} pcm */
  inbound(pcm) {
    this.sound?.play(pcm);
  }

  /** @param {import("./sound.js").Played} played */
  played(played) {
    this.player = played;
    const now = performance.now();
    const audible = played.playing && played.peak > AUDIBLE;
    if (audible) this.audibleAt = now;
    if (audible && !this.answering) {
      this.setAnswering(true);
      if (this.userStoppedAt !== null) this.tell("turn", { latencyMs: now - this.userStoppedAt });
      this.userStoppedAt = null;
    } else if (this.answering && now - this.audibleAt > QUIET_MS) {
      this.setAnswering(false);
    }
    this.tell("level", { who: "bot", peak: played.peak, playing: played.playing });
  }

  /** @param {boolean} answering */
  setAnswering(answering) {
    if (answering === this.answering) return;
    this.answering = answering;
    this.tell("answer", { speaking: answering, at: this.audibleAt });
  }

  /** @param {any} frame */
  told(frame) {
    switch (frame.type) {
      case "interruption":
        this.stopPlaying().then((heard) => {
          if (heard) this.tell("interrupted", { heardSeconds: heard.heard, droppedSeconds: heard.dropped });
        });
        break;
      case "mark":
        this.sound?.mark(frame.mark);
        return;
      case "bot_started_speaking":
        this.sound?.beginUtterance();
        break;
      case "user_started_speaking":
      case "user_stopped_speaking":
        this.heardSpeech(frame);
        break;
      default:
    }
    this.tell("frame", frame);
  }

  /** @param {{type: string, at_s?: number | null}} frame */
  heardSpeech({ type, at_s: atSeconds }) {
    const speaking = type === "user_started_speaking";
    const now = performance.now();
    const at = atSeconds == null || !this.link ? now : Math.min(now, this.link.whenSent(atSeconds));
    this.userStoppedAt = speaking ? null : at;
    this.tell("speech", { speaking, at, atSeconds: atSeconds ?? null });
  }
}
