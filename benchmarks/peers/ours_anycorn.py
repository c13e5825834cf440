"""The same app as ``ours_asgi`` on anycorn, hypercorn's fork for anyio, on trio; nothing guards it."""

import anycorn
import trio
from anycorn.config import Config

from .ours import PACKAGES
from .ours_asgi import app
from .program import announce, listening_socket


async def main() -> None:
    listener = listening_socket()
    config = Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.errorlog = None
    announce(listener.getsockname()[1], packages=(*PACKAGES, "anycorn", "fastapi", "starlette"))
    await anycorn.serve(app, config)  # type: ignore[arg-type]  # a FastAPI is an ASGI app


if __name__ == "__main__":
    trio.run(main)
