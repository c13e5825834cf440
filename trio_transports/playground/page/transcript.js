// The conversation in words: what you said and wrote, what the bot says as it is said, and what it sends besides.

const GATHER_MS = 4000;

export class Transcript {
  constructor(box, empty) {
    this.box = box;
    this.empty = empty;
    this.list = box.querySelector("ol");
    this.picture = box.querySelector("img");
    this.picture.addEventListener("load", () => this.follow());
    this.open = { you: null, bot: null };
  }

  clear() {
    this.list.replaceChildren();
    this.open = { you: null, bot: null };
    this.empty.hidden = false;
  }

  // A guess at what you said, which a better one replaces, until it is final.
  heard(text, final) {
    const line = this.open.you?.isGuess ? this.open.you : this.line("you");
    line.words.textContent = text;
    line.isGuess = !final;
    line.item.classList.toggle("guess", !final);
    this.open.you = final ? null : line;
    this.open.bot = null;
    this.follow();
  }

  wrote(text) {
    this.line("you", "written").words.textContent = text;
    this.open.bot = null;
    this.follow();
  }

  // Words of one answer are gathered in one bubble.
  said(text, aloud) {
    let line = this.open.bot;
    if (!line || performance.now() - line.at > GATHER_MS || line.aloud !== aloud) {
      line = this.open.bot = { ...this.line("bot", aloud ? "" : "written"), aloud };
    }
    const before = line.words.textContent;
    line.words.textContent = before && !/\s$/.test(before) && !/^[\s.,!?;:’')]/.test(text) && /[.!?]$/.test(before) ? `${before} ${text}` : before + text;
    line.at = performance.now();
    this.follow();
  }

  interrupted(seconds) {
    const line = this.open.bot ?? this.last("bot");
    if (!line || line.item.classList.contains("written") || line.item.querySelector(".cut")) return;
    const cut = document.createElement("span");
    cut.className = "cut";
    cut.textContent = `interrupted after ${seconds.toFixed(1)} s`;
    line.item.append(cut);
    this.open.bot = null;
    this.follow();
  }

  endAnswer() {
    this.open.bot = null;
  }

  show(frame) {
    const kind = { JPEG: "jpeg", PNG: "png", WEBP: "webp" }[frame.format];
    if (!kind) return;
    const address = `data:image/${kind};base64,${frame.image}`;
    if (address === this.picture.src) return; // sent again, it is the same
    this.picture.src = address;
    this.picture.hidden = false;
    this.empty.hidden = true;
  }

  last(who) {
    const item = [...this.list.querySelectorAll(`.${who}`)].at(-1);
    return item ? { item, words: item.querySelector(".words") } : null;
  }

  line(who, kind = "") {
    this.empty.hidden = true;
    const item = document.createElement("li");
    item.className = `${who} ${kind}`.trim();
    const name = document.createElement("b");
    name.textContent = who === "you" ? "You" : "Bot";
    const words = document.createElement("span");
    words.className = "words";
    const time = document.createElement("time");
    const now = new Date();
    time.dateTime = now.toISOString();
    time.textContent = now.toTimeString().slice(0, 8);
    item.append(name, time, words);
    this.list.append(item);
    while (this.list.children.length > 200) this.list.firstChild.remove();
    return { item, words, at: performance.now(), isGuess: false, aloud: true };
  }

  follow() {
    this.box.scrollTop = this.box.scrollHeight;
  }
}
