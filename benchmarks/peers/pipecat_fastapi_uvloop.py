"""The same as ``pipecat_fastapi`` on uvloop, a faster asyncio loop that ``uvicorn[standard]`` brings."""

# uvicorn takes uvloop where it is installed; where it is not, this program must not pretend to measure it.
import uvloop  # type: ignore[import-not-found, unused-ignore]  # noqa: F401

from .pipecat_fastapi import main

if __name__ == "__main__":
    main()
