"""Twilio media streams, with the adapter in the part of the provider: it calls an agent that expects Twilio.

Rules
1. First ``connected`` and ``start``, then ``media`` of 20 ms mu-law without a gap, as from a telephone; ``stop`` last.
   Every message after the first bears the next sequence number.
2. The agent's ``media`` is played in real time. A ``mark`` comes back when what the agent sent before it was played;
   ``clear`` empties the player, and sends the waiting marks back at once.
3. One of these three that names another stream is a RemoteProtocolError, as the provider would refuse it. All other
   messages, with an event or without, are the application's own.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final, final
from uuid import uuid4

from attrs import define, evolve, field
from attrs.validators import instance_of

from ..._documented import documented
from ...audio.format import AudioFormat
from ...audio.g711 import pcm_to_ulaw, ulaw_to_pcm
from ...errors import RemoteProtocolError
from ...frames import DTMF_DIGITS
from ...serializers.codec import dumps
from ...serializers.converters import from_base64, mismatch, to_base64
from ...serializers.protocol import Message
from ..capabilities import AdapterCapabilities
from ..chunk import AudioChunk
from ..events import AgentEvent, AgentMessage, PlaybackCleared, Reply
from ..protocol import Heard, WebSocketProtocol
from .json_audio import parse_object

TELEPHONE: Final = AudioFormat(8000)
PACKET_BYTES: Final = 160
"""20 ms of mu-law: one byte a sample."""
_BYTES_PER_MS: Final = 8


def _sid(prefix: str) -> str:
    return field(factory=lambda: prefix + uuid4().hex, validator=instance_of(str))


@documented
@final
@define(eq=False, kw_only=True)
class TwilioMediaStreamProtocol(WebSocketProtocol):
    """A caller of one call; the ids are made up unless given. ``fresh()`` keeps them."""

    stream_sid: str = _sid("MZ")
    """The stream's id, ``MZ...``; made up unless given."""
    call_sid: str = _sid("CA")
    """The call's id, ``CA...``; made up unless given."""
    account_sid: str = _sid("AC")
    """The account's id, ``AC...``; made up unless given."""
    custom_parameters: dict[str, str] = field(factory=dict, validator=instance_of(dict))
    """What TwiML's ``<Parameter>`` would give to the stream."""
    is_continuous: bool = field(default=True, validator=instance_of(bool))
    """Whether silence is sent between the caller's turns, for agents that listen for the end of a turn."""
    _sequence: int = field(default=0, init=False)
    _media: int = field(default=0, init=False)
    _sent_bytes: int = field(default=0, init=False)

    def fresh(self) -> "TwilioMediaStreamProtocol":
        """One with the same settings for another call."""
        return evolve(self)

    @property
    def input_format(self) -> AudioFormat:
        return TELEPHONE

    @property
    def agent_capabilities(self) -> AdapterCapabilities:
        return AdapterCapabilities(
            native_vad=True, dtmf=True, input_formats=("mulaw/8000",), output_formats=("mulaw/8000",)
        )

    def on_open(self) -> Sequence[str]:
        start = {
            "streamSid": self.stream_sid,
            "accountSid": self.account_sid,
            "callSid": self.call_sid,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": TELEPHONE.sample_rate, "channels": 1},
            "customParameters": self.custom_parameters,
        }
        connected = dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        return [connected, self._numbered("start", start=start)]

    def on_close(self) -> str:
        return self._numbered("stop", stop={"accountSid": self.account_sid, "callSid": self.call_sid})

    def encode_audio(self, audio: bytes) -> Sequence[str]:
        mulaw = pcm_to_ulaw(audio)
        return [self._packet(mulaw[start : start + PACKET_BYTES]) for start in range(0, len(mulaw), PACKET_BYTES)]

    def encode_dtmf(self, digit: str) -> str:
        if len(digit) != 1 or digit not in DTMF_DIGITS:
            raise ValueError(f"a key of a telephone is one of {DTMF_DIGITS}, not {digit!r}")
        return self._numbered("dtmf", dtmf={"track": "inbound_track", "digit": digit})

    def decode_response(self, message: Message) -> AudioChunk | None:
        return self._audio(parse_object(message))

    def decode_event(self, message: Message) -> AgentEvent | Reply | None:
        return self._other(parse_object(message))

    def decode(self, message: Message) -> Sequence[Heard]:
        document = parse_object(message)
        heard = self._audio(document) or self._other(document)
        return () if heard is None else (heard,)

    def _packet(self, mulaw: bytes) -> str:
        self._media += 1
        timestamp = str(self._sent_bytes // _BYTES_PER_MS)
        self._sent_bytes += len(mulaw)
        media = {"track": "inbound", "chunk": str(self._media), "timestamp": timestamp, "payload": to_base64(mulaw)}
        return self._numbered("media", media=media)

    def _numbered(self, event: str, **members: object) -> str:
        self._sequence += 1
        return dumps({"event": event, "sequenceNumber": str(self._sequence), **members, "streamSid": self.stream_sid})

    def _audio(self, document: dict[str, Any]) -> AudioChunk | None:
        if document.get("event") != "media":
            return None
        self._check_stream(document)
        payload = from_base64(_member(document, "media", "payload"), path="media.payload")
        return AudioChunk(ulaw_to_pcm(payload), sample_rate=TELEPHONE.sample_rate)

    def _other(self, document: dict[str, Any]) -> AgentEvent | Reply | None:
        match document.get("event"):
            case "media":
                return None
            case "mark":
                self._check_stream(document)
                name = _member(document, "mark", "name")
                if not isinstance(name, str):
                    raise mismatch("text", name, path="mark.name")
                return Reply(partial(self._numbered, "mark", mark={"name": name}), when_played=True)
            case "clear":
                self._check_stream(document)
                return PlaybackCleared()
            case _:
                return AgentMessage(document)

    def _check_stream(self, document: Mapping[str, Any]) -> None:
        named = document.get("streamSid")
        if named != self.stream_sid:
            raise RemoteProtocolError(f"this stream is {self.stream_sid}, not {named!r}", path="streamSid")


def _member(document: Mapping[str, Any], parent: str, name: str) -> object:
    inner = document.get(parent)
    if not isinstance(inner, Mapping):
        raise mismatch("a JSON object", inner, path=parent)
    return inner.get(name)
