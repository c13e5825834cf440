"""When a picture track shows what: its rules by themselves, with the time as a number."""

from collections.abc import Sequence
from itertools import pairwise
from random import Random

import pytest

from trio_transports.frames import ImageFrame
from trio_transports.serializers import Message
from trio_transports.session.pictures import LiveShowing, Showing, StillShowing

RATE = 30


def image(number: int) -> ImageFrame:
    return ImageFrame(image=bytes((number % 256,)) * 3, size=(1, 1))


def prepare(showing: Showing, now_s: float) -> bool:
    """Prepare the next picture, at no cost of time."""
    job = showing.job(now_s)
    if job is None:
        return False
    showing.prepared(job, [(one.image,) for one in job.images])
    return True


def play(showing: Showing, until_s: float, *, since_s: float = 0.0) -> list[tuple[float, Message]]:
    """Show everything at its time, with an alarm that is never late."""
    shown: list[tuple[float, Message]] = []
    while True:
        while prepare(showing, since_s):
            pass
        now_s = max(since_s, showing.next_time())
        if now_s > until_s:
            return shown
        messages = showing.show(now_s)
        shown += [(now_s, message) for message in messages]
        since_s = now_s


def messages(shown: Sequence[tuple[float, Message]]) -> list[int]:
    return [bytes(message)[0] for _, message in shown if isinstance(message, bytes)]


def test_a_clip_sent_at_once_plays_in_real_time() -> None:
    """A minute of pictures, all sent at one moment: each at its own time, to the nanosecond, none lost."""
    live = LiveShowing(RATE)
    live.offer(tuple(image(n) for n in range(60 * RATE)), 10.0)
    shown = play(live, 100.0, since_s=10.0)
    assert len(shown) == 60 * RATE
    assert all(at_s == pytest.approx(10.0 + n / RATE, abs=1e-9) for n, (at_s, _) in enumerate(shown))
    assert not live.dropped
    assert not live.is_waiting


def test_a_producer_with_jitter_keeps_its_rate() -> None:
    """Pictures that come up to 10 ms early or late leave at the rate at which they come."""
    random, live = Random(3), LiveShowing(RATE)
    shown: list[tuple[float, Message]] = []
    for n in range(1800):
        at_s = 1 + n / RATE + random.uniform(-0.01, 0.01)
        shown += play(live, at_s - 1e-9, since_s=at_s - 0.02)
        live.offer((image(n),), at_s)
    shown += play(live, 100, since_s=61)
    assert len(shown) + live.dropped == 1800
    assert live.dropped < 20
    assert (shown[-1][0] - shown[0][0]) == pytest.approx(1799 / RATE, rel=0.001)


def test_after_a_pause_the_next_picture_is_due_at_once_twice() -> None:
    live = LiveShowing(RATE)
    for begin_s in (5.0, 50.0, 500.0):
        live.offer((image(1), image(2)), begin_s)
        assert [at_s for at_s, _ in play(live, begin_s + 1, since_s=begin_s)] == [begin_s, begin_s + 1 / RATE]


def test_an_encoder_at_half_speed_shows_half_as_many() -> None:
    """Each picture takes two periods to prepare: every second one is shown, in order."""
    live = LiveShowing(RATE)
    period_s, finished_s = 1 / RATE, 0.0
    shown: list[Message] = []
    for n in range(300):
        now_s = n * period_s
        live.offer((image(n % 256),), now_s)
        if now_s >= finished_s and (job := live.job(now_s)) is not None:
            finished_s = now_s + 2 * period_s
            live.prepared(job, [(job.images[0].image,)])
            shown += live.show(finished_s)
    assert 140 <= len(shown) <= 152
    assert len(shown) + live.dropped + len(live._waiting) == 300
    numbers = [bytes(message)[0] for message in shown if isinstance(message, bytes)]
    assert all(later > earlier or later < 10 for earlier, later in pairwise(numbers))


def test_after_a_stall_only_the_newest_is_shown() -> None:
    """Ten were due while the wire was stuck: the newest that is prepared, then the newest; eight are dropped."""
    live = LiveShowing(RATE)
    live.offer(tuple(image(n) for n in range(10)), 0.0)
    while prepare(live, 0.0):
        pass
    assert live.show(1.0) == (image(2).image,)
    assert prepare(live, 1.0)
    assert live.show(1.0) == (image(9).image,)
    assert live.dropped == 8
    assert live.show(1.0) == ()


def test_what_was_dropped_before_it_was_prepared_costs_no_encoding() -> None:
    live = LiveShowing(RATE)
    live.offer(tuple(image(n) for n in range(10)), 0.0)
    job = live.job(1.0)
    assert job is not None
    assert job.images == (image(9),)
    assert live.dropped == 9


def test_an_interruption_drops_what_waits_and_the_next_begins_at_once() -> None:
    """Done twice; what comes after it does not wait for the time of what was dropped."""
    live = LiveShowing(RATE)
    for round_ in range(2):
        now_s = 10.0 * round_
        live.offer(tuple(image(n) for n in range(30)), now_s)
        play(live, now_s + 0.1, since_s=now_s)
        live.interrupt()
        assert not live.is_waiting
        assert live.next_time() == float("inf")
        live.offer((image(99),), now_s + 0.2)
        assert messages(play(live, now_s + 1, since_s=now_s + 0.2)) == [99]
    assert live.dropped == 2 * 26


def test_a_still_picture_is_shown_once() -> None:
    """The peer keeps what it was shown: sent again, it is shown again. Done three times."""
    still = StillShowing(RATE)
    for round_ in range(3):
        still.offer((image(7),), 2.0 * round_)
        assert play(still, 2.0 * round_ + 2, since_s=2.0 * round_) == [(2.0 * round_, image(7).image)]
        assert not still.is_waiting
        assert still.next_time() == float("inf")


def test_still_pictures_follow_each_other_at_the_framerate_and_the_newest_wins() -> None:
    """Ten in a row, each prepared at once, are two: the first, and the last when the first has had its time."""
    still = StillShowing(RATE)
    shown = []
    for n in range(10):
        still.offer((image(n),), n * 0.001)
        shown += play(still, n * 0.001, since_s=n * 0.001)
    shown += play(still, 1.0, since_s=0.01)
    assert shown == [(0.0, image(0).image), (pytest.approx(1 / RATE), image(9).image)]
    assert still.dropped == 8


def test_a_peer_that_was_lost_is_shown_the_still_picture_again() -> None:
    """Done twice; where nothing was ever shown there is nothing to show again."""
    still = StillShowing(RATE)
    still.again()
    assert still.next_time() == float("inf")
    still.offer((image(4),), 0.0)
    assert messages(play(still, 1.0)) == [4]
    for round_ in (1.0, 2.0):
        still.again()
        assert messages(play(still, round_ + 1, since_s=round_)) == [4]


def test_a_sprite_goes_round() -> None:
    still = StillShowing(RATE)
    still.offer((image(1), image(2), image(3)), 0.0)
    assert messages(play(still, 7.5 / RATE)) == [1, 2, 3, 1, 2, 3, 1, 2]


def test_another_picture_takes_the_place_of_the_last() -> None:
    """Done twice, with sprites; the schedule goes on as it was."""
    still = StillShowing(RATE)
    shown = []
    for n in range(3):
        still.offer((image(n), image(n)), n * 0.5)
        shown += play(still, (n + 1) * 0.5 - 1e-6, since_s=n * 0.5)
    assert messages(shown) == [0] * 15 + [1] * 15 + [2] * 15
    assert all(at_s == pytest.approx(n / RATE, abs=1e-9) for n, (at_s, _) in enumerate(shown))


def test_what_was_never_shown_is_counted() -> None:
    still = StillShowing(RATE)
    still.offer((image(1), image(2)), 0.0)
    still.offer((image(3),), 0.0)
    assert still.dropped == 2
    assert messages(play(still, 0.01)) == [3]


def test_missed_turns_are_not_made_up_for() -> None:
    still = StillShowing(RATE)
    still.offer((image(1), image(2)), 0.0)
    prepare(still, 0.0)
    assert still.show(0.0)
    assert still.show(3.0)
    assert not still.show(3.0)
    assert still.next_time() == pytest.approx(3.0 + 1 / RATE)


def test_an_interruption_leaves_the_still_picture() -> None:
    still = StillShowing(RATE)
    still.offer((image(1),), 0.0)
    play(still, 0.5)
    still.offer((image(2),), 0.5)
    still.interrupt()
    assert still.dropped == 1
    assert play(still, 1.0, since_s=0.5) == []
    still.again()
    assert messages(play(still, 1.0, since_s=0.5)) == [1]


@pytest.mark.parametrize("make", [LiveShowing, StillShowing])
def test_what_waits_is_counted_in_bytes(make: type[LiveShowing | StillShowing]) -> None:
    showing = make(RATE)
    showing.offer((ImageFrame(image=bytes(1000), size=(10, 10)),), 0.0)
    assert showing.waiting_bytes == 1000
    prepare(showing, 0.0)
    showing.show(0.0)
    assert showing.waiting_bytes == 0
