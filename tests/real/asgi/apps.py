"""Apps to serve: a page over HTTP, and a WebSocket handed to what a test wants to do with it."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, final

import trio
from attrs import define, field
from starlette.websockets import WebSocket

from trio_transports import AsgiWebsocketParams, AsgiWebsocketTransport, AudioFrame, Disconnected, Session
from trio_transports.errors import ConnectionClosed
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.wire.asgi import AsgiWire, Receive, Scope, Send, asgi_wire

AUDIO_MESSAGE: Final = str(JSONFrameSerializer().encode(AudioFrame(audio=bytes(640), sample_rate=16000))[0]).encode()


async def lifespan(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def page(send: Send, body: bytes = b"still here") -> None:
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@final
@define(eq=False)
class WireApp:
    """Hands each WebSocket, accepted, to ``handler``, and remembers how it ended."""

    handler: Callable[[AsgiWire], Awaitable[None]]
    max_message_bytes: int = 1024 * 1024
    endings: list[ConnectionClosed] = field(factory=list, init=False)
    running: int = field(default=0, init=False)
    scopes: list[Scope] = field(factory=list, init=False)
    returned: trio.Event = field(factory=trio.Event, init=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
        elif scope["type"] == "http":
            await page(send)
        else:
            self.scopes.append(scope)
            self.running += 1
            try:
                wire = asgi_wire((scope, receive, send), max_message_bytes=self.max_message_bytes)
                await wire.accept()
                await self.handler(wire)
            except ConnectionClosed as closed:
                self.endings.append(closed)
            finally:
                self.running -= 1
                self.returned.set()


async def echo(wire: AsgiWire) -> None:
    while True:
        await wire.send(await wire.receive())


async def read(wire: AsgiWire) -> None:
    while True:
        await wire.receive()


session_params = partial(
    AsgiWebsocketParams, audio_in_enabled=True, audio_out_enabled=True, serializer=JSONFrameSerializer()
)


@final
@define(eq=False)
class SessionApp:
    """Runs ``handler`` in a session for each WebSocket, and remembers the ends that were told."""

    handler: Callable[[Session], Awaitable[None]]
    params: AsgiWebsocketParams
    starlette: bool = False
    """Whether to hand over a Starlette WebSocket instead of the raw three."""
    disconnected: list[Disconnected] = field(factory=list, init=False)
    lasted_s: list[float] = field(factory=list, init=False)
    returned: trio.Event = field(factory=trio.Event, init=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
        elif scope["type"] == "http":
            await page(send)
        else:
            source = WebSocket(scope, receive, send) if self.starlette else (scope, receive, send)
            transport = AsgiWebsocketTransport(source, self.params)
            events = transport.events()
            began = trio.current_time()
            try:
                await transport.serve(self.handler)
            finally:
                self.lasted_s.append(trio.current_time() - began)
                with trio.CancelScope(shield=True, deadline=trio.current_time() + 30):
                    async for event in events:
                        if isinstance(event, Disconnected):
                            self.disconnected.append(event)
                self.returned.set()


async def until(condition: Callable[[], object], limit_s: float = 30) -> None:
    """Wait for something that tells nobody of itself."""
    with trio.fail_after(limit_s):
        while not condition():  # noqa: ASYNC110
            await trio.sleep(0.01)
