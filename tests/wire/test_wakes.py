"""Wakes that sockets share: who is watched, who is woken, and by what. From pipes, in virtual time."""

import os
import select
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import pytest
import trio
import trio.testing
from attrs import define, field

from trio_transports.wire.wakes import ALARMS_S, BUSY_SOCKETS, HOLD_S, Seat, SharedWakes, shared_wakes

MANY: Final = BUSY_SOCKETS + 1


@define(eq=False)
class Place:
    """A pipe, and the seat of who reads it."""

    seat: Seat
    ends: tuple[int, int]

    @classmethod
    def at(cls, wakes: SharedWakes) -> "Place":
        ends = os.pipe()
        os.set_blocking(ends[0], False)
        return cls(wakes.seat(ends[0]), ends)

    def write(self, data: bytes = b"x") -> None:
        os.write(self.ends[1], data)

    def read(self) -> bytes:
        return os.read(self.ends[0], 100)


@define(eq=False)
class Room:
    wakes: SharedWakes
    places: list[Place] = field(factory=list)
    nursery: trio.Nursery = field(init=False)

    def sit(self) -> Place:
        self.places.append(Place.at(self.wakes))
        return self.places[-1]


@asynccontextmanager
async def room(monkeypatch: pytest.MonkeyPatch, *, is_held_back: bool = False) -> AsyncIterator[Room]:
    """Where wakes are shared; held back all the time, or never, as if many or few were heard."""
    monkeypatch.setattr(SharedWakes, "is_held_back", lambda _: is_held_back)
    made = Room(SharedWakes(select.epoll()))
    try:
        async with trio.open_nursery() as made.nursery:
            made.nursery.start_soon(made.wakes.run)
            await trio.testing.wait_all_tasks_blocked()
            yield made
            made.nursery.cancel_scope.cancel()
    finally:
        for place in made.places:
            place.seat.leave()
            for end in place.ends:
                os.close(end)


def taking(place: Place, got: list[bytes], until: bytes) -> Callable[[], bool]:
    def take() -> bool:
        got.append(place.read())
        return got[-1] == until

    return take


@pytest.mark.parametrize("is_held_back", [False, True])
async def test_what_is_taken_wakes_nobody_until_it_is_enough(
    is_held_back: bool, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """It is called at each wake, in order. Twice."""
    async with room(monkeypatch, is_held_back=is_held_back) as made:
        place, got, ends = made.sit(), list[bytes](), list[int]()

        async def read() -> None:
            await place.seat.readable(taking(place, got, b"enough"))
            ends.append(len(got))

        for turn in (1, 2):
            made.nursery.start_soon(read)
            await trio.testing.wait_all_tasks_blocked()
            for word in (b"a", b"b", b"enough"):
                assert len(ends) == turn - 1
                place.write(word)
                await trio.sleep(2 * HOLD_S)
                await trio.testing.wait_all_tasks_blocked()
                assert got[-1] == word
            assert ends == [3 * each for each in range(1, turn + 1)]
        assert bool(made.wakes.held) is is_held_back


async def test_what_taking_raises_is_the_readers(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """Whatever it is; the others are heard as ever, and so is it the next time."""
    async with room(monkeypatch) as made:
        place, got, other, heard = made.sit(), list[BaseException](), made.sit(), list[bytes]()

        def fail() -> bool:
            place.read()
            raise KeyboardInterrupt

        async def read() -> None:
            try:
                await place.seat.readable(fail)
            except KeyboardInterrupt as exc:
                got.append(exc)

        async def listen() -> None:
            await other.seat.readable(taking(other, heard, b"end"))

        made.nursery.start_soon(listen)
        for turn in (1, 2):
            made.nursery.start_soon(read)
            await trio.testing.wait_all_tasks_blocked()
            place.write()
            other.write(b"word")
            await trio.testing.wait_all_tasks_blocked()
            assert (len(got), heard) == (turn, [b"word"] * turn)


async def test_who_is_not_read_is_watched_no_longer(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """From its first wake on; nothing spins for it, and whoever reads it again finds what is there."""
    async with room(monkeypatch) as made:
        place, got = made.sit(), list[bytes]()
        with trio.move_on_after(1):
            await place.seat.readable(taking(place, got, b"enough"))
        assert (place.seat.is_watched, made.wakes.watched) == (True, 1)
        place.write(b"unread")
        await trio.testing.wait_all_tasks_blocked()
        assert (place.seat.is_watched, made.wakes.watched, got) == (False, 0, [])
        await place.seat.readable(taking(place, got, b"unread"))
        assert got == [b"unread"]


async def test_who_reads_by_itself_is_woken_each_time(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """And stays watched between: to be watched anew costs as much as all the rest."""
    async with room(monkeypatch, is_held_back=True) as made:
        place = made.sit()
        for word in (b"a", b"b", b"c"):
            place.write(word)
            await place.seat.readable()
            assert place.read() == word
            assert (place.seat.is_watched, made.wakes.watched) == (True, 1)


async def test_two_readers_are_a_mistake(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    async with room(monkeypatch) as made:
        place = made.sit()
        made.nursery.start_soon(place.seat.readable, lambda: True)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError, match="another task is reading"):
            await place.seat.readable(lambda: True)


@pytest.mark.parametrize("takes", [True, False])
@pytest.mark.parametrize("is_held_back", [True, False])
async def test_a_reader_of_what_is_closed_is_told(
    takes: bool, is_held_back: bool, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """That it was this side's doing; also who comes later. Its place is nobody's then."""
    async with room(monkeypatch, is_held_back=is_held_back) as made:
        place = made.sit()
        if takes or is_held_back:

            @made.nursery.start_soon
            async def read() -> None:
                with pytest.raises(trio.ClosedResourceError, match="closed by this side"):
                    await place.seat.readable((lambda: True) if takes else None)

            await trio.testing.wait_all_tasks_blocked()
            assert made.wakes.watched == 1
        for _ in range(2):
            place.seat.leave()
            assert made.wakes.watched == 0
        with pytest.raises(trio.ClosedResourceError, match="closed by this side"):
            await place.seat.readable()


@pytest.mark.parametrize("takes", [True, False])
async def test_after_the_sharing_each_is_waited_for_by_itself(
    takes: bool, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """Who waits when it ends goes on, and is not cut off."""
    monkeypatch.setattr(SharedWakes, "is_held_back", lambda _: True)
    wakes, got = SharedWakes(select.epoll()), list[bytes]()
    place = Place.at(wakes)
    async with trio.open_nursery() as nursery:
        sharing = trio.CancelScope()

        @nursery.start_soon
        async def share() -> None:
            with sharing:
                await wakes.run()

        @nursery.start_soon
        async def read() -> None:
            while b"end" not in got:
                if takes:
                    await place.seat.readable(taking(place, got, b"end"))
                else:
                    await place.seat.readable()
                    if select.select([place.ends[0]], [], [], 0)[0]:  # not where the sharing has ended
                        got.append(place.read())

        await trio.testing.wait_all_tasks_blocked()
        place.write(b"word")
        await trio.sleep(2 * HOLD_S)
        await trio.testing.wait_all_tasks_blocked()
        assert got == [b"word"]
        sharing.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert (wakes.has_ended, wakes.watched, place.seat.is_watched) == (True, 0, False)
        place.write(b"end")
    assert got == [b"word", b"end"]
    place.seat.leave()
    for end in place.ends:
        os.close(end)


async def test_others_have_their_turn_however_many_are_readable(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """After so many of them: they are not all heard in one go."""
    async with room(monkeypatch) as made:
        heard, seen = list[int](), list[int]()

        def hear(place: Place, number: int) -> Callable[[], bool]:
            def take() -> bool:
                place.read()
                heard.append(number)
                return False

            return take

        for number in range(3 * 64):
            place = made.sit()
            made.nursery.start_soon(place.seat.readable, hear(place, number))
        await trio.testing.wait_all_tasks_blocked()
        for place in made.places:
            place.write()
        while len(heard) < 3 * 64:
            await trio.lowlevel.checkpoint()
            seen.append(len(heard))
        assert {0, 64, 128, 192} >= set(seen)
        assert len(set(seen) & {64, 128}) >= 1


# Alarms


@pytest.mark.parametrize("seats", [0, BUSY_SOCKETS, MANY])
def test_alarms_are_shared_while_many_are_there(seats: int) -> None:
    """At multiples of their length, never later than due; in the order of their own times."""
    with select.epoll() as epoll:
        wakes = SharedWakes(epoll)
        for descriptor in range(seats):
            wakes.seat(descriptor)
        for number in range(1, 50):
            start_s = number * ALARMS_S
            dues_s = [start_s, start_s + ALARMS_S / 4, start_s + ALARMS_S / 2]
            alarms_s = [wakes.alarm_s(due_s) for due_s in dues_s]
            if seats <= BUSY_SOCKETS:
                assert alarms_s == dues_s
                continue
            assert alarms_s == sorted(set(alarms_s))
            assert all(start_s - 1e-9 <= alarm_s <= start_s + ALARMS_S * 1e-3 for alarm_s in alarms_s)
            # What is due at a multiple, but for the rounding of its sum, is not woken for a whole length too early.
            assert wakes.alarm_s(start_s - 1e-9) == pytest.approx(start_s, abs=1e-8)
        if seats:
            wakes.unseat(0, Seat(wakes, 0))
            assert wakes.alarm_s(1.0001) == 1.0001
        wakes.has_ended = True
        assert wakes.alarm_s(1.0001) == 1.0001


# Where there is nothing to share


async def test_where_time_is_moved_by_hand_there_is_nothing_to_share(autojump_clock: trio.testing.MockClock) -> None:
    async with shared_wakes() as wakes:
        assert wakes is None


@pytest.mark.parametrize("why", ["off", "no descriptor", "no epoll"])
async def test_without_what_it_needs_there_is_nothing_to_share(why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if why == "no descriptor":

        def none_left() -> None:
            raise OSError("none left")

        monkeypatch.setattr(select, "epoll", none_left)
    elif why == "no epoll":
        monkeypatch.delattr(select, "epoll")
    async with shared_wakes(why != "off") as wakes:
        assert wakes is None


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="there is no epoll here")
async def test_it_is_shared_as_long_as_the_body_runs() -> None:
    async with shared_wakes() as wakes:
        assert wakes is not None
        assert not wakes.has_ended
    assert wakes.has_ended
