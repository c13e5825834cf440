"""A server, in a process of its own, whose bot works for a fixed time on every frame: what it can carry is known.

It prints its port, and when it is told to end the seconds of audio that came and those that it dropped.
"""

import time
from typing import Final

import trio

from trio_transports import (
    AudioFrame,
    Disconnected,
    MessageFrame,
    ServerReady,
    Session,
    WebsocketServerParams,
    WebsocketServerTransport,
)
from trio_transports.serializers import JSONFrameSerializer

FRAME_S: Final = 0.02
CAPACITY: Final = 10
"""Calls whose frames are as much work as there is time for."""
WORK_S: Final = FRAME_S / CAPACITY


def work() -> None:
    until = time.thread_time() + WORK_S
    while time.thread_time() < until:
        pass


async def bot(session: Session) -> None:
    """Works on audio and says it back; answers a message ahead of what is queued."""
    async for frame in session.input:
        match frame:
            case AudioFrame():
                work()
                await session.output.send(frame)
                await trio.lowlevel.checkpoint()
            case MessageFrame():
                await session.output.send_message(frame.message, urgent=True)
            case _:
                pass


async def main() -> None:
    params = WebsocketServerParams(
        serializer=JSONFrameSerializer(),
        audio_in_enabled=True,
        audio_out_enabled=True,
        audio_in_sample_rate=16000,
        audio_out_sample_rate=16000,
        audio_out_10ms_chunks=2,
        audio_out_auto_silence=False,
        audio_out_end_silence_secs=0,
        audio_in_max_queue_secs=1,
        audio_out_max_queue_secs=1,
        ping_timeout=60,
    )
    server = WebsocketServerTransport(params, host="127.0.0.1", port=0, engine="direct")

    async def serve(*, task_status: trio.TaskStatus[ServerReady]) -> None:
        await server.serve(bot, signals=True, task_status=task_status)

    received_s = dropped_s = 0.0
    events = server.events()
    async with trio.open_nursery() as nursery:
        ready = await nursery.start(serve)
        print(ready.port, flush=True)
        async for event in events:
            if isinstance(event, Disconnected):
                counted = event.session.statistics()
                received_s += counted.audio_received_s
                dropped_s += counted.audio_in_dropped_s + counted.audio_out_dropped_s
    print(received_s, dropped_s, flush=True)


if __name__ == "__main__":
    trio.run(main)
