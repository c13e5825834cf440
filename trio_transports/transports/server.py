"""The standalone server: one handler call, in one nursery, for each client.

Rules
1. What one connection does, its handler's crash included, ends that connection; it is logged once, the server goes on.
2. Who gets in, and what becomes of who does not, is ``wire.accepting.door``'s business: an HTTP status before the
   upgrade, and no session. With ``max_sessions`` taken, a further client is told 1013; those under way are kept.
3. ``drain`` and ``shutdown``, a signal with ``signals=True``, and cancelling ``serve`` all end it by the rules of
   ``wire.accepting.leaving``: every client hears 1001, whatever its handler does. Where calls are hung up, the end may
   take ``hang_up_timeout`` more.
4. A handler goes on after its caller has gone, until it returns. With ``on_peer_gone="cancel"`` it is cancelled.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import final

import trio
from attrs import define, field

from .._documented import documented
from .._moved import moved, suggesting
from ..errors import ConnectionClosed
from ..params import WebsocketServerParams
from ..session.broadcast import Broadcast, Subscription
from ..session.events import Event, ServerReady, event_source
from ..session.run import open_session
from ..session.session import Session
from ..wire.accepting.boundary import failure_in, is_interrupt, passing_in
from ..wire.accepting.callers import Callers
from ..wire.accepting.door import Door, DoorRules
from ..wire.accepting.leaving import GOING_AWAY, Leaving, check_drain
from ..wire.accepting.limits import AddressLimits
from ..wire.accepting.signals import told_by_signals
from ..wire.engines import engine_named
from ..wire.protocol import Wire
from ..wire.running import MAIN_WAYS_OUT, require_trio
from ..wire.settings import WireSettings
from .arguments import Handler as Handler
from .arguments import call, check_handler, check_params

logger = logging.getLogger("trio_transports.server")


@documented
@final
@suggesting("transport")
@moved("transport")
@define(eq=False)
class WebsocketServerTransport:
    """Serves every client that connects to ``host`` (None: every interface) and ``port`` (0: a free one)."""

    params: WebsocketServerParams
    """What each session is to do; a serializer is required."""
    host: str | None = "localhost"
    """The address to listen on: ``localhost`` for this machine only, None for every interface, which lets in the whole
    network."""
    port: int = 8765
    """The port; 0 takes a free one, which ``ServerReady`` tells. A taken one is an OSError."""
    engine: str = field(default="trio-websocket", kw_only=True)
    """Which WebSocket engine: ``trio-websocket``, or ``direct``, the quicker one."""
    _door: Door = field(init=False)
    _events: Broadcast[Event] = field(init=False)
    _sessions: list[Session] = field(factory=list, init=False)
    _serving: "list[_ServeRun]" = field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        check_params(self.params, WebsocketServerParams, "WebsocketServerTransport")
        self._events = event_source(self.params.max_unread_bytes)
        self._door = Door(_rules(self.params), engine_named(self.engine), lambda: self._is_full)

    def events(self, buffer: int = 1024) -> Subscription[Event]:
        """Subscribe to what happens; the channel ends when the server has ended.

        ``buffer`` is how many wait unread at most: past it the oldest are dropped, and an ``EventsLost`` in their
        place says how many.
        """
        return self._events.subscribe(buffer)

    async def serve(
        self,
        handler: Handler,
        *,
        signals: bool = False,
        drain: float = 0.0,
        task_status: trio.TaskStatus[ServerReady] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until cancelled, drained or shut down. ``nursery.start`` gives back the addresses once it listens.

        With ``signals=True`` the first SIGTERM or SIGINT (Ctrl-C) ends it as ``drain`` does: calls under way have
        ``drain`` seconds to finish, the rest is told 1001, and ``serve`` returns. A second one ends the process.
        """
        check_handler(handler, "WebsocketServerTransport.serve")
        check_drain(drain)
        require_trio("WebsocketServerTransport", MAIN_WAYS_OUT)
        serving = _ServeRun()
        with self._events.activity(), told_by_signals(partial(serving.leaving.begin, drain), is_on=signals):
            self._serving.append(serving)
            try:
                await self._serve(handler, serving.leaving, task_status)
            finally:
                self._serving.remove(serving)
                serving.has_ended.set()

    async def _serve(self, handler: Handler, leaving: Leaving, task_status: trio.TaskStatus[ServerReady]) -> None:
        def listening(addresses: tuple[tuple[str, int], ...]) -> None:
            ready = ServerReady(addresses)
            self._events.emit(ready)
            task_status.started(ready)

        await self._door.serve(
            partial(self._serve_session, handler, leaving),
            leaving,
            host=self.host,
            port=self.port,
            ssl_context=self.params.ssl_context,
            on_listening=listening,
        )

    async def drain(self, seconds: float = 0.0) -> None:
        """Let nobody new in, and let calls under way finish for ``seconds``; then tell the rest 1001.

        Returns when ``serve`` has ended. Cancelling it changes nothing about that.
        """
        serving = tuple(self._serving)
        for each in serving:
            each.leaving.begin(seconds)
        await trio.lowlevel.checkpoint()
        for each in serving:
            await each.has_ended.wait()

    def shutdown(self) -> None:
        """Begin to drain, with no time for calls under way; ``serve`` returns when all sessions have ended."""
        for serving in self._serving:
            serving.leaving.begin()

    def callers(self) -> Callers:
        """Who came so far, who was let in, and why others were not."""
        return self._door.callers()

    async def _serve_session(self, handler: Handler, leaving: Leaving, wire: Wire) -> None:
        visit = _Call()
        with leaving.guest(visit.say_goodbye):  # around the session's end too: it may still be flushing its last words
            try:
                async with open_session(wire, self.params, events=self._events) as session:
                    visit.session = session
                    self._sessions.append(session)
                    try:
                        with normal_end(session):
                            await call(handler, session)
                    except BaseException as exc:
                        if failure_in(exc) is None or is_interrupt(exc):
                            raise
                        raise _HandlerFailed from exc
            except _HandlerFailed as failed:
                logger.exception("a handler failed; its call has ended, the server goes on", exc_info=failed.__cause__)
            finally:
                if visit.session is not None:
                    self._sessions.remove(visit.session)
                visit.has_ended.set()

    @property
    def _is_full(self) -> bool:
        # A session that is over takes no place, though its call may still be being hung up.
        under_way = sum(session.is_connected or session.is_closing for session in self._sessions)
        return self.params.max_sessions is not None and under_way >= self.params.max_sessions


@final
@define(eq=False)
class _ServeRun:
    """One run of ``serve``."""

    leaving: Leaving = field(factory=Leaving)
    has_ended: trio.Event = field(factory=trio.Event)


@final
@define(eq=False)
class _Call:
    """One caller, as the server knows it while it leaves."""

    session: Session | None = None
    has_ended: trio.Event = field(factory=trio.Event)

    async def say_goodbye(self) -> None:
        """Let it end by itself while it is ending, then close. Cancelled, it is closed at once."""
        session = self.session
        if session is None:
            return
        try:
            if session.is_closing:  # its handler has returned: let it flush, and say goodbye itself
                await self.has_ended.wait()
        finally:
            await session.aclose(*GOING_AWAY)


def _rules(params: WebsocketServerParams) -> DoorRules:
    return DoorRules(
        connect_timeout_s=params.connect_timeout,
        close_timeout_s=params.close_timeout,
        wires=WireSettings.of(params),
        allowed_origins=params.allowed_origins,
        authorize=params.authorize,
        subprotocols=params.subprotocols,
        limits=AddressLimits(
            max_connections_per_address=params.max_connections_per_address,
            max_handshakes_per_second=params.max_handshakes_per_second,
        ),
        max_messages_per_second=params.max_messages_per_second,
        max_bytes_per_second=params.max_bytes_per_second,
        health_path=params.health_path,
        shares_wakes=params.share_wakes,
    )


class _HandlerFailed(Exception):
    """Carries what a handler raised past its session, which it ends, to where it is logged."""


@contextmanager
def normal_end(session: Session) -> Iterator[None]:
    """Let the end of the session's own connection be no error of a handler's.

    Where several of its tasks end, what passes (a cancellation, Ctrl-C) goes on alone.
    """
    passing: BaseException | None = None
    try:
        yield
    except BaseException as exc:
        failure = failure_in(exc)
        if failure is None or session.is_connected or not is_normal_end(failure):
            raise
        passing = passing_in(exc)
    if passing is not None:
        raise passing


def is_normal_end(error: BaseException) -> bool:
    """Whether nothing but the end of the connection came out of a handler."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(ConnectionClosed)[1] is None
    return isinstance(error, ConnectionClosed)
