"""Whether trio runs here at all, and what to do where another event loop does."""

from typing import Final

import trio

from ..errors import LocalProtocolError

ASGI_WAYS_OUT: Final = (
    "serve the app with trio_transports.hosting.serve_asgi, `hypercorn -k trio module:app` or `anycorn -k trio`, "
    'and test it with TestClient(app, backend="trio")'
)
"""For what was called in an app that somebody else serves."""
MAIN_WAYS_OUT: Final = "begin the program with trio.run(main) instead of asyncio.run(main())"
"""For what a program calls by itself."""


def require_trio(what: str, ways_out: str) -> None:
    """Raise where ``what`` was called on another event loop, with the ways out: trio's own error knows none."""
    if trio.lowlevel.in_trio_task():
        return
    raise LocalProtocolError(f"{what} runs on trio, and this is {_other_loop()}. For {_apps(ways_out)}: {ways_out}")


def _apps(ways_out: str) -> str:
    return "an ASGI app" if ways_out is ASGI_WAYS_OUT else "a program"


def _other_loop() -> str:
    import sniffio  # not imported with the package: it is needed here only, and comes with trio

    try:
        library = sniffio.current_async_library()
    except sniffio.AsyncLibraryNotFoundError:
        return "no event loop that is known"
    if library == "asyncio":
        return "asyncio (as under uvicorn, Daphne, hypercorn's default worker or a plain TestClient)"
    return f"{library}, outside of its tasks" if library == "trio" else library
