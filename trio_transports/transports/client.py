"""The client: dial a WebSocket server and run a session on the connection.

Rules
1. A connection that cannot be made within ``connect_timeout`` raises; nothing pretends to be ready.
2. With a ``ReconnectPolicy`` a lost connection is dialled again, with backoff and jitter. The session and its channels
   survive any number of losses; ``Reconnecting`` tells each attempt, and giving up ends the session as the loss would
   have. What counts as an attempt is told in ``wire.dialling``.
3. A transport may be used for any number of sessions, also at the same time.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import final

import attrs
from attrs import define, field

from .._documented import documented
from .._moved import moved, suggesting
from .._showing import shown_url
from ..params import WebsocketClientParams
from ..serializers.json import JSONFrameSerializer
from ..serializers.protocol import FrameSerializer, Message
from ..session.broadcast import Broadcast, Subscription
from ..session.events import Event, Reconnecting, event_source
from ..session.run import open_session
from ..session.session import Session
from ..session.sizes import message_size
from ..wire.dialling import Address, Attempts, Dialler, Redialler
from ..wire.engines import Engine, engine_named
from ..wire.running import MAIN_WAYS_OUT, require_trio
from ..wire.settings import WireSettings
from .arguments import check_params


def _params(given: WebsocketClientParams | None) -> WebsocketClientParams:
    return WebsocketClientParams() if given is None else given


@documented
@final
@suggesting("transport")
@moved("transport")
@define(eq=False)
class WebsocketClientTransport:
    """Typed frames to and from the WebSocket server at ``uri``."""

    uri: str = field(repr=shown_url)
    """Where to: ``ws://`` or ``wss://``, host, port, path, query. Who hides a token in the query finds it in no log
    line."""
    params: WebsocketClientParams = field(default=None, converter=_params)
    """What the session is to do; audio is off both ways unless they say otherwise."""
    engine: str = field(default="trio-websocket", kw_only=True)
    """Which WebSocket engine: ``trio-websocket``, or ``direct``, the quicker one."""
    _address: Address = field(init=False)
    _engine: Engine = field(init=False)
    _events: Broadcast[Event] = field(init=False)
    _messages: Broadcast[Message] = field(init=False)

    def __attrs_post_init__(self) -> None:
        check_params(self.params, WebsocketClientParams, "WebsocketClientTransport")
        self._events = event_source(self.params.max_unread_bytes)
        self._messages = Broadcast(self.params.max_unread_bytes, message_size)
        self._address = Address.parse(self.uri)
        self._engine = engine_named(self.engine)
        if self.params.ssl_context is not None and not self._address.is_secure:
            raise ValueError(f"WebsocketClientParams.ssl_context is given but {self._address} is not a wss:// address")

    def events(self, buffer: int = 1024) -> Subscription[Event]:
        """Subscribe to what happens; the channel ends after the last session under way has ended.

        ``buffer`` is how many wait unread at most: past it the oldest are dropped, and an ``EventsLost`` in their
        place says how many.
        """
        return self._events.subscribe(buffer)

    def messages(self, buffer: int = 1024) -> Subscription[Message]:
        """Subscribe to the raw messages received, before any decoding; ends as ``events`` does.

        ``buffer`` is how many wait unread at most: past it the oldest are dropped, and an ``EventsLost`` in their
        place says how many.
        """
        return self._messages.subscribe(buffer)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """Connect, and run a session for as long as the body runs."""
        require_trio("WebsocketClientTransport", MAIN_WAYS_OUT)
        params, dialler = _with_serializer(self.params), self._dialler()
        redial = None
        telling = _Attempts(self._events)
        if params.reconnect is not None:
            attempts = Attempts(params.reconnect, str(self._address))
            redial = Redialler(dialler.connect, attempts, telling.tell).redial
        with self._events.activity(), self._messages.activity():
            async with (
                dialler.connect() as wire,
                open_session(wire, params, events=self._events, messages=self._messages, redial=redial) as session,
            ):
                telling.session = session
                yield session

    def _dialler(self) -> Dialler:
        params = self.params
        return Dialler(
            address=self._address,
            engine=self._engine,
            settings=WireSettings.of(params),
            connect_timeout_s=params.connect_timeout,
            ssl_context=params.ssl_context,
            headers=tuple((params.additional_headers or {}).items()),
            subprotocols=params.subprotocols,
        )


@final
@define(eq=False)
class _Attempts:
    """Tells of one session's attempts to connect again."""

    _events: Broadcast[Event]
    session: Session | None = field(default=None, init=False)
    """There from before the first connection can be lost."""

    def tell(self, attempt: int, delay_s: float, cause: Exception) -> None:
        self._events.emit(Reconnecting(attempt, delay_s, cause, self.session))


def _with_serializer(params: WebsocketClientParams) -> WebsocketClientParams:
    """Give parameters without a serializer the default one: protobuf where that extra is installed, else JSON."""
    return params if params.serializer is not None else attrs.evolve(params, serializer=default_serializer())


def default_serializer() -> FrameSerializer:
    try:
        from ..serializers.protobuf import ProtobufFrameSerializer
    except ImportError:
        return JSONFrameSerializer()
    return ProtobufFrameSerializer()
