"""Several processes behind one socket: started, watched, replaced one by one, and ended together.

Rules
1. The listening sockets are the supervisor's, and every worker inherits them. While a worker is restarted or replaced
   nobody is refused: new connections wait in the sockets' queue for whoever takes them next.
2. A worker is ready when it says so on its control socket (``worker.py``). One that ends before, or needs longer than
   ``ready_timeout_s``, has failed to start. At the beginning that ends the supervisor: the program itself is wrong.
   Whom the system does not start for now (too many processes, or open files) is tried again like one that died.
3. A worker that dies later is started again: at once, and with a pause that doubles while the next ones die young.
   ``renew`` ends that pause: what kept it from starting may be mended.
4. ``renew`` replaces the workers one after another. The old one is told to end (``retire_signal``) only when the new
   one is ready; it finishes its calls beside its successor. One that cannot be replaced goes on, and that is logged.
5. ``stop`` tells all workers to end (SIGTERM), those that are just being started too. After ``grace_s``, or at
   ``kill``, whoever is left is killed.
6. Workers are in a session of their own: Ctrl-C in a terminal is heard by the supervisor alone, and told to them once.
7. A worker whose supervisor has gone sees the end of its control socket, and ends.
"""

import logging
import signal
import socket
import subprocess
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from typing import Final, final

import trio
from attrs import define, field

from .._documented import documented
from ..errors import TransportError

logger = logging.getLogger("trio_transports.serve")

YOUNG_S: Final = 10.0
"""A worker that dies before this age makes the next one wait."""
FIRST_PAUSE_S: Final = 0.5
MAX_PAUSE_S: Final = 30.0


class WorkerFailed(TransportError):
    """A worker did not become ready."""


@final
@define(eq=False)
class WorkerProcess:
    """One worker, from its start to its end."""

    number: int
    process: trio.Process
    started_at_s: float
    _control: trio.SocketStream

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    async def until_ready(self, timeout_s: float) -> None:
        """Wait until it has said that it is ready, or raise WorkerFailed."""
        with trio.move_on_after(timeout_s):
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):  # it has ended, and who saw it closed
                if await self._control.receive_some(1):
                    return
            await self.process.wait()
            raise WorkerFailed(f"worker {self.number} ended with {_told(self.process.returncode)} before it was ready")
        self.kill()
        raise WorkerFailed(f"worker {self.number} was not ready within {timeout_s:g} s")

    def tell(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to end."""
        self._send(number)

    def kill(self) -> None:
        """End it at once."""
        self._send(signal.SIGKILL)

    async def wait(self) -> int:
        """Wait for its end."""
        code = await self.process.wait()
        await trio.aclose_forcefully(self._control)
        return code

    def _send(self, number: int) -> None:
        if self.process.returncode is None:
            self.process.send_signal(number)


@documented
@final
@define(eq=False)
class Supervisor:
    """Keeps ``workers`` processes running. ``command`` gives the command line for a worker, from its control socket."""

    command: Callable[[int], Sequence[str]]
    """Makes a worker's command line; it is given the number of its control socket."""
    listening: Sequence[socket.socket]
    """The sockets that all workers take callers from."""
    workers: int
    """How many processes: one for each core is usual."""
    grace_s: float
    """Seconds that calls have to finish when it stops; then workers are killed."""
    ready_timeout_s: float = 60.0
    """Seconds that a worker has to become ready; past it, ``WorkerFailed``."""
    retire_signal: signal.Signals = signal.SIGTERM
    """What tells a worker that has a successor to end."""
    restarts: int = field(default=0, init=False)
    """How many workers have died and were started again."""
    _alive: set[WorkerProcess] = field(factory=set, init=False)
    _stopping: trio.Event = field(factory=trio.Event, init=False)
    _killing: trio.Event = field(factory=trio.Event, init=False)
    _renewals: dict[int, tuple[trio.Event, trio.Event]] = field(factory=dict, init=False)
    """For each slot: asked to renew, and done with it."""

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes that are there now, those that are finishing their calls included."""
        return tuple(sorted(worker.pid for worker in self._alive))

    @property
    def is_stopping(self) -> bool:
        """Whether all workers have been told to end."""
        return self._stopping.is_set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Start the workers, and keep them until ``stop``. Raises WorkerFailed when the first ones cannot start."""
        is_begun = False
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._end, nursery.cancel_scope)
                async with trio.open_nursery() as starting:
                    first: list[WorkerProcess] = []
                    for number in range(self.workers):
                        starting.start_soon(self._start_first, number, first)
                for worker in first:
                    self._renewals[worker.number] = (trio.Event(), trio.Event())
                    nursery.start_soon(self._keep, worker, nursery)
                is_begun = True
                task_status.started()
            if not is_begun:  # stopped while the first were starting
                task_status.started()
        finally:
            for worker in tuple(self._alive):
                worker.kill()
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 5):
                for worker in tuple(self._alive):
                    await self._gone(worker)
            for _, done in self._renewals.values():  # whoever waits for a renewal waits for no process any more
                done.set()

    def stop(self) -> None:
        """Tell every worker to end; ``run`` returns when they have."""
        self._stopping.set()

    def kill(self) -> None:
        """End every worker at once."""
        self.stop()
        self._killing.set()

    async def renew(self) -> None:
        """Replace the workers one after another; old ones may still be finishing their calls when this returns."""
        for number in tuple(self._renewals):
            if self.is_stopping:
                return
            asked, done = self._renewals[number]  # another pair by now where that worker has died meanwhile
            asked.set()
            await done.wait()

    async def _start_first(self, number: int, first: list[WorkerProcess]) -> None:
        try:
            first.append(await self._start(number))
        except WorkerFailed:
            if not self.is_stopping:
                raise

    async def _open(self, number: int) -> WorkerProcess:
        with ExitStack() as kept:
            ours, theirs = map(kept.enter_context, socket.socketpair())
            with theirs:
                theirs.set_inheritable(True)
                descriptors = (theirs.fileno(), *(listening.fileno() for listening in self.listening))
                process = await trio.lowlevel.open_process(
                    list(self.command(theirs.fileno())),
                    stdin=subprocess.DEVNULL,
                    pass_fds=descriptors,
                    start_new_session=True,
                )
            kept.pop_all()
        control = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
        return WorkerProcess(number, process, trio.current_time(), control)

    async def _start(self, number: int) -> WorkerProcess:
        try:
            worker = await self._open(number)
        except OSError as exc:  # too many processes, or open files; the program is being exchanged
            raise WorkerFailed(f"worker {number} could not be started: {exc}") from exc
        self._alive.add(worker)
        if self.is_stopping:  # rule 5: said while the system was starting it
            worker.tell()
        try:
            await worker.until_ready(self.ready_timeout_s)
        except WorkerFailed:
            await self._gone(worker)
            raise
        logger.info("worker %d is ready: process %d", number, worker.pid)
        return worker

    async def _keep(self, worker: WorkerProcess, nursery: trio.Nursery) -> None:
        """Keep one slot filled."""
        pause_s = 0.0
        while True:
            asked, done = self._renewals[worker.number]
            if not await self._ends_first(worker, asked):
                successor = await self._successor(worker.number)
                if successor is not None:
                    nursery.start_soon(self._retire, worker)
                    worker = successor
                self._renewals[worker.number] = (trio.Event(), trio.Event())
                done.set()
                continue
            self._renewals[worker.number] = (trio.Event(), trio.Event())
            done.set()
            if self.is_stopping:
                return
            is_young = trio.current_time() - worker.started_at_s < YOUNG_S
            pause_s = min(MAX_PAUSE_S, max(FIRST_PAUSE_S, 2 * pause_s)) if is_young else 0.0
            logger.error("worker %d ended with %s: started again", worker.number, _told(worker.process.returncode))
            again = await self._again(worker.number, pause_s)
            if again is None:
                return
            worker = again

    async def _ends_first(self, worker: WorkerProcess, asked: trio.Event) -> bool:
        """Wait for a worker's end or for the wish to replace it; True when it has ended."""
        ended = False
        async with trio.open_nursery() as nursery:

            async def end() -> None:
                nonlocal ended
                await self._gone(worker)
                ended = True
                nursery.cancel_scope.cancel()

            nursery.start_soon(end)
            await asked.wait()
            nursery.cancel_scope.cancel()
        return ended

    async def _successor(self, number: int) -> WorkerProcess | None:
        try:
            return await self._start(number)
        except WorkerFailed as exc:
            if not self.is_stopping:
                logger.error("worker %d is not replaced, it goes on as it is: %s", number, exc)  # noqa: TRY400 - it says all
            return None

    async def _again(self, number: int, pause_s: float) -> WorkerProcess | None:
        """Start a worker in the place of one that died; None when everything is to end."""
        while True:
            asked, done = self._renewals[number]
            await self._pause(pause_s, asked)
            if self._stopping.is_set():
                return None
            is_renewal = asked.is_set()
            if is_renewal:
                self._renewals[number] = (trio.Event(), trio.Event())
            self.restarts += 1
            try:
                return await self._start(number)
            except WorkerFailed as exc:
                if self.is_stopping:
                    return None
                pause_s = min(MAX_PAUSE_S, max(FIRST_PAUSE_S, 2 * pause_s))
                logger.error("%s: tried again in %g s", exc, pause_s)  # noqa: TRY400 - it says all
            finally:
                if is_renewal:
                    done.set()

    async def _pause(self, seconds: float, asked: trio.Event) -> None:
        """Wait, but not for longer than until all is to end, or to be renewed: rule 3."""
        with trio.move_on_after(seconds):
            async with trio.open_nursery() as nursery:

                async def stop() -> None:
                    await self._stopping.wait()
                    nursery.cancel_scope.cancel()

                nursery.start_soon(stop)
                await asked.wait()
                nursery.cancel_scope.cancel()

    async def _retire(self, worker: WorkerProcess) -> None:
        """Let an old worker finish its calls, for as long as it takes itself."""
        worker.tell(self.retire_signal)
        await self._gone(worker)

    async def _gone(self, worker: WorkerProcess) -> None:
        await worker.wait()
        self._alive.discard(worker)

    async def _end(self, all_of_it: trio.CancelScope) -> None:
        """Once told, see everybody out."""
        await self._stopping.wait()
        for worker in tuple(self._alive):
            worker.tell()
        with trio.move_on_after(self.grace_s):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._all_gone, nursery.cancel_scope)
                await self._killing.wait()
                nursery.cancel_scope.cancel()
        why = "is not waited for" if self._killing.is_set() else "did not end in time"
        for worker in tuple(self._alive):
            logger.error("worker %d %s: killed", worker.number, why)
            worker.kill()
        all_of_it.cancel()

    async def _all_gone(self, waiting: trio.CancelScope) -> None:
        while self._alive:
            await self._gone(next(iter(self._alive)))
        waiting.cancel()


def _told(code: int | None) -> str:
    if code is not None and code < 0:
        return f"signal {signal.Signals(-code).name}"
    return f"exit code {code}"
