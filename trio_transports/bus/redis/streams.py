"""The streams of one bus: which messages are stored, where, and in which group this process reads them."""

from collections.abc import Callable, Iterator
from typing import final

import trio
from attrs import define, field

from ..messages import BusMessage, BusSystemMessage
from .group import Group
from .readers import BusIntake, StreamReader
from .writer import RedisWriter


@final
@define(eq=False, kw_only=True)
class Streams:
    """Two of them, since urgent messages are not to wait behind the others."""

    key: str
    durable: tuple[type[BusMessage], ...]
    """Which messages are stored; none: nothing is, and nothing is read."""
    group: Group
    _released: trio.Event = field(factory=trio.Event, init=False)

    def key_for(self, message: BusMessage) -> str:
        """Where a message is stored, if it is durable."""
        return self._key(system=isinstance(message, BusSystemMessage))

    def _key(self, *, system: bool) -> str:
        return f"{self.key}:stream:system" if system else f"{self.key}:stream"

    def release(self) -> None:
        """Let stored messages come."""
        self._released.set()

    def readers(
        self,
        incoming: BusIntake,
        writer: RedisWriter,
        reply_timeout: float,
        becomes_ready: Callable[[], Callable[[], None]],
    ) -> Iterator[StreamReader]:
        """One for each stream. What ``becomes_ready`` gives it calls when it has its first connection."""
        if not self.durable:
            return
        for system in (False, True):
            yield StreamReader(
                key=self._key(system=system),
                group=self.group,
                reply_timeout=reply_timeout,
                incoming=incoming,
                writer=writer,
                released=self._released,
                on_ready=becomes_ready(),
            )
