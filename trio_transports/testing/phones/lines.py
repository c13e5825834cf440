"""What each provider says on its WebSocket and takes, from the provider's end, written from its documentation.

Rules
1. ``opening`` is what is said first, ``voice``, ``key`` and ``stop`` what the caller does, ``played`` how the provider
   tells that it has played up to a mark. None: this provider has no words for it.
2. ``understand`` reads what a bot sends: audio to play, a mark, the order to drop what was not played, or something
   else. What the provider would refuse is an AssertionError that says so.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, TypeAlias, final

from attrs import frozen

from ...audio.g711 import pcm_to_ulaw, ulaw_to_pcm
from ...frames import AudioFrame, DTMFFrame, Frame, InterruptionFrame, JSONValue, MarkFrame
from ...serializers.codec import dumps, loads
from ...serializers.converters import from_base64, to_base64
from ...serializers.json import JSONFrameSerializer
from ...serializers.protocol import Message


@final
@frozen
class PlayOrder:
    """Audio to be played."""

    pcm: bytes
    sample_rate: int


@final
@frozen
class MarkOrder:
    """Tell when all before this has been played."""

    name: str


@final
@frozen
class ClearOrder:
    """Drop what has not been played."""


@final
@frozen
class OtherOrder:
    """Anything else: a message of the application's own. ``frame`` where the dialect knows it."""

    message: Message
    frame: Frame | None = None


Order: TypeAlias = PlayOrder | MarkOrder | ClearOrder | OtherOrder


class PhoneLine(Protocol):
    """One caller of one provider."""

    @property
    def name(self) -> str:
        """The provider's name, as ``phone_call`` takes it."""

    @property
    def rate(self) -> int:
        """Samples per second, in Hz, of its audio."""

    def opening(self) -> tuple[Message, ...]:
        """What the provider says first."""

    def voice(self, pcm: bytes) -> Message:
        """The message that carries this audio of the caller's."""

    def key(self, digit: str) -> Message | None:
        """The message for a key; None where the provider has none."""

    def played(self, mark: str) -> Message | None:
        """The message that says that a mark was played; None where the provider has none."""

    def stop(self) -> Message | None:
        """The message that says that the caller has hung up; None where the provider has none."""

    def understand(self, message: Message) -> Order:
        """What the bot asks for with this message."""


def _object(message: Message) -> dict[str, Any]:
    assert isinstance(message, str), "this provider takes text messages only"
    document = loads(message)
    assert isinstance(document, dict), f"this provider takes JSON objects only, not {message[:80]!r}"
    return document


def _events(message: Message, to_pcm: Callable[[bytes], bytes], rate: int, stream: Mapping[str, str]) -> Order:
    """Read the dialect of media, mark and clear events, which three providers share."""
    document = _object(message)
    if document.get("event") in ("media", "mark", "clear"):
        for member, name in stream.items():
            assert document.get(member) == name, f"the provider ignores what names another stream: {document}"
    match document:
        case {"event": "media", "media": {"payload": payload}}:
            return PlayOrder(to_pcm(from_base64(payload, path="media.payload")), rate)
        case {"event": "mark", "mark": {"name": str(name)}}:
            return MarkOrder(name)
        case {"event": "clear"}:
            return ClearOrder()
    return OtherOrder(message)


@final
@frozen(kw_only=True)
class TwilioPhone:
    """Twilio Media Streams: mu-law at 8 kHz. Anything but media, mark and clear ends the stream (error 31924)."""

    name: str = "twilio"
    rate: int = 8000
    stream_id: str = "MZ00000000000000000000000000000001"
    call_id: str = "CA00000000000000000000000000000001"

    def opening(self) -> tuple[Message, ...]:
        start: JSONValue = {
            "accountSid": "AC00000000000000000000000000000001",
            "streamSid": self.stream_id,
            "callSid": self.call_id,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {},
        }
        return (
            dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"}),
            dumps({"event": "start", "sequenceNumber": "1", "start": start, "streamSid": self.stream_id}),
        )

    def voice(self, pcm: bytes) -> Message:
        media = {"track": "inbound", "chunk": "1", "timestamp": "5", "payload": to_base64(pcm_to_ulaw(pcm))}
        return dumps({"event": "media", "sequenceNumber": "3", "media": media, "streamSid": self.stream_id})

    def key(self, digit: str) -> Message:
        return dumps({"event": "dtmf", "streamSid": self.stream_id, "dtmf": {"track": "inbound_track", "digit": digit}})

    def played(self, mark: str) -> Message:
        return dumps({"event": "mark", "sequenceNumber": "4", "streamSid": self.stream_id, "mark": {"name": mark}})

    def stop(self) -> Message:
        stop = {"accountSid": "AC00000000000000000000000000000001", "callSid": self.call_id}
        return dumps({"event": "stop", "sequenceNumber": "5", "stop": stop, "streamSid": self.stream_id})

    def understand(self, message: Message) -> Order:
        order = _events(message, ulaw_to_pcm, 8000, {"streamSid": self.stream_id})
        assert not isinstance(order, OtherOrder), f"Twilio ends the stream (error 31924) for {message[:80]!r}"
        return order


@final
@frozen(kw_only=True)
class TelnyxPhone:
    """Telnyx media streaming: mu-law at 8 kHz both ways."""

    name: str = "telnyx"
    rate: int = 8000
    stream_id: str = "32DE0DEA-53CB-4B21-89A4-9E1819C043BC"
    call_id: str = "v3:call-0001"

    def opening(self) -> tuple[Message, ...]:
        start: JSONValue = {
            "call_control_id": self.call_id,
            "from": "+13120000001",
            "to": "+13120000002",
            "media_format": {"encoding": "PCMU", "sample_rate": 8000, "channels": 1},
        }
        opened = {"event": "start", "sequence_number": "1", "start": start, "stream_id": self.stream_id}
        return (dumps({"event": "connected", "version": "1.0.0"}), dumps(opened))

    def voice(self, pcm: bytes) -> Message:
        media = {"track": "inbound", "chunk": "2", "timestamp": "5", "payload": to_base64(pcm_to_ulaw(pcm))}
        return dumps({"event": "media", "sequence_number": "4", "media": media, "stream_id": self.stream_id})

    def key(self, digit: str) -> Message:
        return dumps({"event": "dtmf", "stream_id": self.stream_id, "dtmf": {"digit": digit}})

    def played(self, mark: str) -> Message:
        return dumps({"event": "mark", "sequence_number": "6", "stream_id": self.stream_id, "mark": {"name": mark}})

    def stop(self) -> Message:
        return dumps({"event": "stop", "stream_id": self.stream_id, "stop": {"call_control_id": self.call_id}})

    def understand(self, message: Message) -> Order:
        return _events(message, ulaw_to_pcm, 8000, {})


@final
@frozen(kw_only=True)
class PlivoPhone:
    """Plivo Audio Streams: mu-law at 8 kHz."""

    name: str = "plivo"
    rate: int = 8000
    stream_id: str = "20170ada-0000-0000-0000-000000000001"
    call_id: str = "78737f7e-0000-0000-0000-000000000001"

    def opening(self) -> tuple[Message, ...]:
        start: JSONValue = {
            "callId": self.call_id,
            "streamId": self.stream_id,
            "accountId": "MA0001",
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000},
        }
        return (dumps({"sequenceNumber": 0, "event": "start", "start": start, "extra_headers": "{}"}),)

    def voice(self, pcm: bytes) -> Message:
        media = {"track": "inbound", "timestamp": "1", "chunk": 1, "payload": to_base64(pcm_to_ulaw(pcm))}
        return dumps({"sequenceNumber": 2, "streamId": self.stream_id, "event": "media", "media": media})

    def key(self, digit: str) -> Message:
        return dumps({"event": "dtmf", "streamId": self.stream_id, "dtmf": {"track": "inbound", "digit": digit}})

    def played(self, mark: str) -> Message:
        return dumps({"event": "playedStream", "streamId": self.stream_id, "name": mark})

    def stop(self) -> Message:
        return dumps({"event": "stop", "streamId": self.stream_id})

    def understand(self, message: Message) -> Order:
        document = _object(message)
        assert document.get("streamId", self.stream_id) == self.stream_id, f"another stream is named: {document}"
        match document:
            case {"event": "playAudio", "media": {"contentType": "audio/x-mulaw", "payload": payload}}:
                return PlayOrder(ulaw_to_pcm(from_base64(payload, path="media.payload")), 8000)
            case {"event": "checkpoint", "name": str(name)}:
                return MarkOrder(name)
            case {"event": "clearAudio"}:
                return ClearOrder()
        return OtherOrder(message)


@final
@frozen(kw_only=True)
class ExotelPhone:
    """Exotel Voicebot: 16-bit PCM at 8 kHz, in packets of 100 ms."""

    name: str = "exotel"
    rate: int = 8000
    stream_id: str = "EX0001"
    call_id: str = "call-0001"

    def opening(self) -> tuple[Message, ...]:
        start: JSONValue = {
            "stream_sid": self.stream_id,
            "call_sid": self.call_id,
            "account_sid": "account-0001",
            "from": "+910000000001",
            "to": "+910000000002",
            "media_format": {"encoding": "audio/x-raw", "sample_rate": "8000", "bit_rate": "128kbps"},
        }
        opened = {"event": "start", "sequence_number": 1, "stream_sid": self.stream_id, "start": start}
        return (dumps({"event": "connected"}), dumps(opened))

    def voice(self, pcm: bytes) -> Message:
        media = {"chunk": 1, "timestamp": "100", "payload": to_base64(pcm)}
        return dumps({"event": "media", "sequence_number": 2, "stream_sid": self.stream_id, "media": media})

    def key(self, digit: str) -> Message:
        return dumps({"event": "dtmf", "stream_sid": self.stream_id, "dtmf": {"duration": "100", "digit": digit}})

    def played(self, mark: str) -> Message:
        return dumps({"event": "mark", "sequence_number": 4, "stream_sid": self.stream_id, "mark": {"name": mark}})

    def stop(self) -> Message:
        stop = {"call_sid": self.call_id, "account_sid": "account-0001", "reason": "callended"}
        return dumps({"event": "stop", "sequence_number": 5, "stream_sid": self.stream_id, "stop": stop})

    def understand(self, message: Message) -> Order:
        return _events(message, bytes, 8000, {"stream_sid": self.stream_id})


@final
@frozen(kw_only=True)
class VonagePhone:
    """Vonage: bare 16-bit PCM in binary messages; the socket's end is the call's."""

    name: str = "vonage"
    rate: int = 16000

    def opening(self) -> tuple[Message, ...]:
        return (dumps({"event": "websocket:connected", "content-type": f"audio/l16;rate={self.rate}"}),)

    def voice(self, pcm: bytes) -> Message:
        return pcm

    def key(self, digit: str) -> Message:
        return dumps({"event": "websocket:dtmf", "digit": digit, "duration": 260})

    def played(self, mark: str) -> Message:
        return dumps({"event": "websocket:notify", "payload": {"mark": mark}})

    def stop(self) -> None:
        return None

    def understand(self, message: Message) -> Order:
        if isinstance(message, bytes):
            return PlayOrder(message, self.rate)
        match _object(message):
            case {"action": "notify", "payload": {"mark": str(name)}}:
                return MarkOrder(name)
            case {"action": "clear"}:
                return ClearOrder()
        return OtherOrder(message)


@final
@frozen(kw_only=True)
class BrowserPage:
    """A web page of one's own: frames as JSON, at 16 kHz. It tells no marks, as pages do not."""

    name: str = "browser"
    rate: int = 16000

    def opening(self) -> tuple[Message, ...]:
        return ()

    def voice(self, pcm: bytes) -> Message:
        return self._said(AudioFrame(audio=pcm, sample_rate=self.rate))

    def key(self, digit: str) -> Message:
        return self._said(DTMFFrame(digit=digit))

    def played(self, mark: str) -> None:
        return None

    def stop(self) -> None:
        return None

    def understand(self, message: Message) -> Order:
        for frame in JSONFrameSerializer().decode(message):
            match frame:
                case AudioFrame():
                    return PlayOrder(frame.audio, frame.sample_rate)
                case MarkFrame():
                    return MarkOrder(frame.mark)
                case InterruptionFrame():
                    return ClearOrder()
            return OtherOrder(message, frame)
        return OtherOrder(message)

    @staticmethod
    def _said(frame: Frame) -> Message:
        return JSONFrameSerializer().encode(frame)[0]


LINES: Final[Mapping[str, Callable[[], PhoneLine]]] = {
    "twilio": TwilioPhone,
    "telnyx": TelnyxPhone,
    "plivo": PlivoPhone,
    "exotel": ExotelPhone,
    "vonage": VonagePhone,
    "browser": BrowserPage,
}
"""Every line by its name."""


def line_named(name: str) -> PhoneLine:
    """Make a caller of this provider; a ValueError tells which there are."""
    try:
        return LINES[name]()
    except KeyError:
        raise ValueError(f"there is no scripted phone for {name!r}; there is one for {', '.join(LINES)}") from None
