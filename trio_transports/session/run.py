"""The life of a session: the one function that opens its nursery, and how every way to end it goes.

The nursery holds three tasks: *receive* reads the wire, *clock* decides when audio leaves, *send* writes the wire.

Rules
1. The body returns: what is queued flushes within ``drain_timeout``, then the wire closes with 1000.
2. The body raises or is cancelled: what is queued is dropped and the wire closes with 1011 or 1001, within
   ``close_timeout`` (and a second at most in all), then by force. The body's own exception comes out as it is.
   An ``EndFrame`` or ``CancelFrame`` that was sent ends the call as ``session.farewell`` says; the body goes on.
3. The peer closes or is lost: the input ends once it is read, sending raises, and the body goes on.
4. A limit is passed (a timeout, too many malformed messages, too many unread frames): the wire closes with a code and
   reason that say so, and the body sees what rule 3 says.
5. One of the three tasks crashes: the wire closes with 1011, the body is cancelled, and the crash comes out.
6. Whichever comes first is what ``Disconnected`` tells, once, after the wire is closed: the receive task ends when the
   wire has, and that is where the end of a session is told.
"""

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, TypeAlias, final

import trio
from attrs import define, field

from .._nursery import open_services
from ..errors import ConnectionClosed, TransportError
from ..frames import StartFrame
from ..params import TransportParams
from ..serializers.protocol import AwaitsStart, Message, Replies
from ..wire.protocol import Wire
from .assembly import Parts, assemble
from .broadcast import Broadcast
from .clock import Timer
from .events import Connected, Disconnected, Event, IdleTimeout, SessionTimeout
from .session import Session
from .state import State

logger = logging.getLogger("trio_transports.session")

Redial: TypeAlias = Callable[[Session, ConnectionClosed], AbstractAsyncContextManager[Wire]]
"""Open the next connection after a lost one, or raise a TransportError when that is given up."""

WORTH_A_REDIAL: Final = frozenset({1001, 1005, 1006, 1011, 1012, 1013, 1014})
"""Close codes after which a client that reconnects does: the server did not mean to end the call."""

_BACKSTOP_S: Final = 1.0


@asynccontextmanager
async def open_session(
    wire: Wire,
    params: TransportParams,
    *,
    events: Broadcast[Event],
    messages: Broadcast[Message] | None = None,
    redial: Redial | None = None,
) -> AsyncIterator[Session]:
    """Run a session on a connected wire for as long as the body runs. The wire's owner closes its engine afterwards."""
    run = Run(wire, params, events, messages, redial)
    try:
        async with open_services() as services:
            services.start_soon(run.receive, name="receive")
            services.start_soon(run.parts.clock.run, name="clock")
            services.start_soon(run.parts.outbox.run, name="send")
            run.begin()
            try:
                yield run.session
                await run.drain()
            except BaseException as exc:
                await (run.break_off() if services.has_failed else run.leave(exc))
                raise
            await run.close(1000, "")
    finally:
        run.finish(ConnectionClosed(1006, "the session ended before its connection did", initiator="local"))
        run.parts.inbox.shut()  # nobody reads any more, and an event may keep the session alive: HAZARDS 44
        await run.hang_up()


@final
@define(eq=False)
class Run:
    """What the three tasks and the body's frame share."""

    _wire: Wire
    _params: TransportParams
    _events: Broadcast[Event]
    _messages: Broadcast[Message] | None
    _redial: Redial | None
    parts: Parts = field(init=False)
    session: Session = field(init=False)
    _heard_at_s: float = field(factory=trio.current_time, init=False)
    _over: trio.Event = field(factory=trio.Event, init=False)
    _has_hung_up: bool = field(default=False, init=False)
    _redialling: trio.CancelScope | None = field(default=None, init=False)
    """Around dialling again, one for each loss; cancelled when the session closes while it has no wire."""
    _replies: Callable[[], Sequence[Message]] | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.parts = assemble(self._wire, self._params, close=self.close_now)
        self.session = self.parts.session(close=self._close_politely)
        if isinstance(self.parts.serializer, Replies):
            self._replies = self.parts.serializer.replies

    def begin(self) -> None:
        now_s = trio.current_time()
        timers = []
        if self._params.session_timeout is not None:
            timers.append(Timer(now_s + self._params.session_timeout, self._session_timed_out))
        if self._params.idle_timeout is not None:
            timers.append(Timer(now_s + self._params.idle_timeout, self._maybe_idle))
        self.parts.clock.timers = timers
        self._events.emit(Connected(self.session))
        self._reply()
        self._open_when_ready()

    # The receive task

    async def receive(self) -> None:
        ending = await self._pump(self._wire)
        while self._redial is not None and self._may_redial(ending):
            self._set_wire(None)
            with trio.CancelScope() as self._redialling:
                try:
                    async with self._redial(self.session, ending) as wire:
                        self._set_wire(wire)
                        ending = await self._pump(wire)
                except TransportError as exc:
                    given_up = f"{ending.reason}; gave up: {exc}"
                    ending = ConnectionClosed(ending.code, given_up, initiator=ending.initiator)
                    break
            if self._redialling.cancelled_caught:
                break
        self.finish(ending)
        await self.hang_up()

    async def _pump(self, wire: Wire) -> ConnectionClosed:
        parts, counters, messages = self.parts, self.parts.counters, self._messages
        while True:
            try:
                message = await wire.receive()
            except ConnectionClosed as closed:
                wire.abort()
                if parts.outbox.is_stuck:
                    limit = f"a write took longer than send_timeout ({self._params.send_timeout:g} s)"
                    return ConnectionClosed(1006, limit, initiator="error")
                return closed
            self._heard_at_s = trio.current_time()
            counters.messages_received += 1
            counters.bytes_received += len(message)
            if messages is not None and messages.has_subscribers:
                messages.emit(message)
            if parts.life.is_ending:
                continue
            slow = parts.inbound.take(message)
            self._reply()  # before the tracks may speak: what opens a stream goes ahead of its first audio
            if slow is not None:
                await slow
            if not parts.output.is_ready:
                self._open_when_ready()
            if parts.outbox.owes_much:
                await parts.outbox.room_for_replies()

    def _may_redial(self, ending: ConnectionClosed) -> bool:
        return self.parts.life.state is State.OPEN and ending.initiator != "local" and ending.code in WORTH_A_REDIAL

    def _set_wire(self, wire: Wire | None) -> None:
        parts = self.parts
        parts.life.has_wire = wire is not None
        if wire is not None:
            self._wire = wire
            parts.counters.reconnects += 1
            parts.output.reconnected()
            self._heard_at_s = trio.current_time()
        parts.outbox.attach(wire)

    def _reply(self) -> None:
        if self._replies is not None:
            self.parts.outbox.put_replies(self._replies())

    def _open_when_ready(self) -> None:
        serializer = self.parts.serializer
        if isinstance(serializer, AwaitsStart) and not serializer.is_ready:
            return
        self.parts.output.ready()

    # Ways to end

    async def drain(self) -> None:
        """Flush what is queued, within its own length and ``close_timeout`` or what ``drain_timeout`` says."""
        parts = self.parts
        if parts.life.is_ending:
            return
        parts.life.to(State.DRAINING)
        parts.inbox.shut()
        await self._drain()

    async def _drain(self) -> None:
        output = self.parts.output
        if self.parts.farewell.has_begun:
            await self._over.wait()
            return
        output.stop_filling()
        with trio.move_on_after(output.drain_limit_s):
            try:
                await output.drain()
            except ConnectionClosed:
                return

    async def _close_politely(self, code: int, reason: str) -> None:
        if not self.parts.life.is_ending:
            self.parts.life.to(State.DRAINING)
            try:
                await self._drain()
            except trio.Cancelled:
                self.close_now(code, reason)
                raise
        await self.close(code, reason)

    async def leave(self, error: BaseException) -> None:
        """End after the body raised or was cancelled: nothing more is said than goodbye."""
        if self.parts.life.is_over:
            return
        if self.parts.farewell.has_begun and _is_late_frame(error):
            await self._drain()
        else:
            await self.close(*((1001, "going away") if _is_cancellation(error) else (1011, "internal error")))

    async def break_off(self) -> None:
        """End after one of the three tasks crashed: there is nobody left to write but this."""
        if not self.parts.life.is_over and not self.parts.outbox.is_writing:
            with trio.move_on_after(self._params.close_timeout, shield=True):
                await self._wire.aclose(1011, "internal error")
        self.finish(ConnectionClosed(1011, "internal error", initiator="error"))

    async def close(self, code: int, reason: str) -> None:
        """Say goodbye within ``close_timeout``, then end it by force."""
        self.close_now(code, reason)
        if not self._over.is_set():
            with trio.CancelScope(shield=True, deadline=trio.current_time() + self._params.close_timeout + _BACKSTOP_S):
                await self._over.wait()
        await trio.lowlevel.checkpoint_if_cancelled()

    def close_now(self, code: int, reason: str) -> None:
        """Start closing: nothing more leaves but the goodbye, and the send task says that within ``close_timeout``."""
        parts = self.parts
        if not parts.life.to(State.CLOSING):
            return
        parts.life.ended(ConnectionClosed(code, reason, initiator="local"))
        parts.clock.stop()
        parts.outbox.drop_paced()
        parts.outbox.say_goodbye(code, reason)
        parts.output.wake()
        if not parts.life.has_wire and self._redialling is not None:
            self._redialling.cancel()

    def finish(self, ending: ConnectionClosed) -> None:
        """Tell everybody, once, that the session is over."""
        parts = self.parts
        self._wire.abort()
        if not parts.life.to(State.ABORTED if ending.code == 1006 else State.CLOSED):
            return
        parts.life.ended(ending)
        parts.clock.stop()
        parts.output.finish()
        parts.outbox.wake()
        parts.inbound.stop()
        parts.inbox.end()
        self.session.mark_ended()
        self._over.set()
        told = parts.life.ending or ending
        self._events.emit(Disconnected(self.session, told.code, told.reason, told.initiator))

    async def hang_up(self) -> None:
        """End the provider's call as well, once, within ``hang_up_timeout``."""
        call, announced, serializer = self._params.hang_up, self.session.start, self.parts.serializer
        if call is None or self._has_hung_up or (isinstance(serializer, AwaitsStart) and not serializer.is_ready):
            return  # without a start there was no call
        self._has_hung_up = True
        with trio.CancelScope(shield=True, deadline=trio.current_time() + self._params.hang_up_timeout) as limit:
            try:
                await call(self.session)
            except Exception:  # the boundary to the user's callable: it must not hide how the session itself ended
                logger.exception("hanging up call %s failed", _call_name(announced))
        if limit.cancelled_caught:
            logger.error("hanging up call %s took longer than hang_up_timeout", _call_name(announced))

    # Timers

    def _session_timed_out(self, _now_s: float) -> float:
        self._events.emit(SessionTimeout(self.session))
        if self._params.session_timeout_action == "close":
            self.close_now(1000, "session timeout")
        return float("inf")

    def _maybe_idle(self, now_s: float) -> float:
        if not self.parts.life.has_wire:
            self._heard_at_s = now_s  # being without a connection is not the peer's silence
        idle_at_s = self._heard_at_s + (self._params.idle_timeout or 0)
        if now_s < idle_at_s:
            return idle_at_s
        self._events.emit(IdleTimeout(self.session))
        self.close_now(1001, "idle timeout")
        return float("inf")


def _call_name(announced: StartFrame | None) -> str:
    return "(no start message was read)" if announced is None else repr(announced.call_id or announced.stream_id)


def _is_late_frame(error: BaseException) -> bool:
    """Whether nothing is wrong but that a frame was sent after the one that ends the call."""
    if isinstance(error, BaseExceptionGroup):
        return all(_is_late_frame(inner) for inner in error.exceptions)
    return isinstance(error, trio.ClosedResourceError)


def _is_cancellation(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(_is_cancellation(inner) for inner in error.exceptions)
    return isinstance(error, trio.Cancelled)
