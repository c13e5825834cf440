"""Wakes that several sockets share: under load what arrives within ``HOLD_S`` is read at one waking of the process.

Rules
1. Alone a message waits for nothing. Only while more than ``BUSY_SOCKETS`` sockets were heard within ``WINDOW_S`` is a
   wake held back for ``HOLD_S``, so that the next ones can share it. Sockets are counted, not messages: one peer that
   asks and waits for the answer each time is not slowed down.
2. A socket is read only while its reader waits here. One that is readable while nobody reads it is watched no longer,
   until somebody does: nothing is read, and nothing spins, for a peer that is not listened to.
3. A reader may leave a call behind (``take``) that reads, and does what is quickly done, without waking it. It is
   made in the reader's own context, and what it raises is raised in the reader. It answers whether to wake the reader.
4. Cancelling a reader loses nothing: nothing is read on its behalf afterwards.
5. Whoever closes the socket leaves its seat first; a reader there wakes with ``trio.ClosedResourceError``.
6. Where there is no epoll, no descriptor left for one, or where time is not the machine's own (``trio.testing``), there
   is nothing to share, and sockets are waited for one by one as ever. So they are once the sharing has ended.
7. Alarms are shared as well: while more than ``BUSY_SOCKETS`` have a seat, what may leave a little before its time
   wakes at a multiple of ``ALARMS_S``. A chunk's length is one too, so each session keeps its own even pace. Those of
   one moment wake in the order of their own times: each in its own place every time.
8. However many are readable, other tasks get their turn after each ``_AT_A_TURN`` of them.
"""

import select
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, final

import trio
from attrs import define, field
from trio.lowlevel import Abort, Task, current_task, reschedule, wait_task_rescheduled

from .._nursery import open_services
from .._sleeper import Sleeper
from ..audio.recovery import EARLY_S

HOLD_S: Final = 0.002
WINDOW_S: Final = 0.02
ALARMS_S: Final = EARLY_S / 2
"""More at a time would be late by each other: at 5 ms sixty sessions were off by 130 ppm over eight seconds."""
BUSY_SOCKETS: Final = 15
"""Heard in a window: one and a half for each time that a wake is held back."""
_AT_A_TURN: Final = 64
_STALE_S: Final = 3 * WINDOW_S
"""What was counted so long ago says nothing about now."""
_ROUNDING_S: Final = 1e-6
_IN_ORDER: Final = 1e-4
_READABLE: Final = 1
"""EPOLLIN, which ``select`` names only where there is epoll."""


@final
@define(eq=False)
class Seat:
    """One socket's place among those that share their wakes; made by ``SharedWakes.seat``."""

    _wakes: "SharedWakes"
    _descriptor: int
    _reader: Task | None = field(default=None, init=False)
    _take: Callable[[], bool] | None = field(default=None, init=False)
    _error: BaseException | None = field(default=None, init=False)
    """What the reader raises when it wakes."""
    is_watched: bool = field(default=False, init=False)
    heard_in: int = field(default=-1, init=False)
    """The window in which it was heard last."""
    _has_left: bool = field(default=False, init=False)

    def alarm_s(self, due_s: float) -> float:
        """When to wake for what is due then, and may leave a little earlier; rule 7."""
        return self._wakes.alarm_s(due_s)

    async def readable(self, take: Callable[[], bool] | None = None) -> None:
        """Wait until there is something to read; with ``take``, until it has answered True. Rules 3 and 4."""
        if self._reader is not None:
            raise trio.BusyResourceError("another task is reading from this connection")
        wakes = self._wakes
        while wakes.has_ended or (take is None and not wakes.is_held_back()):
            self._check_seated()
            await trio.lowlevel.wait_readable(self._descriptor)
            self._check_seated()
            wakes.count(self)
            if take is None or take():
                return
        self._check_seated()
        if not self.is_watched:
            wakes.watch(self._descriptor, self)
        self._take = take
        self._reader = current_task()
        await wait_task_rescheduled(self._abort)
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _check_seated(self) -> None:
        if self._has_left:
            raise trio.ClosedResourceError("this stream was closed by this side")

    def _abort(self, _raise_cancel: object) -> Abort:
        self._reader = self._take = None
        return Abort.SUCCEEDED

    def wake(self, error: BaseException | None = None) -> None:
        """Have the reader go on, if one waits."""
        reader = self._reader
        if reader is not None:
            self._reader = self._take = None
            self._error = error
            reschedule(reader)

    def hear(self) -> bool:
        """Do what is to be done for a readable socket; False: nobody waits for it."""
        reader, take = self._reader, self._take
        if reader is None:
            return False
        if take is None:
            self.wake()
            return True
        try:
            is_over = reader.context.run(take)
        except BaseException as exc:  # whatever it is, it is the reader's: rule 3
            self.wake(exc)
        else:
            if is_over:
                self.wake()
        return True

    def leave(self) -> None:
        """The socket is about to be closed; rule 5."""
        if not self._has_left:
            self._has_left = True
            self._wakes.unseat(self._descriptor, self)
            self.wake(trio.ClosedResourceError("this stream was closed by this side"))


@final
@define(eq=False)
class SharedWakes:
    """One server's. ``shared_wakes`` makes it, and runs it."""

    _epoll: "select.epoll"
    _seats: dict[int, Seat] = field(factory=dict, init=False)
    """By descriptor; those that are watched."""
    _seated: int = field(default=0, init=False)
    has_ended: bool = field(default=False, init=False)
    held: int = field(default=0, init=False)
    """How many wakes were held back so far."""
    _window: int = field(default=0, init=False)
    _began_s: float = field(default=0.0, init=False)
    _heard: int = field(default=0, init=False)
    _is_busy: bool = field(default=False, init=False)
    _sleeper: Sleeper = field(factory=Sleeper, init=False)

    def seat(self, descriptor: int) -> Seat:
        """A place for this socket, which has to be left before the socket is closed."""
        self._seated += 1
        return Seat(self, descriptor)

    def unseat(self, descriptor: int, seat: Seat) -> None:
        """Let go of a seat that was left."""
        self._seated -= 1
        self.forget(descriptor, seat)

    @property
    def watched(self) -> int:
        """How many sockets are watched for a reader."""
        return len(self._seats)

    def alarm_s(self, due_s: float) -> float:
        """When to wake for what is due then, and may leave a little earlier; rule 7."""
        if self._seated <= BUSY_SOCKETS or self.has_ended:
            return due_s
        shared_s = (due_s + _ROUNDING_S) // ALARMS_S * ALARMS_S
        # In the order of their own times: in another order each time, each would be late by another time.
        return shared_s + (due_s - shared_s) * _IN_ORDER

    def watch(self, descriptor: int, seat: Seat) -> None:
        """Wake the seat when there is something to read; OSError where the kernel refuses to watch it."""
        self._epoll.register(descriptor, _READABLE)  # the kernel may refuse: then it is not watched
        self._seats[descriptor] = seat
        seat.is_watched = True

    def forget(self, descriptor: int, seat: Seat) -> None:
        if seat.is_watched:
            seat.is_watched = False
            del self._seats[descriptor]
            if not self.has_ended:
                self._epoll.unregister(descriptor)

    def count(self, seat: Seat) -> None:
        """Note that a socket was heard; rule 1."""
        now_s = trio.current_time()
        passed_s = now_s - self._began_s
        if passed_s >= WINDOW_S:
            self._is_busy = passed_s < _STALE_S and self._heard > BUSY_SOCKETS
            self._window += 1
            self._began_s, self._heard = now_s, 0
        if seat.heard_in != self._window:
            seat.heard_in = self._window
            self._heard += 1

    def is_held_back(self) -> bool:
        """Whether wakes are held back now."""
        return self._is_busy and trio.current_time() - self._began_s < _STALE_S

    async def run(self) -> None:
        """The task that reads for all who share; it ends with the server."""
        try:
            while True:
                await trio.lowlevel.wait_readable(self._epoll.fileno())
                if self.is_held_back():
                    await self._hold_back()
                while heard := self._hear():
                    if heard == _AT_A_TURN:
                        await trio.lowlevel.checkpoint()  # rule 8
                    elif self.is_held_back():
                        await self._hold_back()
                    else:
                        break
        finally:
            self._end()

    async def _hold_back(self) -> None:
        self.held += 1
        await self._sleeper.sleep_until(trio.current_time() + HOLD_S)

    def _hear(self) -> int:
        """Hear the sockets that are readable; return how many there were."""
        ready = self._epoll.poll(0, _AT_A_TURN)
        for descriptor, _ in ready:
            seat = self._seats.get(descriptor)
            if seat is None:  # closed on behalf of one that was heard just now
                continue
            self.count(seat)
            if not seat.hear():
                self.forget(descriptor, seat)  # rule 2
        return len(ready)

    def _end(self) -> None:
        self.has_ended = True
        seats = tuple(self._seats.values())
        for seat in seats:
            seat.is_watched = False
        self._seats.clear()
        self._epoll.close()
        for seat in seats:
            seat.wake()


@asynccontextmanager
async def shared_wakes(is_on: bool = True) -> AsyncIterator[SharedWakes | None]:
    """Have sockets share their wakes as long as the body runs; None where they cannot, or are not to; rule 6."""
    epoll = _new_epoll() if is_on and _is_time_real() else None
    if epoll is None:
        yield None
        return
    wakes = SharedWakes(epoll)
    async with open_services() as services:
        services.start_soon(wakes.run, name="shared wakes")
        yield wakes


def _new_epoll() -> "select.epoll | None":
    if not hasattr(select, "epoll"):
        return None
    try:
        return select.epoll()
    except OSError:  # out of descriptors
        return None


def _is_time_real() -> bool:
    """Whether nobody moves trio's clock by hand. Who does so has imported what does it."""
    testing = sys.modules.get("trio.testing")
    return testing is None or not isinstance(trio.lowlevel.current_clock(), testing.MockClock)
