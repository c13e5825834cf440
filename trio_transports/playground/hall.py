"""Who is on the server, and what has happened: what the page's table and its event log show."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from typing import Final, final

import trio
from attrs import asdict, define, field, frozen

from .. import __version__
from .._showing import shown_text
from ..frames import JSONValue
from ..serializers.detect import DetectingFrameSerializer
from ..session.broadcast import EventsLost
from ..session.events import (
    Connected,
    Disconnected,
    Event,
    IdleTimeout,
    PicturesNotCarried,
    Reconnecting,
    ServerReady,
    SessionTimeout,
    TurnTaken,
)
from ..session.session import Session
from .dialect import PCMFrameSerializer

MAX_NOTES: Final = 100

_WHO: Final = {"local": "this server", "remote": "the caller", "error": "a lost connection"}


@final
@frozen(kw_only=True)
class Note:
    number: int
    at: datetime
    session: str | None
    text: str


def describe(event: Event) -> str:
    """One line for people."""
    match event:
        case ServerReady(addresses=addresses):
            return f"Listening on {', '.join(f'{host} port {port}' for host, port in addresses)}"
        case Connected(session=session):
            return f"Session {session.id} connected from {shown_text(session.peer.address)}"
        case Disconnected(session=session, code=code, reason=reason, initiator=initiator):
            because = f": {shown_text(reason)}" if reason else ""
            return f"Session {session.id} ended by {_WHO[initiator]}, code {code}{because}"
        case SessionTimeout(session=session):
            return f"Session {session.id} reached its time limit"
        case IdleTimeout(session=session):
            return f"Session {session.id} was silent for too long"
        case PicturesNotCarried(session=session, dialect=dialect):
            return f"Session {session.id} is sent pictures, which {dialect} cannot carry"
        case Reconnecting(attempt=attempt, delay=delay):
            return f"Reconnecting, attempt {attempt} in {delay:.1f} s"
        case TurnTaken(session=session, latency_s=latency_s):
            return f"Session {session.id} was answered after {latency_s:.2f} s"
        case EventsLost(count=lost):
            return f"{lost} older events were not read in time"


@final
@define(eq=False)
class Hall:
    """Shared by all sessions of one server process. ``tells`` are told of every event, as a page's log is."""

    tells: Sequence[Callable[[Event], object]] = ()
    sessions: dict[str, Session] = field(factory=dict, init=False)
    callers: int = field(default=0, init=False)
    """All who are connected, those too who have not said yet in which dialect they speak, and have no session."""
    notes: deque[Note] = field(factory=lambda: deque(maxlen=MAX_NOTES), init=False)
    _numbers: "count[int]" = field(factory=lambda: count(1), init=False)

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Count a caller as connected while the block runs."""
        self.callers += 1
        try:
            yield
        finally:
            self.callers -= 1

    @contextmanager
    def present(self, session: Session) -> Iterator[None]:
        """Count a session as here while the block runs."""
        self.sessions[session.id] = session
        try:
            yield
        finally:
            del self.sessions[session.id]

    def note(self, event: Event) -> None:
        """Keep an event for the page, and tell who asked to be told."""
        for tell in self.tells:
            tell(event)
        session = event.session.id if isinstance(event, Connected | Disconnected | TurnTaken) else None
        number = next(self._numbers)
        self.notes.append(Note(number=number, at=datetime.now(UTC), session=session, text=describe(event)))

    async def watch(self, events: trio.abc.ReceiveChannel[Event]) -> None:
        """Note events until they end."""
        async for event in events:
            self.note(event)

    def figures(self, session: Session) -> JSONValue:
        """What a caller is told of its own session."""
        statistics = asdict(session.statistics())
        return {"id": session.id, "dialect": _dialect(session), "statistics": statistics}

    def status(self, *, shows_sessions: bool) -> JSONValue:
        """What anybody may know of this server; who is here only where that was asked for."""
        if not shows_sessions:
            return {"version": __version__, "sessions": None, "events": []}
        sessions: list[JSONValue] = []
        for session in self.sessions.values():
            statistics = session.statistics()
            sessions.append(
                {
                    "id": session.id,
                    "peer": session.peer.address,
                    "dialect": _dialect(session),
                    "duration_s": round(statistics.duration_s, 1),
                    "audio_received_s": round(statistics.audio_received_s, 1),
                    "audio_sent_s": round(statistics.audio_sent_s, 1),
                    "state": getattr(session.serializer, "mood", "connected"),
                }
            )
        events: list[JSONValue] = [
            {"number": note.number, "at": note.at.isoformat(), "session": note.session, "text": note.text}
            for note in self.notes
        ]
        return {"version": __version__, "sessions": sessions, "events": events}


def _dialect(session: Session) -> str:
    match session.serializer:
        case DetectingFrameSerializer(provider=provider):
            return provider or "not known yet"
        case PCMFrameSerializer():
            return "this page"
        case serializer:
            return type(serializer).__name__.removesuffix("FrameSerializer")
