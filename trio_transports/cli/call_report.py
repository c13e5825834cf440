"""What ``call --json`` prints: the same names on every line. What is of audio is null on a line that carries text."""

from collections.abc import Mapping

import trio

from ..frames import JSONValue
from ..session.events import Disconnected, Event
from .json_output import OBJECTS


def call_report(url: str, ending: Disconnected | None, found: Mapping[str, JSONValue]) -> dict[str, JSONValue]:
    """All names, as ``OBJECTS`` documents them; what was not found is null."""
    names: dict[str, JSONValue] = dict.fromkeys(OBJECTS["call"])
    ended: dict[str, JSONValue] = {
        "close_code": None if ending is None else ending.code,
        "close_reason": "" if ending is None else ending.reason,
        "ended_by": None if ending is None else ending.initiator,
    }
    return {**names, "ok": True, "url": url, **ended, **found}


async def how_it_ended(events: trio.abc.ReceiveChannel[Event]) -> Disconnected | None:
    """Read a transport's events to their end."""
    ending = None
    async for event in events:
        if isinstance(event, Disconnected):
            ending = event
    return ending
