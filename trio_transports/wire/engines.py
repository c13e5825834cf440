"""The WebSocket engines to choose from, by name."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol, final

from attrs import frozen

from . import direct, trio_websocket
from .peer import Peer
from .protocol import Wire
from .refusal import Refusal
from .settings import WireSettings
from .stream import TCPStream


class Connect(Protocol):
    """Upgrade a connected stream, as its client."""

    def __call__(
        self,
        stream: TCPStream,
        *,
        url: str,
        host: str,
        resource: str,
        headers: Sequence[tuple[str, str]] = (),
        subprotocols: Sequence[str] = (),
        settings: WireSettings,
    ) -> AbstractAsyncContextManager[Wire]: ...


class Accept(Protocol):
    """Upgrade an accepted stream, as its server, if ``admit`` lets the caller in."""

    def __call__(
        self,
        stream: TCPStream,
        *,
        admit: Callable[[Peer], Awaitable[Refusal | None]],
        subprotocols: Sequence[str] = (),
        settings: WireSettings,
    ) -> AbstractAsyncContextManager[Wire]: ...


@final
@frozen
class Engine:
    connect: Connect
    accept: Accept


ENGINES: Final = {
    "trio-websocket": Engine(trio_websocket.connect_wire, trio_websocket.accept_wire),
    "direct": Engine(direct.connect_wire, direct.accept_wire),
}


def engine_named(name: str) -> Engine:
    try:
        return ENGINES[name]
    except KeyError:
        raise ValueError(f"there is no engine {name!r}: choose one of {', '.join(map(repr, ENGINES))}") from None
