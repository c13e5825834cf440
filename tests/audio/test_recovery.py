"""What a stalled source is owed and has missed, and how that is taken back: rule by rule, with every time given."""

from math import inf

import pytest

from trio_transports.audio.pacing import Schedule
from trio_transports.audio.recovery import (
    EARLY_S,
    MATCH_S,
    MAX_STALL_S,
    Recovery,
)

RATE = 16000
CHUNK = 320
CHUNK_S = 0.02
CATCH_UP_S = 0.4
WINDOW = 11
"""So many chunks are 0.2 s and a rounding error."""


class Source:
    """What comes, chunk by chunk, in its time."""

    def __init__(self, recovery: Recovery, samples: int = CHUNK, queued: int = 0) -> None:
        self.recovery, self.samples, self.queued = recovery, samples, queued
        self.now_s = 100.0
        self.come(inf)  # the first begins a window

    def come(self, early_s: float, *, after_s: float | None = None) -> float:
        self.now_s += self.samples / RATE if after_s is None else after_s
        return self.recovery.hear(self.samples, self.queued, early_s, self.now_s, chunk_samples=CHUNK, sample_rate=RATE)

    def window(self, early_s: float, chunks: int = WINDOW) -> float:
        return sum(self.come(early_s) for _ in range(chunks))


def live(missed_s: float = 0.0, owed_s: float = 0.0) -> Recovery:
    """After a gap of a live source."""
    recovery = Recovery(CATCH_UP_S)
    recovery.ran_dry(10.0, 10.0 + CHUNK_S, CHUNK_S)
    if owed_s:
        recovery.late(owed_s)
    if missed_s:
        recovery.filled(missed_s)
    return recovery


def stands(recovery: Recovery) -> tuple[float, float, float]:
    return tuple(round(value, 9) for value in (recovery.owed_s, recovery.missed_s, recovery.cut_s))  # type: ignore[return-value]


def test_what_was_late_is_owed() -> None:
    """Up to the length of a burst; longer, where nobody says that the source is live, it is a pause."""
    recovery = Recovery(CATCH_UP_S)
    recovery.late(0.1)
    recovery.late(0.15)
    assert stands(recovery) == (0.25, 0, 0)
    recovery.late(CATCH_UP_S)
    assert stands(recovery) == (CATCH_UP_S, 0, 0)
    recovery.late(CATCH_UP_S + 0.01)
    assert stands(recovery) == (0, 0, 0)


def test_what_a_live_source_is_late_beyond_that_is_missed() -> None:
    """Until nobody would wait any longer."""
    recovery = live()
    recovery.late(1.0)
    assert stands(recovery) == (0.4, 0.6, 0)
    recovery.late(0.3)
    assert stands(recovery) == (0.4, 0.9, 0)
    recovery.late(MAX_STALL_S)
    assert stands(recovery) == (0.4, 10.9, 0)
    recovery.late(MAX_STALL_S + 0.01)
    assert stands(recovery) == (0, 0, 0)
    recovery.late(1.0)
    assert stands(recovery) == (0, 0, 0)


def test_silence_in_the_place_of_a_live_source_is_missed() -> None:
    recovery = Recovery(CATCH_UP_S)
    recovery.filled(0.5)
    assert stands(recovery) == (0, 0, 0)
    recovery = live()
    recovery.filled(0.5)
    recovery.filled(MAX_STALL_S - 0.5)
    assert stands(recovery) == (0, MAX_STALL_S, 0)
    recovery.filled(0.01)
    assert stands(recovery) == (0, 0, 0)


@pytest.mark.parametrize(("delay_s", "beyond_s"), [(0.0, -1e-6), (0.0, 1e-6), (0.1, -1e-6), (0.1, 1e-6)])
def test_a_gap_is_a_live_sources_when_it_ran_dry_right_after_the_last(delay_s: float, beyond_s: float) -> None:
    """A chunk's time, the delay that there is, and a little: later it is audio that was queued ahead. Judged once."""
    recovery = Recovery(CATCH_UP_S)
    if delay_s:
        recovery.late(delay_s)
    dry_s = 10.0 + CHUNK_S + delay_s + MATCH_S + beyond_s
    recovery.ran_dry(10.0, dry_s, CHUNK_S)
    recovery.ran_dry(10.0, dry_s - 2 * beyond_s, CHUNK_S)
    recovery.filled(0.3)
    assert recovery.missed_s == (0.3 if beyond_s < 0 else 0)


def test_what_is_owed_is_taken_back_by_how_early_the_audio_comes() -> None:
    """All leaves so much earlier, once for each window; what is less than it is worth is left."""
    recovery = live(owed_s=0.1)
    source = Source(recovery)
    assert source.window(0.08) == pytest.approx(0.08)
    assert stands(recovery) == (0.02, 0, 0)
    assert source.window(EARLY_S) == 0
    assert source.window(EARLY_S + 1e-6) == pytest.approx(EARLY_S + 1e-6)
    assert source.window(0.3) == pytest.approx(0.02 - EARLY_S - 1e-6)
    assert recovery.owed_s == 0


def test_the_least_of_a_window_counts() -> None:
    recovery = live(owed_s=0.2)
    source = Source(recovery)
    back_s = sum(source.come(early_s) for early_s in (0.2, 0.09, 0.05, *[0.2] * (WINDOW - 3)))
    assert back_s == pytest.approx(0.05)
    assert sum(source.come(inf) for _ in range(2 * WINDOW)) == 0  # no chunk was completed


@pytest.mark.parametrize(("after_s", "begins_anew"), [(0.16, False), (0.18, True), (-0.035, False), (-0.045, True)])
def test_a_window_begins_anew_after_a_gap_and_a_burst(after_s: float, begins_anew: bool) -> None:
    """150 ms behind the audio's own pace, or 60 ms before it."""
    source = Source(live(owed_s=0.2))
    assert source.window(0.1, 9) == 0
    assert source.come(0.1, after_s=after_s) == 0
    back_s = source.window(0.1, 4)
    assert back_s == (0 if begins_anew or after_s < 0 else pytest.approx(0.1))


def test_a_source_that_runs_ahead_is_not_live() -> None:
    """At nine tenths of the time of its audio it is, at three quarters it is not."""
    for pace, back_s in ((0.9, 0.1), (0.75, 0.0)):
        recovery = live(owed_s=0.1)
        source = Source(recovery)
        assert sum(source.come(0.1, after_s=pace * CHUNK_S) for _ in range(WINDOW)) == pytest.approx(back_s)


@pytest.mark.parametrize(("missed_s", "speech"), [(0.5, 320), (0.1, 64), (0.02, 32), (1.0, 320)])
def test_what_was_missed_is_left_out_in_half_a_second(missed_s: float, speech: int) -> None:
    """Of speech the share that it takes for that, a tenth at least; of silence all."""
    recovery = live(missed_s=missed_s)
    assert Source(recovery).window(missed_s) == 0
    assert recovery.cut_s == pytest.approx(missed_s)
    assert recovery.cuts_speech
    assert recovery.samples_to_cut(CHUNK, RATE, quiet=False) == speech
    assert recovery.samples_to_cut(CHUNK, RATE, quiet=True) == CHUNK
    assert recovery.samples_to_cut(10**6, RATE, quiet=True) == round(missed_s * RATE)
    recovery.was_cut(missed_s / 2)
    assert stands(recovery)[1:] == (missed_s / 2, missed_s / 2)
    recovery.was_cut(missed_s / 2 - 1e-7)
    assert (recovery.cut_s, recovery.cuts_speech) == (0, False)
    recovery.was_cut(1.0)
    assert recovery.missed_s == 0


def test_while_speech_is_left_out_nothing_is_judged() -> None:
    recovery = live(missed_s=0.5, owed_s=0.2)
    source = Source(recovery)
    assert source.window(0.7) == pytest.approx(0.2)
    assert recovery.cuts_speech
    assert source.window(0.7, 3 * WINDOW) == 0
    assert stands(recovery) == (0, 0.5, 0.5)


@pytest.mark.parametrize(("ahead_s", "missed_s"), [(MATCH_S + 1e-6, 0), (MATCH_S - 1e-6, 0.2)])
def test_where_the_source_is_further_than_before_nothing_was_missed(ahead_s: float, missed_s: float) -> None:
    recovery = live(missed_s=0.2)
    assert Source(recovery).window(0.2 + ahead_s) == 0
    assert recovery.missed_s == missed_s
    assert recovery.cuts_speech is bool(missed_s)


def test_where_some_never_came_only_silence_goes_and_in_the_end_that_is_given_up() -> None:
    """After three seconds of live audio."""
    recovery = live(missed_s=0.5)
    source = Source(recovery)
    for _ in range(14):
        source.window(0.2)
        assert recovery.missed_s == 0.5
        assert recovery.cut_s == pytest.approx(0.2)
        assert not recovery.cuts_speech
        assert recovery.samples_to_cut(CHUNK, RATE, quiet=False) == 0
        assert recovery.samples_to_cut(CHUNK, RATE, quiet=True) == CHUNK
    source.window(0.2, 2 * WINDOW)
    assert recovery.missed_s == 0


def test_too_little_to_be_cut_is_forgotten() -> None:
    recovery = live(missed_s=0.03)
    assert Source(recovery).window(0.003) == 0
    assert stands(recovery) == (0, 0, 0)
    recovery = live(missed_s=0.3)
    Source(recovery).window(0.003)
    assert stands(recovery) == (0, 0.3, 0)  # the rest may still come


@pytest.mark.parametrize(("queued", "cut_samples"), [(0, 1600), (100, 1700), (40, 1640)])
def test_a_cut_ends_where_chunks_end_with_what_the_source_gives(queued: int, cut_samples: int) -> None:
    """Pieces of 480 samples and chunks of 320 end together at each 160."""
    recovery = live(missed_s=0.1)
    Source(recovery, samples=480, queued=queued).window(0.1, 8)
    assert recovery.cut_s == pytest.approx(cut_samples / RATE)


def test_of_what_is_early_the_cut_has_its_part_and_the_burst_the_rest() -> None:
    recovery = live(missed_s=0.1, owed_s=0.1)
    assert Source(recovery).window(0.2) == pytest.approx(0.1)
    assert stands(recovery) == (0, 0.1, 0.1)


def test_forgetting_is_whole() -> None:
    """Neither what is owed nor a cut nor the judgement of the gap is left."""
    recovery = live(missed_s=0.5, owed_s=0.2)
    Source(recovery).window(0.7)
    recovery.forget()
    assert stands(recovery) == (0, 0, 0)
    assert not recovery.cuts_speech
    recovery.filled(1.0)
    assert stands(recovery) == (0, 0, 0)


def test_a_schedule_tells_what_is_late() -> None:
    """Silence that begins, audio after a pause and after a parked clock: each since it should have been heard."""
    schedule = Schedule(RATE)
    assert schedule.due_s(5.0, 5.0) == 5.0
    schedule.advance(CHUNK)
    schedule.fill_from(5.08)
    assert schedule.recovery.owed_s == pytest.approx(0.06)
    assert schedule.plays_at_s == 5.08
    assert schedule.due_s(5.1, 5.1) == 5.1
    assert schedule.recovery.owed_s == pytest.approx(0.08)
    schedule.advance(CHUNK)
    schedule.park()
    assert not schedule.is_running
    assert schedule.due_s(5.17, 5.17) == 5.17
    assert schedule.recovery.owed_s == pytest.approx(0.13)
    schedule.park()
    schedule.forget()
    assert schedule.due_s(5.3, 5.3) == 5.3
    assert schedule.recovery.owed_s == 0


def test_a_schedule_leaves_earlier_by_what_it_takes_back() -> None:
    """The place of the chunk that was completed says how early it came; without a schedule nothing is judged."""
    schedule = Schedule(RATE)
    schedule.heard(CHUNK, 0, CHUNK, 4.0)
    schedule.ran_dry(4.0, CHUNK)
    assert schedule.due_s(5.0, 5.0) == 5.0
    schedule.recovery.late(0.2)
    for number in range(WINDOW + 1):
        now_s = 5.0 + number * CHUNK_S
        schedule.heard(CHUNK, 5 * CHUNK, CHUNK, now_s)
        schedule.advance(CHUNK)
    # Five chunks are queued in front of it and the schedule is at the one that plays now.
    assert schedule.recovery.owed_s == pytest.approx(0.1)
    assert schedule.plays_at_s == pytest.approx(5.0 + (WINDOW + 1) * CHUNK_S - 0.1)


def test_a_schedule_that_ran_dry_judges_by_what_was_played() -> None:
    for last_came_s, missed_s in ((5.0, 0.3), (4.9, 0.0)):
        schedule = Schedule(RATE)
        schedule.due_s(5.0, 5.0)
        schedule.advance(CHUNK)
        schedule.ran_dry(last_came_s, CHUNK)
        schedule.recovery.filled(0.3)
        assert schedule.recovery.missed_s == missed_s


def test_where_nothing_was_missed_after_all_the_burst_has_everything() -> None:
    """A source that is further than before, and one that missed too little to be cut, give back what is owed."""
    for missed_s, owed_s, early_s in ((0.1, 0.2, 0.5), (0.03, 0.1, 0.103)):
        recovery = live(missed_s=missed_s, owed_s=owed_s)
        assert Source(recovery).window(early_s) == pytest.approx(owed_s)
        assert stands(recovery) == (0, 0, 0)


def test_nothing_is_cut_for_much_more_than_is_missed() -> None:
    """The next place to cut to may lie a little beyond it, and not further."""
    recovery = live(missed_s=0.1)
    Source(recovery, samples=480, queued=100).window(0.139, 8)
    assert recovery.cut_s == pytest.approx((100 + 13 * 160) / RATE)


def test_one_large_piece_is_a_window() -> None:
    """Its length and the chunk's say where a cut may end."""
    recovery = live(missed_s=0.1)
    Source(recovery, samples=4800, queued=100).come(0.1)
    assert recovery.cut_s == pytest.approx(1700 / RATE)


def test_what_a_cut_takes_too_much_the_burst_leaves() -> None:
    """A cut to the next place may be longer than what is missed: all is less early by that."""
    recovery = live(missed_s=0.12, owed_s=0.1)
    assert Source(recovery).window(0.211) == pytest.approx(0.091)
    assert stands(recovery) == (0.009, 0.12, 0.12)


@pytest.mark.parametrize(("queued", "cut_samples"), [(153, 153), (81, 81), (80, 0), (0, 0)])
def test_the_next_place_may_be_within_the_piece(queued: int, cut_samples: int) -> None:
    """Then so little is cut, if it is worth it, and the burst has what is owed."""
    recovery = live(missed_s=0.02, owed_s=0.1)
    assert Source(recovery, samples=480, queued=queued).window(0.101, 8) == pytest.approx(0.1)
    assert recovery.cut_s == pytest.approx(cut_samples / RATE)
    assert recovery.missed_s == (0.02 if cut_samples else 0)


def test_a_cut_that_is_under_way_ends_when_nothing_was_missed() -> None:
    recovery = live(missed_s=0.5)
    source = Source(recovery)
    source.window(0.2)
    assert recovery.cut_s == pytest.approx(0.2)
    source.window(0.6, 2 * WINDOW)
    assert stands(recovery) == (0, 0, 0)


def test_the_delay_that_there_is_makes_a_source_run_dry_later() -> None:
    """What is missed is such a delay as well as what is owed."""
    recovery = live(missed_s=0.1, owed_s=0.1)
    recovery.ran_dry(20.0, 20.0 + CHUNK_S + 0.2 + MATCH_S / 2, CHUNK_S)
    recovery.filled(0.3)
    assert recovery.missed_s == pytest.approx(0.4)
