"""Pipecat's protobuf frames, as its browser clients speak them. Needs the extra ``protobuf``.

Rules
1. Audio, text, transcriptions and interruptions are the frames of that dialect; an agent's text comes in pieces.
2. A message frame labelled ``rtvi-ai`` is an event of Pipecat's client protocol: what it says of transcripts and of who
   speaks becomes an event here. ``bot-stopped-speaking`` is the end of the agent's turn.
3. ``rtvi=True`` introduces the adapter as such a client (``client-ready``), to agents that wait for one.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, final

from attrs import define, field
from attrs.validators import instance_of

from ..._documented import documented
from ...audio.format import AudioFormat
from ...errors import LocalProtocolError
from ...frames import AudioFrame, Frame, InterruptionFrame, JSONValue, MessageFrame, TextFrame, TranscriptionFrame
from ...serializers.protobuf import ProtobufFrameSerializer
from ...serializers.protocol import Message
from ..capabilities import AdapterCapabilities
from ..chunk import AudioChunk
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
from .raw import pcm16

__all__ = ["PipecatProtocol"]

PIPECAT_FORMAT: Final = AudioFormat(16000)
RTVI_LABEL: Final = "rtvi-ai"
RTVI_VERSION: Final = "1.0.0"


@documented
@final
@define(eq=False, kw_only=True)
class PipecatProtocol(WebSocketProtocol):
    """Sends ``input_format`` (16 kHz mono); takes whatever rate the agent states."""

    input_format: AudioFormat = field(default=PIPECAT_FORMAT, validator=instance_of(AudioFormat))
    """The PCM that is sent; each message states it."""
    rtvi: bool = field(default=False, validator=instance_of(bool))
    """Speak RTVI beside the audio, as Pipecat's own clients do: then the agent says when its turn is over."""
    is_continuous: bool = field(default=True, validator=instance_of(bool))
    """Whether silence is sent between the caller's turns, for agents that listen for the end of a turn."""
    _serializer: ProtobufFrameSerializer = field(factory=ProtobufFrameSerializer, init=False)

    @property
    def agent_capabilities(self) -> AdapterCapabilities:
        return AdapterCapabilities(
            streaming_transcripts=True,
            native_vad=self.is_continuous,
            interruption=True,
            turn_events=self.rtvi,
            input_formats=(pcm16(self.input_format),),
        )

    def on_open(self) -> Sequence[Message]:
        if not self.rtvi:
            return ()
        about: JSONValue = {"version": RTVI_VERSION, "about": {"library": "trio-transports"}}
        ready: JSONValue = {"label": RTVI_LABEL, "type": "client-ready", "id": "1", "data": about}
        return self._serializer.encode(MessageFrame(message=ready))

    def encode_audio(self, audio: bytes) -> Sequence[Message]:
        sent = self.input_format
        return self._serializer.encode(
            AudioFrame(audio=audio, sample_rate=sent.sample_rate, num_channels=sent.num_channels)
        )

    def encode_interrupt(self) -> Sequence[Message]:
        return self._serializer.encode(InterruptionFrame())

    def decode_response(self, message: Message) -> Sequence[AudioChunk]:
        return [item for item in self.decode(message) if isinstance(item, AudioChunk)]

    def decode_event(self, message: Message) -> Sequence[AgentEvent | Reply]:
        return [item for item in self.decode(message) if not isinstance(item, AudioChunk)]

    def decode(self, message: Message) -> Sequence[Heard]:
        return [heard for frame in self._serializer.decode(message) for heard in _heard(frame)]


def _heard(frame: Frame) -> Sequence[Heard]:
    match frame:
        case AudioFrame():
            return [AudioChunk(frame.audio, sample_rate=frame.sample_rate, num_channels=frame.num_channels)]
        case TextFrame():
            return [Transcript(frame.text, final=False)]
        case TranscriptionFrame():
            return [Transcript(frame.text, "caller")]
        case InterruptionFrame():
            return [PlaybackCleared()]
        case MessageFrame(message=dict() as document) if document.get("label") == RTVI_LABEL:
            return _rtvi(document)
        case MessageFrame():
            return [AgentMessage(frame.message)]
        case _:
            raise LocalProtocolError(f"a {type(frame).__name__} is not one of this dialect's frames")


def _rtvi(document: dict[str, Any]) -> Sequence[AgentEvent]:
    data = document.get("data")
    details: Mapping[str, Any] = data if isinstance(data, Mapping) else {}
    text = details.get("text")
    match document.get("type"):
        case "bot-transcription" if isinstance(text, str):
            return [Transcript(text)]
        case "user-transcription" if isinstance(text, str):
            return [Transcript(text, "caller", final=details.get("final") is not False)]
        case "bot-stopped-speaking":
            return [TurnEnded()]
        case "user-started-speaking":
            return [CallerSpeechStarted()]
        case "user-stopped-speaking":
            return [CallerSpeechStopped()]
        case "error" | "error-response":
            return [AgentFault(str(details.get("error") or details.get("message") or "unspecified"))]
        case _:
            return [AgentMessage(document)]
