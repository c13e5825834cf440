"""Which workers are ready, here and elsewhere, as one runner knows it.

Rules
1. A name is registered once for each runner; a second worker of the same name in this process is refused.
2. What other runners tell is bounded: past ``MAX_REMOTE`` names nothing more is learned from them, and a name over
   ``MAX_NAME`` characters is refused.
3. Nobody else speaks for this runner: an entry that claims to be from it and was not made here is refused.
4. A watcher is told once for each time its worker becomes ready, and at once if it already is.
5. A worker is gone when it ends here, when its runner no longer names it, when a runner that promised to be heard of
   (``alive_for_s``) is not, or when the last connection that told of it (``_vouch``) has ended: peers come and go, each
   with a runner of its own. What asked ``on_gone`` is told its name.
6. A process that stood still itself has not read what came meanwhile: where it looks much too late, it gives the others
   their time once more before it counts them as gone.
"""

import logging
from collections.abc import Callable
from typing import Final, final

import trio
from attrs import define, field

from .._documented import documented
from ..errors import LocalProtocolError
from .crossing import Crossing
from .messages import BusWorkerRegistryMessage, WorkerReadyData, WorkerRegistryEntry
from .names import MAX_NAME as MAX_NAME

MAX_REMOTE: Final = 4096
MAX_VOUCHED: Final = 64
"""Runners that one connection may tell of, while it lasts: each is remembered until it ends."""
_LATE: Final = 1 / 3
"""Of the time that a runner is given: so late is nobody who did not stand still."""

Watcher = Callable[[WorkerReadyData], None]
"""It must not block and not fail."""

logger = logging.getLogger(__name__)


GoneWatcher = Callable[[str], None]
"""It must not block and not fail either."""


@documented
@final
@define(eq=False)
class _Alive:
    """Until when a runner is given to be heard of, and for how long each time."""

    until_s: float
    for_s: float
    was_given_more: bool = False


@documented
@final
@define(eq=False, repr=False)
class WorkerRegistry:
    """Owned by a runner, shared with its workers."""

    runner_name: str
    """The runner whose it is."""
    refused: int = field(default=0, init=False)
    """Entries from elsewhere that rules 2 and 3 kept out."""
    _local: dict[str, WorkerRegistryEntry] = field(factory=dict, init=False)
    _remote: dict[str, dict[str, WorkerRegistryEntry]] = field(factory=dict, init=False)
    _alive: dict[str, _Alive] = field(factory=dict, init=False)
    """By runner, of those that promised to be heard of."""
    _vouchers: dict[tuple[str, str], set[str]] = field(factory=dict, init=False)
    """By runner and worker, the connections that told of it."""
    _crossing: dict[str, Crossing] = field(factory=dict, init=False)
    """By proxy that is connected, the jobs that it carries."""
    _watchers: dict[str, list[Watcher]] = field(factory=dict, init=False)
    _gone_watchers: list[GoneWatcher] = field(factory=list, init=False)

    def __repr__(self) -> str:
        return f"<WorkerRegistry of {self.runner_name!r}: {len(self._local)} local, {len(self.remote_workers)} remote>"

    @property
    def local_workers(self) -> tuple[WorkerRegistryEntry, ...]:
        """The workers that run here."""
        return tuple(self._local.values())

    @property
    def remote_workers(self) -> tuple[WorkerRegistryEntry, ...]:
        """The workers of other runners, as far as they are known."""
        return tuple(entry for entries in self._remote.values() for entry in entries.values())

    def is_local(self, name: str) -> bool:
        """Whether a worker of that name runs in this process."""
        return name in self._local

    def find(self, name: str) -> WorkerReadyData | None:
        """A worker that is ready, local ones first."""
        if name in self._local:
            return WorkerReadyData(worker_name=name, runner=self.runner_name, entry=self._local[name])
        for runner, entries in self._remote.items():
            if name in entries:
                return WorkerReadyData(worker_name=name, runner=runner, entry=entries[name])
        return None

    def __contains__(self, name: str) -> bool:
        return self.find(name) is not None

    def _add_local(self, entry: WorkerRegistryEntry) -> None:
        """Put a worker that runs here into it. A name that is taken is an error."""
        if entry.name in self._local:
            raise LocalProtocolError(f"a worker named {entry.name!r} already runs here: give each a name of its own")
        self._local[entry.name] = entry
        self._tell(self.runner_name, entry)

    def _update_local(self, entry: WorkerRegistryEntry) -> None:
        """Change what is known of a local worker, for instance whether it is active."""
        self._local[entry.name] = entry

    def _remove_local(self, name: str) -> None:
        """Take a worker out that ran here."""
        if self._local.pop(name, None) is not None:
            self._tell_gone(name)

    def _learn(self, message: BusWorkerRegistryMessage) -> bool:
        """Take in what another runner tells; True if that runner was not known before."""
        if message.runner == self.runner_name:
            self._refuse(len(message.workers), f"{message.source[:100]!r} speaks for this runner")
            return False
        is_new = message.runner not in self._remote
        known = self._remote.get(message.runner, {})
        named: dict[str, WorkerRegistryEntry] = {}
        room = MAX_REMOTE - sum(len(entries) for entries in self._remote.values())
        for entry in message.workers:
            if len(entry.name) > MAX_NAME or len(message.runner) > MAX_NAME:
                self._refuse(1, f"a name is longer than {MAX_NAME}")
                continue
            if entry.name not in known and entry.name not in named:
                if room == 0:
                    self._refuse(1, f"{MAX_REMOTE} remote workers are known already")
                    continue  # those that are known are still there, wherever they stand
                room -= 1
            named[entry.name] = entry
        if named or not is_new:
            self._replace(message, known, named)
        return is_new and message.runner in self._remote

    def _vouch(self, connection: str, runner: str, name: str) -> bool:
        """Say that what is learned of ``name`` on ``runner`` is told over ``connection``; False: it is not to be."""
        connections = self._vouchers.get((runner, name), set())
        if connection in connections:
            return True
        if len(runner) > MAX_NAME or len(name) > MAX_NAME:
            self._refuse(1, f"a name is longer than {MAX_NAME}")
            return False
        if sum(connection in others for others in self._vouchers.values()) >= MAX_VOUCHED:
            self._refuse(1, f"{connection!r} has told of {MAX_VOUCHED} runners already")
            return False
        connections.add(connection)
        self._vouchers[runner, name] = connections
        return True

    def _unvouch(self, connection: str) -> None:
        """Forget what only ``connection``, which has ended, told of."""
        for runner, name in [key for key, connections in self._vouchers.items() if connection in connections]:
            connections = self._vouchers[runner, name]
            connections.remove(connection)
            if connections:
                continue
            del self._vouchers[runner, name]
            entries = self._remote.get(runner, {})
            if runner not in self._alive and entries.pop(name, None) is not None:
                if not entries:
                    del self._remote[runner]
                self._tell_gone(name)

    def _replace(
        self,
        message: BusWorkerRegistryMessage,
        known: dict[str, WorkerRegistryEntry],
        named: dict[str, WorkerRegistryEntry],
    ) -> None:
        runner = message.runner
        beats = message.alive_for_s is not None
        if beats:
            for_s = message.alive_for_s or 0.0
            self._alive[runner] = _Alive(trio.current_time() + for_s, for_s)
        # Only a runner that keeps telling is taken at its word about who is not there any more: a proxy names the one
        # worker that it joins, and a runner of Pipecat's never takes a name back.
        self._remote[runner] = named if beats else known | named
        for name, entry in named.items():
            before = known.get(name)
            # A worker that started again tells so by its start time; a proxy that connected again tells all it has.
            if before is None or before.started_at != entry.started_at or (entry.started_at is None and not beats):
                self._tell(runner, entry)
        if beats:
            for name in known.keys() - named.keys():
                self._tell_gone(name)
            if not named:
                self._forget(runner)

    @property
    def _next_expiry_s(self) -> float:
        """When the next runner has to have been heard of."""
        return min((alive.until_s for alive in self._alive.values()), default=float("inf"))

    def _expire(self) -> None:
        """Forget the runners that were not heard of in the time they promised."""
        now_s = trio.current_time()
        for runner, alive in [*self._alive.items()]:
            if alive.until_s > now_s:
                continue
            if now_s - alive.until_s > alive.for_s * _LATE and not alive.was_given_more:  # rule 6
                alive.until_s, alive.was_given_more = now_s + alive.for_s, True
                continue
            logger.warning("runner %s: %s is not heard of any more", self.runner_name, runner[:100])
            names = list(self._remote.get(runner, ()))
            self._forget(runner)
            for name in names:
                self._tell_gone(name)

    def on_gone(self, watcher: GoneWatcher) -> None:
        """Have ``watcher`` called with the name of each worker that is gone."""
        self._gone_watchers.append(watcher)

    def watch(self, name: str, watcher: Watcher) -> None:
        """Have ``watcher`` called when that worker is ready; at once if it is."""
        watchers = self._watchers.setdefault(name, [])
        if watcher in watchers:
            return
        watchers.append(watcher)
        found = self.find(name)
        if found is not None:
            watcher(found)

    def unwatch(self, watcher: Watcher) -> None:
        """Call that watcher no more."""
        for name in [name for name, watchers in self._watchers.items() if watcher in watchers]:
            self._watchers[name].remove(watcher)
            if not self._watchers[name]:
                del self._watchers[name]

    def forget_gone(self, watcher: GoneWatcher) -> None:
        """Call that watcher of ``on_gone`` no more."""
        self._gone_watchers.remove(watcher)

    def _tell(self, runner: str, entry: WorkerRegistryEntry) -> None:
        watchers = tuple(self._watchers.get(entry.name, ()))
        if watchers:
            data = WorkerReadyData(worker_name=entry.name, runner=runner, entry=entry)
            for watcher in watchers:
                watcher(data)

    def _tell_gone(self, name: str) -> None:
        if name not in self:  # another runner may have one of the same name
            for watcher in tuple(self._gone_watchers):
                watcher(name)

    def _forget(self, runner: str) -> None:
        self._remote.pop(runner, None)
        self._alive.pop(runner, None)

    def _refuse(self, count: int, why: str) -> None:
        if not self.refused:  # once: a peer may go on for ever
            logger.warning("runner %s: registry entries are refused, %s", self.runner_name, why)
        self.refused += count
