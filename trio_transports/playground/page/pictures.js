// What the visitor lets the bot see: the camera, and a sheet to draw on.

import { Camera } from "./client/picture.js";

export class Pictures {
  // `onSent(what)` is told of each drawing, and when the camera goes on or off; `onTrouble(text)` of what went wrong.
  constructor(box, voice, { onSent, onTrouble }) {
    this.voice = voice;
    this.onSent = onSent;
    this.onTrouble = onTrouble;
    this.sent = 0;
    const $ = (name) => box.querySelector(`#${name}`);
    [this.buttons, this.eye, this.sheet] = [$("picture-buttons"), $("eye"), $("sheet")];
    [this.cameraButton, this.drawButton, this.sendButton] = [$("camera-button"), $("draw-button"), $("draw-send")];
    this.paper = $("paper");
    this.pen = this.paper.getContext("2d");
    this.camera = new Camera($("camera-view"), (view) => this.send(view));
    this.cameraButton.addEventListener("click", () => (this.camera.isOn ? this.stop() : this.start()));
    this.drawButton.addEventListener("click", () => this.showSheet(this.sheet.hidden));
    this.sendButton.addEventListener("click", () => this.sendDrawing());
    $("draw-clear").addEventListener("click", () => this.clear());
    this.paper.addEventListener("pointerdown", (event) => this.begin(event));
    this.paper.addEventListener("pointermove", (event) => this.draw(event));
    this.clear();
  }

  // Whether this bot looks at pictures at all.
  offer(takesPictures) {
    this.buttons.hidden = !takesPictures;
  }

  setState(state) {
    for (const button of [this.cameraButton, this.sendButton]) button.disabled = state !== "connected";
    if (state === "ended" || state === "idle") this.stop();
  }

  async send(source) {
    if (await this.voice.sendPicture(source)) this.sent += 1;
  }

  async start() {
    try {
      await this.camera.open();
    } catch (error) {
      this.onTrouble(`No camera: ${error.message}`);
      return;
    }
    this.eye.hidden = !this.camera.isOn;
    this.cameraButton.setAttribute("aria-pressed", "true");
    this.onSent("The bot sees your camera");
  }

  stop() {
    const wasOn = this.camera.isOn;
    this.camera.close();
    this.eye.hidden = true;
    this.cameraButton.setAttribute("aria-pressed", "false");
    if (wasOn) this.onSent("Your camera is off");
  }

  showSheet(open) {
    this.sheet.hidden = !open;
    this.drawButton.setAttribute("aria-expanded", String(open));
  }

  async sendDrawing() {
    try {
      await this.send(this.paper);
      this.onSent("You sent a drawing");
    } catch (error) {
      this.onTrouble(error.message);
    }
  }

  clear() {
    this.pen.fillStyle = "#ffffff"; // paper is white in the dark, too
    this.pen.fillRect(0, 0, this.paper.width, this.paper.height);
    Object.assign(this.pen, { strokeStyle: "#1f1c17", lineWidth: 5, lineCap: "round", lineJoin: "round" });
  }

  place(event) {
    const box = this.paper.getBoundingClientRect();
    return [((event.clientX - box.x) / box.width) * this.paper.width, ((event.clientY - box.y) / box.height) * this.paper.height];
  }

  begin(event) {
    this.paper.setPointerCapture(event.pointerId);
    this.pen.beginPath();
    this.pen.moveTo(...this.place(event));
    this.draw(event);
  }

  draw(event) {
    if (!event.buttons) return;
    this.pen.lineTo(...this.place(event));
    this.pen.stroke();
  }
}
