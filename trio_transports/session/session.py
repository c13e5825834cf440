"""A session: one call over one WebSocket, as its handler sees it."""

from collections.abc import Awaitable, Callable
from typing import final

from attrs import define, field

from ..frames import StartFrame
from ..serializers.protocol import FrameSerializer
from ..wire.peer import Peer
from .inbound import Inbound
from .inbox import Inbox
from .output import Output
from .state import Life, State
from .statistics import Counters, Statistics


@final
@define(eq=False)
class Session:
    """Made only by a transport; valid inside its ``async with``, and afterwards for what it remembers."""

    id: str
    input: Inbox
    output: Output
    serializer: FrameSerializer
    peer: Peer
    _life: Life
    _counters: Counters
    _inbound: Inbound
    _started_at_s: float
    _close: Callable[[int, str], Awaitable[None]]
    _now_s: Callable[[], float]
    _late_resets: Callable[[], int]
    _ended_at_s: float | None = field(default=None, init=False)

    @property
    def is_connected(self) -> bool:
        return self._life.has_wire and self._life.state in (State.OPEN, State.DRAINING)

    @property
    def is_closing(self) -> bool:
        return self._life.state in (State.DRAINING, State.CLOSING)

    @property
    def start(self) -> StartFrame | None:
        """How the peer announced its stream, once it has (telephony dialects do)."""
        return self._inbound.start

    def statistics(self) -> Statistics:
        """Take a snapshot of what was counted so far."""
        until_s = self._ended_at_s if self._ended_at_s is not None else self._now_s()
        return Statistics.of(
            self._counters,
            duration_s=until_s - self._started_at_s,
            audio_queued_s=self.output.queued_s,
            late_resets=self._late_resets(),
        )

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Flush what is queued (for ``drain_timeout`` at most), then close. Cancelling it closes at once, unflushed."""
        await self._close(code, reason)

    def __repr__(self) -> str:
        return f"<Session {self.id} with {self.peer}, {self._life.state.value}>"

    def mark_ended(self) -> None:
        self._ended_at_s = self._now_s()
