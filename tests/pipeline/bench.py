"""What the tests of the pipeline share: numbered frames, a stage that copies, a pipeline with its ends at hand."""

from collections.abc import Iterable

import trio
from trio.testing import wait_all_tasks_blocked

from trio_transports.frames import (
    AudioFrame,
    Frame,
)
from trio_transports.pipeline import Pipeline

Receive = trio.abc.ReceiveChannel[Frame]


Send = trio.abc.SendChannel[Frame]


def audio(number: int, duration_ms: int = 20) -> AudioFrame:
    return AudioFrame(audio=number.to_bytes(2, "little") * (16 * duration_ms), sample_rate=16000)


def numbers(frames: Iterable[Frame]) -> list[int]:
    return [int.from_bytes(frame.audio[:2], "little") for frame in frames if isinstance(frame, AudioFrame)]


async def copy(input: Receive, output: Send) -> None:  # noqa: A002
    async for frame in input:
        await output.send(frame)


async def through(pipeline: Pipeline, frames: Iterable[Frame]) -> list[Frame]:
    """Run frames through, then end the input; give what came out."""
    frames = list(frames)
    feed, source = trio.open_memory_channel[Frame](len(frames))
    sink, out = trio.open_memory_channel[Frame](10_000)
    for frame in frames:
        feed.send_nowait(frame)
    feed.close()
    await pipeline.run(source, sink)
    sink.close()
    return [frame async for frame in out]


class Bench:
    """A running pipeline with its input and output at hand; the output holds ``room`` frames."""

    def __init__(self, room: float = 10_000) -> None:
        self.feed, self.source = trio.open_memory_channel[Frame](10_000)
        self.sink, self.out = trio.open_memory_channel[Frame](room)

    async def settle(self) -> None:
        await wait_all_tasks_blocked()

    def received(self) -> list[Frame]:
        frames: list[Frame] = []
        while True:
            try:
                frames.append(self.out.receive_nowait())
            except trio.WouldBlock:
                return frames
