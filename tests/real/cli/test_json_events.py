"""What the commands that go on print with ``--json``: each event has the names that are documented for it."""

import re
from typing import Any

import trio

from tests.real.cli.programs import serving
from trio_transports import WebsocketClientParams, WebsocketClientTransport
from trio_transports.cli.json_output import OBJECTS
from trio_transports.serializers import JSONFrameSerializer


def documented(command: str, event: str) -> set[str]:
    """The names of which the text says that this event has them."""
    names = {name for name, text in OBJECTS[command].items() if event in re.split(r"\W+", text.rpartition("(")[2])}
    assert event in OBJECTS[command]["event"]
    return {"event", *names}


async def test_each_event_has_its_names() -> None:
    """``echo`` with two callers, ``demo`` and ``serve``, from ready to the end."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_of_echo)
        nursery.start_soon(_of_demo)
        nursery.start_soon(_of_serve)


async def _of_echo() -> None:
    async with serving("echo", "--port", "0") as server:
        told: list[dict[str, Any]] = [await server.next("ready")]
        params = WebsocketClientParams(serializer=JSONFrameSerializer())
        for _ in range(2):
            async with WebsocketClientTransport(told[0]["url"], params).session():
                told.append(await server.next("connected"))
            told.append(await server.next("disconnected"))
    assert [set(each) for each in told] == [documented("echo", each["event"]) for each in told]
    assert documented("echo", "disconnected") > {"event", "session", "code", "audio_sent_s"}


async def _of_demo() -> None:
    async with serving("demo", "--port", "0") as server:
        assert set(await server.next("ready")) == documented("demo", "ready") == {"event", "url"}


async def _of_serve() -> None:
    async with serving("serve", "--port", "0") as server:
        assert set(await server.next("ready")) == documented("serve", "ready")
        server.interrupt()
        assert set(await server.next("ended")) == documented("serve", "ended") == {"event"}
