"""The hub of shared wakes by itself, without wires: who sits at it, when it holds back, and when there is none."""

import select
import socket
from typing import cast

import pytest
import trio

from trio_transports.audio.recovery import EARLY_S
from trio_transports.wire.wakes import BUSY_SOCKETS, SharedWakes, shared_wakes


async def test_load_is_seen_and_forgotten() -> None:
    """With more sockets than ``BUSY_SOCKETS`` heard at a time several share a wake; a while later none waits."""
    async with shared_wakes() as wakes:
        assert wakes is not None
        pairs = [socket.socketpair() for _ in range(2 * BUSY_SOCKETS)]
        try:
            seats = [wakes.seat(near.fileno()) for near, _ in pairs]
            heard = 0

            async def read(place: int) -> None:
                def take() -> bool:
                    nonlocal heard
                    heard += len(pairs[place][0].recv(100))
                    return False

                await seats[place].readable(take)

            async with trio.open_nursery() as nursery:
                for place in range(len(pairs)):
                    nursery.start_soon(read, place)
                await trio.testing.wait_all_tasks_blocked()
                sent = 0
                for _ in range(200):  # a machine that is too busy to hear so many in time may need some
                    for _near, far in pairs:
                        far.send(b"x")
                        sent += 1
                    await trio.sleep(0.01)
                    if wakes.held > 5:
                        break
                assert wakes.held > 5
                with trio.fail_after(30):
                    while heard < sent:
                        await trio.lowlevel.checkpoint()
                await trio.sleep(0.1)
                assert not wakes.is_held_back()
                held, before = wakes.held, heard
                pairs[0][1].send(b"x")
                with trio.fail_after(30):
                    while heard == before:
                        await trio.lowlevel.checkpoint()
                assert wakes.held == held
                nursery.cancel_scope.cancel()
        finally:
            for seat in seats:
                seat.leave()
            for near, far in pairs:
                near.close()
                far.close()


@pytest.mark.usefixtures("held_back")
async def test_a_kernel_that_refuses_to_watch() -> None:
    """Its refusal is raised where the socket was to be read, and the next reader is not deaf for it."""

    class Refusing:
        """An epoll that refuses the first."""

        has_refused = False

        def register(self, descriptor: int, events: int) -> None:
            if not self.has_refused:
                self.has_refused = True
                raise OSError(28, "No space left on device")
            epoll.register(descriptor, events)

        def __getattr__(self, name: str) -> object:
            return getattr(epoll, name)

    near, far = socket.socketpair()
    with near, far, select.epoll() as epoll:
        wakes = SharedWakes(cast(select.epoll, Refusing()))
        seat = wakes.seat(near.fileno())
        far.send(b"x")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wakes.run)
            with pytest.raises(OSError, match="No space"):
                await seat.readable(lambda: True)
            assert wakes.watched == 0
            with trio.fail_after(30):
                await seat.readable(lambda: True)
            seat.leave()
            nursery.cancel_scope.cancel()


async def test_only_one_task_reads() -> None:
    """A second reader of the same socket is told so."""
    async with shared_wakes() as wakes:
        assert wakes is not None
        near, far = socket.socketpair()
        with near, far:
            seat = wakes.seat(near.fileno())
            async with trio.open_nursery() as nursery:
                nursery.start_soon(seat.readable, lambda: True)
                await trio.testing.wait_all_tasks_blocked()
                with pytest.raises(trio.BusyResourceError):
                    await seat.readable(lambda: True)
                far.send(b"x")
            async with trio.open_nursery() as nursery:

                @nursery.start_soon
                async def read() -> None:
                    with pytest.raises(trio.ClosedResourceError):
                        await seat.readable(lambda: False)

                near.recv(1)
                await trio.testing.wait_all_tasks_blocked()
                seat.leave()
                seat.leave()
            with pytest.raises(trio.ClosedResourceError):
                await seat.readable(lambda: True)


async def test_time_that_is_moved_by_hand(autojump_clock: object) -> None:
    """In virtual time, and where there is no epoll or it is not wanted, nothing is shared."""
    async with shared_wakes() as wakes:
        assert wakes is None


async def test_without_epoll(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no epoll or no descriptor for it, or where it is not wanted, nothing is shared."""
    async with shared_wakes(False) as wakes:
        assert wakes is None

    def refuse() -> None:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(select, "epoll", refuse)
        async with shared_wakes() as wakes:
            assert wakes is None
        patched.delattr(select, "epoll")
        async with shared_wakes() as wakes:
            assert wakes is None


async def test_a_crowd_shares_its_alarms() -> None:
    """With more seats than ``BUSY_SOCKETS`` alarms are brought together, none too early; with fewer none is moved."""
    async with shared_wakes() as wakes:
        assert wakes is not None
        seats = [wakes.seat(descriptor) for descriptor in range(1000, 1001 + BUSY_SOCKETS)]
        for due_s in (1000.0123, 1000.015, 1000.0149999999):
            assert 0 <= due_s + 1e-6 - seats[0].alarm_s(due_s) < EARLY_S
        alarms = [seats[0].alarm_s(1000.0101 + number * 0.0003) for number in range(8)]
        assert alarms[-1] - alarms[0] < 1e-6
        assert alarms == sorted(set(alarms))
        assert seats[0].alarm_s(1000.0123) == pytest.approx(1000.010)
        seats[-1].leave()
        seats[-1].leave()
        assert seats[0].alarm_s(1000.0123) == 1000.0123
    assert [seat.alarm_s(1000.0123) for seat in seats] == [1000.0123] * len(seats)
