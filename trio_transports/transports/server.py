"""The standalone server: one handler call, in one nursery, for each client.

Rules
1. What one connection does, its handler's crash included, ends that connection; it is logged once, the server goes on.
2. Who is not let in (``allowed_origins``, ``authorize``) gets an HTTP status before the upgrade, and no session.
3. With ``max_sessions`` taken, a further client is told 1013 and the sessions under way are kept.
4. Cancelling ``serve``, or ``shutdown``, tells every client 1001 within ``close_timeout``; then ``serve`` ends. Where
   calls are hung up, that may take ``hang_up_timeout`` more.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeAlias, final

import trio
from attrs import define, field

from ..errors import ConnectionClosed, HandshakeRejected
from ..params import WebsocketServerParams
from ..session.broadcast import Broadcast, Subscription
from ..session.events import Event, ServerReady
from ..session.run import open_session
from ..session.session import Session
from ..wire.engines import Engine, engine_named
from ..wire.protocol import Wire
from ..wire.settings import WireSettings
from ..wire.stream import TCPStream
from .admission import admit
from .listening import listener_address, open_listeners

logger = logging.getLogger("trio_transports.server")

Handler: TypeAlias = Callable[[Session], Awaitable[None]]


@final
@define(eq=False)
class WebsocketServerTransport:
    """Serves every client that connects to ``host`` (None: every interface) and ``port`` (0: a free one)."""

    params: WebsocketServerParams
    host: str | None = "localhost"
    port: int = 8765
    engine: str = field(default="trio-websocket", kw_only=True)
    _engine: Engine = field(init=False)
    _events: Broadcast[Event] = field(factory=Broadcast, init=False)
    _sessions: list[Session] = field(factory=list, init=False)
    _serving: list[trio.CancelScope] = field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        self._engine = engine_named(self.engine)

    def events(self, buffer: int = 1024) -> Subscription[Event]:
        """Subscribe to what happens; the channel ends when the server has ended."""
        return self._events.subscribe(buffer)

    async def serve(
        self, handler: Handler, *, task_status: trio.TaskStatus[ServerReady] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Serve until cancelled or shut down. ``nursery.start`` gives back the addresses once it listens."""
        with trio.CancelScope() as serving, self._events.activity():
            self._serving.append(serving)
            try:
                await self._serve(handler, task_status)
            finally:
                self._serving.remove(serving)

    async def _serve(self, handler: Handler, task_status: trio.TaskStatus[ServerReady]) -> None:
        listeners = await open_listeners(self.host, self.port)
        ready = ServerReady(tuple(listener_address(listener) for listener in listeners))
        context = self.params.ssl_context
        accepting: list[trio.abc.Listener[TCPStream]] = [
            listener if context is None else trio.SSLListener(listener, context, https_compatible=True)
            for listener in listeners
        ]
        async with trio.open_nursery() as nursery:
            serve_connection = partial(self._serve_connection, handler)
            await nursery.start(partial(trio.serve_listeners, serve_connection, accepting))
            self._events.emit(ready)
            task_status.started(ready)

    def shutdown(self) -> None:
        """Stop listening and tell every client 1001; ``serve`` returns when all sessions have ended."""
        for scope in self._serving:
            scope.cancel()

    async def _serve_connection(self, handler: Handler, stream: TCPStream) -> None:
        try:
            async with self._accepted(stream) as wire:
                if self._is_full:
                    await self._turn_away(wire)
                else:
                    await self._serve_session(handler, wire)
        except ConnectionClosed as exc:
            logger.debug("a connection ended before it was a session: %s", exc)
        except HandshakeRejected as exc:
            logger.info("a caller was refused: %s", exc)
        except _HandlerFailed as failed:
            logger.exception("a handler failed; its call has ended, the server goes on", exc_info=failed.__cause__)
        except Exception:  # the boundary between one connection and the server
            logger.exception("a connection failed; the server goes on")

    async def _serve_session(self, handler: Handler, wire: Wire) -> None:
        session: Session | None = None
        try:
            async with open_session(wire, self.params, events=self._events) as session:
                self._sessions.append(session)
                try:
                    await handler(session)
                except Exception as exc:
                    if session.is_connected or not is_normal_end(exc):
                        raise _HandlerFailed from exc
        finally:
            if session is not None:
                self._sessions.remove(session)

    @property
    def _is_full(self) -> bool:
        # A session that is over takes no place, though its call may still be being hung up.
        under_way = sum(session.is_connected or session.is_closing for session in self._sessions)
        return self.params.max_sessions is not None and under_way >= self.params.max_sessions

    @asynccontextmanager
    async def _accepted(self, stream: TCPStream) -> AsyncIterator[Wire]:
        """Upgrade within ``connect_timeout``, which does not reach into the body."""
        params = self.params
        with trio.CancelScope(deadline=trio.current_time() + params.connect_timeout) as limit:
            async with self._engine.accept(
                stream,
                admit=partial(admit, allowed_origins=params.allowed_origins, authorize=params.authorize),
                subprotocols=params.subprotocols,
                settings=WireSettings.of(params),
            ) as wire:
                limit.deadline = float("inf")
                yield wire
        if limit.cancelled_caught:
            raise ConnectionClosed(1006, "the handshake took longer than connect_timeout", initiator="local")

    async def _turn_away(self, wire: Wire) -> None:
        with trio.move_on_after(self.params.close_timeout):
            await wire.aclose(1013, "the server is full: try again later")


class _HandlerFailed(Exception):
    """Carries what a handler raised past its session, which it ends, to where it is logged."""


def is_normal_end(error: Exception) -> bool:
    """Whether nothing but the end of the connection came out of a handler."""
    if isinstance(error, ExceptionGroup):
        return error.split(ConnectionClosed)[1] is None
    return isinstance(error, ConnectionClosed)
