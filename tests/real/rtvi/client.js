// A page on Pipecat's own client: what happened is written down in window.happened, for the test to read.

import { PipecatClient } from "@pipecat-ai/client-js";
import { WavMediaManager, WebSocketTransport } from "@pipecat-ai/websocket-transport";

const names = [
  "Connected", "Disconnected", "TransportStateChanged", "BotReady", "Error", "MessageError", "ServerMessage",
  "UserStartedSpeaking", "UserStoppedSpeaking", "BotStartedSpeaking", "BotStoppedSpeaking", "UserTranscript",
  "BotOutput", "BotTranscript", "BotLlmText", "BotLlmStarted", "BotLlmStopped", "BotTtsText", "BotTtsStarted", "BotTtsStopped",
  "LLMFunctionCallStarted", "LLMFunctionCallInProgress", "LLMFunctionCallStopped", "Metrics", "UserMuteStarted",
  "UserMuteStopped", "UserLlmText", "UICommand",
];

window.happened = [];
window.of = (name) => window.happened.filter((each) => each.name === name);

function made() {
  const callbacks = {};
  for (const name of names) callbacks[`on${name}`] = (data) => window.happened.push({ name, data, at: performance.now() });
  // The package's other way to a microphone loads a program from its maker's server.
  window.media = new WavMediaManager(512, 16000);
  const transport = new WebSocketTransport({ mediaManager: window.media, recorderSampleRate: 16000 });
  const client = new PipecatClient({ transport, enableMic: true, callbacks });
  client.registerFunctionCallHandler("page_title", async ({ arguments: given }) => ({ title: document.title, given }));
  return client;
}

window.connect = async (endpoint) => {
  window.client = made();
  return await window.client.startBotAndConnect({ endpoint, requestData: { any: "thing" } });
};

// The loudest tone that the client's own player plays, in Hz.
window.pitch = () => {
  const { analyser, context } = window.media._wavStreamPlayer;
  const levels = new Float32Array(analyser.frequencyBinCount);
  analyser.getFloatFrequencyData(levels);
  let loudest = 0;
  for (let i = 1; i < levels.length; i += 1) if (levels[i] > levels[loudest]) loudest = i;
  return levels[loudest] > -60 ? (loudest * context.sampleRate) / analyser.fftSize : 0;
};

// What it was all the time: a tone may be over before the test asks.
window.pitches = [];
setInterval(() => {
  if (window.media?._wavStreamPlayer?.analyser) window.pitches.push(window.pitch());
}, 50);
