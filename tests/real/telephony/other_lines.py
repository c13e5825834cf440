"""What the providers unlike Twilio say on their WebSockets, and take, by hand: nothing here is the library's."""

import json
from base64 import b64decode, b64encode
from typing import Any

from attrs import define, field, frozen

from tests.real.telephony.lines import Clear, Line, Mark, Message, Order, Other, Packet
from tests.real.telephony.sounds import ULAW, coded, decoded


def _text(**members: object) -> str:
    return json.dumps(members)


def _payload(data: bytes) -> str:
    return b64encode(data).decode()


def _object(message: Message) -> dict[str, Any]:
    assert isinstance(message, str), "this provider takes text messages only"
    document = json.loads(message)
    assert isinstance(document, dict)
    return document


def _linear(payload: object) -> Packet:
    assert isinstance(payload, str)
    pcm = b64decode(payload, validate=True)
    return Packet(len(pcm), pcm)


@frozen(kw_only=True)
class SignalWireLine:
    """Twilio's words with L16."""

    name: str = "signalwire"
    rate: int = 16000
    packet_bytes: int = 640
    call_id: str | None = "0f0e7a34-sw"

    def opening(self) -> tuple[Message, ...]:
        media = {"encoding": "audio/x-l16", "sampleRate": self.rate, "channels": 1}
        start = {
            "streamSid": "sw1",
            "callSid": self.call_id,
            "accountSid": "p1",
            "tracks": ["inbound"],
            "mediaFormat": media,
        }
        return (_text(event="connected"), _text(event="start", start=start, streamSid="sw1"))

    def voice(self, pcm: bytes) -> Message:
        media = {"track": "inbound", "chunk": "1", "timestamp": "5", "payload": _payload(pcm)}
        return _text(event="media", media=media, streamSid="sw1")

    def key(self, digit: str) -> Message:
        return _text(event="dtmf", streamSid="sw1", dtmf={"digit": digit})

    def played(self, mark: str) -> Message:
        return _text(event="mark", streamSid="sw1", mark={"name": mark})

    def stop(self) -> Message | None:
        return _text(event="stop", streamSid="sw1")

    def understand(self, message: Message) -> Order:
        document = _object(message)
        assert document["streamSid"] == "sw1"
        match document:
            case {"event": "media", "media": {"payload": payload}}:
                return _linear(payload)
            case {"event": "mark", "mark": {"name": str(name)}}:
                return Mark(name)
            case {"event": "clear"}:
                return Clear()
        raise AssertionError("anything else ends the stream")


@frozen(kw_only=True)
class WavixLine:
    name: str = "wavix"
    rate: int = 24000
    packet_bytes: int = 960
    call_id: str | None = "wx-call"

    def opening(self) -> tuple[Message, ...]:
        return (
            _text(event="connected", event_time="2026-01-15T10:30:00Z"),
            _text(event="start", call_id=self.call_id, stream_id="str-4", stream_type="twoway", channel="inbound"),
        )

    def voice(self, pcm: bytes) -> Message:
        media = {"payload": _payload(pcm), "track": "inbound", "timestamp": 160, "chunk": 1}
        return _text(event="media", call_id=self.call_id, stream_id="str-4", media=media)

    def key(self, digit: str) -> Message:
        return _text(event="dtmf", stream_id="str-4", dtmf={"digit": digit})

    def played(self, mark: str) -> Message:
        return _text(event="mark", call_id=self.call_id, stream_id="str-4", mark={"name": mark})

    def stop(self) -> Message | None:
        return _text(event="stop", call_id=self.call_id, stream_id="str-4")

    def understand(self, message: Message) -> Order:
        document = _object(message)
        assert document["stream_id"] == "str-4"
        match document:
            case {"event": "media", "media": {"payload": payload}}:
                return _linear(payload)
            case {"event": "mark", "mark": {"name": str(name)}}:
                return Mark(name)
            case {"event": "clear"}:
                return Clear()
        raise AssertionError(f"Wavix knows no {document}")


@frozen(kw_only=True)
class SinchLine:
    """Sends no audio before it is answered; has no keys and no marks."""

    name: str = "sinch"
    rate: int = 16000
    packet_bytes: int = 640
    call_id: str | None = "sinch-call"

    def opening(self) -> tuple[Message, ...]:
        return (
            _text(
                command="connect", version=1, callId=self.call_id, applicationKey="k", codec="PCM", sampleRate=self.rate
            ),
        )

    def voice(self, pcm: bytes) -> Message:
        return pcm

    def key(self, digit: str) -> Message:
        raise NotImplementedError

    def played(self, mark: str) -> Message:
        raise NotImplementedError

    def stop(self) -> Message | None:
        return None

    def understand(self, message: Message) -> Order:
        if isinstance(message, bytes):
            return Packet(len(message), message)
        match _object(message):
            case {"command": "clear"}:
                return Clear()
        return Other(message)


@frozen(kw_only=True)
class JambonzLine:
    name: str = "jambonz"
    rate: int = 16000
    packet_bytes: int = 640
    call_id: str | None = "jb-call"

    def opening(self) -> tuple[Message, ...]:
        return (_text(callSid=self.call_id, **{"from": "+15"}, to="+16", sampleRate=self.rate, mixType="mono"),)

    def voice(self, pcm: bytes) -> Message:
        return pcm

    def key(self, digit: str) -> Message:
        return _text(event="dtmf", dtmf=digit, duration="200")

    def played(self, mark: str) -> Message:
        return _text(type="mark", data={"name": mark, "event": "playout"})

    def stop(self) -> Message | None:
        return None

    def understand(self, message: Message) -> Order:
        if isinstance(message, bytes):
            return Packet(len(message), message)
        match _object(message):
            case {"type": "mark", "data": {"name": str(name)}}:
                return Mark(name)
            case {"type": "killAudio"}:
                return Clear()
        return Other(message)


@frozen(kw_only=True)
class AzureLine:
    name: str = "azure"
    rate: int = 24000
    packet_bytes: int = 960
    call_id: str | None = None

    def opening(self) -> tuple[Message, ...]:
        told = {"subscriptionId": "s", "encoding": "PCM", "sampleRate": self.rate, "channels": 1, "length": 960}
        return (_text(kind="AudioMetadata", audioMetadata=told),)

    def voice(self, pcm: bytes) -> Message:
        told = {
            "timestamp": "2026-01-15T10:30:00.123Z",
            "participantRawID": "8:acs:1",
            "data": _payload(pcm),
            "silent": False,
        }
        return _text(kind="AudioData", audioData=told)

    def key(self, digit: str) -> Message:
        return _text(kind="DtmfData", dtmfData={"data": digit})

    def played(self, mark: str) -> Message:
        raise NotImplementedError

    def stop(self) -> Message | None:
        return None

    def understand(self, message: Message) -> Order:
        match _object(message):
            case {"Kind": "AudioData", "AudioData": {"Data": data}, "StopAudio": None}:
                return _linear(data)
            case {"Kind": "StopAudio", "AudioData": None, "StopAudio": {}}:
                return Clear()
        raise AssertionError(f"Azure knows no {message!r}")


@frozen(kw_only=True)
class AsteriskLine:
    """mu-law in binary messages of whole frames, control as JSON or as plain text."""

    is_plain: bool = False
    rate: int = 8000
    packet_bytes: int = 160
    call_id: str | None = "1761245643.1"

    @property
    def name(self) -> str:
        return "asterisk-plain" if self.is_plain else "asterisk"

    def _event(self, name: str, **members: object) -> str:
        if not self.is_plain:
            return _text(event=name, **members)
        return " ".join([name, *(f"{key}:{value}" for key, value in members.items())])

    def opening(self) -> tuple[Message, ...]:
        told: dict[str, object] = {"connection_id": "m1", "channel": "WebSocket/m1/0x5", "channel_id": self.call_id}
        return (self._event("MEDIA_START", **told, format="ulaw", optimal_frame_size=160),)

    def voice(self, pcm: bytes) -> Message:
        return coded(pcm, ULAW)

    def key(self, digit: str) -> Message:
        return self._event("DTMF_END", digit=digit)

    def played(self, mark: str) -> Message:
        return self._event("MEDIA_MARK_PROCESSED", correlation_id=mark)

    def stop(self) -> Message | None:
        return None

    def understand(self, message: Message) -> Order:
        if isinstance(message, bytes):
            assert len(message) % 160 == 0, "what is no whole frame is lost"
            assert len(message) <= 65_500, "the call ends"
            return Packet(len(message), decoded(message, ULAW))
        name, mark = (*message.split(), "")[:2] if self.is_plain else _command(message)
        match name:
            case "MARK_MEDIA":
                return Mark(mark)
            case "FLUSH_MEDIA":
                return Clear()
        return Other(name)


def _command(message: str) -> tuple[str, str]:
    document = _object(message)
    return str(document["command"]), str(document.get("correlation_id"))


@define(kw_only=True)
class GenesysLine:
    """Audio Connector: checks every number, and takes no audio before ``opened``."""

    name: str = "genesys"
    rate: int = 8000
    packet_bytes: int = 1600
    call_id: str | None = "090eaa2f-72fa-480a-83e0-8667ff89c0ec"
    said: int = field(default=0, init=False)
    heard: int = field(default=0, init=False)
    kinds: list[str] = field(factory=list, init=False)

    def _say(self, kind: str, **parameters: object) -> str:
        self.said += 1
        return _text(
            version="2",
            id="e160e428",
            type=kind,
            seq=self.said,
            serverseq=self.heard,
            position="PT0S",
            parameters=parameters,
        )

    def opening(self) -> tuple[Message, ...]:
        media = [{"type": "audio", "format": "PCMU", "channels": ["external"], "rate": 8000}]
        participant = {"id": "883efee8", "ani": "+15", "aniName": "", "dnis": "+16"}
        opened = self._say(
            "open", organizationId="o", conversationId=self.call_id, participant=participant, media=media
        )
        return (opened,)

    def voice(self, pcm: bytes) -> Message:
        return coded(pcm, ULAW)

    def key(self, digit: str) -> Message:
        return self._say("dtmf", digit=digit)

    def played(self, mark: str) -> Message:
        raise NotImplementedError

    def stop(self) -> Message | None:
        return self._say("close", reason="end")

    def understand(self, message: Message) -> Order:
        if isinstance(message, bytes):
            assert "opened" in self.kinds, "audio before opened"
            return Packet(len(message), decoded(message, ULAW))
        document = _object(message)
        self.heard += 1
        assert document["seq"] == self.heard, "a gap in the server's numbers"
        assert document["clientseq"] <= self.said
        assert (document["version"], document["id"]) == ("2", "e160e428")
        self.kinds.append(document["type"])
        match document:
            case {"type": "event", "parameters": {"entities": [{"type": "barge_in", "data": {}}]}}:
                return Clear()
        return Other(document["type"])


@frozen(kw_only=True)
class RelayLine:
    """Text only: the provider hears and speaks."""

    name: str = "relay"
    rate: int = 8000
    packet_bytes: int = 0
    call_id: str | None = "CA9"

    def opening(self) -> tuple[Message, ...]:
        return (
            _text(type="setup", sessionId="VX1", accountSid="AC1", callSid=self.call_id, to="+16", direction="inbound"),
        )

    def voice(self, pcm: bytes) -> Message:
        raise NotImplementedError

    def key(self, digit: str) -> Message:
        return _text(type="dtmf", digit=digit)

    def played(self, mark: str) -> Message:
        raise NotImplementedError

    def stop(self) -> Message | None:
        return None

    def understand(self, message: Message) -> Order:
        return Other(message)


AUDIO_LINES: list[Line] = [
    SignalWireLine(),
    WavixLine(),
    SinchLine(),
    JambonzLine(),
    AzureLine(),
    AsteriskLine(),
    AsteriskLine(is_plain=True),
    GenesysLine(),
]
