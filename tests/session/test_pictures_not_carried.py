"""A dialect without pictures: told once and typed, nothing is prepared for it, and several tracks are refused."""

import json
from collections.abc import Callable

import pytest
from trio.testing import MockClock

from tests.serializers.dialects import RTVI
from tests.serializers.genesys_conversation import GENESYS_OPEN
from tests.session.helpers import seconds
from tests.session.test_screens import image, shown
from trio_transports import AudioFrame, ImageFrame, PicturesNotCarried, TransportParams
from trio_transports.frames import Frame
from trio_transports.serializers import FrameSerializer, JSONFrameSerializer, Message
from trio_transports.serializers.detect import DetectingFrameSerializer
from trio_transports.serializers.genesys import GenesysFrameSerializer
from trio_transports.serializers.packed import PackedFrameSerializer
from trio_transports.serializers.protobuf import ProtobufFrameSerializer
from trio_transports.serializers.relay import RelayFrameSerializer
from trio_transports.serializers.rtvi import RTVIFrameSerializer
from trio_transports.serializers.telnyx import TelnyxFrameSerializer
from trio_transports.serializers.twilio import TwilioFrameSerializer
from trio_transports.session.broadcast import Broadcast
from trio_transports.session.events import Event
from trio_transports.testing import memory_session

TWILIO_START = json.dumps({"event": "start", "start": {"streamSid": "S", "callSid": "C"}})
CLIENT_READY = RTVI["client-ready"]["text"]
RELAY_SETUP = json.dumps({"type": "setup", "sessionId": "VX1", "callSid": "CA1"})


class Mute:
    """A dialect of somebody's own that says nothing of pictures and has no message for them."""

    audio_format = None

    def encode(self, frame: Frame) -> list[Message]:
        return [frame.audio] if isinstance(frame, AudioFrame) else []

    def decode(self, message: Message) -> list[Frame]:
        return []


@pytest.mark.parametrize(
    ("serializer", "start", "name"),
    [
        (ProtobufFrameSerializer(), None, "ProtobufFrameSerializer"),
        (TwilioFrameSerializer(), TWILIO_START, "TwilioFrameSerializer"),
        (TelnyxFrameSerializer(stream_id="S", receive_encoding="PCMU"), None, "TelnyxFrameSerializer"),
        (GenesysFrameSerializer(), GENESYS_OPEN, "GenesysFrameSerializer"),
        (RTVIFrameSerializer(), CLIENT_READY, "RTVIFrameSerializer"),
        (DetectingFrameSerializer(), TWILIO_START, "TwilioFrameSerializer"),
        (DetectingFrameSerializer(), GENESYS_OPEN, "GenesysFrameSerializer"),
        (DetectingFrameSerializer(), CLIENT_READY, "RTVIFrameSerializer"),
        (Mute(), None, "Mute"),
    ],
    ids=["protobuf", "twilio", "telnyx", "genesys", "rtvi", "detected", "detected genesys", "detected rtvi", "unsaid"],
)
async def test_it_is_told_once_and_audio_goes_on(
    serializer: FrameSerializer,
    start: str | None,
    name: str,
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One event and one line in the log for a hundred pictures, in each of two sessions; all are counted."""
    hub: Broadcast[Event] = Broadcast()
    events, told = hub.subscribe(), list[PicturesNotCarried]()
    ids = []
    with hub.activity():
        for _ in range(2):
            async with memory_session(shown(serializer=serializer), events=hub) as (session, peer):
                ids.append(session.id)
                peer.serializer = Mute()  # it need not understand what this side says
                if start is not None:
                    await peer.send_raw(start)
                await session.output.send(seconds(0.6))
                for number in range(100):
                    await session.output.send(image(number))
                await session.output.drain()
                statistics = session.statistics()
            assert (statistics.pictures_sent, statistics.unsupported_frames) == (0, 100)
            assert statistics.audio_sent_s == pytest.approx(0.6)
    async for event in events:
        told += [event] if isinstance(event, PicturesNotCarried) else []
    assert [(event.session.id, event.dialect) for event in told] == [(id_, name) for id_ in ids]
    assert [line for line in caplog.messages if "carries no pictures" in line] == [
        f"{name} carries no pictures: what is sent is not shown"
    ] * 2


@pytest.mark.parametrize("make", [RelayFrameSerializer, DetectingFrameSerializer])
async def test_a_relayed_call_is_told_the_same(make: Callable[[], FrameSerializer], autojump_clock: MockClock) -> None:
    """A line that carries text alone, said by itself and told apart: once for each of two sessions."""
    hub: Broadcast[Event] = Broadcast()
    events, told = hub.subscribe(), list[str]()
    with hub.activity():
        for _ in range(2):
            async with memory_session(shown(serializer=make), events=hub) as (session, peer):
                peer.serializer = Mute()
                await peer.send_raw(RELAY_SETUP)
                for number in range(10):
                    await session.output.send(image(number))
                await session.output.drain()
                assert session.statistics().unsupported_frames == 10
    async for event in events:
        told += [event.dialect] if isinstance(event, PicturesNotCarried) else []
    assert told == ["RelayFrameSerializer"] * 2


async def test_nothing_is_prepared_for_nobody(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the dialect says that it carries none, no picture is scaled or encoded."""

    async def never(*_: object) -> None:
        raise AssertionError("a picture was prepared")

    monkeypatch.setattr("trio_transports.session.screens.in_thread", never)
    settings = shown(serializer=ProtobufFrameSerializer(), video_out_width=64, video_out_codec="JPEG")
    async with memory_session(settings) as (session, _):
        for number in range(3):
            await session.output.send(image(number))
        await session.output.drain()


@pytest.mark.parametrize("serializer", [JSONFrameSerializer(), PackedFrameSerializer()])
async def test_a_dialect_that_carries_them_is_told_of_nothing(
    serializer: FrameSerializer, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with memory_session(shown(serializer=serializer)) as (session, peer):
        await session.output.send(image(1))
        await session.output.drain()
    assert len(peer.recorder.of(ImageFrame)) == 1
    assert caplog.messages == []


@pytest.mark.parametrize("make", [ProtobufFrameSerializer, TwilioFrameSerializer, RTVIFrameSerializer])
def test_a_dialect_that_cannot_name_them_has_one_screen(make: Callable[[], FrameSerializer]) -> None:
    """Given as an object or as a class, further picture tracks are refused where they are set."""
    for serializer in (make(), make):
        with pytest.raises(ValueError, match=r"video_out_destinations has 'wall'.*cannot name destinations"):
            TransportParams(serializer=serializer, video_out_enabled=True, video_out_destinations=["wall"])


async def test_one_that_a_factory_makes_is_refused_when_the_session_opens(autojump_clock: MockClock) -> None:
    settings = shown(serializer=lambda: ProtobufFrameSerializer(), video_out_destinations=["wall"])
    with pytest.raises(ValueError, match="cannot name destinations"):
        async with memory_session(settings):
            pass
