"""When a picture track shows what: its rules by themselves, with the time as a number."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from random import Random

import pytest

from trio_transports.frames import ImageFrame
from trio_transports.serializers import Message
from trio_transports.session.pictures import LiveShowing, Showing, StillShowing

RATE = 30
KEEPS_BYTES = 1000


def image(number: int) -> ImageFrame:
    return ImageFrame(image=bytes((number % 256,)) * 3, size=(1, 1))


def prepare(showing: Showing, now_s: float) -> bool:
    """Prepare the next picture, at no cost of time."""
    job = showing.job(now_s)
    if job is None:
        return False
    showing.prepared(job, (job.image.image,))
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
            live.prepared(job, (job.image.image,))
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
    assert job.image == image(9)
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
    still = StillShowing(RATE, KEEPS_BYTES)
    for round_ in range(3):
        still.offer((image(7),), 2.0 * round_)
        assert play(still, 2.0 * round_ + 2, since_s=2.0 * round_) == [(2.0 * round_, image(7).image)]
        assert not still.is_waiting
        assert still.next_time() == float("inf")


def test_still_pictures_follow_each_other_at_the_framerate_and_the_newest_wins() -> None:
    """Ten in a row, each prepared at once, are two: the first, and the last when the first has had its time."""
    still = StillShowing(RATE, KEEPS_BYTES)
    shown = []
    for n in range(10):
        still.offer((image(n),), n * 0.001)
        shown += play(still, n * 0.001, since_s=n * 0.001)
    shown += play(still, 1.0, since_s=0.01)
    assert shown == [(0.0, image(0).image), (pytest.approx(1 / RATE), image(9).image)]
    assert still.dropped == 8


def test_a_peer_that_was_lost_is_shown_the_still_picture_again() -> None:
    """Done twice; where nothing was ever shown there is nothing to show again."""
    still = StillShowing(RATE, KEEPS_BYTES)
    still.again()
    assert still.next_time() == float("inf")
    still.offer((image(4),), 0.0)
    assert messages(play(still, 1.0)) == [4]
    for round_ in (1.0, 2.0):
        still.again()
        assert messages(play(still, round_ + 1, since_s=round_)) == [4]


def test_a_sprite_goes_round() -> None:
    still = StillShowing(RATE, KEEPS_BYTES)
    still.offer((image(1), image(2), image(3)), 0.0)
    assert messages(play(still, 7.5 / RATE)) == [1, 2, 3, 1, 2, 3, 1, 2]


def test_another_picture_takes_the_place_of_the_last() -> None:
    """Done twice, with sprites; the schedule goes on as it was."""
    still = StillShowing(RATE, KEEPS_BYTES)
    shown = []
    for n in range(3):
        still.offer((image(n), image(n)), n * 0.5)
        shown += play(still, (n + 1) * 0.5 - 1e-6, since_s=n * 0.5)
    assert messages(shown) == [0] * 15 + [1] * 15 + [2] * 15
    assert all(at_s == pytest.approx(n / RATE, abs=1e-9) for n, (at_s, _) in enumerate(shown))


def test_what_was_never_shown_is_counted() -> None:
    still = StillShowing(RATE, KEEPS_BYTES)
    still.offer((image(1), image(2)), 0.0)
    still.offer((image(3),), 0.0)
    assert still.dropped == 2
    assert messages(play(still, 0.01)) == [3]


def test_missed_turns_are_not_made_up_for() -> None:
    still = StillShowing(RATE, KEEPS_BYTES)
    still.offer((image(1), image(2)), 0.0)
    while prepare(still, 0.0):
        pass
    assert still.show(0.0)
    assert still.show(3.0)
    assert not still.show(3.0)
    assert still.next_time() == pytest.approx(3.0 + 1 / RATE)


def test_an_interruption_leaves_the_still_picture() -> None:
    still = StillShowing(RATE, KEEPS_BYTES)
    still.offer((image(1),), 0.0)
    play(still, 0.5)
    still.offer((image(2),), 0.5)
    still.interrupt()
    assert still.dropped == 1
    assert play(still, 1.0, since_s=0.5) == []
    still.again()
    assert messages(play(still, 1.0, since_s=0.5)) == [1]


@pytest.mark.parametrize("make", [LiveShowing, partial(StillShowing, keeps_bytes=KEEPS_BYTES)])
def test_what_waits_is_counted_in_bytes(make: Callable[[int], Showing]) -> None:
    showing = make(RATE)
    showing.offer((ImageFrame(image=bytes(1000), size=(10, 10)),), 0.0)
    assert showing.waiting_bytes == 1000
    prepare(showing, 0.0)
    showing.show(0.0)
    assert showing.waiting_bytes == 0


def drawn(showing: Showing, sizes: Sequence[int]) -> int | None:
    """Prepare the next picture, which grows to the size that its own number has here; give its number."""
    job = showing.job(0.0)
    if job is None:
        return None
    number = job.image.image[0]
    showing.prepared(job, (bytes((number,)) * sizes[number],))
    return number


@pytest.mark.parametrize("size_bytes", [100, 400, 999, 1000, 5000])
def test_a_sprite_that_grows_takes_its_bound_and_one_picture_more(size_bytes: int) -> None:
    """A hundred pictures of three bytes, each larger by far once it is prepared: all are shown in turn, twice."""
    still, most, shown = StillShowing(RATE, KEEPS_BYTES), 0, list[int]()
    still.offer(tuple(image(n) for n in range(100)), 0.0)
    for turn in range(200):
        while drawn(still, [size_bytes] * 100) is not None:
            most = max(most, still.kept_bytes)
        (message,) = still.show(turn / RATE + 1e-9)
        assert len(message) == size_bytes
        shown.append(bytes(message)[0])  # type: ignore[arg-type]
    assert shown == [*range(100)] * 2
    assert min(KEEPS_BYTES, 100 * size_bytes) <= most <= KEEPS_BYTES + size_bytes


def test_what_fits_is_prepared_once_and_its_source_is_let_go_of() -> None:
    """A sprite within the bound costs no work in its second round, nor memory twice."""
    still = StillShowing(RATE, KEEPS_BYTES)
    still.offer((image(0), image(1), image(2)), 0.0)
    assert [drawn(still, [300] * 3) for _ in range(4)] == [0, 1, 2, None]
    assert still.kept_bytes == 900
    for turn in range(9):
        assert still.show(turn / RATE + 1e-9)
        assert drawn(still, [300] * 3) is None


def test_what_does_not_fit_is_prepared_for_its_turn_one_ahead() -> None:
    """Of four pictures of which two can be kept, the others are prepared again in each round."""
    still, prepared = StillShowing(RATE, KEEPS_BYTES), list[int]()
    still.offer(tuple(image(n) for n in range(4)), 0.0)
    for turn in range(12):
        while (number := drawn(still, [500] * 4)) is not None:
            prepared.append(number)
        assert messages([(0.0, one) for one in still.show(turn / RATE + 1e-9)]) == [turn % 4]
    assert prepared == [0, 1, 2, 3, 0, 3, 0, 3]
    assert still.kept_bytes <= KEEPS_BYTES + 500


def test_the_first_of_a_sprite_is_shown_while_the_others_are_prepared() -> None:
    still = StillShowing(RATE, KEEPS_BYTES)
    still.offer((image(1), image(2)), 0.0)
    assert prepare(still, 0.0)
    assert still.show(0.0) == (image(1).image,)
    assert still.show(1.0) == ()
    assert prepare(still, 1.0)
    assert still.show(1.0) == (image(2).image,)


@pytest.mark.parametrize("broken", [[0], [1], [2], [0, 1], [1, 2], [0, 2]])
def test_a_sprites_broken_pictures_are_left_out(broken: list[int]) -> None:
    """The others take their turns; where nothing is left, the last picture stays."""
    still = StillShowing(RATE, KEEPS_BYTES)
    still.offer((image(0), image(1), image(2)), 0.0)
    while (job := still.job(0.0)) is not None:
        is_broken = job.image.image[0] in broken
        still.prepared(job, None if is_broken else (job.image.image,))
    whole = [n for n in range(3) if n not in broken]
    wanted = whole * 3 if len(whole) > 1 else whole
    assert messages(play(still, (len(wanted) - 0.5) / RATE)) == wanted
    still.offer((image(7),), 1.0)
    job = still.job(1.0)
    assert job is not None
    still.prepared(job, None)
    assert not still.is_waiting
    still.again()
    assert messages(play(still, 1.001, since_s=1.0)) == whole[:1]


def test_a_still_track_shows_something_however_much_faster_pictures_come_than_they_are_prepared() -> None:
    """Of a hundred, each takes longer to prepare than the next takes to come: what was begun is shown, in order."""
    still = StillShowing(RATE, KEEPS_BYTES)
    shown: list[Message] = []
    begun: list[int] = []
    for n in range(0, 100, 2):
        still.offer((image(n),), n / RATE)
        job = still.job(n / RATE)
        assert job is not None
        begun.append(job.image.image[0])
        still.offer((image(n + 1),), (n + 1) / RATE)
        still.prepared(job, (job.image.image,))
        shown += still.show((n + 1) / RATE)
    assert [bytes(message)[0] for message in shown if isinstance(message, bytes)] == begun == list(range(0, 100, 2))
    assert messages(play(still, 10.0, since_s=100 / RATE)) == [99]
    assert still.dropped == 49


@pytest.mark.parametrize("interrupted", [False, True])
def test_what_was_begun_is_dropped_by_an_interruption_or_if_it_is_no_picture(*, interrupted: bool) -> None:
    """Once something newer was sent. Done twice, each with a sprite whose first picture is being prepared."""
    still = StillShowing(RATE, KEEPS_BYTES)
    for round_ in (1, 2):
        still.offer((image(1), image(2)), 0.0)
        job = still.job(0.0)
        assert job is not None
        still.offer((image(3),), 0.0)
        assert still.waiting_bytes == 9
        if interrupted:
            still.interrupt()
            assert not still.is_waiting
            assert still.waiting_bytes == 0
        still.prepared(job, (job.image.image,) if interrupted else None)
        assert messages(play(still, float(round_), since_s=float(round_))) == [3] * (not interrupted)
        assert still.dropped == round_ * (3 if interrupted else 2)


@pytest.mark.parametrize("turns", range(8))
def test_a_sprites_pictures_are_shown_or_counted_each_by_itself(turns: int) -> None:
    """Of two sprites that were replaced after so many turns, and of a third that is given up at the end."""
    still = StillShowing(RATE, KEEPS_BYTES)
    dropped = 0
    for round_ in range(3):
        still.offer((image(1), image(2), image(3)), 10.0 * round_)
        shown = play(still, 10.0 * round_ + (turns - 0.5) / RATE, since_s=10.0 * round_)
        assert len(shown) == turns
        dropped += 3 - min(turns, 3)
        if round_ < 2:
            still.offer((image(9),), 10.0 * round_ + 5)
            assert messages(play(still, 10.0 * round_ + 6, since_s=10.0 * round_ + 5))[-1:] == [9]
            assert still.dropped == dropped
    still.give_up()
    still.give_up()
    assert still.dropped == dropped
    assert not still.is_waiting
    assert still.next_time() == float("inf")


def test_what_was_prepared_and_waits_for_its_turn_is_given_up_once() -> None:
    """With what was begun, and what was sent after that."""
    still = StillShowing(RATE, KEEPS_BYTES)
    still.offer((image(0),), 0.0)
    assert messages(play(still, 0.0)) == [0]
    still.offer((image(1),), 0.0)
    assert prepare(still, 0.0)
    still.offer((image(2),), 0.0)
    job = still.job(0.0)
    assert job is not None
    still.offer((image(3),), 0.0)
    assert still.ends_at_s == pytest.approx(2 / RATE)  # the one that waits has its turn, and then the newest
    still.give_up()
    still.prepared(job, (job.image.image,))
    assert still.dropped == 3
    assert not still.is_waiting


def test_what_is_prepared_for_something_that_was_replaced_is_thrown_away() -> None:
    """Twice: while the first picture is prepared, and while a later one of a sprite that is shown is."""
    still = StillShowing(RATE, KEEPS_BYTES)
    for first in (1, 5):
        still.offer((image(first), image(first + 1)), 0.0)
        late = still.job(0.0)
        assert late is not None
        still.offer((image(first + 2),), 0.0)
        still.prepared(late, (late.image.image,))
        assert prepare(still, 0.0)
        still.prepared(late, (late.image.image,))
        assert messages(play(still, 10.0 * first, since_s=10.0 * first)) == [first + 2]
    still.offer((image(1), image(2)), 100.0)
    assert prepare(still, 100.0)
    late = still.job(100.0)
    assert late is not None
    still.offer((image(9),), 100.0)
    assert prepare(still, 100.0)
    still.prepared(late, (late.image.image,))
    assert messages(play(still, 101.0, since_s=100.0)) == [9]
