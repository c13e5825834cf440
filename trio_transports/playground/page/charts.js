// What is drawn: the timeline of both voices, and the two small plots.

const root = document.documentElement;
const still = matchMedia("(prefers-reduced-motion: reduce)");
const WINDOW_MS = 12000;
const BUCKET_MS = 60;

function colours() {
  const style = getComputedStyle(root);
  const value = (name) => style.getPropertyValue(`--${name}`).trim();
  return Object.fromEntries(
    ["you", "you-soft", "bot", "bot-soft", "ink", "muted", "line", "line-strong", "surface", "bad", "sans"].map((n) => [n, value(n)]),
  );
}

let theme = null;
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  theme = null;
});

function prepare(canvas) {
  theme ??= colours();
  const ratio = window.devicePixelRatio || 1;
  const { width, height } = canvas.getBoundingClientRect();
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  return { pen, width, height };
}

export function decibels(peak) {
  return peak > 0.0005 ? `${Math.round(20 * Math.log10(peak))} dB` : "silent";
}

// The two voices over the last seconds. Levels are drawn in decibels, since that is how loudness is heard.
export class Timeline {
  constructor(canvas) {
    this.canvas = canvas;
    this.lanes = { you: { buckets: new Map(), bands: [] }, bot: { buckets: new Map(), bands: [] } };
    this.marks = [];
    this.muted = [];
    this.drawnAt = 0;
  }

  setMuted(muted, at) {
    const last = this.muted.at(-1);
    if (muted === (last !== undefined && last.to === null)) return;
    if (muted) this.muted.push({ from: at, to: null });
    else last.to = at;
    if (this.muted.length > 32) this.muted.shift();
  }

  level(lane, at, peak) {
    const { buckets } = this.lanes[lane];
    const bucket = Math.floor(at / BUCKET_MS);
    buckets.set(bucket, Math.max(buckets.get(bucket) ?? 0, peak));
    if (buckets.size > (WINDOW_MS / BUCKET_MS) * 2) {
      const oldest = bucket - WINDOW_MS / BUCKET_MS - 10;
      for (const key of buckets.keys()) if (key < oldest) buckets.delete(key);
    }
  }

  startBand(lane, at) {
    this.endBand(lane, at);
    this.lanes[lane].bands.push({ from: at, to: null });
    if (this.lanes[lane].bands.length > 64) this.lanes[lane].bands.shift();
  }

  endBand(lane, at) {
    const band = this.lanes[lane].bands.at(-1);
    if (band && band.to === null) band.to = Math.max(at, band.from);
  }

  mark(at, text) {
    this.marks.push({ at, text });
    if (this.marks.length > 32) this.marks.shift();
  }

  draw(now) {
    if (still.matches && now - this.drawnAt < 500) return;
    this.drawnAt = now;
    const { pen, width, height } = prepare(this.canvas);
    const span = width < 560 ? WINDOW_MS / 2 : WINDOW_MS;
    const x = (at) => width - ((now - at) / span) * width;
    const foot = 24;
    const laneHeight = (height - foot) / 2;

    pen.font = `11px ${theme.sans}`;
    pen.textBaseline = "alphabetic";
    pen.lineWidth = 1;
    for (let second = Math.ceil((now - span) / 1000); second * 1000 <= now; second += 1) {
      const at = Math.round(x(second * 1000)) + 0.5;
      pen.strokeStyle = theme.line;
      pen.beginPath();
      pen.moveTo(at, 0);
      pen.lineTo(at, height - foot);
      pen.stroke();
    }
    pen.fillStyle = theme.muted;
    for (let ago = 2; ago * 1000 < span; ago += 2) {
      pen.textAlign = "center";
      pen.fillText(`${ago} s ago`, width - (ago * 1000 * width) / span, height - 8);
    }
    pen.textAlign = "right";
    pen.fillText("now", width - 10, height - 8);

    Object.keys(this.lanes).forEach((name, index) => this.drawLane(pen, name, index * laneHeight, laneHeight, x, now, span, width));

    for (const { at, text } of this.marks) {
      if (now - at > span) continue;
      const place = Math.round(x(at)) + 0.5;
      pen.strokeStyle = theme.ink;
      pen.setLineDash([3, 3]);
      pen.beginPath();
      pen.moveTo(place, 0);
      pen.lineTo(place, height - foot);
      pen.stroke();
      pen.setLineDash([]);
      pen.font = `600 11px ${theme.sans}`;
      const label = pen.measureText(text).width + 12;
      const left = Math.min(place, width - label);
      pen.fillStyle = theme.ink;
      pen.beginPath();
      pen.roundRect(left, laneHeight - 9, label, 18, 5);
      pen.fill();
      pen.fillStyle = theme.surface;
      pen.textAlign = "left";
      pen.fillText(text, left + 6, laneHeight + 4);
    }
  }

  drawLane(pen, name, top, height, x, now, span, width) {
    const { buckets, bands } = this.lanes[name];
    const middle = top + height / 2 + 6; // below the word that names a band
    for (const { from, to } of bands) {
      const left = Math.max(x(from), -20);
      const right = to === null ? width : x(to);
      if (right < 0) continue;
      pen.fillStyle = theme[`${name}-soft`];
      pen.beginPath();
      pen.roundRect(left, top + 4, Math.max(right - left, 6), height - 8, 8);
      pen.fill();
      if (right - left > 64) {
        pen.fillStyle = theme[name];
        pen.font = `11px ${theme.sans}`;
        pen.textAlign = "left";
        pen.fillText(name === "you" ? "speech" : "answer", Math.max(left, 0) + 9, top + 18);
      }
    }
    if (name === "you") this.drawMuted(pen, top, height, x, width);
    const step = (BUCKET_MS / span) * width;
    const bar = Math.max(1.5, step * 0.56);
    const first = Math.floor((now - span) / BUCKET_MS) - 1;
    const last = Math.floor(now / BUCKET_MS);
    for (let bucket = first; bucket <= last; bucket += 1) {
      const peak = buckets.get(bucket) ?? 0;
      const loud = peak > 0.0005 ? Math.max(0, Math.min(1, (20 * Math.log10(peak) + 54) / 52)) : 0;
      const tall = Math.max(2, loud ** 1.4 * (height - 40));
      pen.fillStyle = loud > 0.02 ? theme[name] : theme["line-strong"];
      pen.beginPath();
      pen.roundRect(x((bucket + 1) * BUCKET_MS) - (step + bar) / 2, middle - tall / 2, bar, tall, bar / 2);
      pen.fill();
    }
  }

  // While muted nothing of you is heard: the lane is hatched.
  drawMuted(pen, top, height, x, width) {
    for (const { from, to } of this.muted) {
      const left = Math.max(0, x(from));
      const right = to === null ? width : Math.min(width, x(to));
      if (right <= left) continue;
      pen.save();
      pen.beginPath();
      pen.roundRect(left, top + 4, right - left, height - 8, 8);
      pen.clip();
      pen.strokeStyle = theme["line-strong"];
      pen.lineWidth = 1;
      for (let at = left - height - (left % 10); at < right; at += 10) {
        pen.beginPath();
        pen.moveTo(at, top + height);
        pen.lineTo(at + height, top);
        pen.stroke();
      }
      pen.restore();
      if (right - left > 56) {
        pen.fillStyle = theme.muted;
        pen.font = `600 11px ${theme.sans}`;
        pen.textAlign = "left";
        pen.fillText("muted", left + 9, top + 18);
      }
    }
  }
}

// A line over the last minute, with its largest value written where it is.
export class Plot {
  constructor(canvas, colour, most = 120) {
    this.canvas = canvas;
    this.colour = colour;
    this.most = most;
    this.values = [];
  }

  add(value) {
    this.values.push(value);
    if (this.values.length > this.most) this.values.shift();
  }

  clear() {
    this.values = [];
  }

  get median() {
    const sorted = [...this.values].sort((a, b) => a - b);
    return sorted.length ? sorted[Math.floor(sorted.length / 2)] : 0;
  }

  get worst() {
    return this.values.length ? Math.max(...this.values) : 0;
  }

  draw() {
    const { pen, width, height } = prepare(this.canvas);
    const top = 16;
    const base = height - 1;
    pen.strokeStyle = theme.line;
    pen.lineWidth = 1;
    for (const share of [0, 0.5, 1]) {
      const y = Math.round(base - share * (base - top)) - 0.5;
      pen.beginPath();
      pen.moveTo(0, y);
      pen.lineTo(width, y);
      pen.stroke();
    }
    if (!this.values.length) return;
    const ceiling = Math.max(this.worst * 1.05, 1);
    const step = width / (this.most - 1);
    const px = (index) => width - 2 - (this.values.length - 1 - index) * step;
    const py = (value) => base - 1 - (value / ceiling) * (base - top - 2);
    pen.beginPath();
    this.values.forEach((value, index) => (index ? pen.lineTo(px(index), py(value)) : pen.moveTo(px(index), py(value))));
    pen.strokeStyle = theme[this.colour];
    pen.lineWidth = 1.75;
    pen.lineJoin = "round";
    pen.stroke();
    pen.lineTo(px(this.values.length - 1), base);
    pen.lineTo(px(0), base);
    pen.closePath();
    pen.fillStyle = theme[`${this.colour}-soft`];
    pen.fill();
    const peak = this.values.indexOf(this.worst);
    pen.beginPath();
    pen.arc(px(peak), py(this.worst), 2.5, 0, 2 * Math.PI);
    pen.fillStyle = theme[this.colour];
    pen.fill();
    pen.font = `11px ${theme.sans}`;
    pen.fillStyle = theme.muted;
    const text = `${this.worst.toFixed(1)} max`;
    const wide = pen.measureText(text).width;
    pen.textAlign = "left";
    pen.fillText(text, Math.max(0, Math.min(px(peak) - wide / 2, width - wide)), top - 5);
  }
}
