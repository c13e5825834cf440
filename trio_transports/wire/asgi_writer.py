"""Writes that can be left behind, for ASGI servers whose ``send`` cannot be cancelled.

Hypercorn's trio worker shields ``send``: with a peer that does not read, whoever called it stays in it. So a system task
makes the writes of a connection, and the session waits for it only as long as it likes.

Rules
1. One long-lived task per connection, begun with the first write. Its cost is two switches of task per write.
2. A write that nobody waits for any more ends with its socket: the socket stream that the task is stuck in is found
   among the frames it awaits, and reset. Where there is none (another server, another task holds the socket's lock), the
   task stays until the server lets go of it, and no session waits for that.
3. Nothing that such a task meets reaches anybody: its connection was reported as lost when it was left.
"""

import contextvars
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, final

import trio
from attrs import define, field
from trio.lowlevel import ParkingLot

from .sockets import abort_socket

_LAST_WORDS_S: Final = 5.0


@final
@define(eq=False)
class _Job:
    event: dict[str, Any]
    done: trio.Event = field(factory=trio.Event)
    failure: Exception | None = None


@final
@define(eq=False)
class Writer:
    _send: Callable[[Any], Awaitable[Any]]
    _jobs: deque[_Job] = field(factory=deque, init=False)
    _task: trio.lowlevel.Task | None = field(default=None, init=False)
    _is_writing: bool = field(default=False, init=False)
    _is_stopping: bool = field(default=False, init=False)
    _scope: trio.CancelScope = field(factory=trio.CancelScope, init=False)
    _idle: ParkingLot = field(factory=ParkingLot, init=False)
    _ended: trio.Event = field(factory=trio.Event, init=False)

    async def write(self, event: dict[str, Any]) -> None:
        """Write one event. Cancelling leaves the write as it is: the caller is to ``abandon`` the writer then."""
        job = _Job(event)
        self._put(job)
        await job.done.wait()
        if job.failure is not None:
            raise job.failure

    def stop(self) -> None:
        """End the task once what was given to it is written."""
        self._is_stopping = True
        self._idle.unpark()

    async def stopped(self) -> None:
        if self._task is not None:
            await self._ended.wait()

    def abandon(self, last_words: dict[str, Any] | None) -> None:
        """Wait no more, for nothing. ``last_words`` are written if nothing else is being written."""
        if self._is_writing or last_words is None:
            self._scope.cancel()
            self.kill()
        else:
            self._put(_Job(last_words))
        self.stop()

    def kill(self) -> None:
        """Reset the socket that the task is stuck in, if it is."""
        if self._task is None or self._ended.is_set():
            return
        for frame, _ in self._task.iter_await_frames():
            owner = frame.f_locals.get("self")
            if isinstance(owner, trio.SocketStream):
                abort_socket(owner)
                return

    def _put(self, job: _Job) -> None:
        self._jobs.append(job)
        if self._task is None:
            self._task = trio.lowlevel.spawn_system_task(
                self._run, name="trio_transports.wire.asgi writer", context=contextvars.copy_context()
            )
        else:
            self._idle.unpark()

    async def _run(self) -> None:
        try:
            with self._scope:
                while True:
                    while not self._jobs:
                        if self._is_stopping:
                            return
                        await self._idle.park()
                    await self._do(self._jobs.popleft())
        finally:
            self._ended.set()

    async def _do(self, job: _Job) -> None:
        self._is_writing = True
        try:
            await self._send(job.event)
        except Exception as exc:
            job.failure = exc
        except BaseExceptionGroup as group:
            job.failure, rest = group.split(Exception)
            if rest is not None:
                raise rest from None
        finally:
            self._is_writing = False
            job.done.set()


def leave_behind(receive: Callable[[], Awaitable[Any]], writer: Writer) -> None:
    """Let go of a connection that cannot be closed from here: read what still arrives, until the server says it is over.

    A server with a full queue for the app would otherwise never get to the end of the connection.
    """

    async def read() -> None:
        try:
            while (await receive())["type"] != "websocket.disconnect":
                pass
        except Exception:  # whatever it is, the connection gives nothing more to read
            return

    async def watch() -> None:
        with trio.move_on_after(_LAST_WORDS_S):
            await writer.stopped()
        writer.kill()

    async def both() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            await read()

    trio.lowlevel.spawn_system_task(both, name="trio_transports.wire.asgi left behind")
