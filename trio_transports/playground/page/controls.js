// What the bot lets its callers set, drawn from its own description; and the devices of this machine.

import { Voice } from "./client/voice.js";

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

function choice({ name, label, options }) {
  const labels = options.map(([value, words], index) =>
    element("label", {}, element("input", { type: "radio", name, value, checked: index === 0 }), element("span", {}, words)),
  );
  return element("fieldset", { class: "segments" }, element("legend", {}, label), ...labels);
}

function slider({ name, label, value, least, most, step, unit }) {
  const id = `control-${name}`;
  const words = (number) => `${number}${unit ? ` ${unit}` : ""}`;
  const shown = element("b", { id: `${id}-text`, "aria-hidden": "true" }, words(value));
  const input = element("input", { id, name, type: "range", min: least, max: most, step, value, "aria-valuetext": words(value) });
  input.addEventListener("input", () => {
    shown.textContent = words(input.value);
    input.setAttribute("aria-valuetext", words(input.value));
  });
  return element("label", { class: "slider", for: id }, element("span", {}, `${label} `, shown), input);
}

function onOff({ name, label, value }) {
  const id = `control-${name}`;
  const input = element("input", { id, name, type: "checkbox", role: "switch", checked: value });
  return element("label", { class: "switch", for: id }, input, element("span", { class: "track", "aria-hidden": "true" }), element("span", {}, label));
}

const MAKERS = { choice, slider, switch: onOff };

export class Controls {
  constructor(box) {
    this.box = box;
    this.described = [];
  }

  show(described) {
    this.described = described;
    this.box.replaceChildren(...described.map((control) => MAKERS[control.kind](control)));
    this.box.hidden = !described.length;
  }

  get values() {
    const form = new FormData(this.box.closest("form"));
    return Object.fromEntries(
      this.described.map(({ kind, name }) => {
        if (kind === "switch") return [name, form.has(name)];
        return [name, kind === "slider" ? Number(form.get(name)) : form.get(name)];
      }),
    );
  }
}

export class Devices {
  constructor(microphone, speaker) {
    this.boxes = { microphones: microphone, speakers: speaker };
    speaker.closest("label").hidden = !("setSinkId" in AudioContext.prototype);
    navigator.mediaDevices?.addEventListener("devicechange", () => this.refresh());
  }

  async refresh() {
    const found = await Voice.devices();
    for (const [kind, box] of Object.entries(this.boxes)) {
      const chosen = box.value;
      const named = found[kind].filter(({ deviceId, label }) => deviceId && label && deviceId !== "default");
      const options = named.map(({ deviceId, label }) => new Option(label, deviceId));
      box.replaceChildren(new Option("The browser’s choice", ""), ...options);
      if (named.some(({ deviceId }) => deviceId === chosen)) box.value = chosen;
    }
  }
}
