"""Who is calling, told from the first messages."""

from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.serializers.conversations import CONVERSATIONS, EXOTEL_START, TWILIO_START, Conversation, In, telnyx_start
from tests.serializers.other_conversations import SCRIPTS
from tests.serializers.strategies import mutated_bytes, mutated_json
from trio_transports.audio.format import AudioFormat
from trio_transports.errors import LocalProtocolError, RemoteProtocolError
from trio_transports.frames import (
    AudioFrame,
    Frame,
    InterruptionFrame,
    MarkFrame,
    MessageFrame,
    StartFrame,
    TextFrame,
    UserStartedSpeakingFrame,
)
from trio_transports.params import TransportParams
from trio_transports.serializers import JSONFrameSerializer, Message
from trio_transports.serializers.codec import loads
from trio_transports.serializers.detect import MAX_MESSAGES, PROVIDERS, DetectingFrameSerializer
from trio_transports.serializers.exotel import ExotelFrameSerializer
from trio_transports.serializers.lines.detection import LINES
from trio_transports.serializers.packed import PackedFrameSerializer
from trio_transports.serializers.protobuf import ProtobufFrameSerializer
from trio_transports.serializers.protocol import per_session
from trio_transports.serializers.telnyx import TelnyxFrameSerializer
from trio_transports.serializers.twilio import TwilioFrameSerializer

quick = settings(max_examples=100, deadline=None)
STARTS: list[str] = [
    exchange.message
    for conversation in CONVERSATIONS
    for exchange in conversation.lines
    if isinstance(exchange, In) and isinstance(exchange.message, str) and "start" in str(exchange.frames).lower()
]
STARTS += [
    message
    for script in SCRIPTS
    for message in script.received[:2]
    if isinstance(message, str) and message.startswith("{")
]
CONNECTED = '{"event":"connected"}'


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda c: c.provider)
def test_every_call_from_start_to_stop(conversation: Conversation) -> None:
    """Through detection a call reads and writes byte for byte what the provider's own serializer does."""
    encoding = "PCMA" if conversation.provider == "telnyx-PCMA" else "PCMU"
    template = DetectingFrameSerializer()
    template.providers = {**template.providers, "telnyx": partial(TelnyxFrameSerializer, send_encoding=encoding)}
    serializer, alone = per_session(template), conversation.make()
    for exchange in conversation.lines:
        if isinstance(exchange, In):
            assert serializer.decode(exchange.message) == exchange.frames
            alone.decode(exchange.message)
        else:
            assert serializer.encode(exchange.frame) == exchange.messages
    assert conversation.provider.startswith(serializer.provider or "nobody")
    assert serializer.is_ready
    assert serializer.has_marks
    assert serializer.audio_format == alone.audio_format
    assert serializer.chunk_ms == alone.chunk_ms
    assert serializer.start == alone.start


def test_before_the_start_nothing_can_be_sent() -> None:
    """Until the caller is known there is no dialect to write: audio, marks and messages are errors."""
    serializer = DetectingFrameSerializer()
    assert not serializer.is_ready
    assert serializer.provider is None
    assert serializer.audio_format == AudioFormat(8000)
    assert serializer.chunk_ms == 20
    for frame in (AudioFrame(audio=b"", sample_rate=8000), MarkFrame(mark="m"), MessageFrame(message=1)):
        with pytest.raises(LocalProtocolError, match="before the start message"):
            serializer.encode(frame)
    assert serializer.encode(InterruptionFrame()) == ()


@pytest.mark.parametrize(
    "message",
    [
        b"\0" * 640,
        b"",
        b"{}",
        b"\x92\x02",
        "",
        "hello",
        "[]",
        "7",
        "{}",
        '{"event":null}',
        '{"event":["start"]}',
        '{"event":"media","media":{"payload":"//8="}}',
        '{"event":"start"}',
        '{"event":"start","start":null}',
        '{"event":"start","start":{}}',
        '{"event":"start","stream_id":"ST1","start":{}}',
        '{"event":"start","start":{"call_control_id":"x"}}',
        '{"event":"start","start":{"streamSid":7}}',
        '{"event":"begin","start":{"streamSid":"MZ1"}}',
        telnyx_start("FLAC"),
        '{"event":"websocket:connected","content-type":"audio/opus"}',
        '{"label":"rtvi"}',
        '{"type":"call"}',
        '{"type":"start","event":"media"}',
    ],
)
def test_nonsense_decides_nothing(message: Message) -> None:
    """What no provider starts with is refused, and a start message after it is understood all the same."""
    serializer = DetectingFrameSerializer()
    with pytest.raises(RemoteProtocolError):
        serializer.decode(message)
    assert serializer.provider is None
    assert len(serializer.decode(TWILIO_START)) == 1
    assert serializer.provider == "twilio"


def test_twilio_and_exotel_are_told_apart() -> None:
    """The two differ in the spelling of one member, and both say connected before."""
    for start, provider in ((TWILIO_START, "twilio"), (EXOTEL_START, "exotel")):
        serializer = DetectingFrameSerializer()
        assert serializer.decode(CONNECTED) == ()
        assert serializer.provider is None
        serializer.decode(start)
        assert serializer.provider == provider


READY = '{"label":"rtvi-ai","type":"client-ready","id":"1","data":{"version":"2.1.0"}}'
TONE = AudioFrame(audio=b"\1\2" * 320, sample_rate=16000)


@pytest.mark.parametrize(
    ("dialect", "message", "frame"),
    [
        ("rtvi", READY, StartFrame(parameters={"version": "2.1.0", "about": None})),
        (
            "rtvi",
            ProtobufFrameSerializer().encode(MessageFrame(message=loads(READY)))[0],
            StartFrame(parameters={"version": "2.1.0", "about": None}),
        ),
        ("protobuf", ProtobufFrameSerializer().encode(TONE)[0], TONE),
        ("protobuf", ProtobufFrameSerializer().encode(MessageFrame(message=[1]))[0], MessageFrame(message=[1])),
        ("protobuf", ProtobufFrameSerializer().encode(TextFrame(text="said"))[0], TextFrame(text="said")),
        ("json", b'\n{"type":"text","text":"said"}', TextFrame(text="said")),
        ("json", JSONFrameSerializer().encode(TONE)[0], TONE),
        ("json", JSONFrameSerializer(binary=True).encode(TONE)[0], TONE),
        ("json", '{"type":"start"}', StartFrame()),
        ("packed", PackedFrameSerializer().encode(TONE)[0], TONE),
    ],
)
def test_callers_that_are_no_telephone(dialect: str, message: Message, frame: Frame) -> None:
    """Browsers, Pipecat's peers and those of one's own are told by their first message, and spoken to in kind."""
    serializer = per_session(DetectingFrameSerializer())
    assert serializer.decode(message) == (frame,)
    assert serializer.provider == dialect
    assert serializer.is_ready
    assert not serializer.has_marks
    assert serializer.chunk_ms is None
    rtvi = dialect == "rtvi"
    assert serializer.audio_format == (AudioFormat(24000) if rtvi else None)
    assert bool(serializer.replies()) == bool(serializer.notice(UserStartedSpeakingFrame())) == rtvi
    assert serializer.start == (frame if rtvi else None)
    (answer,) = serializer.encode(AudioFrame(audio=b"\1\2", sample_rate=24000))
    assert isinstance(answer, str) == (isinstance(message, str) or dialect == "json")


def test_an_rtvi_client_that_is_not_ready_is_waited_for() -> None:
    """An RTVI client is known by any of its messages, and spoken to after client-ready only."""
    serializer = DetectingFrameSerializer()
    assert len(serializer.decode('{"label":"rtvi-ai","type":"client-message","data":{"t":"a"}}')) == 1
    assert serializer.provider == "rtvi"
    assert not serializer.is_ready
    serializer.decode(READY)
    assert serializer.is_ready


def test_it_gives_up() -> None:
    """After ten messages that decide nothing the caller is refused for good, even with a good start message."""
    serializer = DetectingFrameSerializer()
    for _ in range(MAX_MESSAGES):
        assert serializer.decode(CONNECTED) == ()
    with pytest.raises(RemoteProtocolError, match="in the first 10 messages"):
        serializer.decode(TWILIO_START)
    assert not serializer.is_ready


def test_only_some_are_welcome() -> None:
    """A provider that is not listed is refused by name; settings of those listed hold for each session's copy."""
    serializer = DetectingFrameSerializer(
        providers={"exotel": ExotelFrameSerializer(sample_rate=16000, chunk_ms=200), "twilio": TwilioFrameSerializer}
    )
    with pytest.raises(RemoteProtocolError, match="callers of telnyx are not taken here"):
        serializer.decode(telnyx_start("PCMU"))
    for _ in range(2):
        copy = per_session(serializer)
        copy.decode(EXOTEL_START)
        assert copy.audio_format == AudioFormat(16000)
        assert copy.chunk_ms == 200


@pytest.mark.parametrize("providers", [{}, {"bandwidth": TwilioFrameSerializer}])
def test_providers_are_known(providers: dict[str, type[TwilioFrameSerializer]]) -> None:
    """An empty list or a name that is not a provider's is a mistake found at once."""
    with pytest.raises(ValueError, match=r"DetectingFrameSerializer\.providers"):
        DetectingFrameSerializer(providers=providers)


@quick
@given(message=st.one_of(mutated_json(STARTS), mutated_bytes([*STARTS]), st.binary(max_size=40), st.text(max_size=40)))
def test_any_first_message(message: Message) -> None:
    """Any first message is understood or a RemoteProtocolError, nothing else; only the former decides."""
    serializer = DetectingFrameSerializer()
    try:
        frames = serializer.decode(message)
    except RemoteProtocolError:
        frames = ()
    assert bool(frames) == (serializer.provider is not None)


@pytest.mark.parametrize("name", LINES)
def test_lines_need_short_messages(name: str) -> None:
    """A line's messages are bounded by what a line needs, as a class, an object, or one of those that are detected."""
    make = LINES[name]
    for source in (make, make(), DetectingFrameSerializer(providers={name: make})):
        assert TransportParams(serializer=source).max_message_bytes == 65_536
    both = DetectingFrameSerializer(providers={name: make, "json": PROVIDERS["json"]})
    assert TransportParams(serializer=both).max_message_bytes == 1024 * 1024
    assert TransportParams(serializer=make(), max_message_bytes=99).max_message_bytes == 99
