"""Calls, their turns and their reconnections as OpenTelemetry spans (extra ``otel``).

Rules
1. A span ``session`` lasts as long as a call; within it a ``turn`` goes from the user's last word to the bot's first,
   and a ``reconnect`` is the wait before an attempt to connect again. Whose, the event tells, however many there are.
2. Spans carry the session's id, its peer's address and path without the query, its counts and how it ended. What was
   said, headers and tokens are not in them.
3. Where events were lost, the span of a call whose end was among them ends then.
4. Which exporter they go to is set up by the application, through OpenTelemetry's own interface.
"""

import time
from typing import TYPE_CHECKING, Final, final

import trio
from attrs import define, field

from .._documented import documented
from .._extras import require
from ..session.events import (
    Connected,
    Disconnected,
    Event,
    EventsLost,
    IdleTimeout,
    Reconnecting,
    SessionTimeout,
    TurnTaken,
    missed_ends,
)
from ..session.session import Session

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer, TracerProvider

__all__ = ["SessionTracer"]

_api = require("opentelemetry.trace", extra="otel", needed_by="trio_transports.observe.tracing")

_COUNTS: Final = (
    "messages_received",
    "messages_sent",
    "audio_received_s",
    "audio_sent_s",
    "audio_in_dropped_s",
    "audio_out_dropped_s",
    "malformed_messages",
    "interruptions",
    "late_resets",
    "reconnects",
)
_NS: Final = 1_000_000_000


@documented
@final
@define(eq=False)
class SessionTracer:
    """Makes spans of the events of any transports: ``nursery.start_soon(tracer.watch, transport.events())``.

    ``bot_app(bot, observers=[tracer.note])`` makes them of all who call that app.
    """

    provider: "TracerProvider | None" = None
    """The application's own; without one OpenTelemetry's global one is used."""
    _tracer: "Tracer" = field(init=False)
    _open: "dict[str, Span]" = field(factory=dict, init=False)
    _sessions: dict[str, Session] = field(factory=dict, init=False)
    """Those of the spans that are open; rule 3."""

    def __attrs_post_init__(self) -> None:
        self._tracer = _api.get_tracer("trio_transports", tracer_provider=self.provider)

    async def watch(self, events: trio.abc.ReceiveChannel[Event]) -> None:
        """Make spans until the events end; those that are open then are ended."""
        mine: set[str] = set()
        try:
            async for event in events:
                if isinstance(event, Connected):
                    mine.add(event.session.id)
                self.note(event)
                if isinstance(event, Disconnected | EventsLost):
                    mine &= self._open.keys()
        finally:
            for session_id in mine & self._open.keys():
                del self._sessions[session_id]
                self._open.pop(session_id).end()

    def note(self, event: Event) -> None:
        """Take one event into account."""
        match event:
            case Connected(session=session):
                self._begin(session)
            case Disconnected(session=session, code=code, initiator=initiator):
                self._end(session, code, initiator)
            case TurnTaken(session=session, latency_s=latency_s):
                self._turn(session, latency_s)
            case Reconnecting(attempt=attempt, delay=delay, cause=cause, session=lost):
                self._reconnect(lost, attempt, delay, cause)
            case SessionTimeout(session=session) | IdleTimeout(session=session):
                if span := self._open.get(session.id):
                    span.add_event(type(event).__name__)
            case EventsLost():  # rule 3
                for end in missed_ends(self._sessions.values()):
                    self.note(end)
            case _:
                pass

    def _begin(self, session: Session) -> None:
        span = self._tracer.start_span("session", kind=_api.SpanKind.SERVER)
        span.set_attribute("session.id", session.id)
        span.set_attribute("network.peer.address", session.peer.address)
        span.set_attribute("url.path", session.peer.path)
        self._open[session.id], self._sessions[session.id] = span, session

    def _end(self, session: Session, code: int, initiator: str) -> None:
        span = self._open.pop(session.id, None)
        if span is None:
            return
        del self._sessions[session.id]
        statistics = session.statistics()
        for name in _COUNTS:
            span.set_attribute(f"trio_transports.{name}", getattr(statistics, name))
        span.set_attribute("websocket.close.code", code)
        span.set_attribute("trio_transports.initiator", initiator)
        if initiator == "error":
            span.set_status(_api.StatusCode.ERROR, f"the connection was lost, code {code}")
        span.end()

    def _turn(self, session: Session, latency_s: float) -> None:
        now_ns = time.time_ns()
        span = self._child(self._open.get(session.id), "turn", now_ns - round(latency_s * _NS))
        span.set_attribute("trio_transports.latency_s", latency_s)
        span.end(now_ns)

    def _reconnect(self, session: Session | None, attempt: int, delay_s: float, cause: Exception) -> None:
        now_ns = time.time_ns()
        span = self._child(None if session is None else self._open.get(session.id), "reconnect", now_ns)
        span.set_attribute("trio_transports.attempt", attempt)
        span.set_attribute("error.type", type(cause).__name__)
        span.end(now_ns + round(delay_s * _NS))

    def _child(self, parent: "Span | None", name: str, start_ns: int) -> "Span":
        context = None if parent is None else _api.set_span_in_context(parent)
        return self._tracer.start_span(name, context=context, start_time=start_ns)
