"""Writes that can be left behind, for ASGI servers whose ``send`` cannot be cancelled.

Hypercorn's trio worker shields ``send``: with a peer that does not read, whoever called it stays in it. So a system
task makes the writes of a connection, and the session waits for it only as long as it likes.

Rules
1. One long-lived task per connection, begun with the first write. It costs two switches of task per write.
2. A write that nobody waits for any more ends with its socket: the one that the task is stuck in, or waits for while
   another task is stuck in it, is found among the frames that are awaited, and reset. Where there is none, the task
   stays until the server lets go of it, and no session waits for that.
3. What such a task still meets reaches nobody: its connection was told as lost when it was left.
"""

import contextvars
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, final

import trio
from attrs import define, field
from trio.lowlevel import ParkingLot

from .sockets import reset_socket

_LAST_WORDS_S: Final = 5.0
_LEFT_BEHIND_S: Final = 60.0
_QUIET_ROUNDS: Final = 10


@final
@define(eq=False)
class _Job:
    event: dict[str, Any]
    done: trio.Event = field(factory=trio.Event, init=False)
    failure: Exception | None = field(default=None, init=False)


@final
@define(eq=False)
class Writer:
    _send: Callable[[Any], Awaitable[Any]]
    _jobs: deque[_Job] = field(factory=deque, init=False)
    """The first is the one being written."""
    _task: trio.lowlevel.Task | None = field(default=None, init=False)
    _is_stopping: bool = field(default=False, init=False)
    _scope: trio.CancelScope = field(factory=trio.CancelScope, init=False)
    _idle: ParkingLot = field(factory=ParkingLot, init=False)
    _ended: trio.Event = field(factory=trio.Event, init=False)

    async def write(self, event: dict[str, Any]) -> None:
        """Write one event. A cancellation leaves the write as it stands: the caller is to ``abandon`` it all then."""
        job = self._put(event)
        await job.done.wait()
        if job.failure is not None:
            raise job.failure

    def stop(self) -> None:
        """End the task once what was given to it is written."""
        self._is_stopping = True
        self._idle.unpark()

    async def stopped(self) -> None:
        """Wait for the task to end after ``stop``, unless it is in a write: that may last."""
        if self._task is not None and not self._jobs:
            await self._ended.wait()

    def abandon(self, last_words: dict[str, Any] | None) -> None:
        """Let every caller go. ``last_words`` are written if nothing else is."""
        if self._jobs or last_words is None:
            for job in self._jobs:
                job.done.set()
            # Not cancelled: a server that is already ending the connection must get to the end of that.
            self._reset_socket()
        else:
            self._put(last_words)
        self.stop()

    async def end(self) -> None:
        """Wait a while for the task to end, then make it."""
        with trio.move_on_after(_LAST_WORDS_S):
            if self._task is not None:
                await self._ended.wait()
            return
        if not self._reset_socket():
            self._scope.cancel()

    def _reset_socket(self) -> bool:
        """Reset the socket that the task is stuck in, if it is."""
        if self._task is None or self._ended.is_set():
            return False
        stuck = _socket_under(self._task)
        if stuck is None:
            return False
        reset_socket(stuck)
        return True

    def _put(self, event: dict[str, Any]) -> _Job:
        job = _Job(event)
        self._jobs.append(job)
        if self._task is None:
            self._task = trio.lowlevel.spawn_system_task(
                self._run, name="trio_transports.wire.asgi writer", context=contextvars.copy_context()
            )
        else:
            self._idle.unpark()
        return job

    async def _run(self) -> None:
        try:
            with self._scope:
                while True:
                    while not self._jobs:
                        if self._is_stopping:
                            return
                        await self._idle.park()
                    job = self._jobs[0]
                    if not job.done.is_set():
                        await self._do(job)
                    self._jobs.popleft()
        finally:
            self._ended.set()

    async def _do(self, job: _Job) -> None:
        try:
            await self._send(job.event)
        except Exception as exc:
            job.failure = exc
        except BaseExceptionGroup as group:
            job.failure, rest = group.split(Exception)
            if rest is not None:
                raise rest from None
        finally:
            job.done.set()


def _socket_under(task: trio.lowlevel.Task, *, through_locks: bool = True) -> trio.socket.SocketType | None:
    """Find the socket that a task waits for, itself or by way of a lock that another task holds."""
    for frame, _ in task.iter_await_frames():
        awaited = frame.f_locals.get("self")
        if isinstance(awaited, trio.socket.SocketType):
            return awaited
        if through_locks and (holder := _holder(awaited)) is not None:
            return _socket_under(holder, through_locks=False)
    return None


def _holder(lock: Any) -> trio.lowlevel.Task | None:  # noqa: ANN401 - whatever a task waits in
    """The task that holds a lock: trio's, as under hypercorn, or anyio's, as under anycorn."""
    if isinstance(lock, trio.Lock):
        return lock.statistics().owner
    if type(lock).__module__.startswith("anyio.") and hasattr(lock, "acquire_nowait"):
        return getattr(lock.statistics().owner, "_task", None)
    return None


def leave_behind(
    receive: Callable[[], Awaitable[Any]], rest: Callable[[], Awaitable[Any]], writer: Writer
) -> trio.CancelScope:
    """Let go of a connection that cannot be ended from here: read on until the server says that it is over.

    A server whose queue for the app is full would otherwise never get to the end of the connection. What comes after
    that is read from ``rest``. After ``_LEFT_BEHIND_S`` the end is not waited for any more, nor after the scope
    returned is cancelled.
    """
    reading = trio.CancelScope(deadline=trio.current_time() + _LEFT_BEHIND_S)

    async def read() -> None:
        try:
            with reading:
                while (await receive())["type"] != "websocket.disconnect":
                    pass
                await sweep(rest)
        except Exception:  # rule 3: there is nothing more to read, and nobody to tell
            return

    async def both() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(writer.end)
            await read()

    trio.lowlevel.spawn_system_task(both, name="trio_transports.wire.asgi left behind")
    return reading


async def sweep(receive: Callable[[], Awaitable[Any]]) -> None:
    """Take what the server still puts into its queue after it has said that the connection is over.

    Hypercorn goes on with the messages of what it had read in one go. With nobody to take them it would wait for ever,
    and its connection with it. It has no more when it has run ``_QUIET_ROUNDS`` times without putting one. Others tell
    the end again to whoever asks: that is nothing more either.
    """
    taken = 0

    async def take() -> None:
        nonlocal taken
        while True:
            if (await receive())["type"] == "websocket.disconnect":
                await trio.lowlevel.checkpoint()  # which a server that only says the end again need not have done
            else:
                taken += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take)
        before, quiet = 0, 0
        while quiet < _QUIET_ROUNDS:
            await trio.lowlevel.checkpoint()
            quiet = quiet + 1 if taken == before else 0
            before = taken
        nursery.cancel_scope.cancel()
