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
6. A worker that fails says so on the bus (to its parent, if it has one) and its exception comes out of ``run``.
"""

import time
from typing import ClassVar, Final, final

import trio
from attrs import define, field

from .._nursery import open_services
from ..errors import LocalProtocolError
from .bus import Bus
from .messages import (
    BusActivateWorkerMessage,
    BusAddWorkerMessage,
    BusCancelWorkerMessage,
    BusDeactivateWorkerMessage,
    BusEndWorkerMessage,
    BusMessage,
    BusWorkerErrorMessage,
    BusWorkerLocalErrorMessage,
    BusWorkerReadyMessage,
    BusWorkerSeenMessage,
    Payload,
    WorkerReadyData,
    WorkerRegistryEntry,
)
from .registry import WorkerRegistry
from .subscription import BusSubscription

END_TIMEOUT: Final = 5.0

_ALWAYS: Final = (
    BusActivateWorkerMessage,
    BusDeactivateWorkerMessage,
    BusEndWorkerMessage,
    BusCancelWorkerMessage,
    BusWorkerSeenMessage,
)
"""What an inactive worker takes too: it could neither be woken nor stopped otherwise."""


class Worker:
    """Subclass it and write the hooks you need; each has a default that does nothing."""

    lives_with_caller: ClassVar[bool] = False
    """Whether it lives on something of its caller's, as a connection that ends with the endpoint it was given to."""

    def __init__(self, name: str, *, active: bool = True, parent: str | None = None, bridged: bool = False) -> None:
        if not isinstance(name, str) or not name:
            raise ValueError(f"{type(self).__name__}.name must be a non-empty string, not {name!r}")
        self.name = name
        self.parent = parent
        self.bridged = bridged
        self._active = active
        self._life: _Life | None = None

    def __repr__(self) -> str:
        state = "not running" if self._life is None else "active" if self._active else "inactive"
        return f"<{type(self).__name__} {self.name!r}, {state}>"

    # What a subclass writes.

    def accepts(self, message: BusMessage) -> bool:
        """Whether ``on_bus_message`` is called for ``message``. It is asked by every sender, so it must be quick."""
        return message.target == self.name or (message.target is None and message.source != self.name)

    async def main(self) -> None:
        """What the worker does beside handling messages; when it returns the worker ends."""
        await trio.sleep_forever()

    async def on_bus_message(self, message: BusMessage) -> None:
        """Handle one message. Only the worker's own life (activation, end, cancel) is not passed on to here."""

    async def on_worker_ready(self, data: WorkerReadyData) -> None:
        """Handle the news that a worker given to ``watch`` is ready."""

    async def on_activated(self, args: Payload | None) -> None: ...

    async def on_deactivated(self) -> None: ...

    async def on_end(self, reason: str | None) -> None:
        """Finish in good order; cancelled after ``end_timeout``."""

    # What a subclass uses.

    @property
    def active(self) -> bool:
        return self._active

    @property
    def bus(self) -> Bus:
        return self._alive("bus").bus

    @property
    def registry(self) -> WorkerRegistry:
        return self._alive("registry").registry

    async def send(self, message: BusMessage) -> None:
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
        """Live on ``bus`` until ``main`` returns or an end or cancel comes. It is ready when ``started`` is called."""
        if self._life is not None:
            raise LocalProtocolError(f"{self!r} already runs: make another one")
        registry = registry if registry is not None else WorkerRegistry(f"{self.name}-runner")
        subscription = bus.subscribe(self.name, accepts=self._takes)
        life = _Life(bus, registry, subscription, end_timeout, time.time())
        self._life = life
        try:
            registry.add_local(life.entry(self))
            try:
                await self._live(life, task_status)
            except Exception as exc:
                await self._tell_failure(exc)
                raise
            finally:
                registry.remove_local(self.name)
        finally:
            registry.unwatch(life.seen)
            subscription.close()
            self._life = None

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

    def _takes(self, message: BusMessage) -> bool:
        if isinstance(message, _ALWAYS) and message.target in (None, self.name):
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
                elif self._active:
                    await self.on_bus_message(message)
        except trio.EndOfChannel:
            life.scope.cancel()

    async def _handle_data(self, life: "_Life") -> None:
        if self._active:
            await self.on_activated(None)
        try:
            while True:
                await self._handle_one(await life.subscription.receive_data(), life)
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
                case BusEndWorkerMessage():
                    with trio.move_on_after(life.end_timeout):
                        await self.on_end(message.reason)
                    life.scope.cancel()
                    await trio.sleep_forever()  # what comes after an end is not handled
        if self._active:
            await self.on_bus_message(message)

    def _set_active(self, life: "_Life", *, active: bool) -> None:
        self._active = active
        life.registry.update_local(life.entry(self))

    async def _tell_failure(self, exc: Exception) -> None:
        error = f"{type(exc).__name__}: {exc}"
        failure: BusMessage
        if self.parent is None:
            failure = BusWorkerErrorMessage(source=self.name, error=error)
        else:
            failure = BusWorkerLocalErrorMessage(source=self.name, target=self.parent, error=error)
        with trio.move_on_after(END_TIMEOUT):
            await self.send(failure)

    def _alive(self, what: str) -> "_Life":
        if self._life is None:
            raise LocalProtocolError(
                f"{self!r}: {what} is there only while it runs: give it to a runner, or await run()"
            )
        return self._life


@final
@define(eq=False)
class _Life:
    """What a worker has while it runs."""

    bus: Bus
    registry: WorkerRegistry
    subscription: BusSubscription
    end_timeout: float
    started_at: float
    scope: trio.CancelScope = field(factory=trio.CancelScope)

    def entry(self, worker: Worker) -> WorkerRegistryEntry:
        return WorkerRegistryEntry(
            name=worker.name,
            parent=worker.parent,
            active=worker.active,
            bridged=worker.bridged,
            started_at=self.started_at,
        )

    def seen(self, data: WorkerReadyData) -> None:
        self.subscription.put(BusWorkerSeenMessage(source=data.runner, data=data))
