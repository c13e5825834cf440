"""What each telephone provider says on its WebSocket, and takes, written by hand: nothing here is the library's."""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from attrs import field, frozen

from tests.real.telephony.sounds import ALAW, ULAW, coded, decoded

Message: TypeAlias = str | bytes


@frozen
class Packet:
    """Audio to play: as many bytes as were carried, and the PCM in them."""

    size_bytes: int
    pcm: bytes


@frozen
class Mark:
    name: str


@frozen
class Clear:
    pass


@frozen
class Other:
    message: Message


Order: TypeAlias = Packet | Mark | Clear | Other


class Line(Protocol):
    """One caller of one provider, as seen from the provider's end."""

    @property
    def name(self) -> str: ...

    @property
    def rate(self) -> int: ...

    @property
    def packet_bytes(self) -> int: ...

    @property
    def call_id(self) -> str | None: ...

    def opening(self) -> tuple[Message, ...]: ...

    def voice(self, pcm: bytes) -> Message: ...

    def key(self, digit: str) -> Message: ...

    def played(self, mark: str) -> Message: ...

    def stop(self) -> Message | None:
        """What is said before the socket closes; None: nothing is."""

    def understand(self, message: Message) -> Order: ...


def _text(**members: object) -> str:
    return json.dumps(members)


def _payload(data: bytes) -> str:
    return b64encode(data).decode()


def _object(message: Message) -> dict[str, Any]:
    assert isinstance(message, str), "this provider takes text messages only"
    document = json.loads(message)
    assert isinstance(document, dict)
    return document


def _packet(payload: object, to_pcm: Callable[[bytes], bytes]) -> Packet:
    assert isinstance(payload, str)
    data = b64decode(payload, validate=True)
    return Packet(len(data), to_pcm(data))


def _from_ulaw(codes: bytes) -> bytes:
    return decoded(codes, ULAW)


def _as_it_is(pcm: bytes) -> bytes:
    return pcm


@frozen(kw_only=True)
class TwilioLine:
    name: str = "twilio"
    rate: int = 8000
    packet_bytes: int = 160
    stream_id: str = "MZ18ad3ab5a668481ce02b83e7395059f0"
    call_id: str | None = "CA8b26e1d4ca6e48a5b0c1a2e38bb1cf5a"
    parameters: dict[str, str] = field(factory=dict)

    def opening(self) -> tuple[Message, ...]:
        start = {
            "accountSid": "AC42",
            "streamSid": self.stream_id,
            "callSid": self.call_id,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": self.parameters,
        }
        return (
            _text(event="connected", protocol="Call", version="1.0.0"),
            _text(event="start", sequenceNumber="1", start=start, streamSid=self.stream_id),
        )

    def voice(self, pcm: bytes) -> Message:
        media = {"track": "inbound", "chunk": "1", "timestamp": "5", "payload": _payload(coded(pcm, ULAW))}
        return _text(event="media", sequenceNumber="3", media=media, streamSid=self.stream_id)

    def key(self, digit: str) -> Message:
        return _text(event="dtmf", streamSid=self.stream_id, dtmf={"track": "inbound_track", "digit": digit})

    def played(self, mark: str) -> Message:
        return _text(event="mark", sequenceNumber="4", streamSid=self.stream_id, mark={"name": mark})

    def stop(self) -> Message | None:
        stop = {"accountSid": "AC42", "callSid": self.call_id}
        return _text(event="stop", sequenceNumber="5", stop=stop, streamSid=self.stream_id)

    def understand(self, message: Message) -> Order:
        document = _object(message)
        if document["event"] in ("media", "mark", "clear"):
            assert document["streamSid"] == self.stream_id, "Twilio ignores what names another stream"
        match document:
            case {"event": "media", "media": {"payload": payload}}:
                return _packet(payload, _from_ulaw)
            case {"event": "mark", "mark": {"name": str(name)}}:
                return Mark(name)
            case {"event": "clear"}:
                return Clear()
        return Other(message)


@frozen(kw_only=True)
class TelnyxLine:
    """It says how it codes what it sends; what it takes is mu-law here."""

    encoding: str = "PCMU"
    rate: int = 8000
    packet_bytes: int = 160
    call_id: str | None = "v3:MdI91X4lWFEs7IgbBEOT9M4AigoY08M0WWZFISt1Yw2axZ_IiE4pqg"

    @property
    def name(self) -> str:
        return f"telnyx-{self.encoding}"

    def opening(self) -> tuple[Message, ...]:
        start = {
            "user_id": "3e6f995f-85f7-4705-9741-53b116d28237",
            "call_control_id": self.call_id,
            "from": "+13122010094",
            "to": "+13122123456",
            "media_format": {"encoding": self.encoding, "sample_rate": 8000, "channels": 1},
        }
        return (
            _text(event="connected", version="1.0.0"),
            _text(event="start", sequence_number="1", start=start, stream_id="32DE0DEA"),
        )

    def voice(self, pcm: bytes) -> Message:
        payload = _payload(coded(pcm, ULAW if self.encoding == "PCMU" else ALAW))
        media = {"track": "inbound", "chunk": "2", "timestamp": "5", "payload": payload}
        return _text(event="media", sequence_number="4", media=media, stream_id="32DE0DEA")

    def key(self, digit: str) -> Message:
        return _text(event="dtmf", stream_id="32DE0DEA", sequence_number="5", dtmf={"digit": digit})

    def played(self, mark: str) -> Message:
        return _text(event="mark", sequence_number="6", stream_id="32DE0DEA", mark={"name": mark})

    def stop(self) -> Message | None:
        return _text(event="stop", sequence_number="7", stream_id="32DE0DEA", stop={"call_control_id": self.call_id})

    def understand(self, message: Message) -> Order:
        match _object(message):
            case {"event": "media", "media": {"payload": payload}}:
                return _packet(payload, _from_ulaw)
            case {"event": "mark", "mark": {"name": str(name)}}:
                return Mark(name)
            case {"event": "clear"}:
                return Clear()
        return Other(message)


@frozen(kw_only=True)
class PlivoLine:
    name: str = "plivo"
    rate: int = 8000
    packet_bytes: int = 160
    call_id: str | None = "78737f7e-5d48-4f5c-8d9f-2a7c11b4f0e1"
    stream_id: str = "20170ada-f610-433b-8758-c02a2aab3662"

    def opening(self) -> tuple[Message, ...]:
        start = {
            "callId": self.call_id,
            "streamId": self.stream_id,
            "accountId": "MA42",
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000},
        }
        return (_text(sequenceNumber=0, event="start", start=start, extra_headers="{}"),)

    def voice(self, pcm: bytes) -> Message:
        media = {"track": "inbound", "timestamp": "1", "chunk": 1, "payload": _payload(coded(pcm, ULAW))}
        return _text(sequenceNumber=2, streamId=self.stream_id, event="media", media=media)

    def key(self, digit: str) -> Message:
        return _text(event="dtmf", streamId=self.stream_id, sequenceNumber=3, dtmf={"track": "inbound", "digit": digit})

    def played(self, mark: str) -> Message:
        return _text(event="playedStream", streamId=self.stream_id, name=mark)

    def stop(self) -> Message | None:
        return _text(event="stop", streamId=self.stream_id)

    def understand(self, message: Message) -> Order:
        document = _object(message)
        assert document.get("streamId", self.stream_id) == self.stream_id
        match document:
            case {
                "event": "playAudio",
                "media": {"contentType": "audio/x-mulaw", "sampleRate": 8000, "payload": payload},
            }:
                return _packet(payload, _from_ulaw)
            case {"event": "checkpoint", "streamId": _, "name": str(name)}:
                return Mark(name)
            case {"event": "clearAudio", "streamId": _}:
                return Clear()
        return Other(message)


@frozen(kw_only=True)
class ExotelLine:
    """Packets of 100 ms: smaller ones it plays with gaps."""

    rate: int = 8000
    call_id: str | None = "c1"

    @property
    def name(self) -> str:
        return f"exotel-{self.rate}"

    @property
    def packet_bytes(self) -> int:
        return self.rate // 10 * 2

    def opening(self) -> tuple[Message, ...]:
        start = {
            "stream_sid": "EX1",
            "call_sid": self.call_id,
            "account_sid": "exo1",
            "from": "+918012345678",
            "to": "+912212345678",
            "media_format": {"encoding": "base64", "sample_rate": str(self.rate), "bit_rate": "128kbps"},
        }
        return (_text(event="connected"), _text(event="start", sequence_number=1, stream_sid="EX1", start=start))

    def voice(self, pcm: bytes) -> Message:
        media = {"chunk": 1, "timestamp": "100", "payload": _payload(pcm)}
        return _text(event="media", sequence_number=2, stream_sid="EX1", media=media)

    def key(self, digit: str) -> Message:
        return _text(event="dtmf", sequence_number=3, stream_sid="EX1", dtmf={"duration": "100", "digit": digit})

    def played(self, mark: str) -> Message:
        return _text(event="mark", sequence_number=4, stream_sid="EX1", mark={"name": mark})

    def stop(self) -> Message | None:
        stop = {"call_sid": self.call_id, "account_sid": "exo1", "reason": "callended"}
        return _text(event="stop", sequence_number=5, stream_sid="EX1", stop=stop)

    def understand(self, message: Message) -> Order:
        match _object(message):
            case {"event": "media", "stream_sid": "EX1", "media": {"payload": payload}}:
                return _packet(payload, _as_it_is)
            case {"event": "mark", "stream_sid": "EX1", "mark": {"name": str(name)}}:
                return Mark(name)
            case {"event": "clear", "stream_sid": "EX1"}:
                return Clear()
        return Other(message)


@frozen(kw_only=True)
class VonageLine:
    """Bare PCM in binary messages; the socket's end is the call's."""

    rate: int = 16000
    call_id: str | None = None

    @property
    def name(self) -> str:
        return f"vonage-{self.rate}"

    @property
    def packet_bytes(self) -> int:
        return self.rate // 50 * 2

    def opening(self) -> tuple[Message, ...]:
        connected = {"event": "websocket:connected", "content-type": f"audio/l16;rate={self.rate}"}
        return (json.dumps({**connected, "caller": "447700900000"}),)

    def voice(self, pcm: bytes) -> Message:
        return pcm

    def key(self, digit: str) -> Message:
        return json.dumps({"event": "websocket:dtmf", "digit": digit, "duration": 260})

    def played(self, mark: str) -> Message:
        return json.dumps({"event": "websocket:notify", "payload": {"mark": mark}})

    def stop(self) -> Message | None:
        return None

    def understand(self, message: Message) -> Order:
        if isinstance(message, bytes):
            return Packet(len(message), message)
        match _object(message):
            case {"action": "notify", "payload": {"mark": str(name)}}:
                return Mark(name)
            case {"action": "clear"}:
                return Clear()
        return Other(message)
