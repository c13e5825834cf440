"""A server in a process of its own, which tells what a flood did to it: its one argument is the engine's name.

It prints the ports of its doors: JSON, protobuf, two that have pictures decoded, as JSON and packed, and then a
telephone line's, RTVI's, and one whose handler reads neither what it has subscribed to nor anything else. Nobody reads
the events of any of them. To each line it reads it answers with the most memory it had since the line before, what it
has now, the long steps of its tasks in CPU time, and how many sessions there are, in one JSON line.
The handler is the README's echo, which waits in ``send`` while much audio is queued; pictures are looked at only.
"""

import gc
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeAlias

import trio
from attrs import define, field

from trio_transports import (
    AsgiWebsocketParams,
    AsgiWebsocketTransport,
    ImageFrame,
    ServerReady,
    Session,
    SpriteFrame,
    WebsocketServerParams,
    WebsocketServerTransport,
)
from trio_transports.hosting import serve_asgi
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.serializers.packed import PackedFrameSerializer
from trio_transports.serializers.protobuf import ProtobufFrameSerializer
from trio_transports.serializers.protocol import FrameSerializer
from trio_transports.serializers.rtvi import RTVIFrameSerializer
from trio_transports.serializers.twilio import TwilioFrameSerializer

LONG_S = 0.004
"""A step of less is not told."""
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


PICTURES: dict[str, object] = {"video_in_enabled": True, "video_in_color_format": "RGB"}


sessions = 0
"""How many there are now."""
unread: list[object] = []
"""Subscriptions to events that nobody reads."""


Dialect: TypeAlias = FrameSerializer | Callable[[], FrameSerializer]


def settings(dialect: Dialect, **more: object) -> dict[str, object]:
    return {"serializer": dialect, "audio_in_enabled": True, "audio_out_enabled": True, **more}


async def echo(session: Session) -> None:
    global sessions
    sessions += 1
    try:
        async for frame in session.input:
            if not isinstance(frame, ImageFrame | SpriteFrame):
                await session.output.send(frame)
    finally:
        sessions -= 1


async def deaf(session: Session) -> None:
    """It has the messages kept for it as well as the frames, and reads neither; who else subscribes reads on."""
    global sessions
    sessions += 1
    unread_messages = session.messages(100_000)
    try:
        async for _ in session.messages():
            pass
    finally:
        unread_messages.close()
        sessions -= 1


Handler: TypeAlias = Callable[[Session], Awaitable[None]]

DOORS: list[tuple[Dialect, dict[str, object], Handler]] = [
    (JSONFrameSerializer(), {}, echo),
    (ProtobufFrameSerializer(), {}, echo),
    (JSONFrameSerializer(), PICTURES, echo),
    (PackedFrameSerializer(), PICTURES, echo),
    (TwilioFrameSerializer, {}, echo),
    (RTVIFrameSerializer, {}, echo),
    (JSONFrameSerializer(), {"max_malformed": 1_000_000}, deaf),
]


def memory_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * PAGE_BYTES


@define(eq=False)
class LongSteps(trio.abc.Instrument):
    """CPU time, so that waiting for a core is not counted, nor what the oldest generation's collection takes.

    That goes by how much the whole process holds.
    """

    took_s: list[float] = field(factory=list)
    _began_s: float = 0.0
    _collecting_since_s: float = 0.0

    def collects(self, phase: str, info: dict[str, int]) -> None:
        if info["generation"] == 2:
            if phase == "start":
                self._collecting_since_s = time.thread_time()
            else:
                self._began_s += time.thread_time() - self._collecting_since_s

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._began_s = time.thread_time()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        took_s = time.thread_time() - self._began_s
        if took_s >= LONG_S:
            self.took_s.append(took_s)


async def serve_server(
    engine: str, told: dict[str, object], handler: Handler = echo, *, task_status: trio.TaskStatus[int]
) -> None:
    params = WebsocketServerParams(**told)  # type: ignore[arg-type]
    transport = WebsocketServerTransport(params, host="127.0.0.1", port=0, engine=engine)
    unread.append(transport.events())
    async with trio.open_nursery() as nursery:
        ready: ServerReady = await nursery.start(transport.serve, handler)
        task_status.started(ready.port)


async def serve_app(told: dict[str, object], handler: Handler = echo, *, task_status: trio.TaskStatus[int]) -> None:
    from hypercorn.config import Config

    params = AsgiWebsocketParams(**told)  # type: ignore[arg-type]

    async def app(scope: dict[str, object], receive: Callable[..., object], send: Callable[..., object]) -> None:
        transport = AsgiWebsocketTransport((scope, receive, send), params)  # type: ignore[arg-type]
        events = transport.events()
        async with transport.session() as session:
            await handler(session)
        events.close()

    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.errorlog = None
    async with trio.open_nursery() as nursery:
        [bound] = await nursery.start(partial(serve_asgi, app, config))
        task_status.started(int(bound.rsplit(":", 1)[1]))


async def answer(steps: LongSteps) -> None:
    most = memory_bytes()

    async def sample() -> None:
        nonlocal most
        while True:
            most = max(most, memory_bytes())
            await trio.sleep(0.005)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(sample)
        while await trio.to_thread.run_sync(sys.stdin.readline):
            told = {
                "most_bytes": most,
                "bytes": memory_bytes(),
                "long_steps_s": steps.took_s,
                "sessions": sessions,
            }
            print(json.dumps(told), flush=True)
            steps.took_s.clear()
            gc.collect()
            most = memory_bytes()
        nursery.cancel_scope.cancel()


async def main(engine: str) -> None:
    steps = LongSteps()
    async with trio.open_nursery() as nursery:
        ports = []
        for dialect, more, handler in DOORS:
            told = settings(dialect, **more)
            starts = (
                partial(serve_app, told, handler) if engine == "asgi" else partial(serve_server, engine, told, handler)
            )
            ports.append(await nursery.start(starts))
        trio.lowlevel.add_instrument(steps)
        gc.callbacks.append(steps.collects)
        print(json.dumps(ports), flush=True)
        await answer(steps)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
