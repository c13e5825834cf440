"""ElevenLabs Agents: JSON in text messages, base64 PCM inside.

Rules
1. The conversation begins with ``conversation_initiation_client_data``; the agent's metadata then name the two audio
   formats. PCM of any rate is taken; what this side says has to be at ``input_rate``, which the agent is set to.
2. The agent finds the end of the caller's turn in the audio: silence is sent between turns.
3. A ``ping`` is answered by a ``pong`` with its ``event_id``.
4. ``interruption`` takes back what was not played; audio of events up to its ``event_id`` that still comes is dropped.
   An event is a piece of an answer, and answers have no name here: nothing is said of utterances.
5. ``agent_response`` is what will be said. A correction, what was said of it, is an ``AgentMessage``, as is every event
   that is not known; one without a ``type`` is a RemoteProtocolError.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, final

from attrs import define, evolve, field
from attrs.validators import ge, instance_of

from ..._documented import documented
from ...audio.format import AudioFormat
from ...errors import RemoteProtocolError
from ...serializers.codec import dumps
from ...serializers.converters import from_base64, mismatch, to_base64
from ...serializers.protocol import Message
from ..capabilities import AdapterCapabilities
from ..chunk import AudioChunk
from ..events import AgentEvent, AgentMessage, PlaybackCleared, Reply, Transcript
from ..protocol import WebSocketProtocol
from .json_audio import json_object, parse_object
from .raw import pcm16

DEFAULT_RATE: Final = 16000
_PCM: Final = re.compile(r"pcm_(\d{4,6})")


@documented
@final
@define(eq=False, kw_only=True)
class ElevenLabsAgentProtocol(WebSocketProtocol):
    """``initiation`` is laid into the first message: ``conversation_config_override``, ``dynamic_variables``, ..."""

    input_rate: int = field(default=DEFAULT_RATE, validator=[instance_of(int), ge(8000)])
    """Samples per second, in Hz, that the agent was set to take; another rate is heard as noise."""
    initiation: Mapping[str, object] = field(factory=dict, validator=json_object)
    """What the first message says besides: ``conversation_config_override``, ``dynamic_variables`` and so on."""
    _output_rate: int = field(default=DEFAULT_RATE, init=False)
    _interrupted: int = field(default=-1, init=False)

    def fresh(self) -> "ElevenLabsAgentProtocol":
        """One with the same settings for another call."""
        return evolve(self)

    @property
    def input_format(self) -> AudioFormat:
        return AudioFormat(self.input_rate)

    @property
    def is_continuous(self) -> bool:
        return True

    @property
    def agent_capabilities(self) -> AdapterCapabilities:
        return AdapterCapabilities(
            streaming_transcripts=True,
            native_vad=True,
            input_formats=(pcm16(self.input_format),),
            output_formats=(pcm16(AudioFormat(self._output_rate)),),
        )

    def on_open(self) -> str:
        return dumps({**self.initiation, "type": "conversation_initiation_client_data"})

    def encode_audio(self, audio: bytes) -> str:
        return dumps({"user_audio_chunk": to_base64(audio)})

    def decode_response(self, message: Message) -> AudioChunk | None:
        event = _event(message)
        if event["type"] != "audio":
            return None
        audio = _inner(event, "audio_event")
        number = _number(audio, "audio_event.event_id")
        if number <= self._interrupted:  # rule 4
            return None
        pcm = from_base64(audio.get("audio_base_64"), path="audio_event.audio_base_64")
        return AudioChunk(pcm[: len(pcm) & ~1], sample_rate=self._output_rate)

    def decode_event(self, message: Message) -> AgentEvent | Reply | None:
        event = _event(message)
        match event["type"]:
            case "audio":
                return None
            case "conversation_initiation_metadata":
                self._begun(_inner(event, "conversation_initiation_metadata_event"))
                return AgentMessage(event)
            case "ping":
                number = _number(_inner(event, "ping_event"), "ping_event.event_id")
                return Reply(dumps({"type": "pong", "event_id": number}))
            case "interruption":
                number = _number(_inner(event, "interruption_event"), "interruption_event.event_id")
                self._interrupted = max(self._interrupted, number)
                return PlaybackCleared()
            case "agent_response":
                return Transcript(_text(event, "agent_response_event", "agent_response"))
            case "user_transcript":
                return Transcript(_text(event, "user_transcription_event", "user_transcript"), "caller")
        return AgentMessage(event)

    def _begun(self, metadata: Mapping[str, Any]) -> None:
        wanted = self._rate(metadata, "user_input_audio_format", self.input_rate)
        self._output_rate = self._rate(metadata, "agent_output_audio_format", DEFAULT_RATE)
        if wanted != self.input_rate:
            raise RemoteProtocolError(
                f"the agent wants {wanted} Hz: make the protocol with input_rate={wanted}",
                path="conversation_initiation_metadata_event.user_input_audio_format",
            )

    @staticmethod
    def _rate(metadata: Mapping[str, Any], member: str, default: int) -> int:
        named = metadata.get(member)
        if named is None:
            return default
        found = _PCM.fullmatch(str(named))
        if found is None:
            raise RemoteProtocolError(
                f"audio of {str(named)[:40]!a} cannot be taken: set the agent to PCM",
                path=f"conversation_initiation_metadata_event.{member}",
            )
        return int(found[1])


def _event(message: Message) -> dict[str, Any]:
    event = parse_object(message)
    if not isinstance(event.get("type"), str):
        raise mismatch("text", event.get("type"), path="type")
    return event


def _inner(event: Mapping[str, Any], member: str) -> Mapping[str, Any]:
    inner = event.get(member)
    if not isinstance(inner, Mapping):
        raise mismatch("a JSON object", inner, path=member)
    return inner


def _number(inner: Mapping[str, Any], path: str) -> int:
    value = inner.get(path.rpartition(".")[2])
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 16:
        return int(value)
    if type(value) is not int:
        raise mismatch("a whole number", value, path=path)
    return value


def _text(event: Mapping[str, Any], member: str, name: str) -> str:
    value = _inner(event, member).get(name)
    if not isinstance(value, str):
        raise mismatch("text", value, path=f"{member}.{name}")
    return value.strip()
