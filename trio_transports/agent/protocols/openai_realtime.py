"""OpenAI-Realtime-style events: JSON in text messages, base64 PCM inside.

Rules
1. Output events are known by their present names (``response.output_audio.delta``) and their older ones
   (``response.audio.delta``).
2. With ``server_vad`` the agent finds the end of the caller's turn in the audio, and silence is sent between turns.
   Without, ``encode_end`` commits the audio and asks for a response.
3. ``response.done`` ends the turn, unless all it holds is a call of a function: then the answer is still to come.
4. ``speech_started`` takes back what of the answer was not played yet, as this dialect's clients do.
5. An event that is not known is an ``AgentMessage``; one without a ``type`` is a RemoteProtocolError.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, final

from attrs import define, evolve, field
from attrs.validators import instance_of

from ..._documented import documented
from ...audio.format import AudioFormat
from ...serializers.codec import dumps
from ...serializers.converters import from_base64, mismatch, to_base64
from ...serializers.protocol import Message
from ..capabilities import AdapterCapabilities
from ..chunk import AGENT_FORMAT, AudioChunk, WholeSamples
from ..events import (
    AgentEvent,
    AgentFault,
    AgentMessage,
    CallerSpeechStarted,
    CallerSpeechStopped,
    PlaybackCleared,
    Reply,
    Transcript,
    TurnEnded,
)
from ..protocol import Heard, WebSocketProtocol
from .json_audio import json_object, parse_object
from .raw import pcm16

AUDIO_DELTA: Final = frozenset({"response.output_audio.delta", "response.audio.delta"})
TEXT_DELTA: Final = frozenset(
    {
        "response.output_audio_transcript.delta",
        "response.audio_transcript.delta",
        "response.output_text.delta",
        "response.text.delta",
    }
)
TEXT_DONE: Final[Mapping[str, str]] = {
    "response.output_audio_transcript.done": "transcript",
    "response.audio_transcript.done": "transcript",
    "response.output_text.done": "text",
    "response.text.done": "text",
}
CALLER_TEXT: Final = "conversation.item.input_audio_transcription"


@documented
@final
@define(eq=False, kw_only=True)
class OpenAIRealtimeProtocol(WebSocketProtocol):
    """24 kHz mono both ways. ``session`` is laid over what ``session.update`` says by itself."""

    session: Mapping[str, object] = field(factory=dict, validator=json_object)
    """What is laid over ``session.update``: voice, instructions, tools."""
    server_vad: bool = field(default=True, validator=instance_of(bool))
    """Let the model find the ends of the caller's turns. False: the adapter tells it, which is exact in a test."""
    _samples: WholeSamples = field(factory=WholeSamples, init=False)

    def fresh(self) -> "OpenAIRealtimeProtocol":
        """One with the same settings for another call."""
        return evolve(self)

    @property
    def input_format(self) -> AudioFormat:
        return AGENT_FORMAT

    @property
    def is_continuous(self) -> bool:
        return self.server_vad

    @property
    def agent_capabilities(self) -> AdapterCapabilities:
        return AdapterCapabilities(
            streaming_transcripts=True,
            native_vad=self.server_vad,
            interruption=True,
            turn_events=True,
            input_formats=(pcm16(AGENT_FORMAT),),
            output_formats=(pcm16(AGENT_FORMAT),),
        )

    def on_open(self) -> str:
        pcm = {"type": "audio/pcm", "rate": AGENT_FORMAT.sample_rate}
        turns = {"type": "server_vad"} if self.server_vad else None
        session = {
            "type": "realtime",
            "output_modalities": ["audio"],
            "audio": {"input": {"format": pcm, "turn_detection": turns}, "output": {"format": pcm}},
        }
        return dumps({"type": "session.update", "session": merged(session, self.session)})

    def encode_audio(self, audio: bytes) -> str:
        return dumps({"type": "input_audio_buffer.append", "audio": to_base64(audio)})

    def encode_end(self) -> Sequence[str]:
        if self.server_vad:
            return ()
        return [dumps({"type": "input_audio_buffer.commit"}), dumps({"type": "response.create"})]

    def encode_interrupt(self) -> str:
        return dumps({"type": "response.cancel"})

    def encode_truncate(self, utterance: str, played_ms: int) -> str:
        item = {"item_id": utterance, "content_index": 0, "audio_end_ms": played_ms}
        return dumps({"type": "conversation.item.truncate", **item})

    def decode_response(self, message: Message) -> AudioChunk | None:
        return self._audio(_event(message))

    def decode_event(self, message: Message) -> Sequence[AgentEvent | Reply]:
        return self._events(_event(message))

    def decode(self, message: Message) -> Sequence[Heard]:
        event = _event(message)
        chunk = self._audio(event)
        return self._events(event) if chunk is None else (chunk,)

    def _audio(self, event: dict[str, Any]) -> AudioChunk | None:
        if event["type"] not in AUDIO_DELTA:
            return None
        pcm = self._samples.take(from_base64(event.get("delta"), path="delta"))
        return AudioChunk(pcm, utterance=_item(event))

    def _events(self, event: dict[str, Any]) -> Sequence[AgentEvent]:
        kind: str = event["type"]
        if kind in AUDIO_DELTA:
            return ()
        if kind in TEXT_DELTA:
            return (Transcript(_text(event, "delta"), final=False, utterance=_item(event)),)
        if kind in TEXT_DONE:
            return (Transcript(_text(event, TEXT_DONE[kind]), utterance=_item(event)),)
        match kind:
            case "response.created":
                self._samples.clear()
                return (AgentMessage(event),)
            case "response.done":
                return _done(event)
            case "input_audio_buffer.speech_started":
                return (CallerSpeechStarted(), PlaybackCleared())
            case "input_audio_buffer.speech_stopped":
                return (CallerSpeechStopped(),)
            case "error":
                return (_fault(event),)
        if kind == f"{CALLER_TEXT}.delta":
            return (Transcript(_text(event, "delta"), "caller", final=False),)
        if kind == f"{CALLER_TEXT}.completed":
            return (Transcript(_text(event, "transcript"), "caller"),)
        return (AgentMessage(event),)


def merged(base: Mapping[str, object], over: Mapping[str, object]) -> dict[str, object]:
    """Lay one JSON object over another, object by object."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        result[key] = merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return result


def _event(message: Message) -> dict[str, Any]:
    event = parse_object(message)
    if not isinstance(event.get("type"), str):
        raise mismatch("text", event.get("type"), path="type")
    return event


def _text(event: Mapping[str, Any], key: str) -> str:
    value = event.get(key)
    if not isinstance(value, str):
        raise mismatch("text", value, path=key)
    return value


def _item(event: Mapping[str, Any]) -> str | None:
    item = event.get("item_id")
    return item if isinstance(item, str) else None


def _done(event: Mapping[str, Any]) -> Sequence[AgentEvent]:
    response = event.get("response")
    details: Mapping[str, Any] = response if isinstance(response, Mapping) else {}
    status = details.get("status", "completed")
    output = details.get("output")
    kinds = [item.get("type") for item in output if isinstance(item, Mapping)] if isinstance(output, list) else []
    if status == "completed" and kinds and all(kind == "function_call" for kind in kinds):
        return (AgentMessage(dict(event)),)
    return (TurnEnded(status == "completed", None if status == "completed" else str(status)),)


def _fault(event: Mapping[str, Any]) -> AgentFault:
    error = event.get("error")
    details: Mapping[str, Any] = error if isinstance(error, Mapping) else {}
    code = details.get("code")
    return AgentFault(str(details.get("message") or "unspecified"), None if code is None else str(code))
