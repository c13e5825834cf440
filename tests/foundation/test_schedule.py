"""The arithmetic of the audio schedule, rule by rule, with every time given by the test."""

from collections.abc import Iterator, Sequence
from itertools import chain, cycle, pairwise, repeat
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_transports.audio.pacing import Schedule
from trio_transports.audio.recovery import EARLY_S, WINDOW_S

RATE = 16000
CHUNK = 320
CHUNK_S = 0.02
CATCH_UP_S = 0.4
BEGAN_S = 1000.0
EPSILON_S = 1e-9


def play(
    schedule: Schedule,
    pushes: Sequence[tuple[float, int]],
    *,
    chunk: int = CHUNK,
    late_s: Iterator[float] | None = None,
    from_s: float = BEGAN_S,
) -> list[tuple[float, float]]:
    """When each chunk left and when it was due, of audio that came in these pushes of (time, samples).

    The clock wakes when a chunk is due, later by ``late_s``, and whenever audio comes.
    """
    lateness = repeat(0.0) if late_s is None else late_s
    waiting = [(from_s + at_s, samples) for at_s, samples in pushes]
    queued, available_s, now_s = 0, -inf, waiting[0][0]
    left: list[tuple[float, float]] = []
    while True:
        while waiting and waiting[0][0] <= now_s:
            at_s, samples = waiting.pop(0)
            if schedule.recovery.owed_s:
                schedule.heard(samples, queued, chunk, at_s)
            if queued < chunk <= queued + samples:
                available_s = at_s
            queued += samples
        alarm_s = inf
        while queued >= chunk:
            due_s = schedule.due_s(available_s, now_s)
            if schedule.is_early(due_s, now_s):
                alarm_s = due_s + next(lateness)
                break
            left.append((now_s - from_s, due_s - from_s))
            schedule.advance(chunk)
            queued, available_s = queued - chunk, -inf
        now_s = min(alarm_s, waiting[0][0] if waiting else inf)
        if now_s == inf:
            return left


def gaps(left: Sequence[tuple[float, float]]) -> list[float]:
    return [later[0] - earlier[0] for earlier, later in pairwise(left)]


def moments(left: Sequence[tuple[float, float]]) -> list[float]:
    return [at_s for at_s, _ in left]


@settings(max_examples=50)
@given(
    rate=st.sampled_from([8000, 11025, 16000, 22050, 44100, 48000, 7919]),
    chunk_ms=st.sampled_from([10, 20, 40, 61]),
    late_s=st.lists(st.floats(0, 0.3), min_size=1, max_size=20),
    began_s=st.floats(0, 1e6),
)
def test_it_never_drifts(rate: int, chunk_ms: int, late_s: list[float], began_s: float) -> None:
    """Rule 1: however late the clock wakes, the n-th chunk is due at exactly n times its length."""
    chunk = max(1, rate * chunk_ms // 1000)
    count = 1000
    schedule = Schedule(rate, catch_up_s=CATCH_UP_S)
    left = play(schedule, [(0, chunk * count)], chunk=chunk, late_s=cycle(late_s), from_s=began_s)
    assert len(left) == count
    for number, (left_s, due_s) in enumerate(left):
        assert due_s == pytest.approx(number * chunk / rate, abs=1e-6)
        assert due_s - EARLY_S - 1e-6 <= left_s <= due_s + max(late_s) + 1e-6
    assert schedule.late_resets == 0


def test_a_day_is_exact() -> None:
    """Rule 1: after a day of chunks whose length is no binary fraction the time is right to the nanosecond."""
    schedule = Schedule(44100)
    schedule.restart(0.0)
    for _ in range(24 * 3600):
        schedule.advance(44100)
    schedule.advance(441)
    assert schedule.due_s(-inf, 0.0) == pytest.approx(24 * 3600 + 0.01, abs=1e-9)


def test_channels_do_not_matter() -> None:
    """Rule 1: a sample is one instant, so the schedule needs no channel count."""
    assert not hasattr(Schedule(8000), "num_channels")


def test_the_first_audio_leaves_at_once() -> None:
    """Rule 2: at the start and after forget the next audio is due now, whenever that is."""
    schedule = Schedule(RATE)
    assert play(schedule, [(0, 5 * CHUNK)])[0] == (0, 0)
    runs = [schedule.is_running]
    schedule.forget()
    runs.append(schedule.is_running)
    assert schedule.due_s(-inf, 5000.0) == 5000.0
    assert [*runs, schedule.is_running] == [True, False, True]


def test_without_an_anchor_there_are_no_times() -> None:
    """Asking when the next sample is heard before anything was is a mistake that says so."""
    with pytest.raises(ValueError, match="call due_s or restart first"):
        _ = Schedule(RATE).plays_at_s


@given(lead_s=st.floats(0, 1), count=st.integers(1, 100))
def test_a_lead(lead_s: float, count: int) -> None:
    """Rule 1: with a lead that much leaves at once, and the rest so much earlier than it is heard."""
    left = play(Schedule(RATE, lead_s=lead_s), [(0, count * CHUNK)])
    for number, at_s in enumerate(moments(left)):
        expected = max(0.0, number * CHUNK_S - lead_s)
        assert expected - EARLY_S - EPSILON_S <= at_s <= expected + EPSILON_S


@pytest.mark.parametrize("stall_s", [0.05, 0.2, 0.39])
def test_a_short_stall_is_made_up_for(stall_s: float) -> None:
    """Rule 3: what a stall held back leaves at once after it, and the schedule is as before."""
    schedule = Schedule(RATE, catch_up_s=CATCH_UP_S)
    left = play(schedule, [(0, 100 * CHUNK)], late_s=chain(repeat(0.0, 9), [stall_s], repeat(0.0)))
    assert left[-1] == pytest.approx((99 * CHUNK_S, 99 * CHUNK_S))
    at_once = sum(gap < EPSILON_S for gap in gaps(left))
    assert at_once == pytest.approx(stall_s / CHUNK_S, abs=1)
    assert schedule.late_resets == 0


@given(stall_s=st.floats(0.41, 20), catch_up_s=st.floats(0.05, 0.4))
def test_a_long_stall_moves_the_schedule(stall_s: float, catch_up_s: float) -> None:
    """Rule 3: at most catch_up_s of audio leaves in a burst; the rest of the delay stays, and is counted once."""
    schedule = Schedule(RATE, catch_up_s=catch_up_s)
    left = play(schedule, [(0, 200 * CHUNK)], late_s=chain(repeat(0.0, 9), [stall_s], repeat(0.0)))
    burst = sum(gap < EPSILON_S for gap in gaps(left)) + 1
    assert burst <= (catch_up_s + EARLY_S) / CHUNK_S + 2
    assert moments(left)[-1] == pytest.approx(199 * CHUNK_S + stall_s - catch_up_s, abs=CHUNK_S)
    assert schedule.late_resets == 1


@given(pauses_s=st.lists(st.floats(0, 3), min_size=1, max_size=20), chunks=st.integers(1, 5))
def test_a_gap_in_the_source_causes_no_burst(pauses_s: list[float], chunks: int) -> None:
    """Rule 4: audio that was not there in time is paced from when it came, and no chunk follows another too soon."""
    at_s, pushes = 0.0, []
    for pause_s in pauses_s:
        pushes.append((at_s, chunks * CHUNK))
        at_s += chunks * CHUNK_S + pause_s
    left = play(Schedule(RATE), pushes)
    assert len(left) == chunks * len(pauses_s)
    assert all(gap >= CHUNK_S - EARLY_S - EPSILON_S for gap in gaps(left))
    # Each chunk at the start of a push that came after a pause leaves when it came.
    for number, (push, pause_s) in enumerate(zip(pushes[1:], pauses_s, strict=False), 1):
        if pause_s > CATCH_UP_S:
            assert moments(left)[number * chunks] == pytest.approx(push[0], abs=EPSILON_S)


def test_a_little_early_is_in_time() -> None:
    """Rule 5: audio due within EARLY_S need not wait, and the schedule itself stays."""
    schedule = Schedule(RATE)
    now_s = BEGAN_S
    for number in range(10_000):
        due_s = schedule.due_s(-inf, now_s)
        assert due_s == pytest.approx(BEGAN_S + number * CHUNK_S, abs=1e-6)
        assert not schedule.is_early(due_s, due_s - EARLY_S + EPSILON_S)
        assert schedule.is_early(due_s, due_s - EARLY_S - EPSILON_S)
        now_s = due_s - 0.9 * EARLY_S
        schedule.advance(CHUNK)


def live(count: int, *, late: dict[int, float] | None = None, jitter_s: float = 0.0) -> list[tuple[float, int]]:
    """A source in real time, one chunk after another; some come late and none before those sent earlier."""
    pushes, last_s = [], 0.0
    for number in range(count):
        last_s = max(last_s, number * CHUNK_S + (late or {}).get(number, 0.0) + jitter_s * (number % 3) / 2)
        pushes.append((last_s, CHUNK))
    return pushes


def waits(left: Sequence[tuple[float, float]], pushes: Sequence[tuple[float, int]]) -> list[float]:
    return [left_s - came_s for left_s, (came_s, _) in zip(moments(left), pushes, strict=True)]


@pytest.mark.parametrize("late_s", [0.06, 0.1, 0.3, 0.39])
def test_the_delay_of_one_late_chunk_is_taken_back(late_s: float) -> None:
    """Rule 6: a stall of a live source delays the rest by as much, until it was on time for a while; then no longer."""
    pushes = live(200, late={50: late_s})
    schedule = Schedule(RATE)
    left = play(schedule, pushes)
    waited_s = waits(left, pushes)
    stalled = 50 + round(late_s / CHUNK_S)
    assert max(waited_s[:50]) <= EPSILON_S
    assert CHUNK_S < max(waited_s) <= late_s + EPSILON_S
    recovered = stalled + round(2 * WINDOW_S / CHUNK_S) + 2
    assert max(waited_s[recovered:]) <= EARLY_S + EPSILON_S
    assert schedule.recovery.owed_s <= EARLY_S
    assert schedule.late_resets == 0


def test_jitter_is_not_taken_for_delay() -> None:
    """Rule 6: a source whose chunks come up to 15 ms late is delayed by that, and no chunk leaves in a burst."""
    pushes = live(500, jitter_s=0.015)
    left = play(Schedule(RATE), pushes)
    assert max(waits(left, pushes)) <= 0.015 + EPSILON_S
    assert max(gaps(left)) <= CHUNK_S + 0.015 + EPSILON_S
    assert min(gaps(left)[50:]) >= CHUNK_S - 0.015 - EARLY_S


def test_a_pause_is_no_delay() -> None:
    """Rule 6: what comes after more than catch_up_s of nothing begins anew, and nothing is owed."""
    schedule = Schedule(RATE, catch_up_s=CATCH_UP_S)
    play(schedule, [*live(50), *[(at_s + 5, samples) for at_s, samples in live(50)]])
    assert schedule.recovery.owed_s == 0


def test_audio_queued_ahead_keeps_its_times() -> None:
    """Rule 6: what came all at once is not taken for a live source, though something is owed."""
    schedule = Schedule(RATE)
    left = play(schedule, [(0, CHUNK), (0.1, CHUNK), (0.12, 200 * CHUNK)])
    assert moments(left)[1] == pytest.approx(0.1)
    assert moments(left)[2:] == pytest.approx([0.12 + number * CHUNK_S for number in range(200)])


def test_forgetting_forgets_what_is_owed() -> None:
    """After an interruption the next audio starts a schedule that owes nothing to the last."""
    schedule = Schedule(RATE)
    play(schedule, live(20, late={10: 0.1}))
    assert schedule.recovery.owed_s > 0
    schedule.forget()
    assert schedule.recovery.owed_s == 0
    assert moments(play(schedule, [(0, 3 * CHUNK)], from_s=2 * BEGAN_S)) == pytest.approx([0, CHUNK_S, 2 * CHUNK_S])


@settings(max_examples=80)
@given(
    pushes=st.lists(st.tuples(st.floats(0, 0.6), st.integers(1, 3000)), min_size=1, max_size=40),
    late_s=st.lists(st.floats(0, 1), min_size=1, max_size=10),
)
def test_whatever_happens_all_of_it_leaves_and_no_faster(pushes: list[tuple[float, int]], late_s: list[float]) -> None:
    """Any source under any clock: every whole chunk leaves, in order, never more than real time and one burst allow."""
    at_s, times = 0.0, []
    for pause_s, samples in pushes:
        at_s += pause_s
        times.append((at_s, samples))
    schedule = Schedule(RATE, catch_up_s=CATCH_UP_S)
    left = play(schedule, times, late_s=cycle(late_s))
    assert len(left) == sum(samples for _, samples in times) // CHUNK
    moments_s = moments(left)
    assert moments_s == sorted(moments_s)
    most_s = 2 * CATCH_UP_S + EARLY_S + CHUNK_S + 1e-6
    for first in range(len(moments_s)):
        for last in range(first + 1, len(moments_s)):
            assert (last - first) * CHUNK_S <= moments_s[last] - moments_s[first] + most_s
