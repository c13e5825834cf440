"""Pipecat's FastAPIWebsocketTransport on uvicorn, one pipeline for each caller, as its own examples host it."""

import uvicorn
from fastapi import FastAPI, WebSocket
from pipecat.serializers.protobuf import ProtobufFrameSerializer
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport

from .pipecat_echo import PACKAGES, echo_worker, quiet, run_workers
from .program import announce, listening_socket

app = FastAPI()


@app.websocket("/")
async def handle(websocket: WebSocket) -> None:
    await websocket.accept()
    transport = FastAPIWebsocketTransport(
        websocket,
        FastAPIWebsocketParams(
            audio_in_enabled=True,
            audio_out_enabled=True,
            audio_out_10ms_chunks=2,
            audio_out_end_silence_secs=0,
            serializer=ProtobufFrameSerializer(),
        ),
    )
    worker = echo_worker(transport)

    @transport.event_handler("on_client_disconnected")  # type: ignore[untyped-decorator]
    async def end(_transport: FastAPIWebsocketTransport, _websocket: WebSocket) -> None:
        await worker.cancel()

    await run_workers(worker)


def main() -> None:
    quiet()
    listener = listening_socket()
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    announce(listener.getsockname()[1], packages=PACKAGES)
    server.run(sockets=[listener])


if __name__ == "__main__":
    main()
