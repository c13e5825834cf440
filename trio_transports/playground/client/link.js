// @ts-check
// One WebSocket: PCM as binary messages, everything else as the JSON frames of trio_transports.serializers; and a watch
// on whether the server still answers.

const PICTURE_BACKLOG_BYTES = 64 * 1024;
const PING_MS = 500;
const STALLED_MS = 1800;
const GIVEN_UP_MS = 12000;

/**
 * @typedef {object} LinkHandlers
 * @property {(pcm: ArrayBuffer) => void} onAudio
 * @property {(frame: any) => void} onFrame
 * @property {(roundTripMs: number, session: any) => void} onPong
 * @property {(stalled: boolean) => void} onStalled nothing has come for a while, though the connection is open
 * @property {(event: {code: number, reason: string}) => void} onClose
 */

export class Link {
  /** @param {LinkHandlers} handlers */
  constructor(handlers) {
    this.handlers = handlers;
    this.sent = 0;
    this.received = 0;
    this.samplesSent = 0;
    this.sentAt = 0;
    this.jitter = 0;
    this.stalled = false;
    /** @type {{at: number, length: number} | null} */
    this.previous = null;
    this.over = false;
    this.rate = 0;
    /** @type {WebSocket} */
    this.socket = /** @type {any} */ (null);
    this.heardAt = 0;
    this.lookedAt = 0;
  }

  /**
   * @param {string} url of the WebSocket
   * @param {number} rate of the PCM, both ways
   * @param {AbortSignal} signal gives it up
   */
  async open(url, rate, signal) {
    this.rate = rate;
    const address = new URL(url, location.href);
    address.protocol = address.protocol.replace("http", "ws");
    address.searchParams.set("pcm", String(rate));
    address.searchParams.set("marks", "1");
    const socket = (this.socket = new WebSocket(address));
    socket.binaryType = "arraybuffer";
    await new Promise((resolve, reject) => {
      const giveUp = () => {
        this.over = true;
        socket.close();
        reject(signal.reason);
      };
      if (signal.aborted) giveUp();
      signal.addEventListener("abort", giveUp, { once: true });
      socket.onopen = () => {
        signal.removeEventListener("abort", giveUp);
        resolve(undefined);
      };
      socket.onclose = () => reject(new Error("the server cannot be reached"));
    });
    socket.onmessage = ({ data }) => this.receive(data);
    socket.onclose = (event) => this.end(event);
    this.heardAt = this.lookedAt = performance.now();
    this.timer = setInterval(() => this.watch(), PING_MS);
  }

  get isOpen() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  /** @param {ArrayBuffer} pcm */
  sendAudio(pcm) {
    // A line that takes nothing must not fill up memory with old sound.
    if (!this.isOpen || this.socket.bufferedAmount > this.rate) return false;
    this.samplesSent += pcm.byteLength / 2;
    this.sentAt = performance.now();
    this.socket.send(pcm);
    this.sent += 1;
    return true;
  }

  /** Whether a picture would leave soon: behind a queue it would hold up the sound, and be old itself. */
  get takesPictures() {
    return this.isOpen && this.socket.bufferedAmount < PICTURE_BACKLOG_BYTES;
  }

  /** @param {object} frame */
  send(frame) {
    if (this.isOpen) this.socket.send(JSON.stringify(frame));
  }

  /**
   * When the sample was spoken that the server says is at this place in the sound it heard, on this page's clock.
   * @param {number} seconds
   */
  whenSent(seconds) {
    return this.sentAt - (this.samplesSent / this.rate - seconds) * 1000;
  }

  watch() {
    const now = performance.now();
    // A page that was asleep itself cannot say that the server was.
    if (now - this.lookedAt > 3 * PING_MS) this.heardAt = now - PING_MS;
    this.lookedAt = now;
    const silent = now - this.heardAt;
    this.setStalled(silent > STALLED_MS);
    if (silent > GIVEN_UP_MS) {
      this.end({ code: 1006, reason: "the server has stopped answering" });
      return;
    }
    if (this.isOpen && this.socket.bufferedAmount < this.rate) this.send({ type: "ping", t: Math.round(now * 10) / 10 });
  }

  /** @param {boolean} stalled */
  setStalled(stalled) {
    if (stalled === this.stalled) return;
    this.stalled = stalled;
    this.handlers.onStalled(stalled);
  }

  /** @param {string | ArrayBuffer} data */
  receive(data) {
    const now = performance.now();
    this.heardAt = now;
    this.setStalled(false);
    if (typeof data === "string") {
      const frame = JSON.parse(data);
      if (frame.type === "pong") this.handlers.onPong(now - frame.t, frame.session);
      else this.handlers.onFrame(frame);
      return;
    }
    if (data.byteLength % 2) return; // no whole samples
    const length = (data.byteLength / 2 / this.rate) * 1000;
    if (this.previous !== null) {
      const late = now - this.previous.at - this.previous.length;
      // A pause between two answers is not jitter.
      if (late < 200) this.jitter += (Math.abs(late) - this.jitter) / 16;
    }
    this.previous = { at: now, length };
    this.received += 1;
    this.handlers.onAudio(data);
  }

  /** @param {{code: number, reason: string}} event */
  end({ code, reason }) {
    clearInterval(this.timer);
    if (this.over) return;
    this.over = true;
    this.handlers.onClose({ code, reason });
    if (this.isOpen) this.socket.close();
  }

  close() {
    clearInterval(this.timer);
    this.over = true;
    this.socket?.close(1000, "the page said goodbye");
  }
}
