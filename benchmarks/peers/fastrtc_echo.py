"""FastRTC's WebSocket handler on uvicorn: mu-law as base64 in JSON, and a pause of one chunk after each that is sent.

It has no word of its own for "play" and "interrupt", so it is measured where nothing but an echo is asked for.
"""

import asyncio
from typing import Any

import uvicorn
from fastapi import FastAPI
from fastrtc import AsyncStreamHandler, Stream  # type: ignore[import-not-found, unused-ignore]

from ..messages import SAMPLE_RATE
from .program import announce, listening_socket

PACKAGES = ("fastrtc", "fastapi", "starlette", "uvicorn", "websockets", "numpy")

MANY = 10_000
"""Its limit is one caller where none is named."""


class Echo(AsyncStreamHandler):  # type: ignore[misc]
    """Gives back each array of samples that it was given."""

    def __init__(self) -> None:
        super().__init__("mono", output_sample_rate=SAMPLE_RATE, input_sample_rate=SAMPLE_RATE)
        self._heard: asyncio.Queue[Any] = asyncio.Queue()

    def copy(self) -> "Echo":
        return Echo()

    async def start_up(self) -> None:
        """Nothing to prepare."""

    async def receive(self, frame: Any) -> None:  # noqa: ANN401 - theirs
        self._heard.put_nowait(frame)

    async def emit(self) -> Any:  # noqa: ANN401 - theirs
        return await self._heard.get()


def main() -> None:
    app = FastAPI()
    Stream(Echo(), modality="audio", mode="send-receive", concurrency_limit=MANY).mount(app)
    listener = listening_socket()
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    announce(listener.getsockname()[1], packages=PACKAGES, path="/websocket/offer", dialect="fastrtc")
    server.run(sockets=[listener])


if __name__ == "__main__":
    main()
