"""The WebSocket engines to choose from, by name. Each is imported when it is chosen, with what it needs."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol, final

from attrs import frozen

from .answering import Admit, Plain, nothing
from .protocol import Wire
from .settings import WireSettings
from .stream import TCPStream
from .wakes import SharedWakes


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
    """Upgrade an accepted stream, as its server, if ``admit`` lets the caller in; ``plain`` answers other requests.

    With ``wakes`` it is read at wakes that it shares with the server's others.
    """

    def __call__(
        self,
        stream: TCPStream,
        *,
        admit: Admit,
        subprotocols: Sequence[str] = (),
        plain: Plain = nothing,
        settings: WireSettings,
        wakes: SharedWakes | None = None,
    ) -> AbstractAsyncContextManager[Wire]: ...


@final
@frozen
class Engine:
    connect: Connect
    accept: Accept


ENGINES: Final = ("trio-websocket", "direct")


def engine_named(name: str) -> Engine:
    """Import an engine; ValueError for a name that is none."""
    if name == "trio-websocket":
        from . import trio_websocket

        return Engine(trio_websocket.connect_wire, trio_websocket.accept_wire)
    if name == "direct":
        from . import direct

        return Engine(direct.connect_wire, direct.accept_wire)
    raise ValueError(f"there is no engine {name!r}: choose one of {', '.join(map(repr, ENGINES))}")
