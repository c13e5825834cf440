"""Counting what a server's sessions do, from its events.

Rules
1. A session counts for itself anyway. It is asked when somebody asks here, and once more when it has ended: counting a
   server costs its sessions nothing, neither for a frame nor for a message.
2. A session that has ended is let go of; what it counted is kept (HAZARDS 44).
3. Whom a server let in and turned away it counts itself: ``callers`` asks it. An app under ``serve_asgi`` finds that in
   what it is called with.
4. Where events were lost, all sessions are looked at: one whose end was among them has ended all the same.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, final

import trio
from attrs import define, evolve, field

from .._documented import documented
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
from ..session.statistics import Statistics
from ..wire.accepting.callers import Callers, asking
from .figures import Durations, ServerFigures, summed


@documented
@final
@define(eq=False)
class ServerCounters:
    """One server's, or of as many transports as ``watch`` is given the events of."""

    callers: Callable[[], Callers] | None = None
    """Asks the server, such as ``WebsocketServerTransport.callers``; None knows nothing of it."""
    _open: dict[str, Session] = field(factory=dict, init=False)
    _before: Statistics = field(factory=Statistics, init=False)
    """What those counted that have ended."""
    _begun: int = field(default=0, init=False)
    _ended: "Counter[str]" = field(factory=Counter, init=False)
    _timeouts: "Counter[str]" = field(factory=Counter, init=False)
    _reconnections: int = field(default=0, init=False)
    _latency: Durations = field(factory=Durations, init=False)

    def found_in(self, scope: Mapping[str, Any]) -> None:
        """Ask the server that this request or lifespan came by, from now on; rule 3."""
        if self.callers is None:
            self.callers = asking(scope)

    async def watch(self, events: trio.abc.ReceiveChannel[Event]) -> None:
        """Note the events of a transport until they end: ``nursery.start_soon(counters.watch, transport.events())``."""
        async for event in events:
            self.note(event)

    def note(self, event: Event) -> None:
        """Take one event into account."""
        match event:
            case Connected(session=session):
                self._open[session.id] = session
                self._begun += 1
            case Disconnected(session=session, initiator=initiator):
                if self._open.pop(session.id, None) is not None:
                    self._before = summed([self._before, _without_queue(session.statistics())])
                    self._ended[initiator] += 1
            case TurnTaken(latency_s=latency_s):
                self._latency.add(latency_s)
            case SessionTimeout():
                self._timeouts["session"] += 1
            case IdleTimeout():
                self._timeouts["idle"] += 1
            case Reconnecting():
                self._reconnections += 1
            case EventsLost():  # rule 4
                for end in missed_ends(self._open.values()):
                    self.note(end)
            case _:
                pass

    def figures(self) -> ServerFigures:
        """How things stand now."""
        callers = None if self.callers is None else self.callers()
        return ServerFigures(
            sessions=len(self._open),
            sessions_begun=self._begun,
            sessions_ended=dict(self._ended),
            reconnections_tried=self._reconnections,
            timeouts=dict(self._timeouts),
            connections=0 if callers is None else callers.connections,
            let_in=0 if callers is None else callers.let_in,
            turned_away={} if callers is None else callers.turned_away,
            turn_latency=self._latency.histogram(),
            totals=summed([self._before, *(session.statistics() for session in self._open.values())]),
        )


def _without_queue(statistics: Statistics) -> Statistics:
    """What was queued when a session ended is queued no more."""
    return evolve(statistics, audio_queued_s=0.0)
