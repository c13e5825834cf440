"""An ASGI server that the test plays, and the guard that some servers have."""

from collections.abc import Callable
from typing import Any, final

import pytest
import trio
import trio.testing
from attrs import define, field

from trio_transports.errors import ConnectionClosed, Ending
from trio_transports.wire.asgi import AsgiWire, asgi_wire


@final
@define(eq=False)
class Server:
    """An ASGI server's two channels. A ``send`` can be made to hang, and not to be cancelled, as hypercorn's is."""

    scope: dict[str, Any] = field(factory=lambda: {"type": "websocket"})
    sent: list[dict[str, Any]] = field(factory=list, init=False)
    fails_with: Exception | None = field(default=None, init=False)
    _stalled: trio.Event | None = field(default=None, init=False)
    _give: trio.MemorySendChannel[dict[str, Any]] = field(init=False)
    _take: trio.MemoryReceiveChannel[dict[str, Any]] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._give, self._take = trio.open_memory_channel[dict[str, Any]](1000)
        self.event("websocket.connect")

    def event(self, kind: str, **fields: object) -> None:
        self._give.send_nowait({"type": kind, **fields})

    def message(self, message: str | bytes) -> None:
        which = "text" if isinstance(message, str) else "bytes"
        self.event("websocket.receive", **{which: message})

    def disconnect(self, code: int = 1006, **fields: object) -> None:
        self.event("websocket.disconnect", code=code, **fields)

    def stall(self) -> None:
        self._stalled = trio.Event()

    def resume(self) -> None:
        assert self._stalled is not None
        self._stalled.set()
        self._stalled = None

    async def receive(self) -> dict[str, Any]:
        return await self._take.receive()

    async def send(self, event: dict[str, Any]) -> None:
        if self._stalled is not None:
            with trio.CancelScope(shield=True):
                await self._stalled.wait()
        await trio.lowlevel.checkpoint()
        if self.fails_with is not None:
            raise self.fails_with
        self.sent.append(event)

    def wire(self, **settings: Any) -> AsgiWire:  # noqa: ANN401
        return asgi_wire((self.scope, self.receive, self.send), **settings)

    @property
    def sent_kinds(self) -> list[str]:
        return [event["type"].removeprefix("websocket.") for event in self.sent]


@define(eq=False)
class Guard:
    """What a guarding server puts into the scope."""

    server: Server
    ending: Ending | None = None
    is_accepted: bool = False
    aborted: int = 0
    limit_bytes: int = 0

    def abort(self) -> None:
        self.aborted += 1
        self.end(Ending(1006, "aborted", "local"))

    def end(self, ending: Ending) -> None:
        if self.ending is None:
            self.ending = ending
            self.server.disconnect(ending.code, reason=ending.reason)

    def on_shutdown(self, _callback: object) -> Callable[[], None]:
        return lambda: None

    def limit_messages(self, max_bytes: int) -> None:
        self.limit_bytes = max_bytes

    def short_way(self, _receive: object, _send: object) -> None:
        """There is none: messages go ASGI's way."""

    def keep_alive(self, interval_s: float, timeout_s: float) -> None:
        raise AssertionError("the wire does not ask for keepalive by itself")


async def accepted(server: Server, **settings: Any) -> AsgiWire:  # noqa: ANN401
    wire = server.wire(**settings)
    await wire.accept()
    return wire


async def put_away(server: Server) -> None:
    """Let what a wire has left behind come to its end."""
    server.disconnect()
    await trio.testing.wait_all_tasks_blocked()


async def closed_by(action: Callable[[], Any]) -> ConnectionClosed:
    with pytest.raises(ConnectionClosed) as closed:
        await action()
    return closed.value
