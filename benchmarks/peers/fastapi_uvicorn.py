"""FastAPI on uvicorn, with nothing on top: what Pipecat's FastAPI transport stands on."""

import asyncio
import contextlib

import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from ..messages import AUDIO_TAG, CHUNK_S, audio_message, playback_chunks, read_command
from .program import announce, listening_socket

app = FastAPI()


async def play(websocket: WebSocket, seconds: float) -> None:
    messages = [audio_message(chunk) for chunk in playback_chunks(seconds)]
    clock = asyncio.get_running_loop().time
    start = clock()
    for index, message in enumerate(messages):
        await asyncio.sleep(start + index * CHUNK_S - clock())
        await websocket.send_bytes(message)


@app.websocket("/")
async def handle(websocket: WebSocket) -> None:
    await websocket.accept()
    playing: asyncio.Task[None] | None = None
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            message = await websocket.receive_bytes()
            if message[0] == AUDIO_TAG:
                await websocket.send_bytes(message)
                continue
            if playing:
                playing.cancel()
            if seconds := read_command(message).get("play"):
                playing = asyncio.create_task(play(websocket, seconds))
    if playing:
        playing.cancel()


def main() -> None:
    listener = listening_socket()
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    announce(listener.getsockname()[1], packages=("fastapi", "starlette", "uvicorn", "websockets", "uvloop"))
    server.run(sockets=[listener])


if __name__ == "__main__":
    main()
