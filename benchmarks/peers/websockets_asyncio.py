"""`websockets` on asyncio, with nothing on top."""

import asyncio

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from ..messages import AUDIO_TAG, CHUNK_S, audio_message, playback_chunks, read_command
from .program import announce, listening_socket


async def play(connection: ServerConnection, seconds: float) -> None:
    messages = [audio_message(chunk) for chunk in playback_chunks(seconds)]
    clock = asyncio.get_running_loop().time
    start = clock()
    for index, message in enumerate(messages):
        await asyncio.sleep(start + index * CHUNK_S - clock())
        await connection.send(message)


async def handle(connection: ServerConnection) -> None:
    playing: asyncio.Task[None] | None = None
    try:
        while True:
            message = await connection.recv(decode=False)
            if message[0] == AUDIO_TAG:
                await connection.send(message)
                continue
            if playing:
                playing.cancel()
            if seconds := read_command(message).get("play"):
                playing = asyncio.create_task(play(connection, seconds))
    except ConnectionClosed:
        if playing:
            playing.cancel()


async def main() -> None:
    listener = listening_socket()
    async with serve(handle, sock=listener, max_queue=1024):
        announce(listener.getsockname()[1], packages=("websockets",))
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main())
