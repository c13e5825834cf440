"""The two ends of a call over a bus, for tests of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
import trio.testing

from trio_transports.bus import BridgedCall, Bus, BusMessage, FrameWorker, LocalBus, bridge
from trio_transports.bus.bridging import Bridged
from trio_transports.frames import AudioFrame, Frame, TextFrame


def audio(seconds: float = 0.02, fill: int = 0) -> AudioFrame:
    return AudioFrame(audio=bytes([fill, fill]) * round(16000 * seconds), sample_rate=16000)


class StuckBus(LocalBus):  # type: ignore[misc]  # final for users; here it fails on purpose
    """A bus that takes nothing while it is stuck."""

    is_stuck = False

    async def send(self, message: BusMessage) -> None:
        if self.is_stuck:
            await trio.sleep_forever()
        await super().send(message)


class Ends:
    """A session's two channels, in memory."""

    def __init__(self, output_buffer: float = 1000) -> None:
        self.caller_sends, self.input = trio.open_memory_channel[Frame](1000)
        self.output, self.caller_hears = trio.open_memory_channel[Frame](output_buffer)


async def bridged(session: Bridged, bus: Bus, name: str = "call") -> None:
    """Serve a call over the bus, to the end: a task for a nursery."""
    await bridge(session, bus, name=name, worker="worker")


async def echo(call: BridgedCall) -> None:
    async for frame in call.input:
        if isinstance(frame, AudioFrame | TextFrame):
            await call.output.send(frame)


@asynccontextmanager
async def working(worker: FrameWorker) -> AsyncIterator[LocalBus]:
    bus = LocalBus()
    async with trio.open_nursery() as nursery:
        await nursery.start(worker.run, bus)
        yield bus
        worker.stop()
