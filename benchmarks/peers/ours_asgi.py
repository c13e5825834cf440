"""Our session inside an ASGI app, a FastAPI one, on hypercorn's trio worker as ``serve_asgi`` guards it."""

from functools import partial

import trio
from fastapi import FastAPI, WebSocket
from hypercorn.config import Config

from trio_transports import AsgiWebsocketParams, AsgiWebsocketTransport
from trio_transports.hosting import serve_asgi
from trio_transports.serializers.protobuf import ProtobufFrameSerializer

from ..messages import SAMPLE_RATE
from .ours import PACKAGES, handle
from .program import announce, listening_socket

PARAMS = AsgiWebsocketParams(
    audio_in_enabled=True,
    audio_in_sample_rate=SAMPLE_RATE,
    audio_out_enabled=True,
    audio_out_sample_rate=SAMPLE_RATE,
    audio_out_10ms_chunks=2,
    serializer=ProtobufFrameSerializer(),
)
app = FastAPI()


@app.websocket("/")
async def endpoint(websocket: WebSocket) -> None:
    await websocket.accept()
    async with AsgiWebsocketTransport(websocket, PARAMS).session() as session:
        await handle(session)


async def main() -> None:
    listener = listening_socket()
    config = Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.errorlog = None
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(serve_asgi, app, config))
        announce(listener.getsockname()[1], packages=(*PACKAGES, "fastapi", "starlette"))


if __name__ == "__main__":
    trio.run(main)
