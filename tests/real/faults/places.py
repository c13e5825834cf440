"""Where the far end of a call answers: each server of the library, with a handler that keeps a ledger and echoes."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, Final, TypeAlias

import trio
from attrs import define, field
from fastapi import FastAPI, WebSocket

from tests.real.asgi.apps import lifespan
from tests.real.asgi.hosts import hosted
from tests.real.faults.observer import Witness
from tests.real.faults.steps import Hearing
from trio_transports import (
    AsgiWebsocketParams,
    AsgiWebsocketTransport,
    AudioFrame,
    Session,
    TextFrame,
    TranscriptionFrame,
    WebsocketServerParams,
    WebsocketServerTransport,
)
from trio_transports.bus import BusFrameMessage, BusMessage, ProxySettings, WebSocketProxyServer, Worker, WorkerRunner
from trio_transports.bus.proxy.serving import serve_proxies
from trio_transports.serializers.detect import DetectingFrameSerializer
from trio_transports.serve import bot_app
from trio_transports.wire import Wire

SHORT: Final[Mapping[str, Any]] = {
    "audio_in_enabled": True,
    "audio_out_enabled": True,
    "audio_in_sample_rate": 16000,
    "audio_out_sample_rate": 16000,
    "audio_out_end_silence_secs": 0,
    "connect_timeout": 3,
    "send_timeout": 10,
    "close_timeout": 0.5,
    "ping_interval": 0.5,
    "ping_timeout": 15,
}
BESIDE: Final = "beside"
PROXY: Final = ProxySettings(
    send_timeout=10, close_timeout=0.5, connect_timeout=1.5, ping_interval=0.5, ping_timeout=15
)


@define(eq=False)
class Place:
    """A server, and what its far ends heard, by the name of the call."""

    port: int = 0
    path: str = "/call"
    beside: int = 1
    """How many calls beside the others there are."""
    witness: Witness = field(factory=Witness)
    heard: dict[str, list[int]] = field(factory=dict)
    session_of: dict[str, str] = field(factory=dict)
    """The id of the last session in which a call was heard."""

    def url(self, port: int, call: str) -> str:
        return f"ws://127.0.0.1:{port}{self.path}?call={call}"

    async def echo(self, session: Session) -> None:
        self.witness.sessions.add(session)
        [caller] = session.peer.query.get("call", [""])
        hearing = Hearing()
        async for frame in session.input:
            if isinstance(frame, TranscriptionFrame):  # what a phone says where its line carries text
                frame = TextFrame(text=frame.text)
            if isinstance(frame, TextFrame) and (said := parsed(frame.text)):
                name, number = said
                if name != BESIDE:
                    self._hear(name, [number], session)
            elif isinstance(frame, AudioFrame) and (numbers := hearing.feed(frame)):
                self._hear(caller, numbers, session)
            if isinstance(frame, TextFrame | AudioFrame):  # a mark echoed to a phone comes back for ever
                await session.output.send(frame)

    def _hear(self, call: str, numbers: Sequence[int], session: Session) -> None:
        self.heard.setdefault(call, []).extend(numbers)
        self.session_of[call] = session.id

    def forget(self) -> None:
        """Let go of calls that are over and judged."""
        self.heard.clear()
        self.session_of.clear()
        self.witness.forget()

    def far_end(self, name: str) -> tuple[int, str] | None:
        ends = self.witness.ended.get(self.session_of.get(name, ""))
        return ends[0] if ends else None


def parsed(text: str) -> tuple[str, int] | None:
    """Which call said it, and which of its words it is; None for what bits were lost in."""
    name, _, number = text.partition(":")
    return (name, int(number)) if number.isascii() and number.isdecimal() and len(number) < 9 else None


Open: TypeAlias = Callable[[], AbstractAsyncContextManager[Place]]


@asynccontextmanager
async def standalone(engine: str) -> AsyncIterator[Place]:
    place = Place()
    params = WebsocketServerParams(serializer=DetectingFrameSerializer(), **SHORT)
    transport = WebsocketServerTransport(params, host="127.0.0.1", port=0, engine=engine)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(place.witness.follow, transport.events())
        place.port = (await nursery.start(transport.serve, place.echo)).port
        yield place
        transport.shutdown()


def asgi_params() -> AsgiWebsocketParams:
    of_the_server = ("connect_timeout", "ping_interval", "ping_timeout")
    return AsgiWebsocketParams(
        serializer=DetectingFrameSerializer(),
        idle_timeout=10,
        **{name: value for name, value in SHORT.items() if name not in of_the_server},
    )


async def echo_over(websocket: Any, place: Place, params: AsgiWebsocketParams) -> None:  # noqa: ANN401 - ASGI
    transport = AsgiWebsocketTransport(websocket, params)
    events = transport.events()
    try:
        await transport.serve(place.echo)
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 10):
            await place.witness.follow(events)


@asynccontextmanager
async def under_asgi() -> AsyncIterator[Place]:
    place, params = Place(), asgi_params()

    async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
        else:
            await echo_over((scope, receive, send), place, params)

    async with hosted(app, write_timeout=1) as server:
        place.port = server.port
        yield place


@asynccontextmanager
async def under_fastapi() -> AsyncIterator[Place]:
    place, params, app = Place(), asgi_params(), FastAPI()

    @app.websocket("/call")
    async def endpoint(websocket: WebSocket) -> None:
        await echo_over(websocket, place, params)

    async with hosted(app, write_timeout=1) as server:
        place.port = server.port
        yield place


@asynccontextmanager
async def by_serve() -> AsyncIterator[Place]:
    """What ``trio-transports serve`` serves; it tells of its sessions by its counters alone."""
    place = Place(path="/ws")
    async with hosted(bot_app(place.echo, shows_sessions=True), write_timeout=3) as server:
        place.port = server.port
        yield place


class BusEcho(Worker):
    """Writes down what it hears, and sends it back to who said it."""

    def __init__(self, name: str, place: Place) -> None:
        super().__init__(name)
        self._place = place

    async def on_bus_message(self, message: BusMessage) -> None:
        if isinstance(message, BusFrameMessage) and isinstance(frame := message.frame, TextFrame):
            if said := parsed(frame.text):
                self._place.heard.setdefault(said[0], []).append(said[1])
            await self.send(BusFrameMessage(source=self.name, target=message.source, frame=frame))


@asynccontextmanager
async def proxies(engine: str) -> AsyncIterator[Place]:
    place, runner = Place(beside=0), WorkerRunner("far")
    connections = 0

    def make(wire: Wire) -> WebSocketProxyServer:
        nonlocal connections
        connections += 1
        return WebSocketProxyServer(
            f"gateway {connections}",
            websocket=wire,
            worker_name="far",
            remote_worker_name=wire.peer.path.strip("/"),
            settings=PROXY,
        )

    async with trio.open_nursery() as nursery:
        await nursery.start(runner.run, BusEcho("far", place))
        serve = partial(serve_proxies, runner, make, host="127.0.0.1", settings=PROXY, engine=engine)
        place.port = (await nursery.start(serve)).port
        yield place
        runner.cancel()


PLACES: Final[Mapping[str, Open]] = {
    "client": partial(standalone, "direct"),
    "server": partial(standalone, "trio-websocket"),
    "server, direct": partial(standalone, "direct"),
    "serve_asgi": under_asgi,
    "serve": by_serve,
    "bus": partial(proxies, "direct"),
    "bus, trio-websocket": partial(proxies, "trio-websocket"),
    "agent": partial(standalone, "direct"),
    "FastAPI": under_fastapi,
    "dialects": partial(standalone, "direct"),
    "dialects, trio-websocket": partial(standalone, "trio-websocket"),
    "dialects, FastAPI": under_fastapi,
}
"""By the transport that is tried there; of the client and the agent it is the near end that is watched first."""
