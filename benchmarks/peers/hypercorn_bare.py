"""hypercorn's trio worker under a raw ASGI app: the floor that a transport inside an ASGI app can reach."""

from collections.abc import Awaitable, Callable
from typing import Any

import trio
from hypercorn.config import Config
from hypercorn.trio import serve

from ..messages import AUDIO_TAG, CHUNK_S, audio_message, playback_chunks, read_command
from .program import announce, listening_socket

Send = Callable[[Any], Awaitable[None]]
Receive = Callable[[], Awaitable[Any]]


async def play(send: Send, seconds: float, playing: trio.CancelScope) -> None:
    with playing:
        messages = [audio_message(chunk) for chunk in playback_chunks(seconds)]
        start = trio.current_time()
        for index, message in enumerate(messages):
            await trio.sleep_until(start + index * CHUNK_S)
            await send({"type": "websocket.send", "bytes": message})


async def app(scope: Any, receive: Receive, send: Send) -> None:  # noqa: ANN401
    if scope["type"] != "websocket":
        raise NotImplementedError(scope["type"])  # how an app says that it has no lifespan
    await receive()
    await send({"type": "websocket.accept"})
    playing = trio.CancelScope()
    async with trio.open_nursery() as nursery:
        while True:
            event = await receive()
            if event["type"] == "websocket.disconnect":
                nursery.cancel_scope.cancel()
                return
            message = event["bytes"]
            if message[0] == AUDIO_TAG:
                await send({"type": "websocket.send", "bytes": message})
                continue
            playing.cancel()
            if seconds := read_command(message).get("play"):
                playing = trio.CancelScope()
                nursery.start_soon(play, send, seconds, playing)


async def main() -> None:
    listener = listening_socket()
    config = Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.errorlog = None
    announce(listener.getsockname()[1], packages=("trio", "hypercorn", "wsproto"))
    await serve(app, config)


if __name__ == "__main__":
    trio.run(main)
