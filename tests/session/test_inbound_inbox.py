"""What waits unread for the handler, in virtual time."""

import pytest
import trio
from trio.testing import MockClock

from tests.session.hearing import everything, joined
from tests.session.helpers import CHUNK_BYTES, CHUNK_S, RATE, audio, params, pcm
from trio_transports import AudioFrame, DTMFFrame, TextFrame
from trio_transports.audio.format import LEAST_S
from trio_transports.session.statistics import Counters
from trio_transports.session.unread import MAX_FRAMES, Unread
from trio_transports.testing import memory_session


async def test_the_oldest_audio_makes_room(autojump_clock: MockClock) -> None:
    """Past audio_in_max_queue_secs the oldest audio is dropped and counted; other frames stay, in their places."""
    async with memory_session(params(audio_in_max_queue_secs=1)) as (session, peer):
        for number in range(100):
            await peer.send(audio(CHUNK_BYTES, start=number))
            if number % 10 == 0:
                await peer.send(TextFrame(text=str(number)))
        await trio.testing.wait_all_tasks_blocked()
        dropped_s = session.statistics().audio_in_dropped_s
        frames = await everything(session)
    places = [frame.text if isinstance(frame, TextFrame) else "audio" for frame in frames]
    assert joined(frames) == b"".join(pcm(CHUNK_BYTES, start=number) for number in range(50, 100))
    assert dropped_s == pytest.approx(50 * CHUNK_S)
    early = [str(number) for number in range(0, 50, 10)]
    late = [place for ten in range(50, 100, 10) for place in ("audio", str(ten), *["audio"] * 9)]
    assert places == early + late


async def test_room_is_made_by_reading(autojump_clock: MockClock) -> None:
    """A handler that keeps up loses nothing, however long the call."""
    async with memory_session(params(audio_in_max_queue_secs=0.1)) as (session, peer):
        for number in range(500):
            await peer.send(audio(CHUNK_BYTES, start=number))
            assert await session.input.receive() == audio(CHUNK_BYTES, start=number)
        assert session.statistics().audio_in_dropped_s == 0


async def test_one_frame_longer_than_the_bound_is_kept(autojump_clock: MockClock) -> None:
    """The newest frame stays whatever its length."""
    async with memory_session(params(audio_in_max_queue_secs=0.1)) as (session, peer):
        for number in range(3):
            await peer.send(audio(RATE, start=number))
        await trio.testing.wait_all_tasks_blocked()
        assert joined(await everything(session)) == pcm(RATE, start=2)
        assert session.statistics().audio_in_dropped_s == pytest.approx(1)


def test_frames_with_next_to_nothing_in_them_are_bounded() -> None:
    """A flood of single samples is held to as many frames as there are milliseconds in the bound."""
    counters = Counters()
    unread = Unread(2.0, counters, audio_is_on=True)
    for _ in range(5000):
        unread.put_audio(AudioFrame(audio=b"\x01\x00", sample_rate=768_000))
    assert len(unread._frames) <= 2.0 / LEAST_S
    assert counters.audio_in_dropped_s == pytest.approx((5000 - len(unread._frames)) / 768_000)


async def test_too_many_unread_frames_end_the_session(autojump_clock: MockClock) -> None:
    """1024 unread frames other than audio are held; one more closes with 1008 and says why; those held can be read."""
    async with memory_session(params()) as (session, peer):
        for _ in range(MAX_FRAMES):
            await peer.send(DTMFFrame(digit="1"))
        await peer.send(audio(CHUNK_BYTES))
        await trio.sleep(1)
        assert session.is_connected
        await peer.send(DTMFFrame(digit="2"))
        closed = await peer.wait_closed()
        frames = await everything(session)
    assert (closed.code, closed.reason) == (1008, "1024 frames wait unread by the handler")
    assert frames == [DTMFFrame(digit="1")] * 1024 + [audio(CHUNK_BYTES)]


async def test_what_this_side_tells_ends_no_session(autojump_clock: MockClock) -> None:
    """A handler that only speaks is told for hours that the bot speaks, and keeps its session."""
    async with memory_session(params(audio_out_auto_silence=False)) as (session, _):
        for _ in range(1200):
            await session.output.send(audio(CHUNK_BYTES))
            await trio.sleep(1)
        assert session.is_connected
        assert len(await everything(session)) == MAX_FRAMES


async def test_cancelling_a_read_loses_nothing(autojump_clock: MockClock) -> None:
    """Readers that are cancelled again and again, and several at once, get every frame once, in order."""
    async with memory_session(params()) as (session, peer):
        got: list[int] = []
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def write() -> None:
                for number in range(200):
                    await peer.send(TextFrame(text=str(number)))
                    await trio.sleep(0.01)

            async def read() -> None:
                while len(got) < 200:
                    with trio.move_on_after(0.007):
                        frame = await session.input.receive()
                        assert isinstance(frame, TextFrame)
                        got.append(int(frame.text))

            for _ in range(3):
                nursery.start_soon(read)
    assert got == list(range(200))


async def test_a_closed_input_takes_nothing_more(autojump_clock: MockClock) -> None:
    """Closing the input drops what waits, wakes who reads, and leaves the session."""
    async with memory_session(params()) as (session, peer), trio.open_nursery() as nursery:
        await peer.send(audio(CHUNK_BYTES))
        await trio.testing.wait_all_tasks_blocked()
        await session.input.receive()

        @nursery.start_soon
        async def read() -> None:
            with pytest.raises(trio.ClosedResourceError, match="closed by this side"):
                await session.input.receive()

        await trio.testing.wait_all_tasks_blocked()
        await session.input.aclose()
        for _ in range(2 * MAX_FRAMES):
            await peer.send(TextFrame(text="unheard"))
        for _ in range(2):  # an error too is where others get their turn
            with trio.testing.assert_checkpoints(), pytest.raises(trio.ClosedResourceError):
                await session.input.receive()
        await session.output.send(TextFrame(text="goes on"))
        await peer.recorder.wait_for(TextFrame)
        assert session.is_connected


@pytest.mark.parametrize("unread", [0, 3])
async def test_a_reader_task_finds_an_end_at_a_normal_end(autojump_clock: MockClock, unread: int) -> None:
    """A task that still reads when the body has returned sees the input end, now and when it asks again."""
    ends: list[int] = []

    async def read(input: trio.abc.ReceiveChannel[object]) -> None:  # noqa: A002 - as the session's own
        for _ in range(2):
            async for _frame in input:
                await trio.sleep(1)
            ends.append(len(ends))

    async with trio.open_nursery() as nursery, memory_session(params()) as (session, peer):
        nursery.start_soon(read, session.input)
        for _ in range(unread):
            await peer.send(TextFrame(text="hello"))
        await trio.sleep(0.1)
    assert ends == [0, 1]


async def test_who_closes_the_input_is_told_so_after_the_session_too(autojump_clock: MockClock) -> None:
    """ClosedResourceError is for him alone."""
    async with memory_session(params()) as (session, _):
        await session.input.aclose()
    for _ in range(2):
        with pytest.raises(trio.ClosedResourceError):
            await session.input.receive()


async def test_the_end_of_the_input_is_a_checkpoint_each_time(autojump_clock: MockClock) -> None:
    """A loop that tries to read on lets others have their turn."""
    async with memory_session(params()) as (session, peer):
        await peer.close()
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(3):
            with trio.testing.assert_checkpoints(), pytest.raises(trio.EndOfChannel):
                await session.input.receive()
