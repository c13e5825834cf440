"""A server that does not do its work, to show that the suite finds out; what it does wrong is in ``TT_BENCH_LIE``."""

import os

import trio
from trio_websocket import ConnectionClosed, WebSocketRequest, serve_websocket

from ..messages import CHUNK_BYTES, audio_message, read_audio
from .program import announce

LIE = os.environ.get("TT_BENCH_LIE", "shorten")


async def handle(request: WebSocketRequest) -> None:
    connection = await request.accept()
    number, held = 0, b""
    try:
        while True:
            message = await connection.get_message()
            audio = read_audio(message.encode() if isinstance(message, str) else message)
            assert audio is not None
            number += 1
            pcm = audio.pcm
            if LIE == "shorten":
                await connection.send_message(audio_message(pcm[: CHUNK_BYTES // 2]))
            elif LIE == "alter":
                await connection.send_message(audio_message(pcm[:-1] + bytes((pcm[-1] ^ 1,))))
            elif LIE == "join":
                held += pcm
                if len(held) == 2 * CHUNK_BYTES:
                    await connection.send_message(audio_message(held))
                    held = b""
            elif number % 10:
                await connection.send_message(message)
    except ConnectionClosed:
        return


async def main() -> None:
    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve_websocket, handle, "127.0.0.1", 0, None)
        announce(server.port, packages=("trio",))
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(main)
