"""Which workers are ready, here and elsewhere, as one runner knows it.

Rules
1. A name is registered once for each runner; a second worker of the same name in this process is refused.
2. What other runners tell is bounded: past ``MAX_REMOTE`` names nothing more is learned from them, and a name over
   ``MAX_NAME`` characters is refused.
3. Nobody else speaks for this runner: an entry that claims to be from it and was not made here is refused.
4. A watcher is told once for each time its worker becomes ready, and at once if it already is.
"""

import logging
from collections.abc import Callable
from typing import Final, final

from ..errors import LocalProtocolError
from .messages import BusWorkerRegistryMessage, WorkerReadyData, WorkerRegistryEntry

MAX_REMOTE: Final = 4096
MAX_NAME: Final = 256

Watcher = Callable[[WorkerReadyData], None]
"""It must not block and not fail."""

log = logging.getLogger(__name__)


@final
class WorkerRegistry:
    """Owned by a runner, shared with its workers."""

    def __init__(self, runner_name: str) -> None:
        self.runner_name = runner_name
        self._local: dict[str, WorkerRegistryEntry] = {}
        self._remote: dict[str, dict[str, WorkerRegistryEntry]] = {}
        self._watchers: dict[str, list[Watcher]] = {}
        self._remote_count = 0
        self._refused = 0

    def __repr__(self) -> str:
        return f"<WorkerRegistry of {self.runner_name!r}: {len(self._local)} local, {self._remote_count} remote>"

    @property
    def local_workers(self) -> tuple[WorkerRegistryEntry, ...]:
        return tuple(self._local.values())

    @property
    def remote_workers(self) -> tuple[WorkerRegistryEntry, ...]:
        return tuple(entry for entries in self._remote.values() for entry in entries.values())

    @property
    def refused(self) -> int:
        """Entries from elsewhere that rules 2 and 3 kept out."""
        return self._refused

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

    def add_local(self, entry: WorkerRegistryEntry) -> None:
        if entry.name in self._local:
            raise LocalProtocolError(f"a worker named {entry.name!r} already runs here: give each a name of its own")
        self._local[entry.name] = entry
        self._tell(self.runner_name, entry)

    def update_local(self, entry: WorkerRegistryEntry) -> None:
        """Change what is known of a local worker, for instance whether it is active."""
        self._local[entry.name] = entry

    def remove_local(self, name: str) -> None:
        self._local.pop(name, None)

    def snapshot(self, source: str) -> BusWorkerRegistryMessage:
        return BusWorkerRegistryMessage(source=source, runner=self.runner_name, workers=self.local_workers)

    def learn(self, message: BusWorkerRegistryMessage) -> bool:
        """Take in what another runner tells; True if that runner was not known before."""
        if message.runner == self.runner_name:
            self._refuse(len(message.workers), f"{message.source[:100]!r} speaks for this runner")
            return False
        is_new = message.runner not in self._remote
        for position, entry in enumerate(message.workers):
            known = self._remote.get(message.runner, {}).get(entry.name)
            if known is None:
                if self._remote_count >= MAX_REMOTE:
                    self._refuse(len(message.workers) - position, f"{MAX_REMOTE} remote workers are known already")
                    break
                if len(entry.name) > MAX_NAME or len(message.runner) > MAX_NAME:
                    self._refuse(1, f"a name is longer than {MAX_NAME}")
                    continue
                self._remote_count += 1
            self._remote.setdefault(message.runner, {})[entry.name] = entry
            # A worker that started again tells so by its start time; a proxy that connected again tells all it has.
            if known is None or known.started_at != entry.started_at or entry.started_at is None:
                self._tell(message.runner, entry)
        return is_new and message.runner in self._remote

    def watch(self, name: str, watcher: Watcher) -> None:
        watchers = self._watchers.setdefault(name, [])
        if watcher in watchers:
            return
        watchers.append(watcher)
        found = self.find(name)
        if found is not None:
            watcher(found)

    def unwatch(self, watcher: Watcher) -> None:
        for name in [name for name, watchers in self._watchers.items() if watcher in watchers]:
            self._watchers[name].remove(watcher)
            if not self._watchers[name]:
                del self._watchers[name]

    def _tell(self, runner: str, entry: WorkerRegistryEntry) -> None:
        watchers = tuple(self._watchers.get(entry.name, ()))
        if watchers:
            data = WorkerReadyData(worker_name=entry.name, runner=runner, entry=entry)
            for watcher in watchers:
                watcher(data)

    def _refuse(self, count: int, why: str) -> None:
        if not self._refused:  # once: a peer may go on for ever
            log.warning("runner %s: registry entries are refused, %s", self.runner_name, why)
        self._refused += count
