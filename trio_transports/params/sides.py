"""What a client takes besides, and what the two transports do that accept callers."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, final

from attrs import field, frozen

from .._moved import suggesting
from . import checks
from .reconnect import ReconnectPolicy, policy
from .transport import TransportParams


@final
@suggesting("params")
@frozen(kw_only=True)
class WebsocketClientParams(TransportParams):
    """Parameters of a client. No serializer means protobuf where that extra is installed, else JSON."""

    additional_headers: Mapping[str, str] | None = field(default=None, validator=checks.string_mapping, repr=False)
    subprotocols: tuple[str, ...] = field(default=(), converter=checks.as_tuple, validator=checks.names)
    reconnect: ReconnectPolicy | None = field(default=None, validator=policy)


@frozen(kw_only=True)
class _AcceptingParams(TransportParams):
    """What the two transports that accept callers share: a serializer is required, callers can be refused."""

    allowed_origins: Collection[str] | None = field(default=None, validator=checks.origins)
    authorize: Callable[..., Awaitable[Any]] | None = field(default=None, validator=checks.async_callable)
    subprotocols: tuple[str, ...] = field(default=(), converter=checks.as_tuple, validator=checks.names)
    max_messages_per_second: float | None = field(default=None, validator=checks.number(above=0, optional=True))
    max_bytes_per_second: float | None = field(default=None, validator=checks.number(above=0, optional=True))

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.serializer is None:
            raise ValueError(
                f"{type(self).__name__}.serializer is required: without one every frame would be lost; "
                "pass serializer=JSONFrameSerializer() or another"
            )


@final
@suggesting("params")
@frozen(kw_only=True)
class WebsocketServerParams(_AcceptingParams):
    """Parameters of the standalone server. ``max_sessions=1`` is the replaced server's one client at a time."""

    max_sessions: int | None = field(default=None, validator=checks.number(least=1, optional=True, whole=True))
    max_connections_per_address: int | None = field(
        default=None, validator=checks.number(least=1, optional=True, whole=True)
    )
    max_handshakes_per_second: float | None = field(default=None, validator=checks.number(above=0, optional=True))
    health_path: str | None = field(default="/health", validator=checks.path)


@final
@suggesting("params")
@frozen(kw_only=True)
class AsgiWebsocketParams(_AcceptingParams):
    """Parameters of a session inside an ASGI app."""
