"""A session: one call over one WebSocket, as its handler sees it."""

import os
from contextlib import AbstractContextManager
from typing import final

import trio
from attrs import define, field

from .._documented import documented
from .._moved import moved
from ..errors import Ending
from ..frames import StartFrame
from ..serializers.protocol import FrameSerializer, Message
from ..wire.peer import Peer
from .broadcast import Subscription
from .inbox import Inbox
from .output import Output
from .parts import Parts
from .state import State
from .statistics import Statistics
from .taps import Tap


def _new_id() -> str:
    return os.urandom(6).hex()


@documented
@final
@moved("session")
@define(eq=False)
class Session:
    """One call over one WebSocket, made only by a transport.

    It is valid inside its ``async with`` or handler, and afterwards for what it remembers.
    """

    peer: Peer
    """Who is at the other end: address, path, headers, subprotocol. Captured when the connection was made, valid after
    it."""
    _parts: Parts
    id: str = field(factory=_new_id, init=False)
    """A short random name for log lines; the peer does not know it."""
    input: Inbox = field(init=False)
    """What the peer sends: a trio channel of frames. It ends when the peer is gone and everything it sent was read."""
    output: Output = field(init=False)
    """What is sent to the peer: a trio channel of frames, with more."""

    def __attrs_post_init__(self) -> None:
        self.input, self.output = Inbox(self._parts.unread), self._parts.output

    @property
    def serializer(self) -> FrameSerializer:
        """The session's own: what it has learned of its stream is its."""
        return self._parts.serializer

    @property
    def is_connected(self) -> bool:
        """Whether frames can still be sent. It is False while a client has lost its connection and dials again."""
        life = self._parts.life
        return life.has_wire and life.state in (State.OPEN, State.DRAINING)

    @property
    def is_closing(self) -> bool:
        """Whether this side is ending it: queued audio still leaves, nothing new is taken."""
        return self._parts.life.state in (State.DRAINING, State.CLOSING)

    @property
    def start(self) -> StartFrame | None:
        """How the peer announced its stream, once it has (telephony dialects do)."""
        return self._parts.inbound.words.start

    @property
    def _ending(self) -> Ending | None:
        """How it has ended; None until then."""
        life = self._parts.life
        return life.told_ending if life.state.is_over else None

    @property
    def _remembered_bytes(self) -> int:
        return self._parts.outbound.remembered_bytes

    def statistics(self) -> Statistics:
        """Take a snapshot of what was counted so far."""
        life, outbound = self._parts.life, self._parts.outbound
        until_s = life.ended_at_s if life.ended_at_s is not None else trio.current_time()
        return Statistics._of(
            self._parts.counters,
            duration_s=until_s - life.started_at_s,
            audio_queued_s=outbound.queued_s,
            late_resets=outbound.late_resets,
        )

    def messages(self, buffer: int = 1024) -> Subscription[Message]:
        """Subscribe to the raw messages received from now on, before any decoding; it ends with the connection.

        Take it before the first wait in the handler to miss none: what came earlier is not given.

        ``buffer`` is how many wait unread at most: past it the oldest are dropped, and an ``EventsLost`` in their
        place says how many.
        """
        subscription = self._parts.messages.subscribe(buffer)
        if self._parts.life.state.is_over:
            self._parts.messages.end()
        return subscription

    def tapped(self, tap: Tap) -> AbstractContextManager[None]:
        """Let somebody listen in on both sides while the block runs: a recorder, a log."""
        return self._parts.outbound.taps.open(tap)

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Flush what is queued (for ``drain_timeout`` at most), then close. Cancelling it closes at once, unflushed.

        ``code`` and ``reason`` are what the peer is told in the close frame.
        """
        await self._parts.closing.politely(code, reason)

    def __repr__(self) -> str:
        return f"<Session {self.id} with {self.peer}, {self._parts.life.state.value}>"
