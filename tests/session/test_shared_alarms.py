"""Alarms of many sessions share their wakes, while each session keeps its own time."""

from collections.abc import Callable
from itertools import pairwise
from typing import final

import pytest
import trio
from attrs import define, field

from trio_transports import AudioFrame, TransportParams
from trio_transports.audio.recovery import EARLY_S
from trio_transports.errors import ConnectionClosed
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.session.broadcast import Broadcast
from trio_transports.session.events import Event
from trio_transports.session.run import open_session
from trio_transports.testing import memory_wire_pair
from trio_transports.wire import Peer, Wire
from trio_transports.wire.protocol import BytesLike, SharesAlarms

CHUNK_S = 0.02
PARAMS = TransportParams(
    audio_out_enabled=True,
    audio_out_sample_rate=16000,
    audio_out_10ms_chunks=2,
    audio_out_auto_silence=False,
    serializer=JSONFrameSerializer(),
)


def together(due_s: float) -> float:
    return (due_s + 1e-6) // EARLY_S * EARLY_S


@final
@define(eq=False)
class Sharing:
    """A wire whose alarms others share; it notes when each message was sent."""

    _wire: Wire
    _wakes_at: Callable[[float], float]
    sent_at: list[float] = field(factory=list)
    asked: int = 0

    @property
    def peer(self) -> Peer:
        return self._wire.peer

    def alarm_s(self, due_s: float) -> float:
        self.asked += 1
        return self._wakes_at(due_s)

    async def receive(self) -> str | bytes:
        return await self._wire.receive()

    async def send(self, message: str | BytesLike) -> None:
        self.sent_at.append(trio.current_time())
        await self._wire.send(message)

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        await self._wire.aclose(code, reason)

    def abort(self) -> None:
        self._wire.abort()


async def played(wakes_at: Callable[[float], float], phase_s: float, seconds: float) -> Sharing:
    """One session that plays, beginning so late."""
    await trio.sleep(phase_s)
    near, far = memory_wire_pair()
    wire = Sharing(near, wakes_at)
    assert isinstance(wire, SharesAlarms)
    events: Broadcast[Event] = Broadcast()

    async def listen() -> None:
        try:
            while True:
                await far.receive()
        except ConnectionClosed:
            return

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        async with open_session(wire, PARAMS, events=events) as session:
            await session.output.send(AudioFrame(audio=bytes(2 * int(16000 * seconds)), sample_rate=16000))
            await session.output.drain()
    return wire


@pytest.mark.parametrize("seconds", [2.0])
async def test_many_share_a_wake_and_each_keeps_its_time(autojump_clock: object, seconds: float) -> None:
    """Twelve sessions at phases of their own wake four times in a chunk's length, and none drifts or is ever late."""
    phases = [number * 0.0017 for number in range(12)]
    wires: list[Sharing] = []
    began_s = trio.current_time()
    async with trio.open_nursery() as nursery:
        for phase_s in phases:

            @nursery.start_soon
            async def play(phase_s: float = phase_s) -> None:
                wires.append(await played(together, phase_s, seconds))

    assert all(wire.asked for wire in wires)
    chunks = round(seconds / CHUNK_S)
    for wire in wires:
        times = wire.sent_at
        assert len(times) == chunks
        for number, sent_s in enumerate(times):
            early_s = times[0] + number * CHUNK_S - sent_s
            assert -1e-6 <= early_s <= EARLY_S
        assert [round(later - earlier, 5) for earlier, later in pairwise(times[1:])] == [CHUNK_S] * (chunks - 2)
    wakes = {round(sent_s - began_s, 5) for wire in wires for sent_s in wire.sent_at[1:]}
    assert len(wakes) <= (seconds + CHUNK_S) / EARLY_S + 1


async def test_a_wire_that_shares_none(autojump_clock: object) -> None:
    """Where nobody shares them, a session wakes at the very times of its own schedule."""
    wire = await played(lambda due_s: due_s, 0.0013, 1.0)
    assert [round(later - earlier, 6) for earlier, later in pairwise(wire.sent_at)] == [CHUNK_S] * 49
