// What is told in words: the event log, the statistics of this session, and the sessions on the server.

export function duration(seconds) {
  const whole = Math.floor(seconds);
  const pad = (n) => String(n).padStart(2, "0");
  return whole < 3600 ? `${Math.floor(whole / 60)}:${pad(whole % 60)}` : `${Math.floor(whole / 3600)}:${pad(Math.floor(whole / 60) % 60)}:${pad(whole % 60)}`;
}

function bytes(count) {
  return count < 1e6 ? `${(count / 1e3).toFixed(count < 1e4 ? 1 : 0)} kB` : `${(count / 1e6).toFixed(1)} MB`;
}

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

export class Log {
  constructor(box) {
    this.box = box;
    this.list = box.firstElementChild;
    this.add("Ready. Connect the microphone, or let the page speak for you.", "server");
  }

  // An event keeps its own time, and its place among the others, however late it was told.
  add(text, kind, at = new Date()) {
    const atEnd = this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight < 24;
    const line = element("li");
    line.append(element("time", at.toTimeString().slice(0, 8), { datetime: at.toISOString() }), element("span", text, { class: kind }));
    let before = this.list.lastElementChild;
    while (before && before.firstChild.getAttribute("datetime") > at.toISOString()) before = before.previousElementSibling;
    if (before) before.after(line);
    else this.list.prepend(line);
    while (this.list.children.length > 200) this.list.firstChild.remove();
    if (atEnd) this.box.scrollTop = this.box.scrollHeight;
  }
}

// Of the server's statistics, and of this page's player.
const ROWS = [
  ["Heard", (s) => `${s.audio_received_s.toFixed(1)} s`],
  ["Said", (s) => `${s.audio_sent_s.toFixed(1)} s`],
  ["Messages in", (s) => s.messages_received],
  ["Messages out", (s) => s.messages_sent],
  ["Data in", (s) => bytes(s.bytes_received)],
  ["Data out", (s) => bytes(s.bytes_sent)],
  ["Queued", (s) => `${s.audio_queued_s.toFixed(1)} s`],
  ["Cut off", (s) => `${s.audio_out_dropped_s.toFixed(1)} s`],
  ["Interruptions", (s) => s.interruptions],
  ["Reset clock", (s) => s.late_resets],
  ["Holes", (s, p) => p?.holes ?? 0, (s, p) => p?.holes > 0],
  ["Cushion", (s, p) => (p ? `${Math.round(p.cushion * 1000)} ms` : "–")],
  ["Frames cut", (s) => s.frames_dropped],
  ["Malformed", (s) => s.malformed_messages, (s) => s.malformed_messages > 0],
];

export class Statistics {
  constructor(list) {
    this.cells = ROWS.map(([name]) => {
      const row = element("div");
      const value = element("dd", "–");
      row.append(element("dt", name), value);
      list.append(row);
      return { row, value };
    });
  }

  show(statistics, player) {
    if (!statistics) return;
    ROWS.forEach(([, text, isBad], index) => {
      this.cells[index].value.textContent = text(statistics, player);
      this.cells[index].row.classList.toggle("alert", Boolean(isBad?.(statistics, player)));
    });
  }
}

const STATES = { listening: "listening", hearing: "hearing speech", answering: "answering" };

export class Sessions {
  constructor(body) {
    this.body = body;
  }

  message(text) {
    const row = element("tr");
    row.append(element("td", text, { colspan: 6, class: "empty" }));
    this.body.replaceChildren(row);
  }

  unreachable() {
    this.message("The server does not answer");
  }

  show(list, own) {
    if (!list.length) {
      this.message("Nobody is connected");
      return;
    }
    this.body.replaceChildren(
      ...list.map((session) => {
        const row = element("tr");
        const name = element("td");
        name.append(element("code", session.id));
        if (session.id === own) name.append(element("span", "you", { class: "tag" }));
        const state = element("td");
        state.append(element("span", STATES[session.state] ?? session.state, { class: "state", "data-kind": session.state }));
        row.append(
          name,
          element("td", session.peer, { class: "desk" }),
          element("td", duration(session.duration_s), { class: "number desk" }),
          element("td", `${session.audio_received_s.toFixed(1)} s`, { class: "number" }),
          element("td", `${session.audio_sent_s.toFixed(1)} s`, { class: "number" }),
          state,
        );
        return row;
      }),
    );
  }
}
