"""This side stands still, or a live source comes unevenly: no audio is taken for missing, and no delay stays."""

import random
from collections.abc import Mapping
from statistics import median

import pytest
import trio
from trio.testing import MockClock

from tests.session.test_stalls import FRAME_S, defaults, number_of, numbered
from trio_transports import AudioFormat, AudioFrame, Session, TransportParams
from trio_transports.testing import memory_session

GRACE_S = 0.06


class Bed:
    """A mixer whose bed is silence."""

    def start(self, audio_format: AudioFormat) -> None:
        pass

    def stop(self) -> None:
        pass

    def mix(self, pcm: bytes) -> bytes:
        return pcm

    def control(self, settings: Mapping[str, object], enabled: bool | None = None) -> None:
        pass

    def fresh(self) -> "Bed":
        return Bed()


async def echo(session: Session, thinks_s: float) -> None:
    async for frame in session.input:
        if isinstance(frame, AudioFrame):
            if thinks_s:
                await trio.sleep(thinks_s)
            await session.output.send(frame)


async def echoed(
    params: TransportParams, clock: MockClock, began_s: float, blocked_s: float, *, thinks_s: float = 0.0
) -> list[bytes]:
    """What a caller hears who talks for two seconds while this side stands still for so long, from then on."""
    async with memory_session(params) as (session, peer), trio.open_nursery() as nursery:
        nursery.start_soon(echo, session, thinks_s)

        @nursery.start_soon
        async def stand_still() -> None:
            await trio.sleep(began_s)
            clock.jump(blocked_s)

        start_s = trio.current_time()
        for number in range(100):
            await trio.sleep_until(start_s + number * FRAME_S)
            await peer.send(numbered(number))
        await trio.sleep(0.03)
        heard = [frame.audio for frame in peer.recorder.of(AudioFrame)]
        assert session.statistics().audio_out_dropped_s == 0
        nursery.cancel_scope.cancel()
    return heard


@pytest.mark.parametrize("past_ms", [0, 1, 2, 5, 10, 19, 20, 21, 40])
async def test_a_standstill_may_end_at_any_moment(past_ms: int, autojump_clock: MockClock) -> None:
    """It ends that long after the time at which a gap would be filled: what came meanwhile is read before that."""
    began_s = 1.011
    gap_at_s = 1.02 + GRACE_S  # the chunk that came at 1.0 has been played by 1.02
    heard = await echoed(
        defaults(audio_out_10ms_chunks=2), autojump_clock, began_s, gap_at_s - began_s + past_ms / 1000 + 1e-6
    )
    assert heard == [numbered(number).audio for number in range(100)]


async def test_a_handler_that_takes_a_moment_has_it_after_a_standstill(autojump_clock: MockClock) -> None:
    """What came meanwhile has been read, and is being worked on: it is not filled up for either."""
    heard = await echoed(defaults(audio_out_10ms_chunks=2), autojump_clock, 1.011, 0.2, thinks_s=0.008)
    assert heard == [numbered(number).audio for number in range(100)]


@pytest.mark.parametrize("blocked_ms", [30, 50, 100, 200, 350])
async def test_nor_does_a_bed_take_the_place_of_what_waits_to_be_read(
    blocked_ms: int, autojump_clock: MockClock
) -> None:
    """The same with a mixer, which has no grace: its bed alone is not sent before what has come."""
    params = defaults(audio_out_10ms_chunks=2, audio_out_mixer=Bed())
    heard = await echoed(params, autojump_clock, 1.011, blocked_ms / 1000)
    spoken = [pcm for pcm in heard if any(pcm)]
    assert spoken == [numbered(number).audio for number in range(100)]
    first = heard.index(spoken[0])
    assert heard[first : first + 100] == spoken  # no bed in between


@pytest.mark.parametrize("turn_s", [0.03, 0.2])
async def test_a_gap_in_a_busy_time_is_filled_all_the_same(turn_s: float, autojump_clock: MockClock) -> None:
    """Waiting ends: a loop that is never in time fills a gap before a burst could no longer take it back."""
    async with memory_session(defaults(audio_out_10ms_chunks=2)) as (session, peer), trio.open_nursery() as nursery:
        await session.output.send(numbered(0))
        last_s = trio.current_time()

        @nursery.start_soon
        async def be_busy() -> None:
            while True:
                await trio.lowlevel.checkpoint()
                autojump_clock.jump(turn_s)

        await trio.sleep(5)
        filled_s = peer.recorder.heard[1].at_s - last_s
        nursery.cancel_scope.cancel()
    assert 0.08 <= filled_s <= 0.08 + 0.4 + 8 * turn_s  # it is written and read within some turns of such a loop


@pytest.mark.parametrize("chunks_of_10ms", [1, 2, 4])
@pytest.mark.parametrize(("bed", "least_s"), [(Bed(), 1.85), (None, 1.6)])
async def test_a_busy_loop_fills_no_slower_than_time_goes(
    chunks_of_10ms: int, bed: Bed | None, least_s: float, autojump_clock: MockClock
) -> None:
    """Each turn takes three milliseconds, as beside many calls: no chunk after another waits for turns again."""
    params = defaults(audio_out_10ms_chunks=chunks_of_10ms, audio_out_mixer=bed)
    async with memory_session(params) as (session, _), trio.open_nursery() as nursery:
        await session.output.send(numbered(0))

        @nursery.start_soon
        async def be_busy() -> None:
            while True:
                await trio.lowlevel.checkpoint()
                autojump_clock.jump(0.003)

        await trio.sleep(2)
        counters = session.statistics()
        nursery.cancel_scope.cancel()
    assert counters.audio_sent_s >= least_s
    assert counters.late_resets == 0


@pytest.mark.parametrize("seed", range(8))
async def test_no_frame_of_delay_stays_where_a_cut_ended_amid_one(seed: int, autojump_clock: MockClock) -> None:
    """A live source of another rate, three milliseconds uneven, with two holes: it is as quick again after each."""
    chance = random.Random(seed)
    holes = ((1.5, 0.3), (3.5, 0.3))
    async with memory_session(defaults(audio_out_sample_rate=24000)) as (session, peer):
        began_s, given_s = trio.current_time(), 0.0
        for number in range(300):
            made_s = number * FRAME_S
            due_s = max([made_s, *(at_s + length_s for at_s, length_s in holes if at_s <= made_s < at_s + length_s)])
            given_s = max(given_s, due_s + chance.uniform(0, 0.003))
            await trio.sleep_until(began_s + given_s)
            await session.output.send(numbered(number))
        await trio.testing.wait_all_tasks_blocked()
        heard = [
            (one.at_s - began_s, number_of(one.frame.audio))
            for one in peer.recorder.heard
            if isinstance(one.frame, AudioFrame)
        ]
    came = [(at_s, at_s - number * FRAME_S) for at_s, number in heard if number is not None and number >= 0]
    before_s = median(age_s for at_s, age_s in came if 0.5 <= at_s < 1.5)
    for at_s, length_s in holes:
        again_s = at_s + length_s + 1
        assert median(age_s for came_s, age_s in came if again_s <= came_s < again_s + 0.7) <= before_s + 0.005
