"""Apps for servers that are programs of their own: what a newcomer writes first, echoing what it hears."""

from collections.abc import Callable
from typing import Any, Final

from fastapi import FastAPI, WebSocket

from tests.real.asgi.apps import lifespan, session_params
from trio_transports import AsgiWebsocketTransport, Session
from trio_transports.serve import bot_app
from trio_transports.wire.asgi import Receive, Scope, Send

app: Final = FastAPI()


async def _echo(session: Session) -> None:
    async for frame in session.input:
        await session.output.send(frame)


@app.websocket("/session")
async def use_session(websocket: WebSocket) -> None:
    async with AsgiWebsocketTransport(websocket, session_params()).session() as session:
        await _echo(session)


@app.websocket("/serve")
async def use_serve(websocket: WebSocket) -> None:
    await websocket.accept()
    await AsgiWebsocketTransport(websocket, session_params()).serve(_echo)


app.mount("/bot", bot_app(_echo))


async def raw(scope: Scope, receive: Receive, send: Send) -> None:
    """The app without a framework."""
    if scope["type"] == "lifespan":
        return await lifespan(receive, send)
    await AsgiWebsocketTransport((scope, receive, send), session_params()).serve(_echo)


def litestar() -> Any:  # noqa: ANN401 - a class of an optional package
    """Litestar's way: the socket accepted by the endpoint, or not."""
    from litestar import Litestar, WebSocket, websocket

    def endpoint(path: str, *, accepts: bool) -> Callable[..., Any]:
        @websocket(path)
        async def use(socket: WebSocket) -> None:  # type: ignore[type-arg]
            if accepts:
                await socket.accept()
            await AsgiWebsocketTransport(socket, session_params()).serve(_echo)

        return use

    # Its own logging would have the root log at INFO, for every test that comes later.
    return Litestar([endpoint("/accepted", accepts=True), endpoint("/new", accepts=False)], logging_config=None)


def quart() -> Any:  # noqa: ANN401 - a class of an optional package
    """Quart-Trio's way: ``websocket`` stands for the one of the request."""
    from quart import websocket
    from quart_trio import QuartTrio

    quart_app = QuartTrio(__name__)

    @quart_app.websocket("/accepted")
    async def accepted() -> None:
        await websocket.accept()
        await AsgiWebsocketTransport(websocket, session_params()).serve(_echo)

    @quart_app.websocket("/new")
    async def new() -> None:
        await AsgiWebsocketTransport(websocket, session_params()).serve(_echo)

    @quart_app.websocket("/refused")
    async def refused() -> None:
        params = session_params(authorize=_nobody)
        await AsgiWebsocketTransport(websocket, params).serve(_echo)

    return quart_app


async def _nobody(_peer: object) -> bool:
    return False
