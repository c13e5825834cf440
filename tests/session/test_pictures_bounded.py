"""What pictures may take of memory while they wait: for their time, for the audio before them, for their next turn."""

from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock

from tests.session.helpers import CHUNK_S, gaps, seconds
from tests.session.test_screens import RATE, image, numbers, shown, times
from trio_transports import ImageFrame, SpriteFrame
from trio_transports.serializers.packed import PackedFrameSerializer
from trio_transports.session.pictures import StillShowing
from trio_transports.testing import memory_session
from trio_transports.video.codec import PictureEncoder


async def test_pictures_that_wait_for_audio_are_counted_too(autojump_clock: MockClock) -> None:
    """Held back behind a second of audio they fill the bound: the fourth waits until they are shown. Done twice."""
    bound = shown(video_out_max_queue_bytes=3 * 12, video_out_framerate=1000)
    async with memory_session(bound) as (session, peer):
        for round_ in range(2):
            begun_s = trio.current_time()
            await session.output.send(seconds(1))
            sent_s = []
            for number in range(4):
                await session.output.send(image(number, sync_with_audio=True))
                sent_s.append(trio.current_time() - begun_s)
            assert sent_s[:3] == pytest.approx([0, 0, 0], abs=0.001)
            assert sent_s[3] == pytest.approx(1, abs=CHUNK_S + 0.006)
            await session.output.drain()
            await trio.sleep(0.1)
            assert numbers(peer.recorder) == [0, 1, 2, 3] * (round_ + 1)


async def test_an_interruption_makes_room_where_pictures_waited_for_audio(autojump_clock: MockClock) -> None:
    """What was dropped with its audio fills the bound no longer."""
    async with memory_session(shown(video_out_max_queue_bytes=12)) as (session, peer):
        await session.output.send(seconds(10))
        await session.output.send(image(1, sync_with_audio=True))
        begun_s = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.output.send, image(2))
            await trio.sleep(0.5)
            assert not numbers(peer.recorder)
            await session.output.interrupt()
        assert trio.current_time() - begun_s == pytest.approx(0.5, abs=0.1)
        await session.output.send(image(3))
        await session.output.drain()
    assert numbers(peer.recorder)[-1] == 3
    assert 1 not in numbers(peer.recorder)


async def test_small_files_that_become_large_are_bounded_while_they_go_round(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred small PNGs in one sprite, each 30 kB once it is raw: all are shown, and little of them is kept."""

    async def on_the_clock(work: Callable[[ImageFrame], object], picture: ImageFrame) -> object:
        await trio.sleep(0.001)
        return work(picture)

    monkeypatch.setattr("trio_transports.session.screens.in_thread", on_the_clock)
    encoder = PictureEncoder("PNG")
    sprite = SpriteFrame(
        images=tuple(
            ImageFrame(image=encoder.encode(bytes((number,)) * 12, 2, 2, "RGB"), size=(2, 2), format="PNG")
            for number in range(100)
        )
    )
    settings = shown(
        serializer=PackedFrameSerializer(),
        video_out_is_live=False,
        video_out_width=100,
        video_out_height=100,
        video_out_max_queue_bytes=200_000,
    )
    most = 0
    async with memory_session(settings) as (session, peer):
        still = session._parts.outbound.screens.screens[None].showing
        assert isinstance(still, StillShowing)
        await session.output.send(sprite)
        begun_s = trio.current_time()
        while trio.current_time() < begun_s + 200 / RATE:
            await trio.sleep(0.0007)
            most = max(most, still.kept_bytes)
    assert 200_000 < most < 200_000 + 31_000
    got = numbers(peer.recorder)
    assert got[:200] == [*range(100)] * 2
    assert gaps(times(peer.recorder)[1:199]) == pytest.approx([1 / RATE] * 197, abs=1e-5)
