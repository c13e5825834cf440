"""Our standalone server on the lean engine."""

import trio

from .ours_server import main

if __name__ == "__main__":
    trio.run(main, "direct")
