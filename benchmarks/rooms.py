"""Which room of this library, or which package under it, a sampled stack was in: by the innermost file alone."""

from collections import Counter
from typing import Final

OURS: Final = "trio_transports/"
_INSTALLED: Final = "site-packages/"
ENGINES: Final = ("trio", "trio_websocket", "hypercorn", "wsproto", "h11", "h2", "starlette", "fastapi", "google")
"""The packages with a row of their own."""


def room_of(stack: list[str]) -> str:
    """The room of a folded stack's last frame, ``function (path:line)``: what it calls in C is its own.

    A system call is therefore counted where it was made. What is no file of ours nor of a package is the standard
    library's; the program that was profiled is "handler".
    """
    path = stack[-1].rpartition("(")[2].partition(":")[0]
    if OURS in path and _INSTALLED not in path:
        room, slash, _ = path.rpartition(OURS)[2].partition("/")
        return room if slash else "foundation"
    if _INSTALLED in path:
        package = path.rpartition(_INSTALLED)[2].partition("/")[0]
        return package if package in ENGINES else "other packages"
    return "handler" if "benchmarks/peers/" in path else "stdlib"


def by_room(folded: str) -> Counter[str]:
    """Samples by room, of folded stacks (``outer;inner count``); the suite's own thread is left out."""
    rooms: Counter[str] = Counter()
    for line in folded.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = [frame for frame in stack.split(";") if not frame.startswith("process ")]
        if frames and stack and count.isdigit() and not any("_obey_parent" in frame for frame in frames):
            rooms[room_of(frames)] += int(count)
    return rooms
