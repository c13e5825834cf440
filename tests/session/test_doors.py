"""What may be sent at all, on every dialect: what is no frame is refused, and keys reach who is called."""

from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock

from tests.session.calls import call, lines
from tests.session.helpers import params, seconds
from trio_transports import AudioFrame, DTMFFrame, TextFrame, TransportParams
from trio_transports.audio.dtmf import DTMFDetector
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.serializers.detect import DetectingFrameSerializer
from trio_transports.serializers.exotel import ExotelFrameSerializer
from trio_transports.serializers.plivo import PlivoFrameSerializer
from trio_transports.serializers.protobuf import ProtobufFrameSerializer
from trio_transports.serializers.protocol import FrameSerializer
from trio_transports.serializers.telnyx import TelnyxFrameSerializer
from trio_transports.serializers.twilio import TwilioFrameSerializer
from trio_transports.serializers.vonage import VonageFrameSerializer
from trio_transports.testing import memory_session
from trio_transports.testing.phones import ScriptedLine

DIALECTS: list[Callable[[], FrameSerializer]] = [
    JSONFrameSerializer,
    ProtobufFrameSerializer,
    TwilioFrameSerializer,
    TelnyxFrameSerializer,
    PlivoFrameSerializer,
    ExotelFrameSerializer,
    VonageFrameSerializer,
]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("thing", "hint"),
    [
        ("hello", r"'hello' is not a frame: send TextFrame\(text=...\)"),
        (b"\0\0", r"is not a frame: send AudioFrame\(audio=..., sample_rate=...\)"),
        ({"a": 1}, r"is not a frame: send MessageFrame\(message=...\)"),
        (None, r"None is not a frame: send MessageFrame"),
        (TextFrame, r"is not a frame: make one, TextFrame\(...\)"),
        (object(), r"is not a frame: the kinds of frames are listed in trio_transports.frames.Frame"),
        ("x" * 100_000, r"^'x{56}\.\.\. is not a frame"),
    ],
)
async def test_what_is_no_frame_is_refused(
    autojump_clock: MockClock, dialect: Callable[[], FrameSerializer], thing: object, hint: str
) -> None:
    """A TypeError in the caller, at once, says what to send instead, twice the same; the session goes on."""
    async with memory_session(params(serializer=dialect())) as (session, _):
        for _ in range(2):
            with trio.fail_after(0.001), pytest.raises(TypeError, match=hint):
                await session.output.send(thing)  # type: ignore[arg-type]
        assert session.is_connected
        assert session.statistics().unsupported_frames == 0


@lines
async def test_keys_are_heard_as_tones(autojump_clock: MockClock, line: ScriptedLine) -> None:
    """A line without a message for keys carries them as sound, in their place among the audio, doubled ones too."""
    async with call(line, serializer=DetectingFrameSerializer()) as here:
        await here.phone.open()
        await here.session.output.send(seconds(0.5))
        for digit in "1229*#A":
            await here.session.output.send(DTMFFrame(digit=digit))
        await here.session.output.send(seconds(0.5))
        await here.session.output.drain()
        assert here.session.statistics().unsupported_frames == 0
    detector = DTMFDetector()
    detector.start(line.rate)
    keys = detector.detect(here.phone.pcm)
    assert "".join(key.digit for key in keys) == "1229*#A"
    assert 0.45 < keys[0].at_s < 0.65


async def test_keys_are_messages_where_the_dialect_has_one(autojump_clock: MockClock) -> None:
    """JSON says a key in so many words, and no tone is made."""
    async with memory_session(params()) as (session, peer):
        for digit in "11":
            await session.output.send(DTMFFrame(digit=digit))
    assert peer.recorder.of(DTMFFrame) == [DTMFFrame(digit="1")] * 2
    assert peer.recorder.of(AudioFrame) == []


async def test_a_key_without_message_or_audio_is_counted(autojump_clock: MockClock) -> None:
    """Where neither can be sent the key is a frame that the dialect cannot say."""
    async with memory_session(TransportParams(serializer=ProtobufFrameSerializer())) as (session, _):
        await session.output.send(DTMFFrame(digit="1"))
        assert session.statistics().unsupported_frames == 1
