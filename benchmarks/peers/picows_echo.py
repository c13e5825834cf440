"""picows, a WebSocket library in Cython, on asyncio: a message is handed to a method and written from there."""

import asyncio

from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from ..messages import AUDIO_TAG, CHUNK_S, audio_message, playback_chunks, read_command
from .program import announce, listening_socket


class Echo(WSListener):
    """Answers audio with the same bytes, and the two commands."""

    def __init__(self) -> None:
        super().__init__()
        self._playing: asyncio.Task[None] | None = None

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
            return
        message = frame.get_payload_as_bytes()
        if message[0] == AUDIO_TAG:
            transport.send(WSMsgType.BINARY, message)
            return
        self._stop()
        if seconds := read_command(message).get("play"):
            self._playing = asyncio.get_running_loop().create_task(play(transport, seconds))

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._playing:
            self._playing.cancel()


async def play(transport: WSTransport, seconds: float) -> None:
    messages = [audio_message(chunk) for chunk in playback_chunks(seconds)]
    clock = asyncio.get_running_loop().time
    start = clock()
    for index, message in enumerate(messages):
        await asyncio.sleep(start + index * CHUNK_S - clock())
        transport.send(WSMsgType.BINARY, message)


def answer(_request: WSUpgradeRequest) -> WSListener:
    return Echo()


async def main() -> None:
    listener = listening_socket()
    server = await ws_create_server(answer, sock=listener)
    announce(listener.getsockname()[1], packages=("picows",))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
