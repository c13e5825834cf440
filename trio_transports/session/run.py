"""The life of a session: the one function that opens its nursery, and how every way to end it goes.

The nursery holds three tasks: *receive* reads the wire, *clock* decides when audio leaves, *send* writes the wire. With
``video_out_enabled`` there is a fourth, *pictures*, which prepares them; with a ``turn_analyzer`` one, *turns*, that
asks it; and with ``video_in_color_format`` one, *eye*, that decodes the peer's pictures.

Rules
1. The body returns: what is queued flushes within ``drain_timeout``, then the wire closes with 1000.
2. The body raises or is cancelled: what is queued is dropped and the wire closes with 1011 or 1001, within
   ``close_timeout`` (and a second at most in all), then by force. The body's own exception comes out as it is.
   An ``EndFrame`` or ``CancelFrame`` that was sent ends the call as ``session.closing`` says; the body goes on.
3. The peer closes or is lost: the input ends once it is read, sending raises, and the body goes on.
4. A limit is passed (a timeout, too many malformed messages, too many unread frames): the wire closes with a code and
   reason that say so, and the body sees what rule 3 says.
5. One of the tasks crashes: the wire closes with 1011, the body is cancelled, and the crash comes out.
6. Whichever comes first is what ``Disconnected`` tells, once, after the wire is closed: the receive task ends when the
   wire has, and that is where the end of a session is told. What a filter, mixer, analyzer or tap of the user's raises
   at the end is a crash of that task, but keeps nothing from being told, stopped or hung up.
7. With ``on_peer_gone="cancel"`` the body is cancelled once the peer has gone or is lost, and no connection follows;
   its ``async with`` then ends quietly, as one with a deadline does.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
from functools import partial
from typing import final

import trio
from attrs import define, field

from .._nursery import open_services
from .._offers import offers
from ..errors import Ending
from ..frames import StartFrame
from ..params import TransportParams
from ..serializers.protocol import AwaitsStart, Message
from ..wire.accepting.boundary import failures_end_here
from ..wire.protocol import Wire
from .broadcast import Broadcast
from .clock import Timer
from .events import Connected, Disconnected, Event, IdleTimeout, PicturesNotCarried, SessionTimeout, TurnTaken
from .every_step import take_every_step
from .frame_log import FrameLog
from .frame_log import logger as frame_logger
from .parts import Parts
from .receiving import Receiving, Redial
from .session import Session

logger = logging.getLogger("trio_transports.session")


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
    parts = Parts.of(params)
    body = trio.CancelScope() if params.on_peer_gone == "cancel" else None
    run = Run(parts, Receiving(parts, wire, messages, redial), Session(wire.peer, parts), events, body)
    try:
        async with open_services() as services:
            services.start_soon(run.receive, name="receive")
            services.start_soon(parts.outbound.clock.run, name="clock")
            services.start_soon(parts.outbound.outbox.run, name="send")
            if parts.outbound.screens.screens:
                services.start_soon(parts.outbound.screens.run, name="pictures")
            if parts.inbound.words.turn_end is not None:
                services.start_soon(parts.inbound.words.turn_end.run, name="turns")
            if parts.inbound.words.eye.decodes:
                services.start_soon(parts.inbound.words.eye.run, name="eye")
            run.begin()
            with nullcontext() if body is None else body:
                try:
                    yield run.session
                    parts.unread.shut()
                    await parts.closing.drain()
                except BaseException as exc:
                    await (run.break_off() if services.has_failed else run.leave(exc))
                    raise
                await parts.closing.at_once(1000, "")
    finally:
        try:
            run.finish(Ending(1006, "the session ended before its connection did", "local"))
        finally:
            parts.unread.shut()  # nobody reads any more, and an event may keep the session alive: HAZARDS 44
            await run.hang_up()
            parts.outbound.forget()


@final
@define(eq=False)
class Run:
    """How one session begins and ends."""

    _parts: Parts
    _receiving: Receiving
    session: Session
    _events: Broadcast[Event]
    _body: trio.CancelScope | None
    """Around the body, where it is to end with the peer."""
    _has_hung_up: bool = field(default=False, init=False)

    def begin(self) -> None:
        """Set the timers, tell ``Connected``, and take in what the wire brings."""
        params, now_s, timers = self._parts.params, trio.current_time(), self._parts.outbound.clock.timers
        if params.session_timeout is not None:
            timers.append(Timer(now_s + params.session_timeout, self._session_timed_out))
        if params.idle_timeout is not None:
            timers.append(Timer(now_s + params.idle_timeout, self._maybe_idle))
        self._parts.outbound.turn.on_answered = partial(_tell_turn, self._events, self.session)
        if frame_logger.isEnabledFor(logging.DEBUG):
            self._parts.outbound.taps.each.append(FrameLog(self.session.id, trio.current_time()))
        self._events.emit(Connected(self.session))
        tell = partial(_tell_not_carried, self._events, self.session)
        self._parts.outbound.screens.tell_not_carried = tell
        self._receiving.begin()

    async def receive(self) -> None:
        """The receive task, and what is to be done once the call is over."""
        self.finish(await self._receiving.run())
        await self.hang_up()

    # Ways to end

    async def leave(self, error: BaseException) -> None:
        """End after the body raised or was cancelled: nothing more is said than goodbye; rule 2.

        No cancellation comes out of it: it would take the place of what the body raised.
        """
        closing = self._parts.closing
        if self._parts.life.state.is_over:
            return
        code, reason = (1001, "going away") if _is_cancellation(error) else (1011, "internal error")
        if closing.ends_call and _is_late_frame(error):
            code, reason = 1001, "going away"  # should it be cancelled
            with suppress(trio.Cancelled):
                await closing.drain()
        await closing.at_once_uncancelled(code, reason)

    async def break_off(self) -> None:
        """Say goodbye after one of the tasks crashed: there is nobody left to write but this; rule 5.

        The end is told when all have ended: the receive task may be in a thread still, with a filter of the user's.
        """
        self._parts.life.close(Ending(1011, "internal error"))
        if not self._parts.life.state.is_over and not self._parts.outbound.outbox.is_writing:
            with trio.move_on_after(self._parts.params.close_timeout, shield=True):
                await self._receiving.wire.aclose(1011, "internal error")

    def finish(self, ending: Ending) -> None:
        """Tell everybody, once, that the session is over; rule 6."""
        parts = self._parts
        self._receiving.wire.abort()
        if not parts.life.end(ending):
            return
        # In the first two are the user's own stops: one that raises must not keep the rest from being told.
        take_every_step(
            parts.outbound.finish, parts.inbound.stop, parts.unread.end, parts.messages.end, self._tell_the_end
        )

    def _tell_the_end(self) -> None:
        told = self._parts.life.told_ending
        self._events.emit(Disconnected(self.session, told.code, told.reason, told.initiator))
        if self._body is not None and told.initiator != "local":
            self._body.cancel()  # rule 7

    async def hang_up(self) -> None:
        """End the provider's call as well, once, within ``hang_up_timeout``."""
        params, announced, serializer = self._parts.params, self.session.start, self._parts.serializer
        call = params.hang_up
        if (
            call is None
            or self._has_hung_up
            or (announced is None and offers(serializer, AwaitsStart) and not serializer.is_ready)
        ):
            return  # without a start there was no call
        self._has_hung_up = True
        limit = trio.CancelScope(shield=True, deadline=trio.current_time() + params.hang_up_timeout)
        # Shielded: a cancelled server, too, has calls to end. The deadline bounds it. And the boundary to the user's
        # callable: it must not hide how the session itself ended.
        with limit, failures_end_here(partial(_tell_not_hung_up, announced)):
            await call(self.session)
        if limit.cancelled_caught:
            logger.error("hanging up call %s took longer than hang_up_timeout", _call_name(announced))

    # Timers

    def _session_timed_out(self, _now_s: float) -> float:
        self._events.emit(SessionTimeout(self.session))
        if self._parts.params.session_timeout_action == "close":
            self._parts.closing.now(1000, "session timeout")
        return float("inf")

    def _maybe_idle(self, now_s: float) -> float:
        if not self._parts.life.has_wire:
            self._receiving.heard_at_s = now_s  # being without a connection is not the peer's silence
        idle_at_s = self._receiving.heard_at_s + (self._parts.params.idle_timeout or 0)
        if now_s < idle_at_s:
            return idle_at_s
        self._events.emit(IdleTimeout(self.session))
        self._parts.closing.now(1001, "idle timeout")
        return float("inf")


def _tell_not_carried(events: Broadcast[Event], session: Session, dialect: str) -> None:
    """No method: what is kept by a session's parts must not keep its connection."""
    events.emit(PicturesNotCarried(session, dialect))


def _tell_turn(events: Broadcast[Event], session: Session, latency_s: float) -> None:
    events.emit(TurnTaken(session, latency_s))


def _tell_not_hung_up(announced: StartFrame | None, failure: BaseException) -> None:
    logger.error("hanging up call %s failed", _call_name(announced), exc_info=failure)


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
