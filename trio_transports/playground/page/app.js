// The page: what the visitor does goes to the voice client, and what that tells is shown.

import { Plot, Timeline, decibels } from "./charts.js";
import { Voice } from "./client/voice.js";
import { Controls, Devices } from "./controls.js";
import { Pictures } from "./pictures.js";
import { Log, Sessions, Statistics, duration } from "./tables.js";
import { Transcript } from "./transcript.js";

const $ = (id) => document.getElementById(id);
const timeline = new Timeline($("timeline"));
const plots = { turn: new Plot($("turn-plot"), "bot", 40), rtt: new Plot($("rtt-plot"), "you"), jitter: new Plot($("jitter-plot"), "bot") };
const log = new Log($("log"));
const statistics = new Statistics($("stats"));
const sessions = new Sessions($("sessions"));
const transcript = new Transcript($("transcript"), $("transcript-empty"));
const controls = new Controls($("controls"));
const devices = new Devices($("microphone"), $("speaker"));

let about = { needs_token: false };
let session = null;
let connectedAt = 0;
let cancel = null;
let mood = "off";
let hearing = false;
let wasLost = false;
const seen = { heard: 0, speech: 0, interruptions: 0, answers: 0, peak: 0, turns: 0, stalls: 0, returns: 0 }; // for tests

async function address() {
  if (!about.needs_token) return "ws";
  const response = await fetch("start", { method: "POST" });
  if (!response.ok) throw new Error(`the server does not start a session: ${response.status}`);
  return (await response.json()).ws_url;
}

const voice = new Voice({ url: address });
const pictures = new Pictures(document.querySelector(".talk"), voice, { onSent: (text) => log.add(text, "you"), onTrouble: setNotice });

// What the page says

function say(text) {
  $("announce").textContent = text;
}

function setConnection(kind, text) {
  $("connection").dataset.kind = kind;
  if ($("connection-text").textContent !== text) $("connection-text").textContent = text;
}

function setMood() {
  let [kind, text] = ["off", "Waiting for a connection"];
  if (voice.state === "stalled") [kind, text] = ["bad", "The server does not answer"];
  else if (voice.state === "reconnecting") [kind, text] = ["bad", "Reconnecting"];
  else if (voice.state === "connected" && hearing) [kind, text] = ["you", "Hearing you"];
  else if (voice.state === "connected" && voice.answering) [kind, text] = ["bot", "Answering"];
  else if (voice.state === "connected") [kind, text] = voice.isMuted ? ["muted", "You are muted"] : ["on", "Listening"];
  mood = kind;
  $("mood").dataset.kind = kind;
  if ($("mood").textContent !== text) $("mood").textContent = text;
}

function setNotice(text) {
  $("notice").hidden = !text;
  $("notice").textContent = text ?? "";
}

// Seen wherever the page is scrolled.
function setLost(text, button = "Reconnect") {
  $("lost").hidden = !text;
  $("lost-text").textContent = text ?? "";
  $("reconnect").textContent = button;
}

function setControls() {
  const state = voice.state;
  const on = ["connected", "stalled", "reconnecting"].includes(state);
  $("actions-off").hidden = on || state === "connecting";
  $("actions-busy").hidden = state !== "connecting";
  $("actions-on").hidden = !on;
  $("mute").hidden = !voice.hasMicrophone;
  for (const id of ["text", "send"]) $(id).disabled = state !== "connected";
  for (const key of $("keypad").children) key.disabled = state !== "connected";
  pictures.setState(state);
  if (!on) setMuted(false);
}

function setMuted(muted) {
  voice.setMuted(muted);
  $("mute").textContent = muted ? "Unmute" : "Mute";
  $("mute").classList.toggle("on", muted);
  $("legend-you").classList.toggle("muted", muted);
  timeline.setMuted(muted, performance.now());
  if (muted) $("level-you").textContent = "muted";
  setMood();
}

// Connecting

async function connect(withMicrophone) {
  const pressed = document.activeElement; // a button that is hidden loses the focus
  cancel = new AbortController();
  setNotice(null);
  setLost(null);
  wasLost = false;
  transcript.clear();
  for (const plot of Object.values(plots)) plot.clear();
  try {
    await voice.connect({ microphone: withMicrophone && ($("microphone").value || true), signal: cancel.signal });
  } catch (error) {
    setConnection("bad", "Not connected");
    setNotice(`${error.message[0].toUpperCase()}${error.message.slice(1)}.`);
    setTimeout(() => pressed?.focus({ preventScroll: true }));
    return;
  }
  if (voice.microphoneError) setNotice(`No microphone: ${voice.microphoneError}. The buttons speak for you instead.`);
  devices.refresh();
  if ($("speaker").value) voice.setSpeaker($("speaker").value).catch((error) => setNotice(error.message));
  $(voice.hasMicrophone ? "mute" : "say").focus({ preventScroll: true });
  if (!voice.hasMicrophone) setTimeout(() => speak("hello"), 600);
}

function whose({ code, reason }) {
  const told = `code ${code}${reason && code !== 1000 ? `, ${reason}` : ""}`;
  if (code === 1001) return ["The server is going away", told];
  if (code === 1006 || code === 1005) return ["The connection was lost", told];
  return [code === 1000 ? "The bot hung up" : "The server ended the call", told];
}

function changed({ detail }) {
  const now = performance.now();
  switch (detail.state) {
    case "connecting":
      setConnection("busy", "Connecting");
      $("cancel").focus({ preventScroll: true });
      break;
    case "connected":
      if (!connectedAt) {
        connectedAt = now;
        if (wasLost) seen.returns += 1;
        log.add(wasLost ? "Connected again" : "Connected", "you");
        say(wasLost ? "Connected again." : "Connected. The bot is listening.");
      } else {
        log.add("The server answers again", "server");
      }
      setLost(null);
      sendSettings();
      break;
    case "stalled":
      seen.stalls += 1;
      setConnection("bad", "No answer");
      setLost("The server does not answer.", "Reconnect now");
      log.add("The server has stopped answering", "bad");
      break;
    case "reconnecting": {
      const [text, told] = whose(detail);
      if (detail.attempt === 1) {
        log.add(`${text} (${told})`, "bad");
        say(`${text}. Reconnecting.`);
      }
      wasLost = true;
      leave(now);
      setConnection("bad", text);
      setLost(`${text}. Attempt ${detail.attempt} in ${(detail.retryInMs / 1000).toFixed(1)} s.`, "Reconnect now");
      break;
    }
    case "ended": {
      const byYou = detail.reason === "you disconnected";
      const [text, told] = byYou ? ["You disconnected", "code 1000"] : whose(detail);
      const hadFocus = $("actions-on").contains(document.activeElement);
      log.add(`${text} (${told})`, byYou ? "you" : "bad");
      say(`${text}.`);
      leave(now);
      setConnection(byYou ? "off" : "bad", byYou ? "Not connected" : text);
      setLost(byYou ? null : `${text}.`);
      setTimeout(() => hadFocus && $("connect-mic").focus({ preventScroll: true }));
      break;
    }
    default:
  }
  setControls();
  setMood();
}

// What belongs to one connection ends with it.
function leave(now) {
  connectedAt = 0;
  session = null;
  hearing = false;
  $("session-id").textContent = "";
  for (const lane of ["you", "bot"]) timeline.endBand(lane, now);
  for (const id of ["level-you", "level-bot"]) $(id).textContent = "–";
}

async function speak(name) {
  try {
    await voice.say(`${name}.wav`);
  } catch (error) {
    setNotice(error.message);
  }
}

// What the client tells

const shown = { you: 0, bot: 0 };

function level({ detail: { who, peak, playing } }) {
  const now = performance.now();
  timeline.level(who, now, peak);
  if (who === "bot") {
    seen.peak = Math.max(seen.peak, peak);
    if (playing && peak > 0.002) seen.heard += 1;
  }
  if (now - shown[who] < 150 || !connectedAt) return;
  shown[who] = now;
  $(`level-${who}`).textContent = who === "you" && voice.isMuted ? "muted" : decibels(peak);
}

function speech({ detail: { speaking, at, atSeconds } }) {
  hearing = speaking;
  if (speaking) {
    seen.speech += 1;
    timeline.startBand("you", at);
    transcript.endAnswer();
  } else {
    timeline.endBand("you", at);
  }
  const when = new Date(Date.now() - (performance.now() - at));
  log.add(`Speech ${speaking ? "began" : "ended"} at ${atSeconds?.toFixed(2) ?? "?"} s`, "you", when);
  setMood();
}

function answer({ detail: { speaking, at } }) {
  if (speaking) {
    seen.answers += 1;
    timeline.startBand("bot", at);
  } else {
    timeline.endBand("bot", at);
  }
  setMood();
}

function turn({ detail: { latencyMs } }) {
  seen.turns += 1;
  plots.turn.add(latencyMs);
  $("turn").textContent = Math.round(latencyMs);
  log.add(`Answered after ${Math.round(latencyMs)} ms`, "bot");
  plots.turn.draw();
}

function interrupted({ detail: { heardSeconds, droppedSeconds } }) {
  seen.interruptions += 1;
  timeline.mark(performance.now(), "barge-in");
  const wasPlaying = heardSeconds > 0 || droppedSeconds > 0;
  log.add(`Barge-in: the answer was stopped${wasPlaying ? ` after ${heardSeconds.toFixed(1)} s` : ""}`, "bot");
  transcript.interrupted(heardSeconds);
  say("The answer was stopped.");
}

function pong({ detail: { roundTripMs, jitterMs, session: told, player } }) {
  plots.rtt.add(roundTripMs);
  $("rtt").textContent = roundTripMs.toFixed(1);
  if (jitterMs !== null && voice.answering) {
    plots.jitter.add(jitterMs);
    $("jitter").textContent = jitterMs.toFixed(1);
  }
  plots.rtt.draw();
  plots.jitter.draw();
  if (!told) return;
  session = told.id;
  $("session-id").textContent = told.id;
  statistics.show(told.statistics, player);
}

function microphoneLost({ detail: { lost } }) {
  setNotice(`The microphone is gone: ${lost}. Choose another, or let the buttons speak for you.`);
  log.add("The microphone is gone", "bad");
  devices.refresh();
  setControls();
}

let silenced = false;

function sound({ detail: { running } }) {
  if (running === !silenced) return;
  silenced = !running;
  setNotice(running ? null : "This page's sound was stopped by the browser or the system. It goes on as soon as it may.");
}

function told({ detail: frame }) {
  switch (frame.type) {
    case "transcription":
      transcript.heard(frame.text, frame.final !== false);
      break;
    case "text":
      transcript.said(frame.text, frame.aloud !== false);
      break;
    case "image":
      transcript.show(frame);
      break;
    case "function_call":
      log.add(`Calls ${frame.name}(${JSON.stringify(frame.arguments ?? {})})`, "bot");
      break;
    case "function_result":
      log.add(`${frame.name} ${frame.cancelled ? "was cancelled" : `gave ${JSON.stringify(frame.result ?? null)}`}`, "bot");
      break;
    case "error":
      log.add(`Error: ${frame.error}`, "bad");
      break;
    case "metrics":
      log.add(`Metrics: ${JSON.stringify(frame.metrics)}`, "server");
      break;
    case "bot_thinking":
      log.add(frame.thinking ? "The bot is thinking" : "The bot has thought", "bot");
      break;
    case "user_muted":
      log.add(frame.muted ? "The bot does not listen for now" : "The bot listens again", "bot");
      break;
    case "message":
      message(frame.message);
      break;
    default:
  }
}

function message(value) {
  if (value?.type === "answer" && typeof value.seconds === "number") log.add(`Answering with ${value.seconds.toFixed(1)} s of sound`, "bot");
  else if (value?.type === "refused") setNotice(`The bot refused a setting: ${value.why}`);
  else log.add(`Message: ${JSON.stringify(value).slice(0, 300)}`, "bot");
}

function sendSettings() {
  if (controls.described.length) voice.sendMessage({ type: "settings", ...controls.values });
}

// Clocks

setInterval(() => {
  if (voice.state === "connected") setConnection("on", `Connected ${duration((performance.now() - connectedAt) / 1000)}`);
}, 500);

setInterval(() => {
  const words = { turn: "Time to answer, turn by turn", rtt: "Round trip over the last minute", jitter: "Jitter over the last minute" };
  for (const [name, plot] of Object.entries(plots)) {
    if (!plot.values.length) continue;
    $(`${name}-plot`).setAttribute("aria-label", `${words[name]}: median ${plot.median.toFixed(1)}, highest ${plot.worst.toFixed(1)} milliseconds`);
  }
  if (!seen.speech && !seen.answers) return;
  $("timeline").setAttribute(
    "aria-label",
    `Waveforms of both directions: speech heard ${seen.speech} times, ${seen.answers} answers, ${seen.interruptions} of them interrupted`,
  );
}, 2000);

let newestEvent = 0;
let reachable = true;

function showServer({ sessions: list, events }) {
  $("sessions-panel").hidden = false;
  document.querySelector(".grid").classList.add("with-sessions");
  sessions.show(list, session);
  if ((events.at(-1)?.number ?? 0) < newestEvent) newestEvent = 0; // another server counts anew
  for (const event of events) {
    if (event.number > newestEvent && event.session !== session) log.add(event.text, "server", new Date(event.at));
    newestEvent = Math.max(newestEvent, event.number);
  }
}

async function poll() {
  if (document.visibilityState === "visible") {
    try {
      const response = await fetch("status", { cache: "no-store", signal: AbortSignal.timeout(3000) });
      const status = await response.json();
      if (!reachable && voice.state === "reconnecting") voice.retryNow(); // it is back: no need to wait any longer
      reachable = true;
      if (status.sessions !== null) showServer(status); // who is here is not always for everybody to know
    } catch {
      reachable = false;
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

// What the visitor does

for (const [name, handler] of Object.entries({ state: changed, level, speech, answer, turn, interrupted, pong, sound, microphone: microphoneLost, frame: told })) {
  voice.addEventListener(name, handler);
}
$("connect-mic").addEventListener("click", () => connect(true));
$("connect-sample").addEventListener("click", () => connect(false));
$("cancel").addEventListener("click", () => cancel?.abort(new Error("you gave it up")));
$("say").addEventListener("click", () => speak("hello"));
$("barge").addEventListener("click", () => speak("stop"));
$("disconnect").addEventListener("click", () => voice.disconnect());
$("mute").addEventListener("click", () => setMuted(!voice.isMuted));
$("reconnect").addEventListener("click", () => {
  if (voice.state === "reconnecting") voice.retryNow();
  else if (voice.state === "stalled") voice.redial();
  else connect(true);
});
$("write").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (!text || voice.state !== "connected") return;
  voice.sendText(text);
  transcript.wrote(text);
  $("text").value = "";
});
for (const digit of "123456789*0#") {
  const key = document.createElement("button");
  key.type = "button";
  key.className = "key";
  key.textContent = digit;
  key.disabled = true;
  key.setAttribute("aria-label", { "*": "star", "#": "hash" }[digit] ?? digit);
  key.addEventListener("click", () => {
    voice.sendDigits(digit);
    log.add(`Pressed ${digit}`, "you");
  });
  $("keypad").append(key);
}
$("keypad-button").addEventListener("click", () => {
  const open = $("keypad").hidden;
  $("keypad").hidden = !open;
  $("keypad-button").setAttribute("aria-expanded", String(open));
});
$("settings").addEventListener("submit", (event) => event.preventDefault());
$("controls").addEventListener("change", sendSettings);
$("volume").addEventListener("input", ({ currentTarget }) => {
  $("volume-text").textContent = `${currentTarget.value} %`;
  currentTarget.setAttribute("aria-valuetext", `${currentTarget.value} percent`);
  voice.setVolume(currentTarget.value / 100);
});
$("microphone").addEventListener("change", async ({ currentTarget }) => {
  if (!voice.sound) return;
  try {
    await voice.setMicrophone(currentTarget.value || undefined);
    setNotice(null);
  } catch (error) {
    setNotice(`That microphone cannot be used: ${error.message}`);
  }
  setControls();
});
$("speaker").addEventListener("change", ({ currentTarget }) => {
  voice.setSpeaker(currentTarget.value).catch((error) => setNotice(`That speaker cannot be used: ${error.message}`));
});
function redraw() {
  stillUntil = Math.max(stillUntil, performance.now() + 500);
  for (const plot of Object.values(plots)) plot.draw();
}
addEventListener("resize", redraw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
addEventListener("pagehide", () => voice.disconnect());

async function introduce() {
  try {
    about = await (await fetch("about", { signal: AbortSignal.timeout(5000) })).json();
    $("title").replaceChildren(...about.title.split("\n").flatMap((line, index) => (index ? [document.createElement("br"), line] : [line])));
    $("lede").textContent = about.lede || "Talk to this bot, write to it, press keys; below is what happens and how long it takes.";
    $("version").textContent = `trio_transports ${about.version}.`;
    controls.show(about.controls);
    pictures.offer(about.takes_pictures);
  } catch {
    setNotice("The server cannot be reached.");
  } finally {
    document.body.classList.remove("loading");
  }
}

window.demo = {
  seen,
  voice,
  counters: () => ({ ...seen, sent: voice.link?.sent ?? 0, received: voice.link?.received ?? 0, pictures: pictures.sent, session, mood, state: voice.state }),
};
statistics.show(null);
redraw();
requestAnimationFrame(frame);
introduce();
poll();
