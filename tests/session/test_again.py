"""What can happen twice, done twice and three times: drain, end, close, interrupt, one after the other and at once."""

import pytest
import trio
from trio.testing import MockClock

from tests.session.calls import call
from tests.session.helpers import CHUNK_BYTES, CHUNK_S, params, pcm, seconds
from tests.session.test_endings import the_end, watched
from trio_transports import AudioFrame, ConnectionClosed, EndFrame, InterruptionFrame
from trio_transports.testing import memory_session

TIMES = pytest.mark.parametrize("times", [1, 2, 3])
QUIET = {"audio_out_auto_silence": False, "audio_out_end_silence_secs": 0}


@TIMES
async def test_draining_again(autojump_clock: MockClock, times: int) -> None:
    """Each drain waits for what was sent since the last, and one with nothing to wait for returns at once."""
    async with memory_session(params(**QUIET)) as (session, peer):
        for number in range(times):
            began_s = trio.current_time()
            await session.output.send(seconds(0.5))
            await session.output.drain()
            assert trio.current_time() - began_s == pytest.approx(0.5 - CHUNK_S)
            await session.output.drain()
            assert trio.current_time() - began_s == pytest.approx(0.5 - CHUNK_S)
            await trio.sleep(1)
            assert len(peer.recorder.audio) == (number + 1) * 25 * CHUNK_BYTES


@TIMES
async def test_draining_at_once(autojump_clock: MockClock, times: int) -> None:
    """Several tasks that drain at the same time all wait, and all return."""
    ended: list[float] = []

    async with memory_session(params(**QUIET)) as (session, _), trio.open_nursery() as nursery:
        await session.output.send(seconds(0.5))

        async def drain() -> None:
            await session.output.drain()
            ended.append(trio.current_time())

        for _ in range(times):
            nursery.start_soon(drain)
    assert ended == pytest.approx([0.5 - CHUNK_S] * times)


@TIMES
async def test_draining_a_line_that_tells(autojump_clock: MockClock, times: int) -> None:
    """On a line with marks every drain lasts until its audio was played."""
    async with call(audio_out_auto_silence=False) as here:
        await here.phone.open()
        for _ in range(times):
            began_s = trio.current_time()
            await here.play(0.5)
            await here.session.output.drain()
            assert trio.current_time() - began_s == pytest.approx(0.5, abs=0.03)


@TIMES
async def test_ending_again(autojump_clock: MockClock, times: int) -> None:
    """end() plays its silence once, however often it is called, also at the same time."""
    async with memory_session(params(audio_out_end_silence_secs=1)) as (session, peer):
        await session.output.send(seconds(0.5))
        async with trio.open_nursery() as nursery:
            for _ in range(times):
                nursery.start_soon(session.output.end)
        for _ in range(times):
            await session.output.end()
            with pytest.raises(trio.ClosedResourceError):
                await session.output.send(seconds(0.1))
    assert len(peer.recorder.audio) == 75 * CHUNK_BYTES


@TIMES
async def test_closing_again(autojump_clock: MockClock, times: int) -> None:
    """The first aclose says with what; all wait for the end, and it is told once."""
    async with watched(params()) as (session, peer, told):
        await session.output.send(seconds(0.5))
        async with trio.open_nursery() as nursery:
            for number in range(times):
                nursery.start_soon(session.aclose, 4000 + number, "enough")
        for _ in range(times):
            await session.aclose(1000, "too late")
            with pytest.raises(ConnectionClosed):
                await session.output.send(EndFrame())
    code, reason, initiator = the_end(told)
    assert code in range(4000, 4000 + times)
    assert (reason, initiator) == ("enough", "local")
    assert peer.recorder.audio == seconds(0.5).audio


@TIMES
async def test_interrupting_again(autojump_clock: MockClock, times: int) -> None:
    """Every interruption drops what was queued since the last, tells the peer, and the next audio leaves at once."""
    async with memory_session(params(**QUIET)) as (session, peer):
        for number in range(times):
            began_s = trio.current_time()
            await session.output.send(seconds(1))
            await trio.sleep(0.105)
            await session.output.interrupt()
            await session.output.send(AudioFrame(audio=pcm(CHUNK_BYTES, start=9), sample_rate=16000))
            await trio.sleep(1)
            at_s, _ = peer.messages[-1]
            assert at_s - began_s == pytest.approx(0.105)
            assert len(peer.recorder.of(InterruptionFrame)) == number + 1
            assert peer.recorder.audio[-CHUNK_BYTES:] == pcm(CHUNK_BYTES, start=9)
        assert session.statistics().interruptions == times
        assert session.statistics().audio_out_dropped_s == pytest.approx(0.88 * times)


@TIMES
async def test_interrupting_at_once(autojump_clock: MockClock, times: int) -> None:
    """Interruptions in the same moment are told to a peer that has not read the first only once."""
    async with memory_session(params(**QUIET), buffer_messages=1) as (session, peer):
        peer.stall()
        await session.output.send(seconds(1))
        await trio.sleep(0.2)
        for _ in range(times):
            await session.output.interrupt()
        peer.resume()
        await trio.sleep(1)
    assert len(peer.recorder.of(InterruptionFrame)) == 1
    assert session.statistics().interruptions == times
