"""trio-websocket with nothing on top: the floor that a transport on this engine can reach."""

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, serve_websocket

from ..messages import AUDIO_TAG, CHUNK_S, audio_message, playback_chunks, read_command
from .program import announce


async def play(connection: WebSocketConnection, seconds: float, playing: trio.CancelScope) -> None:
    with playing:
        messages = [audio_message(chunk) for chunk in playback_chunks(seconds)]
        start = trio.current_time()
        for index, message in enumerate(messages):
            await trio.sleep_until(start + index * CHUNK_S)
            await connection.send_message(message)


async def handle(request: WebSocketRequest) -> None:
    connection = await request.accept()
    playing = trio.CancelScope()
    async with trio.open_nursery() as nursery:
        try:
            while True:
                message = await connection.get_message()
                if message[0] == AUDIO_TAG:
                    await connection.send_message(message)
                    continue
                playing.cancel()
                if seconds := read_command(message.encode() if isinstance(message, str) else message).get("play"):
                    playing = trio.CancelScope()
                    nursery.start_soon(play, connection, seconds, playing)
        except ConnectionClosed:
            nursery.cancel_scope.cancel()


async def main() -> None:
    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve_websocket, handle, "127.0.0.1", 0, None)
        announce(server.port, packages=("trio", "trio-websocket", "wsproto"))
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(main)
