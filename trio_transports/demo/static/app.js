// The page: joins the sound to the link and shows what happens.

import { Plot, Timeline, decibels } from "./charts.js";
import { Link } from "./link.js";
import { Sound } from "./sound.js";
import { Log, Sessions, Statistics, duration } from "./tables.js";

const $ = (id) => document.getElementById(id);
const timeline = new Timeline($("timeline"));
const roundTrip = new Plot($("rtt-plot"), "you");
const jitter = new Plot($("jitter-plot"), "bot");
const log = new Log($("log"));
const statistics = new Statistics($("stats"));
const sessions = new Sessions($("sessions"));

let sound = null;
let link = null;
let session = null;
let connectedAt = 0;
let inboundStart = null; // when the first frame of this session's sound left, on the page's clock
let heldUntil = { you: 0, bot: 0 };
let mood = "off";
const seen = { heard: 0, speech: 0, interruptions: 0, answers: 0, peak: 0 }; // for the console, and for tests

// What the page says

function say(text) {
  $("announce").textContent = text;
}

function setConnection(kind, text) {
  $("connection").dataset.kind = kind;
  $("connection-text").textContent = text;
}

function setMood(kind, text) {
  if (mood === kind && $("mood").textContent === text) return;
  mood = kind;
  $("mood").dataset.kind = kind;
  $("mood").textContent = text;
}

function setNotice(text) {
  $("notice").hidden = !text;
  $("notice").textContent = text ?? "";
}

function setControls(connected) {
  $("actions-off").hidden = connected;
  $("actions-on").hidden = !connected;
  $("mute").hidden = !sound?.stream;
}

// Connecting

async function connect(withMicrophone) {
  const pressed = document.activeElement; // a button that is disabled loses the focus
  setNotice(null);
  setConnection("busy", "Connecting");
  for (const id of ["connect-mic", "connect-sample"]) $(id).disabled = true;
  sound = new Sound({ onFrame: outbound, onPlayed: played });
  link = new Link({ onAudio: inbound, onFrame: told, onClose: closed });
  try {
    await sound.open();
    if (withMicrophone) {
      try {
        await sound.openMicrophone();
      } catch (error) {
        withMicrophone = false;
        const why = error.name === "NotAllowedError" ? "it was not allowed" : error.name === "NotFoundError" ? "there is none" : error.message;
        setNotice(`No microphone: ${why}. The buttons speak for you instead.`);
      }
    }
    sound.setVolume($("volume").value / 100);
    await link.open(sound.rate);
  } catch (error) {
    setNotice(`${error.message[0].toUpperCase()}${error.message.slice(1)}.`);
    setConnection("bad", "Not connected");
    const unused = sound;
    sound = link = null;
    await unused.close();
    setTimeout(() => pressed?.focus({ preventScroll: true }));
    return;
  } finally {
    for (const id of ["connect-mic", "connect-sample"]) $(id).disabled = false;
  }
  connectedAt = performance.now();
  inboundStart = null;
  roundTrip.clear();
  jitter.clear();
  sendSettings();
  setControls(true);
  setMood("on", "Listening");
  log.add("Connected", "you");
  say("Connected. The bot is listening.");
  $(withMicrophone ? "mute" : "say").focus({ preventScroll: true });
  if (!withMicrophone) setTimeout(() => speak("hello"), 600);
}

async function closed(event) {
  if (!connectedAt) return; // never was open: connect() tells
  const whose = link?.saidGoodbye ? "You disconnected" : event.code === 1001 ? "The server is going away" : event.code === 1006 ? "The connection was lost" : "The server hung up";
  const code = `code ${event.code}${event.reason ? `, ${event.reason}` : ""}`;
  log.add(`${whose} (${code})`, link?.saidGoodbye ? "you" : "bad");
  say(`${whose}.`);
  setConnection(link?.saidGoodbye ? "off" : "bad", link?.saidGoodbye ? "Not connected" : whose);
  connectedAt = 0;
  session = null;
  for (const lane of ["you", "bot"]) timeline.endBand(lane, performance.now());
  setMood("off", "Waiting for a connection");
  for (const id of ["level-you", "level-bot"]) $(id).textContent = "–";
  const hadFocus = $("actions-on").contains(document.activeElement);
  const unused = sound;
  sound = link = null;
  setControls(false);
  $("mute").setAttribute("aria-pressed", "false");
  if (hadFocus) $("connect-mic").focus({ preventScroll: true });
  await unused?.close();
}

async function speak(name) {
  if (!sound) return;
  try {
    await sound.say(name);
  } catch (error) {
    setNotice(error.message);
  }
}

// Sound

function outbound(pcm, peak) {
  if (!link?.isOpen) return;
  const now = performance.now();
  inboundStart ??= now - 20;
  link.sendAudio(pcm);
  timeline.level("you", now, peak);
  showLevel("you", peak, now);
}

function inbound(pcm) {
  if (sound) sound.play(pcm);
}

let answering = false;

function played({ peak, playing }) {
  const now = performance.now();
  timeline.level("bot", now, peak);
  showLevel("bot", peak, now);
  seen.peak = Math.max(seen.peak, peak);
  const audible = playing && peak > 0.002;
  if (audible) {
    seen.heard += 1;
    heldUntil.bot = now + 400;
  }
  if (audible && !answering) {
    answering = true;
    seen.answers += 1;
    timeline.startBand("bot", now - 60);
    if (mood !== "you") setMood("bot", "Answering");
  } else if (answering && now > heldUntil.bot) {
    answering = false;
    timeline.endBand("bot", now - 400);
    if (mood === "bot") setMood("on", "Listening");
  }
}

const shown = { you: 0, bot: 0 };

function showLevel(lane, peak, now) {
  if (now - shown[lane] < 150) return;
  shown[lane] = now;
  $(`level-${lane}`).textContent = decibels(peak);
}

// What the server tells

function told(frame) {
  const now = performance.now();
  if (frame.type === "interruption") {
    sound?.clear();
    seen.interruptions += 1;
    timeline.mark(now, "barge-in");
    timeline.endBand("bot", now);
    answering = false;
    log.add("Barge-in: the answer was stopped", "bot");
    say("The answer was stopped.");
    return;
  }
  if (frame.type !== "message") return;
  const message = frame.message;
  switch (message.type) {
    case "hello":
      session = message.session;
      $("version").textContent = `trio_transports ${message.version}.`;
      break;
    case "pong":
      roundTrip.add(now - message.t);
      $("rtt").textContent = (now - message.t).toFixed(1);
      break;
    case "speech": {
      // The server speaks of the time in the sound it heard, which began when this page sent its first frame.
      const at = inboundStart === null || message.at_s === null ? now : Math.min(now, inboundStart + message.at_s * 1000);
      if (message.speaking) {
        seen.speech += 1;
        timeline.startBand("you", at);
        setMood("you", "Hearing you");
        log.add(`Speech began at ${message.at_s?.toFixed(2) ?? "?"} s`, "you");
      } else {
        timeline.endBand("you", at);
        setMood(answering ? "bot" : "on", answering ? "Answering" : "Listening");
        log.add(`Speech ended at ${message.at_s?.toFixed(2) ?? "?"} s`, "you");
      }
      break;
    }
    case "answer":
      log.add(`Answering with ${message.seconds.toFixed(1)} s of sound`, "bot");
      break;
    case "stats":
      statistics.show(message.statistics);
      break;
    default:
  }
}

function sendSettings() {
  const form = new FormData($("settings"));
  const settings = { mode: form.get("mode"), delay_ms: Number(form.get("delay")), barge_in: form.has("barge-in") };
  link?.sendMessage({ type: "settings", ...settings });
}

// Clocks

setInterval(() => {
  if (!link?.isOpen) return;
  link.sendMessage({ type: "ping", t: performance.now() });
  if (link.previous && performance.now() - link.previous.at < 1000) {
    jitter.add(link.jitter);
    $("jitter").textContent = link.jitter.toFixed(1);
  }
  roundTrip.draw();
  jitter.draw();
}, 500);

setInterval(() => {
  if (connectedAt) setConnection("on", `Connected ${duration((performance.now() - connectedAt) / 1000)}`);
}, 500);

setInterval(() => {
  if (!roundTrip.values.length) return;
  const told = (plot) => `median ${plot.median.toFixed(1)}, highest ${plot.worst.toFixed(1)} milliseconds`;
  $("rtt-plot").setAttribute("aria-label", `Round trip over the last minute: ${told(roundTrip)}`);
  $("jitter-plot").setAttribute("aria-label", `Jitter over the last minute: ${told(jitter)}`);
  $("timeline").setAttribute(
    "aria-label",
    `Waveforms of both directions: speech heard ${seen.speech} times, ${seen.answers} answers, ${seen.interruptions} of them interrupted`,
  );
}, 2000);

let newestEvent = 0;

async function poll() {
  if (document.visibilityState === "visible") {
    try {
      const response = await fetch("status", { cache: "no-store" });
      const status = await response.json();
      $("version").textContent = `trio_transports ${status.version}.`;
      sessions.show(status.sessions, session);
      if ((status.events.at(-1)?.number ?? 0) < newestEvent) newestEvent = 0; // another server counts anew
      for (const event of status.events) {
        if (event.number > newestEvent && event.session !== session) log.add(event.text, "server");
        newestEvent = Math.max(newestEvent, event.number);
      }
    } catch {
      sessions.unreachable();
    }
  }
  setTimeout(poll, 1000);
}

let stillUntil = performance.now() + 1000;

function frame(now) {
  if (connectedAt) stillUntil = now + 13000; // what is in the picture moves out of it, then it may rest
  if (now < stillUntil) timeline.draw(now);
  requestAnimationFrame(frame);
}

// Controls

$("connect-mic").addEventListener("click", () => connect(true));
$("connect-sample").addEventListener("click", () => connect(false));
$("say").addEventListener("click", () => speak("hello"));
$("barge").addEventListener("click", () => speak("stop"));
$("disconnect").addEventListener("click", () => {
  link.saidGoodbye = true;
  link.close();
});
$("mute").addEventListener("click", ({ currentTarget }) => {
  const muted = currentTarget.getAttribute("aria-pressed") !== "true";
  currentTarget.setAttribute("aria-pressed", String(muted));
  sound.setMuted(muted);
});
$("settings").addEventListener("submit", (event) => event.preventDefault());
$("settings").addEventListener("change", sendSettings);
$("delay").addEventListener("input", ({ currentTarget }) => {
  $("delay-text").textContent = `${currentTarget.value} ms`;
  currentTarget.setAttribute("aria-valuetext", `${currentTarget.value} milliseconds`);
});
$("volume").addEventListener("input", ({ currentTarget }) => {
  $("volume-text").textContent = `${currentTarget.value} %`;
  currentTarget.setAttribute("aria-valuetext", `${currentTarget.value} percent`);
  sound?.setVolume(currentTarget.value / 100);
});
function redraw() {
  stillUntil = Math.max(stillUntil, performance.now() + 500);
  roundTrip.draw();
  jitter.draw();
}
addEventListener("resize", redraw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
addEventListener("pagehide", () => link?.close());

window.demo = { seen, counters: () => ({ ...seen, sent: link?.sent ?? 0, received: link?.received ?? 0, session, mood }) };
statistics.show(null);
roundTrip.draw();
jitter.draw();
requestAnimationFrame(frame);
poll();
