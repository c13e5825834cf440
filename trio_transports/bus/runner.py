"""The runner: owns workers in one nursery, keeps the registry, and turns end and cancel messages into a shutdown.

Rules
1. ``run`` is the runner's whole life. It runs the bus too, if nobody else does. When it returns, all workers ended.
2. A worker that fails is logged, says so on the bus, and ends; the others go on.
3. An end asks each root worker to end, waits ``end_timeout`` for them, then cancels the rest. A cancel cancels at
   once. A ``BusEndMessage`` or ``BusCancelMessage`` from the bus does the same, if it is addressed to nobody or to this
   runner: a peer that may only speak to one worker cannot end the others.
4. Runners introduce themselves: a registry message from a runner not known before is answered with one's own.
5. With a ``heartbeat`` it tells the others so often which workers it has. Those who hear nothing for three times as
   long count them as gone, and jobs asked of them fail at once: a process that was killed can say nothing itself.
6. ``run_worker`` runs a worker in the caller's task, under the same rules, except that its failure is raised there. An
   endpoint that serves one connection uses it, and ``add_worker`` does so by itself with a worker that lives as long as
   a connection (a ``WebSocketProxyServer``): the connection would end with the endpoint.
"""

import logging
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Final, final

import attrs
import trio
from attrs import define, field
from attrs.validators import gt, optional
from trio.lowlevel import ParkingLot

from .._documented import documented
from .._moved import moved
from .._nursery import open_services
from .._showing import shown_text
from ..errors import LocalProtocolError
from ..wire.running import ASGI_WAYS_OUT, MAIN_WAYS_OUT, require_trio
from .bus import GOODBYE_S, Bus
from .local import LocalBus
from .messages import (
    AnyWorker,
    BusAddWorkerMessage,
    BusCancelMessage,
    BusEndMessage,
    BusEndWorkerMessage,
    BusMessage,
    BusWorkerLocalErrorMessage,
    BusWorkerReadyMessage,
    BusWorkerRegistryMessage,
)
from .registry import WorkerRegistry
from .worker import END_TIMEOUT, Worker

_NEWS: Final = (BusWorkerRegistryMessage, BusWorkerReadyMessage)
_HEARD: Final = (BusEndMessage, BusCancelMessage, BusAddWorkerMessage, *_NEWS)

MISSED_BEATS: Final = 3
MAX_SHOWN: Final = 100
"""So many letters of a reason are logged: it may come from elsewhere."""

logger = logging.getLogger(__name__)


@final
@define(eq=False)
class _Running:
    """One worker that runs now."""

    worker: Worker
    scope: trio.CancelScope = field(factory=trio.CancelScope)


@final
@define(eq=False)
class _Addition:
    """One worker to be run in the runner's nursery, and whether that began."""

    worker: Worker
    begun: trio.Event = field(factory=trio.Event)
    failure: Exception | None = None


def _checked(worker: AnyWorker) -> Worker:
    if not isinstance(worker, Worker):
        raise TypeError(f"a runner runs instances of Worker, not {worker!r}")
    return worker


def _named(name: str | None) -> str:
    return name if name is not None else f"runner-{uuid.uuid4().hex[:8]}"


@documented
@final
@moved("runner")
@define(eq=False, repr=False)
class WorkerRunner:
    """Runs workers on one bus: each in a task of its own, until they end or it is ended."""

    name: str = field(default=None, converter=_named)
    """What other runners know it by; made up unless given."""
    bus: Bus = field(factory=LocalBus, kw_only=True)
    """The bus that its workers live on; one in this process unless given."""
    _end_timeout: float = field(default=END_TIMEOUT, kw_only=True)
    """Seconds that a worker has to end in good order; past it, it is cancelled."""
    _heartbeat: float | None = field(default=None, kw_only=True, validator=optional(gt(0)))
    """Seconds between its words that it is alive; where three are missed, its workers are gone for the others. None
    says it once, and a runner that crashes is never missed."""
    registry: WorkerRegistry = field(init=False)
    """Which workers there are, here and elsewhere."""
    _workers: dict[str, _Running] = field(factory=dict, init=False)
    _left: ParkingLot = field(factory=ParkingLot, init=False)
    _finish: trio.Event = field(factory=trio.Event, init=False)
    _grace: trio.CancelScope = field(factory=trio.CancelScope, init=False)
    _alarm: trio.CancelScope = field(factory=trio.CancelScope, init=False)
    """Its deadline is when the next other runner has to have been heard of."""
    _reason: str | None = field(default=None, init=False)
    _auto_end: bool = field(default=False, init=False)
    _additions: trio.MemorySendChannel[_Addition] | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.registry = WorkerRegistry(self.name)

    def __repr__(self) -> str:
        state = "not running" if self._additions is None else "ending" if self._finish.is_set() else "running"
        return f"<WorkerRunner {self.name!r}, {state}, {len(self._workers)} workers>"

    @property
    def workers(self) -> tuple[Worker, ...]:
        """The workers that run now."""
        return tuple(running.worker for running in self._workers.values())

    async def run(
        self,
        *workers: Worker,
        auto_end: bool = True,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Run until ``end`` or ``cancel``, or, with ``auto_end``, until the last root worker has ended."""
        require_trio("WorkerRunner", MAIN_WAYS_OUT)
        if self._additions is not None or self._finish.is_set():
            raise LocalProtocolError(f"{self!r} runs once: make another one")
        self._additions, additions = trio.open_memory_channel[_Addition](0)
        subscription = self.bus.subscribe(
            self.name, accepts=self._hears, concerns=lambda kind, _: issubclass(kind, _HEARD)
        )
        try:
            async with AsyncExitStack() as stack:
                if not self.bus.is_running:
                    await stack.enter_async_context(self.bus.running(hold=True))
                stack.callback(subscription.close)  # while the bus can still say what was handled
                async with open_services() as services:
                    services.start_soon(self._listen, subscription.receive_system, name=f"{self.name} system messages")
                    services.start_soon(self._listen, subscription.receive_data, name=f"{self.name} data messages")
                    services.start_soon(self._beat, name=f"{self.name} heartbeat")
                    services.start_soon(self._watch_others, name=f"{self.name} watch")
                    await self._run_workers(workers, additions, auto_end, task_status)
        finally:
            self._finish.set()
            subscription.close()
            self._additions = None

    async def _run_workers(
        self,
        workers: tuple[Worker, ...],
        additions: trio.MemoryReceiveChannel[_Addition],
        auto_end: bool,
        task_status: trio.TaskStatus[None],
    ) -> None:
        failure: Exception | None = None
        async with trio.open_nursery() as nursery:
            try:
                for worker in workers:
                    failure = failure or await self._start(worker, nursery)
                if failure is None:
                    self._auto_end = auto_end
                    if workers:
                        self._check_auto_end()
                    self.bus.release()
                    nursery.start_soon(self._start_added, additions, nursery)
                    task_status.started()
                    await self._finish.wait()
                    await self._shut_down()
            finally:
                self._finish.set()
                self._cancel_all()
                additions.close()
        if failure is not None:
            raise failure

    async def add_worker(self, worker: Worker) -> None:
        """Run ``worker`` in the runner's nursery; returns when it is ready, raises what kept it from that.

        With a worker that lives on its caller's connection it is ``run_worker``: it returns when the connection ends.
        """
        if worker.lives_with_caller:
            await self.run_worker(worker)
            return
        if self._additions is None or self._finish.is_set():
            raise LocalProtocolError(f"{self!r} takes workers only while it runs")
        addition = _Addition(worker)
        try:
            await self._additions.send(addition)
        except trio.BrokenResourceError:
            raise LocalProtocolError(f"{self!r} takes workers only while it runs") from None
        await addition.begun.wait()
        if addition.failure is not None:
            raise addition.failure

    async def run_worker(
        self, worker: Worker, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Run ``worker`` in the caller's task, until it or the runner ends. Its failure is raised."""
        require_trio(type(worker).__name__, ASGI_WAYS_OUT if worker.lives_with_caller else MAIN_WAYS_OUT)
        if self._additions is None or self._finish.is_set():
            raise LocalProtocolError(f"{self!r} takes workers only while it runs")
        if worker.name in self._workers:
            raise LocalProtocolError(f"a worker named {worker.name!r} already runs here: give each a name of its own")
        running = self._workers[worker.name] = _Running(worker)
        try:
            with running.scope:
                await worker.run(
                    self.bus, registry=self.registry, end_timeout=self._end_timeout, task_status=task_status
                )
        finally:
            del self._workers[worker.name]
            for child in self._children(worker.name):
                child.scope.cancel()
            self._left.unpark_all()
            self._check_auto_end()

    def end(self, reason: str | None = None) -> None:
        """Ask every worker to end; ``run`` returns when they have. It may be called at any time, also twice.

        ``reason`` is told to the workers.
        """
        if not self._finish.is_set():
            self._reason = reason
            self._finish.set()

    def cancel(self, reason: str | None = None) -> None:
        """Cancel every worker; ``run`` returns when they have ended. It also cuts short an ``end``.

        ``reason`` is for the log: workers that are cancelled are told nothing.
        """
        if not self._grace.cancel_called:
            why = "no reason was given" if reason is None else shown_text(reason[:MAX_SHOWN])
            logger.info("runner %s: its workers are cancelled: %s", self.name, why)
            self._finish.set()
            self._grace.cancel()

    @property
    def is_ending(self) -> bool:
        """Whether it takes no more workers."""
        return self._finish.is_set()

    async def wait_ending(self) -> None:
        """Wait until the runner begins to end; it takes no more workers then. What serves for it stops accepting."""
        await self._finish.wait()

    async def _start_added(self, additions: trio.MemoryReceiveChannel[_Addition], nursery: trio.Nursery) -> None:
        try:
            while True:
                addition = await additions.receive()
                try:
                    addition.failure = await self._start(addition.worker, nursery)
                except trio.Cancelled:
                    addition.failure = LocalProtocolError(f"{self!r} was cancelled")
                    raise
                finally:
                    addition.begun.set()
        except (trio.EndOfChannel, trio.ClosedResourceError):
            pass  # the runner ends

    async def _start(self, worker: Worker, nursery: trio.Nursery) -> Exception | None:
        try:
            await nursery.start(self._run_logged, worker)
        except Exception as exc:  # the boundary between one worker and the runner: who adds it is told
            return exc
        return None

    async def _run_logged(self, worker: Worker, *, task_status: trio.TaskStatus[None]) -> None:
        begun = False

        class Status:
            def started(self, value: None = None) -> None:
                nonlocal begun
                begun = True
                task_status.started(value)

        try:
            await self.run_worker(worker, task_status=Status())
        except Exception:  # the boundary between one worker and the runner; before it began, who adds it is told
            if not begun:
                raise
            logger.exception("runner %s: worker %s failed and has ended", self.name, worker.name)

    async def _shut_down(self) -> None:
        self._grace.deadline = trio.current_time() + self._end_timeout
        with self._grace:
            for name in [name for name, running in self._workers.items() if running.worker.parent is None]:
                await self.bus.send(BusEndWorkerMessage(source=self.name, target=name, reason=self._reason))
            while self._workers:
                await self._left.park()

    def _cancel_all(self) -> None:
        for running in self._workers.values():
            running.scope.cancel()

    def _children(self, name: str) -> list[_Running]:
        return [running for running in self._workers.values() if running.worker.parent == name]

    def _check_auto_end(self) -> None:
        if self._auto_end and not any(running.worker.parent is None for running in self._workers.values()):
            self._finish.set()

    def _hears(self, message: BusMessage) -> bool:
        if not isinstance(message, _HEARD) or message.source == self.name:
            return False
        # News of workers is for every runner that it reaches, whomever a proxy had to address it to.
        return isinstance(message, _NEWS) or message.target in (None, self.name)

    async def _listen(self, receive: Callable[[], Awaitable[BusMessage]]) -> None:
        try:
            while True:
                await self._hear(await receive())
        except trio.EndOfChannel:
            self.cancel("the bus has ended")

    async def _beat(self) -> None:
        if self._heartbeat is None:
            return
        try:
            while True:
                await self._introduce()
                await trio.sleep(self._heartbeat)
        finally:
            with trio.CancelScope(shield=self.bus.is_running, deadline=trio.current_time() + GOODBYE_S):
                await self.bus.send(attrs.evolve(self._snapshot(), workers=()))

    async def _introduce(self) -> None:
        await self.bus.send(self._snapshot())

    def _snapshot(self) -> BusWorkerRegistryMessage:
        alive_for_s = None if self._heartbeat is None else MISSED_BEATS * self._heartbeat
        return BusWorkerRegistryMessage(
            source=self.name, runner=self.name, workers=self.registry.local_workers, alive_for_s=alive_for_s
        )

    async def _watch_others(self) -> None:
        while True:
            with trio.CancelScope(deadline=self.registry._next_expiry_s) as self._alarm:
                await trio.sleep_forever()
            self.registry._expire()

    async def _hear(self, message: BusMessage) -> None:
        match message:
            case BusEndMessage():
                self.end(message.reason)
            case BusCancelMessage():
                self.cancel(message.reason)
            case BusAddWorkerMessage(worker=worker):
                # There may be another runner on this bus. A child of one that has ended would outlive it.
                if worker.parent is None or worker.parent in self._workers:
                    await self._add_child(worker)
            case BusWorkerReadyMessage():
                # Only of our own: anybody can claim to be ready on this runner, and have it tell the others each time.
                if message.source in self._workers and message.parent is None:
                    await self._introduce()
            case BusWorkerRegistryMessage():
                is_new = self.registry._learn(message)
                self._alarm.deadline = self.registry._next_expiry_s
                if is_new and self._workers:
                    await self._introduce()

    async def _add_child(self, worker: AnyWorker) -> None:
        try:
            await self.add_worker(_checked(worker))
        except Exception as exc:  # the same boundary: logged, and the parent that asked for it is told
            logger.exception("runner %s: worker %s did not start", self.name, worker.name)
            # In the name of the one that runs already, it would say that that one has failed.
            source = self.name if worker.name in self._workers else worker.name
            error = f"{type(exc).__name__}: {exc}"
            await self.bus.send(BusWorkerLocalErrorMessage(source=source, target=worker.parent, error=error))
            return
        if worker.parent is not None and worker.parent not in self._workers and worker.name in self._workers:
            self._workers[worker.name].scope.cancel()  # the parent ended while its child began
