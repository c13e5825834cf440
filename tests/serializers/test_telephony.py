"""The telephone dialects: whole calls byte for byte, and everything that can be wrong with a message."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.serializers.conversations import (
    CONVERSATIONS,
    EXOTEL_START,
    TWILIO_START,
    ULAW,
    ULAW_AUDIO,
    ULAW_B64,
    Conversation,
    In,
    telnyx_start,
)
from tests.serializers.test_golden_pipecat import GOLDEN
from trio_transports.audio.format import AudioFormat
from trio_transports.audio.g711 import ulaw_to_pcm
from trio_transports.errors import LocalProtocolError, RemoteProtocolError
from trio_transports.frames import AudioFrame, InterruptionFrame, MarkFrame, MessageFrame, StartFrame
from trio_transports.serializers import AwaitsStart, FixedChunk, FrameSerializer, PlaybackMarks
from trio_transports.serializers.converters import from_base64
from trio_transports.serializers.exotel import ExotelFrameSerializer
from trio_transports.serializers.plivo import PlivoFrameSerializer
from trio_transports.serializers.protocol import CallSerializer, StartRefused, per_session
from trio_transports.serializers.telnyx import TelnyxFrameSerializer
from trio_transports.serializers.twilio import TwilioFrameSerializer
from trio_transports.serializers.vonage import VonageFrameSerializer

each_conversation = pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda c: c.provider)


@each_conversation
class TestConversations:
    def test_start_to_stop(self, conversation: Conversation) -> None:
        """Each message received gives the frames it should, and each frame the messages, byte for byte."""
        serializer = conversation.make()
        for exchange in conversation.lines:
            if isinstance(exchange, In):
                assert serializer.decode(exchange.message) == exchange.frames, exchange.message
            else:
                assert serializer.encode(exchange.frame) == exchange.messages, exchange.frame

    def test_binary_json_is_read_alike(self, conversation: Conversation) -> None:
        """JSON in a binary message is read as in a text one (except by Vonage, whose binary messages are audio)."""
        if isinstance(conversation.make(), VonageFrameSerializer):
            return
        serializer = conversation.make()
        for exchange in conversation.lines:
            if isinstance(exchange, In) and isinstance(exchange.message, str):
                assert serializer.decode(exchange.message.encode()) == exchange.frames

    def test_a_call_with_bad_messages_between(self, conversation: Conversation) -> None:
        """Every malformed message is refused, and between them the call goes on as if they had not come."""
        serializer = conversation.make()
        for exchange in conversation.lines:
            early = conversation.early if serializer.start is None else ()
            for message, _ in (*conversation.malformed, *early):
                with pytest.raises(RemoteProtocolError):
                    serializer.decode(message)
            if isinstance(exchange, In):
                assert serializer.decode(exchange.message) == exchange.frames
            else:
                assert serializer.encode(exchange.frame) == exchange.messages

    def test_the_start_message_is_kept(self, conversation: Conversation) -> None:
        """Who calls stays on the serializer; a second start message is refused and changes nothing."""
        serializer = conversation.make()
        starts = [
            x for x in conversation.lines if isinstance(x, In) and any(isinstance(f, StartFrame) for f in x.frames)
        ]
        assert len(starts) == 1
        serializer.decode(starts[0].message)
        before = serializer.start
        assert before is not None
        assert starts[0].frames == (before,)
        with pytest.raises(RemoteProtocolError, match="started already"):
            serializer.decode(starts[0].message)
        assert serializer.start is before

    def test_not_ready_before_the_start(self, conversation: Conversation) -> None:
        """Before the start message it is not ready: audio is an error, an interruption has nothing to clear."""
        serializer = conversation.make()
        assert isinstance(serializer, AwaitsStart)
        assert not serializer.is_ready
        assert serializer.audio_format is not None
        silence = AudioFrame(audio=bytes(320), sample_rate=serializer.audio_format.sample_rate)
        with pytest.raises(LocalProtocolError, match="before the start"):
            serializer.encode(silence)
        for message in conversation.received:
            serializer.decode(message)
        assert serializer.is_ready

    def test_fresh(self, conversation: Conversation) -> None:
        """Each session works on a copy with the settings and nothing of another call."""
        used = conversation.make()
        for message in conversation.received:
            used.decode(message)
        copy = per_session(used)
        assert type(copy) is type(used)
        assert not copy.is_ready
        assert copy.start is None
        assert copy.audio_format == conversation.make().audio_format
        for exchange in conversation.lines:
            if isinstance(exchange, In):
                assert copy.decode(exchange.message) == exchange.frames

    def test_the_line_has_one_format(self, conversation: Conversation) -> None:
        """Audio of another rate or channel count is the caller's mistake, said with both formats."""
        serializer = conversation.make()
        for message in conversation.received:
            serializer.decode(message)
        assert serializer.audio_format is not None
        rate = serializer.audio_format.sample_rate
        for frame in (
            AudioFrame(audio=bytes(4), sample_rate=rate * 2),
            AudioFrame(audio=bytes(4), sample_rate=rate, num_channels=2),
        ):
            with pytest.raises(LocalProtocolError, match=f"the line carries {rate} Hz mono, not {frame.format}"):
                serializer.encode(frame)

    def test_what_a_session_asks(self, conversation: Conversation) -> None:
        """Packets have one duration, which can be changed, and the provider tells what it has played."""
        serializer = conversation.make()
        assert isinstance(serializer, FixedChunk)
        assert isinstance(serializer, PlaybackMarks)
        assert serializer.has_marks
        assert serializer.chunk_ms == (100 if conversation.provider.startswith("exotel") else 20)


@each_conversation
def test_malformed(conversation: Conversation) -> None:
    """A message with one thing wrong is a RemoteProtocolError that names the place."""
    for message, path in (*conversation.malformed, *conversation.early):
        try:
            frames = conversation.make().decode(message)
        except RemoteProtocolError as exc:
            assert exc.path == path, message  # noqa: PT017 - which message it was matters more than the form
        else:
            pytest.fail(f"{message!r} gave {frames}")


@pytest.mark.parametrize(
    "make",
    [
        lambda **given: TwilioFrameSerializer(stream_id="S", **given),
        lambda **given: TelnyxFrameSerializer(stream_id="S", receive_encoding="PCMU", **given),
        lambda **given: PlivoFrameSerializer(stream_id="S", **given),
        lambda **given: ExotelFrameSerializer(stream_id="S", **given),
        lambda **given: VonageFrameSerializer(sample_rate=8000, **given),
    ],
    ids=["twilio", "telnyx", "plivo", "exotel", "vonage"],
)
class TestGiven:
    def test_ready_at_once(self, make: Callable[..., CallSerializer]) -> None:
        """With the stream's id given, there is nothing to wait for, in a copy neither."""
        for serializer in (make(), make().fresh()):
            assert serializer.is_ready
            assert serializer.encode(ULAW_AUDIO)
            assert serializer.encode(MarkFrame(mark="m"))
            assert serializer.encode(InterruptionFrame())

    @pytest.mark.parametrize("chunk_ms", [0, -20, 1, 20.0, "20"])
    def test_odd_packets_are_refused(self, make: Callable[..., CallSerializer], chunk_ms: object) -> None:
        """A packet's duration is a whole number of at least 10 ms, or None for the session's own."""
        with pytest.raises((TypeError, ValueError), match="chunk_ms"):
            make(chunk_ms=chunk_ms)
        assert make(chunk_ms=None).chunk_ms is None
        assert make(chunk_ms=40).fresh().chunk_ms == 40


def test_twilio_is_told_nothing_of_ones_own(caplog: pytest.LogCaptureFixture) -> None:
    """A message of the application's own would end the stream: none is written, and the log says so once."""
    serializer = TwilioFrameSerializer(stream_id="MZ1")
    for _ in range(3):
        assert serializer.encode(MessageFrame(message={"a": 1}, urgent=True)) == ()
    (told,) = [record for record in caplog.records if "31924" in record.getMessage()]
    assert told.levelname == "WARNING"


def test_an_announced_stream_replaces_the_given_one() -> None:
    """When the start message names another stream than was given, the provider is right."""
    serializer = TwilioFrameSerializer(stream_id="old")
    serializer.decode(TWILIO_START)
    assert serializer.stream_id == "MZ1"
    assert serializer.encode(InterruptionFrame()) == ('{"event":"clear","streamSid":"MZ1"}',)
    assert serializer.fresh().stream_id == "old"


def test_a_stream_id_is_escaped() -> None:
    """An id with quotes and backslashes stays one string in every message, the hand-written one too."""
    odd = 'a"b\\c\n\u2028é'
    for serializer in (
        TwilioFrameSerializer(stream_id=odd),
        ExotelFrameSerializer(stream_id=odd),
        PlivoFrameSerializer(stream_id=odd),
    ):
        for frame in (ULAW_AUDIO, MarkFrame(mark=odd), InterruptionFrame()):
            (text,) = serializer.encode(frame)
            assert odd in json.loads(text).values()


@pytest.mark.parametrize("rate", ["8000", 8000, "16000", 16000, "24000", 24000])
def test_exotel_announces_its_rate(rate: object) -> None:
    """Exotel's rate is taken from the start message, as a number or in digits, unless it was given."""
    start = EXOTEL_START.replace('"8000"', json.dumps(rate))
    serializer = ExotelFrameSerializer()
    serializer.decode(start)
    assert serializer.audio_format == AudioFormat(int(str(rate)))
    fixed = ExotelFrameSerializer(sample_rate=16000)
    fixed.decode(start)
    assert fixed.audio_format == AudioFormat(16000)


@pytest.mark.parametrize("rate", ["true", "8001", '"fast"', "8000.0", "[]", '"008000"', "-8000"])
def test_exotel_odd_rates(rate: str) -> None:
    """A rate that Exotel does not have is refused at the start: audio of it would be heard at another pitch."""
    serializer = ExotelFrameSerializer()
    with pytest.raises(StartRefused, match="8000, 16000, 24000 is wanted") as refused:
        serializer.decode(EXOTEL_START.replace('"8000"', rate))
    assert refused.value.path == "start.media_format.sample_rate"
    serializer.decode(EXOTEL_START.replace('"8000"', "null"))
    assert serializer.audio_format == AudioFormat(8000)


@pytest.mark.parametrize("parameters", ['""', "null", "{}", "[]", '"raw"'])
def test_exotel_parameters_of_any_kind(parameters: str) -> None:
    """Custom parameters that are not an object are kept under that name; empty ones are nothing."""
    serializer = ExotelFrameSerializer()
    serializer.decode(EXOTEL_START.replace('{"user":"ada"}', parameters))
    assert serializer.start is not None
    assert serializer.start.parameters == ({"custom_parameters": "raw"} if parameters == '"raw"' else {})


def test_telnyx_directions_differ() -> None:
    """What Telnyx sends is coded as it announces, what it takes as the call was set up."""
    serializer = TelnyxFrameSerializer(send_encoding="PCMA")
    serializer.decode(telnyx_start("PCMU"))
    assert serializer.decode(f'{{"event":"media","media":{{"payload":"{ULAW_B64}"}}}}') == (ULAW_AUDIO,)
    (sent,) = serializer.encode(ULAW_AUDIO)
    assert json.loads(sent)["media"]["payload"] != ULAW_B64


@pytest.mark.parametrize("name", ["send_encoding", "receive_encoding"])
def test_telnyx_unknown_encodings(name: str) -> None:
    """A code that the line does not have is refused where it is set."""
    with pytest.raises(ValueError, match=name):
        TelnyxFrameSerializer(**{name: "FLAC"})  # type: ignore[arg-type]


def test_telnyx_is_given_both_or_none() -> None:
    """A stream whose start message was read elsewhere needs the code that it announced, said at once."""
    with pytest.raises(ValueError, match="receive_encoding must be given with stream_id"):
        TelnyxFrameSerializer(stream_id="ST1")


@pytest.mark.parametrize("make", [ExotelFrameSerializer, VonageFrameSerializer])
@pytest.mark.parametrize("rate", [0, 8001, 44100, "8000", 8000.0, True])
def test_odd_line_rates_are_refused(make: Callable[..., object], rate: object) -> None:
    """A line's rate is one that the provider has."""
    with pytest.raises((TypeError, ValueError), match="sample_rate"):
        make(sample_rate=rate)


def test_vonage_without_a_content_type() -> None:
    """A connected message that does not name the audio means 16 kHz."""
    serializer = VonageFrameSerializer()
    serializer.decode('{"event":"websocket:connected"}')
    assert serializer.audio_format == AudioFormat(16000)
    with pytest.raises(RemoteProtocolError, match="3 bytes are not whole 16-bit samples"):
        serializer.decode(b"abc")


FAST = [
    f'{{"event":"media","media":{{"payload":"{ULAW_B64}"}}}}',
    f'{{"event":"media","media":{{"payload":"{ULAW_B64}","track":"inbound"}}}}',
    f'{{"event":"media","media":{{"payload":"{ULAW_B64}","track":"outbound"}}}}',
    '{"event":"media","media":{"payload":""}}',
    '{"event":"media","media":{"payload":"?"}}',
    '{"event":"media","media":{"payload":"?","track":"outbound"}}',
    '{"event":"media","media":{"payload":"AAAA"}}',
    '{"event":"media","media":{"payload":7}}',
    '{"event":"media","media":{"payload":"","track":7}}',
    '{"event":"media","media":7}',
    '{"event":"media"}',
]


@each_conversation
def test_the_quick_path_agrees_with_the_converter(conversation: Conversation, monkeypatch: pytest.MonkeyPatch) -> None:
    """A media message gives the same frames, or the same error, with the quick path and without."""

    def outcomes() -> list[object]:
        found: list[object] = []
        for message in FAST:
            for before in ([], conversation.received[:3]):
                serializer = conversation.make()
                for received in before:
                    serializer.decode(received)
                try:
                    found.append(serializer.decode(message))
                except RemoteProtocolError as exc:
                    found.append(str(exc))
        return found

    quick = outcomes()
    monkeypatch.setattr("trio_transports.serializers.lines.serializer._QUICK_ROOM", -1)
    assert outcomes() == quick


PIPECAT: dict[str, dict[str, Any]] = GOLDEN["telephony"]
MAKE: dict[str, Callable[[], CallSerializer]] = {
    "twilio": lambda: TwilioFrameSerializer(stream_id="MZ1"),
    "telnyx_pcmu": lambda: TelnyxFrameSerializer(stream_id="ST1", receive_encoding="PCMU"),
    "telnyx_pcma": lambda: TelnyxFrameSerializer(stream_id="ST1", receive_encoding="PCMA", send_encoding="PCMA"),
    "plivo": lambda: PlivoFrameSerializer(stream_id="PL1"),
    "exotel": lambda: ExotelFrameSerializer(stream_id="EX1"),
    "vonage": lambda: VonageFrameSerializer(sample_rate=16000),
}


def same_json(ours: tuple[Any, ...], theirs: object) -> bool:
    if theirs is None:
        return ours == ()
    (text,) = ours
    return json.loads(text) == json.loads(str(theirs))  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", sorted(PIPECAT))
def test_pipecat_sends_the_same(name: str) -> None:
    """Media, clear and custom messages are those that the real Pipecat sends to the provider."""
    golden, serializer = PIPECAT[name], MAKE[name]()
    frame = AudioFrame(audio=bytes.fromhex(golden["pcm"]), sample_rate=golden["sample_rate"])
    media = serializer.encode(frame)
    if isinstance(golden["media"], dict):
        assert media == (bytes.fromhex(golden["media"]["hex"]),)
    else:
        assert same_json(tuple(media), golden["media"])
    assert same_json(tuple(serializer.encode(InterruptionFrame())), golden["clear"])
    message = golden["message"] if name != "twilio" else None  # Pipecat sends it, and Twilio ends the stream
    assert same_json(tuple(serializer.encode(MessageFrame(message={"a": [1, "é"]}))), message)
    assert same_json(tuple(serializer.encode(MessageFrame(message={"label": "rtvi-ai", "type": "x"}))), golden["rtvi"])


@pytest.mark.parametrize("name", sorted(PIPECAT))
def test_pipecat_reads_the_same(name: str) -> None:
    """A media message gives the PCM that the real Pipecat takes out of it."""
    golden, serializer = PIPECAT[name], MAKE[name]()
    media = golden["media"]
    message = bytes.fromhex(media["hex"]) if isinstance(media, dict) else media.replace("playAudio", "media")
    (frame,) = serializer.decode(message)
    assert isinstance(frame, AudioFrame)
    assert frame.audio.hex() == golden["media_read"]


def test_the_conversations_use_a_lossless_payload() -> None:
    """The payload of the conversations is the one it says."""
    assert from_base64(ULAW_B64) == ULAW
    assert ulaw_to_pcm(ULAW) == ULAW_AUDIO.audio


def test_they_are_serializers() -> None:
    """Each is a FrameSerializer as the protocol has it, and a message about nothing gives nothing."""
    serializers: list[FrameSerializer] = [conversation.make() for conversation in CONVERSATIONS]
    assert not [frame for serializer in serializers for frame in serializer.decode('{"event":"nothing"}')]
