"""More calls than a server can carry: what becomes late, what is lost, and what still works."""

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from subprocess import PIPE
from typing import Final

import numpy as np
import trio
from attrs import define, field, frozen

from tests.real.overload.server import CAPACITY, FRAME_S
from trio_transports import (
    AudioFrame,
    ConnectionClosed,
    MessageFrame,
    Session,
    WebsocketClientParams,
    WebsocketClientTransport,
)
from trio_transports.serializers import JSONFrameSerializer

LOADS: Final = (0.5, 1.0, 1.5, 2.0)
CONTROL_EVERY_S: Final = 0.1
FRAME_BYTES: Final = 640


@frozen
class Measured:
    """At one load: milliseconds at the 95th percentile, and the share of the audio that was dropped."""

    load: float
    echo_ms: float
    control_ms: float
    connect_ms: float
    close_ms: float
    lost: float
    closed_well: int
    calls: int


@define(eq=False)
class Load:
    """So many calls, and what they see."""

    url: str
    echo_s: list[float] = field(factory=list)
    control_s: list[float] = field(factory=list)
    connect_s: list[float] = field(factory=list)
    close_s: list[float] = field(factory=list)
    closed_well: int = 0

    async def call(self, lasting_s: float) -> None:
        params = WebsocketClientParams(
            serializer=JSONFrameSerializer(),
            audio_in_enabled=True,
            audio_out_enabled=True,
            audio_in_sample_rate=16000,
            audio_out_sample_rate=16000,
            audio_out_10ms_chunks=2,
            audio_out_auto_silence=False,
            audio_out_end_silence_secs=0,
            ping_timeout=60,
            connect_timeout=60,
            close_timeout=30,
        )
        transport = WebsocketClientTransport(self.url, params, engine="direct")
        began_s = trio.current_time()
        try:
            async with transport.session() as session:
                self.connect_s.append(trio.current_time() - began_s)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._hear, session)
                    nursery.start_soon(self._ask, session)
                    await self._talk(session, lasting_s)
                    nursery.cancel_scope.cancel()
                began_s = trio.current_time()
                await session.aclose()
            self.close_s.append(trio.current_time() - began_s)
            self.closed_well += 1
        except ConnectionClosed:
            return  # not closed well

    async def _talk(self, session: Session, lasting_s: float) -> None:
        """Its own clock in every frame: the milliseconds at which it was sent, in its first sample pair."""
        until_s = trio.current_time() + lasting_s
        due_s = trio.current_time()
        while due_s < until_s:
            stamp = np.array([trio.current_time()], dtype="<f8").tobytes()
            frame = AudioFrame(audio=stamp + bytes(FRAME_BYTES - len(stamp)), sample_rate=16000)
            await session.output.send(frame)
            due_s += FRAME_S
            await trio.sleep_until(due_s)

    async def _ask(self, session: Session) -> None:
        while True:
            await session.output.send_message(trio.current_time(), urgent=True)
            await trio.sleep(CONTROL_EVERY_S)

    async def _hear(self, session: Session) -> None:
        async for frame in session.input:
            now = trio.current_time()
            match frame:
                case AudioFrame(audio=pcm):
                    sent_s = float(np.frombuffer(pcm[:8], dtype="<f8")[0])
                    if 0 < now - sent_s < 3600:
                        self.echo_s.append(now - sent_s)
                case MessageFrame(message=float(sent_s)):
                    self.control_s.append(now - sent_s)
                case _:
                    pass


@define(eq=False)
class Server:
    url: str
    received_s: float = 0.0
    dropped_s: float = 0.0


@asynccontextmanager
async def server() -> AsyncIterator[Server]:
    """A server while the body runs; what it has counted is known after that."""
    command = [sys.executable, "-m", "tests.real.overload.server"]
    async with trio.open_nursery() as nursery:
        process: trio.Process = await nursery.start(partial(trio.run_process, command, stdout=PIPE, check=False))
        assert process.stdout is not None
        serving = Server(f"ws://127.0.0.1:{(await process.stdout.receive_some()).decode().strip()}/")
        try:
            yield serving
        finally:
            process.terminate()
        told = "".join([piece.decode() async for piece in process.stdout])
        serving.received_s, serving.dropped_s = map(float, told.split())


def worst_ms(seconds: Sequence[float]) -> float:
    return float(np.percentile(seconds, 95)) * 1000 if seconds else float("nan")


async def measure(factor: float, lasting_s: float) -> Measured:
    """So many times as many calls as the server can carry, for so long."""
    calls = round(factor * CAPACITY)
    async with server() as serving:
        load = Load(serving.url)
        async with trio.open_nursery() as nursery:
            for _ in range(calls):
                nursery.start_soon(load.call, lasting_s)
                await trio.sleep(FRAME_S / calls)
    return Measured(
        factor,
        worst_ms(load.echo_s),
        worst_ms(load.control_s),
        worst_ms(load.connect_s),
        worst_ms(load.close_s),
        serving.dropped_s / serving.received_s,
        load.closed_well,
        calls,
    )
