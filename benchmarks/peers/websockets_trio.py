"""`websockets` on trio, with nothing on top."""

import trio
from websockets.exceptions import ConnectionClosed
from websockets.trio.server import ServerConnection, serve

from ..messages import AUDIO_TAG, CHUNK_S, audio_message, playback_chunks, read_command
from .program import announce, listening_socket


async def play(connection: ServerConnection, seconds: float, playing: trio.CancelScope) -> None:
    with playing:
        messages = [audio_message(chunk) for chunk in playback_chunks(seconds)]
        start = trio.current_time()
        for index, message in enumerate(messages):
            await trio.sleep_until(start + index * CHUNK_S)
            await connection.send(message)


async def handle(connection: ServerConnection) -> None:
    playing = trio.CancelScope()
    async with trio.open_nursery() as nursery:
        try:
            while True:
                message = await connection.recv(decode=False)
                if message[0] == AUDIO_TAG:
                    await connection.send(message)
                    continue
                playing.cancel()
                if seconds := read_command(message).get("play"):
                    playing = trio.CancelScope()
                    nursery.start_soon(play, connection, seconds, playing)
        except ConnectionClosed:
            nursery.cancel_scope.cancel()


async def main() -> None:
    listener = trio.SocketListener(trio.socket.from_stdlib_socket(listening_socket()))
    port: int = listener.socket.getsockname()[1]
    announce(port, packages=("trio", "websockets"))
    await serve(handle, listeners=[listener], max_queue=1024)


if __name__ == "__main__":
    trio.run(main)
