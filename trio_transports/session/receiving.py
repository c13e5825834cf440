"""The receive task: the only reader of the wire, through all the connections that a session may have.

Rules
1. It always drains, and never waits for the handler. What it waits for is bounded: audio that is worked on slowly, and
   a peer that has not read the answers it is owed.
2. A connection that was lost is dialled again while the session is open, if the server did not mean to end the call.
   Each loss has a scope of its own, which whatever closes the session cancels. What the dialect knew of the lost
   connection is forgotten: a pause that its peer asked for, and in which code and stream it is to be spoken to.
3. It returns how the last connection ended.
4. A wire may hand a message over in another task, which reads for several: so what is done with it at once waits for
   nothing, and what has to be waited for is waited for here.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from math import inf
from typing import Final, TypeAlias, final

import trio
from attrs import define, field

from .._offers import offers
from ..errors import ConnectionClosed, Ending, TransportError
from ..serializers.protocol import KnowsConnection, Message, Pausable, Replies
from ..wire.protocol import HandsOver, SharesAlarms, Wire
from .broadcast import Broadcast
from .parts import Parts
from .state import State

Redial: TypeAlias = Callable[[ConnectionClosed], AbstractAsyncContextManager[Wire]]
"""Open the next connection after a lost one, or raise a TransportError when that is given up."""

WORTH_A_REDIAL: Final = frozenset({1001, 1005, 1006, 1011, 1012, 1013, 1014})
"""Close codes after which a client that reconnects does: the server did not mean to end the call."""

_LATE_S: Final = 0.002
"""A side that is later than that has stood still: what is missing may have come meanwhile."""
_GLANCE_S: Final = 0.005
"""For so long it is looked for then; longer than ``wire.wakes`` holds a waking back."""


@final
@define(eq=False)
class Receiving:
    """Owned by one session; ``run`` is its receive task."""

    _parts: Parts
    wire: Wire
    _messages: Broadcast[Message] | None
    _redial: Redial | None
    heard_at_s: float = field(factory=trio.current_time, init=False)
    """When the peer was heard last, or found again."""
    _replies: Callable[[], Sequence[Message]] | None = field(default=None, init=False)
    _pausable: Pausable | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        serializer = self._parts.serializer
        if offers(serializer, Replies):
            self._replies = serializer.replies
        if offers(serializer, Pausable):
            self._pausable = serializer
        if self._replies is not None or self._pausable is not None:
            self._parts.unread.standby.first = self._begin_message

    def begin(self) -> None:
        """Start on the first connection; what opens a stream goes ahead of its first audio."""
        self._attach(self.wire)
        self._reply()
        self._parts.outbound.open_when_ready()

    async def run(self) -> Ending:
        """The receive task: it returns how the session ended, with no reconnection left to make."""
        life = self._parts.life
        ending = await self._pump(self.wire)
        while self._redial is not None and self._may_redial(ending):
            with trio.CancelScope() as life.redialling:
                self._parts.outbound.outbox.attach(None)
                try:
                    async with self._redial(ending.error()) as wire:
                        self._take(wire)
                        ending = await self._pump(wire)
                except TransportError as exc:
                    return Ending(ending.code, f"{ending.reason}; gave up: {exc}", ending.initiator)
            if life.redialling is not None:  # cancelled before there was a connection
                break
        return ending

    def _may_redial(self, ending: Ending) -> bool:
        life = self._parts.life
        is_open = life.state is State.OPEN and not life.peer_has_stopped
        return is_open and ending.initiator != "local" and ending.code in WORTH_A_REDIAL

    def _take(self, wire: Wire) -> None:
        parts = self._parts
        self.wire, parts.life.redialling = wire, None
        self.heard_at_s = trio.current_time()
        parts.counters.reconnects += 1
        if offers(parts.serializer, KnowsConnection):
            parts.serializer.reconnected()
        parts.outbound.reconnected()
        self._attach(wire)
        self._reply()
        parts.outbound.open_when_ready()

    def _attach(self, wire: Wire) -> None:
        wakes_at = wire.alarm_s if offers(wire, SharesAlarms) else None
        for track in self._parts.outbound.tracks.values():
            track.schedule.wakes_at = wakes_at
        self._parts.outbound.outbox.attach(wire)

    async def _pump(self, wire: Wire) -> Ending:
        """Read a connection to its end."""
        parts, counters = self._parts, self._parts.counters
        readers = [hub for hub in (parts.messages, self._messages) if hub is not None]
        outbound, life = parts.outbound, parts.life
        outbox, take = outbound.outbox, parts.inbound.take
        lanes, is_ready = outbox.lanes, outbound.is_ready
        slow: Awaitable[None] | None = None

        def taken(message: Message) -> bool:
            """Take a message; whether there is something to wait for before the next. Rule 4."""
            nonlocal slow
            self.heard_at_s = trio.current_time()
            counters.messages_received += 1
            counters.bytes_received += len(message)
            for hub in readers:
                if hub.has_subscribers:
                    hub.emit(message)
            if life.state.is_ending:
                return False
            slow = take(message)
            if self._pausable is not None:
                outbound.clock.hold(self._pausable.is_paused)
            if self._replies is not None:
                self._reply()  # before the tracks may speak: what opens a stream goes ahead of its first audio
            if parts.closing.awaits_answer:
                parts.closing.heard()
            if slow is not None:
                return True
            if not is_ready:
                open_when_ready()
            return bool(lanes.replies) and outbox.owes_much

        def open_when_ready() -> None:
            nonlocal is_ready
            outbound.open_when_ready()
            is_ready = outbound.is_ready

        receive_each = self._each_from(wire)
        while True:
            try:
                await receive_each(taken)
            except ConnectionClosed as closed:
                wire.abort()
                rest = parts.inbound.release_all()
                if rest is not None:
                    await rest
                await parts.inbound.words.eye.settle()
                if outbox.is_stuck:
                    return Ending(1006, f"a write took longer than send_timeout ({parts.params.send_timeout:g} s)")
                return closed.ending
            if slow is not None:
                await slow
                slow = None
                if not is_ready:
                    open_when_ready()
            if lanes.replies and outbox.owes_much:
                await outbox.room_for_replies()

    def _each_from(self, wire: Wire) -> Callable[[Callable[[Message], bool]], Awaitable[None]]:
        """How messages are had one by one: as the wire hands them over, or asked for."""
        if self._parts.inbound.in_order is not None:
            return partial(_receive_each, partial(self._receive_releasing, wire))
        return wire.receive_each if offers(wire, HandsOver) else partial(_receive_each, wire.receive)

    async def _receive_releasing(self, wire: Wire) -> Message:
        """Wait for the next message, and meanwhile give on the audio that becomes due."""
        inbound = self._parts.inbound
        while True:
            due_s = inf if inbound.in_order is None else inbound.in_order.due_s
            now_s = trio.current_time()
            is_missing = due_s <= now_s
            with trio.move_on_at(now_s + _GLANCE_S if is_missing else due_s):
                return await wire.receive()
            slow = inbound.release(conceals=is_missing or trio.current_time() < due_s + _LATE_S)
            if slow is not None:
                await slow

    def _begin_message(self) -> None:
        """Do what a message asks for before anything is said to its frames."""
        self._reply()
        if self._pausable is not None and self._pausable.is_paused:  # its end is told when all was taken
            self._parts.outbound.clock.hold(True)

    def _reply(self) -> None:
        if self._replies is not None:
            self._parts.outbound.outbox.put_replies(self._replies())


async def _receive_each(receive: Callable[[], Awaitable[Message]], take: Callable[[Message], bool]) -> None:
    while not take(await receive()):
        pass
