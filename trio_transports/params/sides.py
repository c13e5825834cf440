"""What a client takes besides, and what the two transports do that accept callers."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, final

from attrs import field, frozen

from .._documented import documented
from .._moved import suggesting
from . import checks
from .reconnect import ReconnectPolicy, policy
from .transport import TransportParams


@documented
@final
@suggesting("params")
@frozen(kw_only=True)
class WebsocketClientParams(TransportParams):
    """Parameters of a client. No serializer means protobuf where that extra is installed, else JSON."""

    additional_headers: Mapping[str, str] | None = field(default=None, validator=checks.string_mapping, repr=False)
    """HTTP headers for the handshake, for instance ``{"Authorization": "Bearer ..."}``. They are left out of ``repr``
    and of the logs."""
    subprotocols: tuple[str, ...] = field(default=(), converter=checks.as_tuple, validator=checks.names)
    """WebSocket subprotocols to offer, the preferred one first; what the server chose is ``session.peer.subprotocol``.
    A server that insists on one refuses a client that does not name it."""
    reconnect: ReconnectPolicy | None = field(default=None, validator=policy)
    """Dial again after a lost connection, as this policy says; the session and its channels stay. None ends the session
    with its connection."""


@documented
@frozen(kw_only=True)
class _AcceptingParams(TransportParams):
    """What the two transports that accept callers share: a serializer is required, callers can be refused."""

    allowed_origins: Collection[str] | None = field(default=None, validator=checks.origins)
    """The web pages whose browsers may connect, as ``https://app.example``; ``["*"]`` lets every page in. None lets in
    pages of this server's own host. Set it when the page is served elsewhere, which gets 403 otherwise, and behind a
    proxy that rewrites ``Host``. Callers that are no browsers send no origin and are not asked."""
    authorize: Callable[..., Awaitable[Any]] | None = field(default=None, validator=checks.async_callable)
    """``async def authorize(peer)``, asked before the WebSocket is accepted: True or None lets the caller in, False
    refuses with 401, a number is the HTTP status. It has ``connect_timeout`` to answer; one that crashes refuses with
    500. Without it everybody who reaches the port gets in."""
    subprotocols: tuple[str, ...] = field(default=(), converter=checks.as_tuple, validator=checks.names)
    """WebSocket subprotocols that this side speaks; the first one that the caller offers too is chosen. With none in
    common the connection is made without one."""
    max_messages_per_second: float | None = field(default=None, validator=checks.number(above=0, optional=True))
    """How many messages a caller may send each second, five seconds' worth at once. Who sends more is closed with 1008.
    None is no limit; audio in 20 ms pieces is 50 messages a second, so 200 is generous."""
    max_bytes_per_second: float | None = field(default=None, validator=checks.number(above=0, optional=True))
    """How many bytes a caller may send each second, five seconds' worth at once. Who sends more is closed with 1008.
    None is no limit; 16 kHz audio as JSON is about 45,000 bytes a second."""

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.serializer is None:
            raise ValueError(
                f"{type(self).__name__}.serializer is required: without one every frame would be lost; "
                "pass serializer=JSONFrameSerializer() or another"
            )


@documented
@final
@suggesting("params")
@frozen(kw_only=True)
class WebsocketServerParams(_AcceptingParams):
    """Parameters of the standalone server. ``max_sessions=1`` is the replaced server's one client at a time."""

    max_sessions: int | None = field(default=None, validator=checks.number(least=1, optional=True, whole=True))
    """How many calls there may be at once; one caller more is told 1013, try again later. None takes all that come,
    until the machine can keep no call in time. 1 is one client at a time; the first one stays."""
    max_connections_per_address: int | None = field(
        default=None, validator=checks.number(least=1, optional=True, whole=True)
    )
    """How many connections one address may have, handshakes included; more are refused with 429. None is no limit.
    Behind a proxy or a telephone provider all callers share an address: leave it None there."""
    max_handshakes_per_second: float | None = field(default=None, validator=checks.number(above=0, optional=True))
    """How many handshakes one address may begin each second; more are refused with 429 and told when to come again.
    None is no limit. All callers behind one proxy share it."""
    health_path: str | None = field(default="/health", validator=checks.path)
    """The path at which a plain GET is answered with 200, and with 503 once the server is leaving, for load balancers.
    None answers no path: then a probe gets the same page as any browser."""
    share_wakes: bool = field(default=True, validator=checks.flag)
    """Whether what comes from several callers within 2 ms is read at one waking of the process. It is done only while
    more than 15 callers are heard in 20 ms: then a frame costs less CPU, and takes a millisecond longer on average.
    With fewer nothing waits. Audio that is played to more than 15 callers leaves up to 2.5 ms early, at wakes that
    they share; each keeps its even pace. TLS callers are read one by one, as all are where there is no epoll (it is
    Linux's)."""


@documented
@final
@suggesting("params")
@frozen(kw_only=True)
class AsgiWebsocketParams(_AcceptingParams):
    """Parameters of a session inside an ASGI app."""
