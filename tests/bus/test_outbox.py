"""What waits for one peer: order, bounds, and what is put back."""

import pytest
import trio
import trio.testing

from trio_transports.bus.outbox import Outbox, Waiting


def data(name: str, audio_s: float = 0.0) -> Waiting:
    return Waiting(name.encode(), False, audio_s)


def system(name: str) -> Waiting:
    return Waiting(name.encode(), True)


async def written(outbox: Outbox) -> list[str]:
    names = []
    while outbox:
        taken = await outbox.take(1)
        names += [waiting.data.decode() for waiting in taken]
        outbox.written(len(taken))
    return names


async def test_system_messages_leave_first() -> None:
    """System messages overtake the data that waits; each kind keeps its order."""
    outbox = Outbox()
    for waiting in (data("a"), system("1"), data("b"), system("2")):
        outbox.put(waiting)
    assert await written(outbox) == ["1", "2", "a", "b"]


async def test_the_oldest_data_goes_first() -> None:
    """Past the number of messages or bytes the oldest data is dropped and counted, system messages last."""
    outbox = Outbox(max_messages=3)
    for waiting in (data("a"), system("1"), data("b"), data("c"), system("2"), system("3"), system("4")):
        outbox.put(waiting)
    assert outbox.dropped == 4
    assert await written(outbox) == ["2", "3", "4"]
    outbox = Outbox(max_bytes=10)
    for name in ("aaaa", "bbbb", "cccc"):
        outbox.put(data(name))
    assert outbox.waiting_bytes == 8
    assert await written(outbox) == ["bbbb", "cccc"]


async def test_a_message_larger_than_the_bound_is_sent_alone() -> None:
    """The last message is never dropped, so that a bound that is too small still lets one through."""
    outbox = Outbox(max_bytes=2)
    outbox.put(data("too long"))
    outbox.put(data("also too long"))
    assert await written(outbox) == ["also too long"]


async def test_audio_has_a_bound_in_seconds() -> None:
    """Past the seconds of audio the oldest audio goes, and what is not audio stays."""
    outbox = Outbox(max_audio_s=1.0)
    for number in range(10):
        outbox.put(data(f"a{number}", 0.25))
        outbox.put(data(f"t{number}"))
    assert await written(outbox) == [*(f"t{n}" for n in range(6)), "a6", "t6", "a7", "t7", "a8", "t8", "a9", "t9"]
    assert outbox.dropped == 6


async def test_a_lower_bound_applies_at_once() -> None:
    """When a connection is lost the audio that waits is cut to the newest that is still worth hearing."""
    outbox = Outbox()
    for number in range(20):
        outbox.put(data(f"a{number}", 0.1))
    outbox.limit_audio(0.3)
    assert len(outbox) in (2, 3)
    assert (await written(outbox))[-1] == "a19"


@pytest.mark.parametrize(
    ("bounds", "kept", "one_more"),
    [
        ({"max_messages": 2}, [data("a"), data("b")], data("c")),
        ({"max_messages": 2}, [system("1"), data("b")], data("c")),
        ({"max_bytes": 4}, [data("aa"), data("bb")], data("c")),
        ({"max_audio_s": 1}, [data("a", 0.5), data("b", 0.5)], data("c", 0.25)),
        ({"max_audio_s": 1}, [data("a", 0.5), data("t"), data("b", 0.5)], data("c", 0.25)),
    ],
)
async def test_what_just_fits_is_kept(bounds: dict[str, int], kept: list[Waiting], one_more: Waiting) -> None:
    """A full outbox has lost nothing, one that is overfull its oldest; and the same again once all has left."""
    outbox = Outbox(**bounds)
    for round_ in (1, 2):
        for waiting in kept:
            outbox.put(waiting)
        assert (len(outbox), outbox.dropped) == (len(kept), round_ - 1)
        outbox.put(one_more)
        assert outbox.dropped == round_
        assert one_more.data.decode() in await written(outbox)
        assert outbox.waiting_bytes == 0


async def test_only_audio_counts_as_audio() -> None:
    """The only audio that waits stays, be it longer than the bound, and what is not audio beside it."""
    outbox = Outbox(max_audio_s=1.0)
    for _ in range(2):
        outbox.put(data("t"))
        outbox.put(data("long", 5.0))
        outbox.put(system("1"))
        assert await written(outbox) == ["1", "t", "long"]
    assert outbox.dropped == 0


async def test_what_has_left_is_no_audio_that_waits() -> None:
    """Whatever it was: the oldest of two goes where they are too long, and one alone stays."""
    outbox = Outbox(max_audio_s=1.0)
    outbox.put(data("t"))
    outbox.put(data("a", 0.9))
    assert outbox.take_now() == data("t")
    outbox.put(data("b", 0.9))
    assert outbox.dropped == 1
    assert outbox.take_now() == data("b", 0.9)
    outbox.put(data("long", 5.0))
    assert outbox.dropped == 1
    outbox.put(data("longer", 6.0))
    assert outbox.dropped == 2
    assert await written(outbox) == ["longer"]


async def test_audio_that_has_left_takes_no_room() -> None:
    """What was taken, by either way, makes room for as much audio behind what still waits."""
    outbox = Outbox(max_audio_s=1.0)
    outbox.put(data("first", 0.5))
    for number in range(6):
        outbox.put(data(str(number), 0.5))
        if number % 2:
            assert outbox.take_now() is not None
        else:
            outbox.written(len(await outbox.take(1)))
    assert outbox.dropped == 0
    outbox.put(data("6", 0.5))
    outbox.put(data("7", 0.5))
    assert outbox.dropped == 1
    assert await written(outbox) == ["6", "7"]


async def test_audio_that_was_put_back_takes_its_room_again() -> None:
    """So the bound holds over a connection that was lost, and the oldest audio goes."""
    outbox = Outbox(max_audio_s=1.0)
    outbox.put(data("a", 0.5))
    assert await outbox.take(1) == [data("a", 0.5)]
    for name in ("b", "c"):
        outbox.put(data(name, 0.5))
    outbox.put_back()
    assert await written(outbox) == ["b", "c"]


async def test_stale_audio_is_dropped() -> None:
    """Audio from before a time goes and is counted; later audio, and all that is not audio, stays in its order."""
    outbox = Outbox()
    for number, audio_s in enumerate((0.5, 0.0, 0.5, 0.5, 0.0)):
        outbox.put(Waiting(str(number).encode(), False, audio_s, at_s=float(number)))
    outbox.drop_stale_audio(3.0)
    assert (outbox.dropped, outbox.waiting_bytes) == (2, 3)
    assert await written(outbox) == ["1", "3", "4"]


async def test_requests_end_with_their_connection() -> None:
    """They are gone without being counted: who asked is told. All else waits on, those taken before it too."""
    outbox = Outbox()
    for number in range(5):
        outbox.put(Waiting(str(number).encode(), False, is_request=number % 2 == 0))
    outbox.put(system("s"))
    outbox.drop_requests()
    assert (outbox.dropped, outbox.waiting_bytes) == (0, 3)
    assert await written(outbox) == ["s", "1", "3"]


async def test_what_waits_is_rewritten_for_another_peer() -> None:
    """All of it, in its order, with its new size; what it is stays known."""
    outbox = Outbox(max_bytes=8)
    for waiting in (Waiting(b"a", False, is_request=True), data("b", 0.5), system("1")):
        outbox.put(waiting)
    outbox.translate(lambda old: old * 2)
    assert outbox.waiting_bytes == 6
    outbox.put(data("cc"))
    assert outbox.dropped == 0
    outbox.drop_requests()
    outbox.drop_stale_audio(1.0)
    assert await written(outbox) == ["11", "cc"]


async def test_what_was_not_written_is_first_again() -> None:
    """A message that was taken and not written comes before what was put meanwhile."""
    outbox = Outbox()
    outbox.put(data("a"))
    assert await outbox.take(1) == [data("a")]
    outbox.put(data("b"))
    outbox.put(system("1"))
    outbox.put_back()
    outbox.put_back()
    assert await written(outbox) == ["1", "a", "b"]


async def test_several_are_taken_at_once() -> None:
    """As many as the bytes hold, one at least; what of them is not written is first again, in its order; twice."""
    outbox = Outbox()
    for _ in range(2):
        for name in ("aa", "bb", "cc", "dddd"):
            outbox.put(data(name))
        outbox.put(system("11"))
        assert await outbox.take(8) == [system("11"), data("aa"), data("bb"), data("cc")]
        outbox.written(2)
        outbox.put(system("22"))
        outbox.put_back()
        assert await outbox.take(1) == [system("22")]
        outbox.written(1)
        assert await written(outbox) == ["bb", "cc", "dddd"]
        assert outbox.waiting_bytes == 0


async def test_what_was_begun_means_nothing_later() -> None:
    """A write that a lost connection had begun is not waited for on the next; what waited behind it comes."""
    outbox = Outbox()
    for is_taken in (True, False):
        outbox.begun()
        outbox.put(data("a"))
        if is_taken:
            assert await outbox.take(10) == []
        outbox.put_back()
        assert await written(outbox) == ["a"]


async def test_waiting_for_empty_waits_for_the_last_write(autojump_clock: trio.testing.MockClock) -> None:
    """``wait_empty`` returns when the last message is written, not when it is taken."""
    outbox = Outbox()
    outbox.put(data("a"))
    log: list[str] = []

    async def waiter() -> None:
        await outbox.wait_empty()
        log.append("empty")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(waiter)
        await outbox.take(1)
        await trio.sleep(1)
        log.append("writing")
        outbox.written(1)
    assert log == ["writing", "empty"]


async def test_waiting_for_empty_ends_where_nothing_will_be_written(autojump_clock: trio.testing.MockClock) -> None:
    """With the requests that are dropped, and with what was begun on a connection that is lost; each time."""
    outbox = Outbox()

    def ask() -> None:
        outbox.put(Waiting(b"a", False, is_request=True))

    for _ in range(2):
        for waits, ends in ((ask, outbox.drop_requests), (outbox.begun, outbox.put_back)):
            waits()
            with trio.fail_after(1):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(outbox.wait_empty)
                    await trio.testing.wait_all_tasks_blocked()
                    ends()


async def test_waiting_for_empty_waits_for_what_is_begun(autojump_clock: trio.testing.MockClock) -> None:
    """What the connection has begun by itself is waited for too, each time, and the wait is always a checkpoint."""
    outbox = Outbox()
    for _ in range(2):
        outbox.begun()
        with trio.move_on_after(1) as limit:
            await outbox.wait_empty()
        assert limit.cancelled_caught
        async with trio.open_nursery() as nursery:
            nursery.start_soon(outbox.wait_empty)
            await trio.testing.wait_all_tasks_blocked()
            outbox.flushed()
        with trio.testing.assert_checkpoints():
            await outbox.wait_empty()


async def test_cancelling_a_take_loses_nothing(autojump_clock: trio.testing.MockClock) -> None:
    """A writer that is cancelled while it waits takes nothing with it."""
    outbox = Outbox()
    with trio.move_on_after(1):
        await outbox.take(1)
    outbox.put(data("a"))
    with trio.CancelScope() as scope:
        scope.cancel()
        await outbox.take(1)
    assert await written(outbox) == ["a"]


def test_what_is_taken_for_good_leaves_in_the_same_order() -> None:
    """One by one, each once, whichever kinds there are; it waits no longer, and is not put back."""
    for names in (["a", "1"], ["a", "b"], ["1", "2"], []):
        outbox = Outbox()
        for name in names:
            outbox.put(system(name) if name.isdigit() else data(name))
        taken = []
        while (waiting := outbox.take_now()) is not None:
            taken.append(waiting.data.decode())
            assert len(outbox) == len(names) - len(taken) == outbox.waiting_bytes
        assert taken == sorted(names)
        outbox.put_back()
        assert not outbox


async def test_who_waits_for_something_to_write_hears_of_what_is_begun(autojump_clock: trio.testing.MockClock) -> None:
    """It gets nothing then: the connection is to be left to finish that first. What is put it gets. Twice."""
    outbox = Outbox()
    for _ in range(2):
        taken: list[list[Waiting]] = []

        async def take(taken: list[list[Waiting]]) -> None:
            taken.append(await outbox.take(1))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(take, taken)
            await trio.testing.wait_all_tasks_blocked()
            assert taken == []
            outbox.begun()
        assert taken == [[]]
        outbox.flushed()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(take, taken)
            await trio.testing.wait_all_tasks_blocked()
            outbox.put(data("a"))
        assert taken == [[], [data("a")]]
        outbox.written(1)
