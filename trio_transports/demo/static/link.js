// The WebSocket: PCM as binary messages, everything else as the JSON frames of trio_transports.serializers.

export class Link {
  constructor({ onAudio, onFrame, onClose }) {
    this.handlers = { onAudio, onFrame, onClose };
    this.sent = 0;
    this.received = 0;
  }

  open(rate) {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    this.rate = rate;
    this.jitter = 0;
    this.previous = null;
    this.socket = new WebSocket(`${scheme}://${location.host}/ws?pcm=${rate}`);
    this.socket.binaryType = "arraybuffer";
    this.socket.onmessage = ({ data }) => this.receive(data);
    this.socket.onclose = (event) => this.handlers.onClose(event);
    return new Promise((resolve, reject) => {
      this.socket.onopen = resolve;
      this.socket.addEventListener("close", () => reject(new Error("the server cannot be reached")), { once: true });
    });
  }

  get isOpen() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  sendAudio(pcm) {
    // A line that takes nothing must not fill up memory with old sound.
    if (!this.isOpen || this.socket.bufferedAmount > this.rate * 2) return;
    this.socket.send(pcm);
    this.sent += 1;
  }

  sendMessage(message) {
    if (this.isOpen) this.socket.send(JSON.stringify({ type: "message", message }));
  }

  receive(data) {
    if (typeof data === "string") {
      this.handlers.onFrame(JSON.parse(data));
      return;
    }
    const now = performance.now();
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

  close() {
    this.socket?.close(1000, "the page said goodbye");
  }
}
