"""A session inside an ASGI app: the WebSocket of FastAPI, Starlette, Litestar or Quart-Trio, or a raw one.

Rules
1. Who is not let in (``allowed_origins``, ``authorize``) is refused with an HTTP status, and no session begins. Where
   the app has accepted already, it is too late for a status: the caller is sent 1008.
2. Under ``hosting.serve_asgi`` a session hears of the server's shutdown, and closes with 1001 within ``close_timeout``.
3. Keepalive and the peer's own close code need ``serve_asgi`` too. Under another server that server's pings are all
   there is, and ``idle_timeout`` is what ends a session whose peer has gone without a word; and under a bare hypercorn
   ``Disconnected`` says 1006 of every end that the peer began, since hypercorn does.
4. A transport is for one WebSocket, and that for one session.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import final

import trio
from attrs import define, field

from .._documented import documented
from .._moved import moved, suggesting
from ..errors import ConnectionClosed, HandshakeRejected, LocalProtocolError
from ..params import AsgiWebsocketParams
from ..session.broadcast import Broadcast, Subscription
from ..session.events import Event, event_source
from ..session.run import open_session
from ..session.session import Session
from ..wire.accepting.admission import admit
from ..wire.accepting.boundary import closing_what_fails
from ..wire.accepting.callers import TOO_FAST, count_refusal
from ..wire.accepting.leaving import GOING_AWAY
from ..wire.accepting.rates import rated
from ..wire.answering import body_fault, doubled
from ..wire.asgi import AsgiSource, AsgiWire, asgi_wire
from ..wire.protocol import Wire
from ..wire.running import ASGI_WAYS_OUT, require_trio
from .arguments import Handler, call, check_handler, check_params
from .server import normal_end


@documented
@final
@suggesting("transport")
@moved("transport")
@define(eq=False)
class AsgiWebsocketTransport:
    """Typed frames to and from the caller of one WebSocket.

    ``websocket`` is that of FastAPI, Starlette, Litestar or Quart-Trio, or an ASGI app's ``(scope, receive, send)``.
    ``is_accepted`` need be said only of such a raw one that the app has accepted, and only under a server other than
    ``serve_asgi``: a framework's knows.
    """

    websocket: AsgiSource = field(repr=False)
    """The WebSocket of FastAPI, Starlette, Litestar or Quart-Trio, or an ASGI app's ``(scope, receive, send)``. Nothing
    may have read from it."""
    params: AsgiWebsocketParams
    """What the session is to do; a serializer is required."""
    is_accepted: bool | None = field(default=None, kw_only=True)
    """Whether the app has accepted it already. None finds out; say it for a raw one under a server other than
    ``serve_asgi``."""
    _events: Broadcast[Event] = field(init=False)
    _was_used: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        check_params(self.params, AsgiWebsocketParams, "AsgiWebsocketTransport")
        self._events = event_source(self.params.max_unread_bytes)
        if self.params.ssl_context is not None:
            raise ValueError(
                "AsgiWebsocketParams.ssl_context has no effect inside an app: TLS is set up where the app is served "
                "(hypercorn's Config.certfile and keyfile)"
            )

    def events(self, buffer: int = 1024) -> Subscription[Event]:
        """Subscribe to what happens; the channel ends with the session.

        ``buffer`` is how many wait unread at most: past it the oldest are dropped, and an ``EventsLost`` in their
        place says how many.
        """
        return self._events.subscribe(buffer)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """Accept the caller, unless the app has, and run a session for as long as the body runs.

        Raises HandshakeRejected for a caller that is not let in.
        """
        require_trio("AsgiWebsocketTransport", ASGI_WAYS_OUT)
        if self._was_used:
            raise LocalProtocolError("this transport has had its session: make one for each WebSocket")
        self._was_used = True
        with self._events.activity():
            async with (
                self._connected() as wire,
                open_session(self._rated(wire), self.params, events=self._events) as session,
            ):
                if wire.server is None:
                    yield session
                    return
                forget = wire.server.on_shutdown(partial(self._shut_down, session))
                try:
                    yield session
                finally:
                    forget()

    async def serve(self, handler: Handler) -> None:
        """Run ``handler`` in a session. A refusal of the caller is no error here, nor is the end of the connection.

        What else leaves ``handler`` is raised: also how another connection ended that the handler has opened itself.
        """
        check_handler(handler, "AsgiWebsocketTransport.serve")
        has_begun = False
        try:
            async with self.session() as session:
                has_begun = True
                with normal_end(session):
                    await call(handler, session)
        except (HandshakeRejected, ConnectionClosed):
            if has_begun:
                raise

    def _rated(self, wire: AsgiWire) -> Wire:
        params = self.params
        return rated(
            wire,
            max_messages_per_second=params.max_messages_per_second,
            max_bytes_per_second=params.max_bytes_per_second,
            on_too_fast=partial(count_refusal, wire.scope, TOO_FAST),
        )

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AsgiWire]:
        params = self.params
        wire = asgi_wire(self.websocket, max_message_bytes=params.max_message_bytes, is_accepted=self.is_accepted)
        try:
            with trio.move_on_after(params.connect_timeout) as limit:
                await self._let_in(wire)
            if limit.cancelled_caught and not wire.is_connected:
                raise LocalProtocolError(
                    f"no websocket.connect came within connect_timeout ({params.connect_timeout:g} s): if the app has "
                    "accepted this WebSocket itself, say is_accepted=True, and else hand it over before reading from it"
                )
            if limit.cancelled_caught:
                raise ConnectionClosed(1006, "the handshake took longer than connect_timeout", initiator="local")
            if wire.server is not None and params.ping_interval is not None and params.ping_timeout is not None:
                wire.server.keep_alive(params.ping_interval, params.ping_timeout)
            async with closing_what_fails(wire, params.close_timeout):
                yield wire
        finally:
            wire.abort()

    async def _let_in(self, wire: AsgiWire) -> None:
        params = self.params
        refusal = doubled(wire.peer.headers) or body_fault(wire.peer.headers)  # not every server has looked
        if refusal is None:
            refusal = await admit(wire.peer, allowed_origins=params.allowed_origins, authorize=params.authorize)
        if refusal is None:
            if not wire.is_accepted:
                offered = wire.offered_subprotocols
                await wire.accept(next((name for name in params.subprotocols if name in offered), None))
            return
        if wire.is_accepted:
            with trio.move_on_after(params.close_timeout):
                await wire.aclose(1008, refusal.body.strip())
        else:
            await wire.refuse(refusal)
        raise HandshakeRejected(refusal.status, headers=refusal.headers, body=refusal.body.encode())

    async def _shut_down(self, session: Session) -> None:
        with trio.move_on_after(self.params.close_timeout):
            await session.aclose(*GOING_AWAY)
