"""A worker: something with a name that takes messages from a bus, and its life.

Rules
1. ``run`` is the whole life of a worker, in the caller's task: subscribe, announce, handle, leave. Nothing outlives it.
2. Messages are handled in two tasks: system messages in one, data in the other, each in order. A long handler of data
   holds up neither a cancellation nor the news of other workers.
3. A worker takes what is addressed to it, and what is addressed to nobody and not its own. ``accepts`` may say
   otherwise.
4. An inactive worker takes only activation, deactivation, end and cancel.
5. An end comes in order with the data: what was sent before is handled first, then ``on_end``, which is given
   ``end_timeout``. A cancel does not wait.
6. Jobs (see ``jobs``) are done in tasks of their own, which end with the worker; answers to those it asked for reach
   whoever waits for them at once. A request that no ``@job`` is there for goes to ``on_job_request``, or, in a worker
   that has only ``on_bus_message``, to that.
7. A worker that fails says so on the bus (to its parent, if it has one) and its exception comes out of ``run``,
   whether it could be told or not.
"""

import logging
import time
from typing import ClassVar, Final, final

import trio
from attrs import define, field

from .._documented import documented
from .._moved import moved
from .._nursery import open_services
from ..errors import LocalProtocolError
from ..wire.running import ASGI_WAYS_OUT, MAIN_WAYS_OUT, require_trio
from .answering import DoneJobs, JobRequest, jobs_of
from .asking import AskedJobs, JobContext, JobGroupContext
from .bus import GOODBYE_S, Bus
from .jobs import JobError
from .messages import (
    BusActivateWorkerMessage,
    BusAddWorkerMessage,
    BusCancelWorkerMessage,
    BusDeactivateWorkerMessage,
    BusEndWorkerMessage,
    BusJobCancelMessage,
    BusJobRequestMessage,
    BusJobUpdateRequestMessage,
    BusMessage,
    BusWorkerErrorMessage,
    BusWorkerLocalErrorMessage,
    BusWorkerLostMessage,
    BusWorkerReadyMessage,
    BusWorkerSeenMessage,
    Payload,
    WorkerReadyData,
    WorkerRegistryEntry,
)
from .registry import WorkerRegistry
from .subscription import BusSubscription

END_TIMEOUT: Final = 5.0

logger = logging.getLogger(__name__)

_ALWAYS: Final = (
    BusActivateWorkerMessage,
    BusDeactivateWorkerMessage,
    BusEndWorkerMessage,
    BusCancelWorkerMessage,
    BusWorkerSeenMessage,
)
"""What an inactive worker takes too: it could neither be woken nor stopped otherwise."""

_OF_OTHERS: Final = (BusWorkerErrorMessage, BusWorkerLocalErrorMessage)
"""What ends a job that was asked of its sender, whomever it is told."""


def _is_name(worker: object, _: object, name: str) -> None:
    if not isinstance(name, str) or not name:
        raise ValueError(f"{type(worker).__name__}.name must be a non-empty string, not {name!r}")


@documented
@moved("runner")
@define(eq=False, repr=False, slots=False)  # without slots: a subclass keeps what it likes
class Worker:
    """Subclass it and write the hooks you need; each has a default that does nothing."""

    lives_with_caller: ClassVar[bool] = False
    """Whether it lives on something of its caller's, as a connection that ends with the endpoint it was given to."""

    name: str = field(validator=_is_name)
    """What it is addressed by; one name in the whole bus."""
    _active: bool = field(default=True, kw_only=True)
    """Whether it takes messages from its beginning; otherwise once a message activates it."""
    parent: str | None = field(default=None, kw_only=True)
    """The worker that added it, which it does not outlive; None: none."""
    bridged: bool = field(default=False, kw_only=True)
    """Whether it serves callers that are somewhere else; told in the registry."""
    _life: "_Life | None" = field(default=None, init=False)

    def __repr__(self) -> str:
        state = "not running" if self._life is None else "active" if self._active else "inactive"
        return f"<{type(self).__name__} {self.name!r}, {state}>"

    # What a subclass writes.

    def accepts(self, message: BusMessage) -> bool:
        """Whether ``on_bus_message`` is called for ``message``. It is asked by every sender, so it must be quick."""
        return message.target == self.name or (message.target is None and message.source != self.name)

    def tap(self, message: BusMessage) -> bool:
        """Take ``message`` at once, in the sender's task; True if that was all. It is asked before ``accepts``."""
        return False

    async def main(self) -> None:
        """What the worker does beside handling messages; when it returns the worker ends."""
        await trio.sleep_forever()

    async def on_bus_message(self, message: BusMessage) -> None:
        """Handle one message. Only the worker's own life (activation, end, cancel) is not passed on to here."""

    async def on_worker_ready(self, data: WorkerReadyData) -> None:
        """Handle the news that a worker given to ``watch`` is ready."""

    async def on_job_request(self, request: JobRequest) -> Payload | None:
        """Do a job that no ``@job`` method is there for; what it returns is the response."""
        raise JobError(f"worker {self.name!r} does no job named {request.job_name!r}")

    async def on_activated(self, args: Payload | None) -> None:
        """Handle that it takes messages from now on; called at its beginning too."""

    async def on_deactivated(self) -> None:
        """Handle that it takes no more messages until it is activated again."""

    async def on_end(self, reason: str | None) -> None:
        """Finish in good order; cancelled after ``end_timeout``."""

    # What a subclass uses.

    @property
    def active(self) -> bool:
        return self._active

    @property
    def bus(self) -> Bus:
        """The bus that it lives on; an error while it does not run."""
        return self._alive("bus").bus

    @property
    def registry(self) -> WorkerRegistry:
        """Which workers there are; an error while it does not run."""
        return self._alive("registry").registry

    async def send(self, message: BusMessage) -> None:
        """Send a message on the bus."""
        await self._alive("send()").bus.send(message)

    def watch(self, *names: str) -> None:
        """Have ``on_worker_ready`` called when one of these workers is ready; at once if it is."""
        life = self._alive("watch()")
        for name in names:
            life.registry.watch(name, life.seen)

    async def add_worker(self, worker: "Worker") -> None:
        """Have the runner run ``worker`` as a child of this one, which it does not outlive."""
        if worker.parent not in (None, self.name):
            raise LocalProtocolError(f"{worker!r} is already a child of {worker.parent!r}")
        worker.parent = self.name
        await self.send(BusAddWorkerMessage(source=self.name, worker=worker))

    def job(
        self,
        worker_name: str,
        name: str | None = None,
        payload: Payload | None = None,
        *,
        timeout: float | None = None,
        wait_ready: bool = True,
    ) -> JobContext:
        """Ask ``worker_name`` to do a job: await it for its response, or read its events in an ``async with``.

        ``timeout`` is for all of it, from waiting until the worker is ready to its answer. ``wait_ready=False`` asks at
        once, for a worker that no registry tells of. See ``jobs`` for the rules, and for the errors.

        ``name`` is the job's, of those that the worker has ``@job`` methods for (None: the one for all), and
        ``payload`` what it is given, as JSON.
        """
        life = self._alive("job()")
        life.check_waits_for_another(worker_name, name)
        wait_ready = wait_ready and life.has_runner
        return JobContext(life.asked, (worker_name,), name, payload, timeout, wait_ready)

    def job_group(
        self,
        *worker_names: str,
        name: str | None = None,
        payload: Payload | None = None,
        timeout: float | None = None,
        cancel_on_error: bool = True,
        wait_ready: bool = True,
    ) -> JobGroupContext:
        """Ask several workers to do one job; with ``cancel_on_error`` the first that fails ends it for all.

        ``name``, ``payload``, ``timeout`` and ``wait_ready`` are as for ``job``, the same for all of them.
        """
        life = self._alive("job_group()")
        if not worker_names or len(set(worker_names)) < len(worker_names):
            raise ValueError(f"a job group asks one or more workers, each once, not {worker_names!r}")
        for worker_name in worker_names:
            life.check_waits_for_another(worker_name, name)
        wait_ready = wait_ready and life.has_runner
        return JobGroupContext(life.asked, worker_names, name, payload, timeout, wait_ready, cancel_on_error)

    def stop(self) -> None:
        """End this worker now, as a cancel message would. It may be called at any time."""
        if self._life is not None:
            self._life.scope.cancel()

    # Its life.

    async def run(
        self,
        bus: Bus,
        *,
        registry: WorkerRegistry | None = None,
        end_timeout: float = END_TIMEOUT,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Live on ``bus`` until ``main`` returns or an end or cancel comes. It is ready when ``started`` is called.

        ``registry`` is where it finds other workers, the runner's; None makes one of its own. Told to end, it has
        ``end_timeout`` seconds for it, then it is cancelled.
        """
        require_trio(type(self).__name__, ASGI_WAYS_OUT if self.lives_with_caller else MAIN_WAYS_OUT)
        if self._life is not None:
            raise LocalProtocolError(f"{self!r} already runs: make another one")
        life = self._life = self._new_life(bus, registry, end_timeout)
        try:
            life.registry._add_local(life.entry(self))
            life.registry.on_gone(life.asked.lose)
            try:
                await self._live(life, task_status)
            except Exception as exc:  # whatever ended it, in the user's code or here: told, and raised again
                await self._tell_failure(exc)
                raise
            finally:
                life.registry.forget_gone(life.asked.lose)
                life.registry._remove_local(self.name)
        finally:
            life.registry.unwatch(life.seen)
            life.subscription.close()
            self._life = None

    def _new_life(self, bus: Bus, registry: WorkerRegistry | None, end_timeout: float) -> "_Life":
        handlers = jobs_of(self)
        kind = type(self)
        # A worker that handles messages by itself may answer requests there; else each request gets an answer.
        by_itself = kind.on_job_request is Worker.on_job_request and kind.on_bus_message is not Worker.on_bus_message
        has_runner = registry is not None
        registry = registry if registry is not None else WorkerRegistry(f"{self.name}-runner")
        return _Life(
            bus=bus,
            registry=registry,
            has_runner=has_runner,
            subscription=bus.subscribe(self.name, accepts=self._takes, tap=self._tap, concerns=self._concerns),
            end_timeout=end_timeout,
            asked=AskedJobs(self.name, registry, bus),
            done=DoneJobs(self.name, handlers, None if by_itself else self.on_job_request, bus),
        )

    async def _live(self, life: "_Life", task_status: trio.TaskStatus[None]) -> None:
        entry = life.entry(self)
        await life.bus.send(
            BusWorkerReadyMessage(
                source=self.name,
                runner=life.registry.runner_name,
                parent=entry.parent,
                active=entry.active,
                bridged=entry.bridged,
                started_at=entry.started_at,
            )
        )
        async with open_services() as services:
            services.start_soon(self._handle_system, life, name=f"{self.name} system messages")
            services.start_soon(self._handle_data, life, name=f"{self.name} data messages")
            task_status.started()
            with life.scope:
                await self.main()

    def _concerns(self, kind: type[BusMessage], target: str | None) -> bool:
        """Whether such a message has to be shown to ``tap`` and ``accepts``: all of them, to those of a subclass."""
        if target is None or target == self.name or issubclass(kind, _OF_OTHERS):
            return True
        return type(self).accepts is not Worker.accepts or type(self).tap is not Worker.tap

    def _tap(self, message: BusMessage) -> bool:
        life = self._life
        if life is not None and (life.asked.take(message) or (self._active and life.begins_now(message))):
            return True
        if isinstance(message, BusWorkerLostMessage) and life is not None:
            if message.local == self.name:
                life.done.lose(message.source, message.jobs)
            return True
        return self._active and self.tap(message)

    def _takes(self, message: BusMessage) -> bool:
        if isinstance(message, _ALWAYS) and message.target in (None, self.name):
            return True
        if message.target == self.name and self._life is not None and self._life.does(message, active=self._active):
            return True
        return self._active and self.accepts(message)

    async def _handle_system(self, life: "_Life") -> None:
        try:
            while True:
                message = await life.subscription.receive_system()
                if isinstance(message, BusCancelWorkerMessage) and message.target in (None, self.name):
                    life.scope.cancel()
                elif isinstance(message, BusWorkerSeenMessage):
                    await self.on_worker_ready(message.data)
                elif isinstance(message, BusJobCancelMessage) and message.target == self.name:
                    life.done.cancel(message)
                elif self._active:
                    await self.on_bus_message(message)
        except trio.EndOfChannel:
            life.scope.cancel()

    async def _handle_data(self, life: "_Life") -> None:
        life.data_task = trio.lowlevel.current_task()
        async with life.done.open():
            if self._active:
                await self.on_activated(None)
            try:
                while True:
                    message = await life.subscription.receive_data()
                    if not (self._active and await life.done.accept(message)):
                        await self._handle_one(message, life)
            except trio.EndOfChannel:
                life.scope.cancel()

    async def _handle_one(self, message: BusMessage, life: "_Life") -> None:
        if message.target in (None, self.name):
            match message:
                case BusActivateWorkerMessage():
                    self._set_active(life, active=True)
                    await self.on_activated(message.args)
                    return
                case BusDeactivateWorkerMessage():
                    self._set_active(life, active=False)
                    await self.on_deactivated()
                    return
                case BusJobUpdateRequestMessage() if life.done.want_update(message):
                    return
                case BusEndWorkerMessage():
                    with trio.move_on_after(life.end_timeout):
                        await self.on_end(message.reason)
                    life.scope.cancel()
                    await trio.sleep_forever()  # what comes after an end is not handled
        if self._active:
            await self.on_bus_message(message)

    def _set_active(self, life: "_Life", *, active: bool) -> None:
        self._active = active
        life.registry._update_local(life.entry(self))

    async def _tell_failure(self, exc: Exception) -> None:
        error = f"{type(exc).__name__}: {exc}"
        failure: BusMessage
        if self.parent is None:
            failure = BusWorkerErrorMessage(source=self.name, error=error)
        else:
            failure = BusWorkerLocalErrorMessage(source=self.name, target=self.parent, error=error)
        # Shielded: it may be told to end in the midst of its end, and its own exception must not be lost for that.
        why = f"not taken within {GOODBYE_S:g} s"
        with trio.CancelScope(shield=True, deadline=trio.current_time() + GOODBYE_S):
            try:
                await self.send(failure)
            except Exception as error:  # the worker's own is raised all the same
                why = f"{type(error).__name__}: {error}"
            else:
                return
        logger.warning("worker %s failed, and the bus was not told: %s", self.name, why)

    def _alive(self, what: str) -> "_Life":
        if self._life is None:
            raise LocalProtocolError(
                f"{self!r}: {what} is there only while it runs: give it to a runner, or await run()"
            )
        return self._life


@final
@define(eq=False, kw_only=True)
class _Life:
    """What a worker has while it runs."""

    bus: Bus
    registry: WorkerRegistry
    has_runner: bool
    """Whether the registry is a runner's, which hears of other workers."""
    subscription: BusSubscription
    end_timeout: float
    asked: AskedJobs
    done: DoneJobs
    started_at: float = field(factory=time.time)
    scope: trio.CancelScope = field(factory=trio.CancelScope)
    data_task: trio.lowlevel.Task | None = None

    def does(self, message: BusMessage, *, active: bool) -> bool:
        """Whether it asks for a job that is done here, or takes one back: no ``accepts`` is to lose that."""
        if isinstance(message, BusJobCancelMessage):
            return True
        return active and isinstance(message, BusJobRequestMessage) and self.done.does(message.job_name)

    def begins_now(self, message: BusMessage) -> bool:
        """Begin a job that is asked of this worker, if nothing is ahead of it or the worker itself asks."""
        if type(message) is not BusJobRequestMessage or message.target != self.subscription.name:
            return False
        is_next = message.source == message.target or self.subscription.awaits_data
        return is_next and self.done.accept_now(message)

    def check_waits_for_another(self, worker_name: str, job_name: str | None) -> None:
        """Refuse a job that only the task that asks for it would do."""
        if (
            worker_name == self.subscription.name
            and trio.lowlevel.current_task() is self.data_task
            and not self.done.does(job_name)
        ):
            raise JobError(
                "on_bus_message would wait for itself: mark a method with @job, or ask from main()", worker=worker_name
            )

    def entry(self, worker: Worker) -> WorkerRegistryEntry:
        return WorkerRegistryEntry(
            name=worker.name,
            parent=worker.parent,
            active=worker.active,
            bridged=worker.bridged,
            started_at=self.started_at,
        )

    def seen(self, data: WorkerReadyData) -> None:
        """Tell the worker of another that is ready, in order with its messages."""
        self.subscription.put(BusWorkerSeenMessage(source=data.runner, data=data))
