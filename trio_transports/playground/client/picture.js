// @ts-check
/** Pictures from a page to its bot: what a camera, a canvas or an image shows, as JPEG in the JSON dialect. */

/** @typedef {HTMLVideoElement | HTMLCanvasElement | HTMLImageElement | ImageBitmap} Source */

/**
 * What is seen there now, no wider than that, as a frame.
 * @param {Source} source
 * @param {{maxWidth?: number, quality?: number}} [options]
 */
export async function pictureFrame(source, { maxWidth = 640, quality = 0.8 } = {}) {
  const [width, height] = sizeOf(source);
  if (!width || !height) throw new Error("there is nothing to be seen yet");
  const scale = Math.min(1, maxWidth / width);
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  canvas.getContext("2d")?.drawImage(source, 0, 0, canvas.width, canvas.height);
  /** @type {Blob | null} */
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", quality));
  if (!blob) throw new Error("the picture could not be made");
  const bytes = new Uint8Array(await blob.arrayBuffer());
  let text = "";
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return { type: "image", image: btoa(text), size: [canvas.width, canvas.height], format: "JPEG" };
}

/**
 * @param {any} source
 * @returns {[number, number]}
 */
function sizeOf(source) {
  if (source instanceof HTMLVideoElement) return [source.videoWidth, source.videoHeight];
  if (source instanceof HTMLImageElement) return [source.naturalWidth, source.naturalHeight];
  return [source.width, source.height];
}

/** A camera, shown in a video element and handed on so many times a second. */
export class Camera {
  /**
   * @param {HTMLVideoElement} view
   * @param {(view: HTMLVideoElement) => Promise<unknown>} onPicture the next picture waits for it
   * @param {number} [perSecond]
   */
  constructor(view, onPicture, perSecond = 5) {
    this.view = view;
    this.onPicture = onPicture;
    this.perSecond = perSecond;
    /** @type {MediaStream | null} */
    this.stream = null;
    this.turns = 0;
  }

  get isOn() {
    return this.stream !== null;
  }

  /** Ask for the camera and begin; an error says why there is none. */
  async open() {
    const turn = ++this.turns;
    const stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 }, height: { ideal: 480 } } });
    if (turn !== this.turns) {
      for (const track of stream.getTracks()) track.stop(); // it was closed while the question stood
      return;
    }
    this.stream = stream;
    this.view.srcObject = stream;
    await this.view.play();
    this.run(turn);
  }

  /** @param {number} turn */
  async run(turn) {
    while (turn === this.turns) {
      const begun = performance.now();
      if (this.view.videoWidth) await this.onPicture(this.view).catch(() => {}); // the next one may go better
      const left = 1000 / this.perSecond - (performance.now() - begun);
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, left)));
    }
  }

  close() {
    this.turns += 1;
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = null;
    this.view.srcObject = null;
  }
}
