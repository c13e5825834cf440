"""A session keeps time on every path: what it plays leaves at an even pace, and arrives so."""

import statistics
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from typing import Final

import pytest
import trio

from tests.real.starved import fail_or_warn, watch_core
from tests.real.wire.paths import PATHS
from trio_transports import AudioFrame, ConnectionClosed, TransportParams
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.session.broadcast import Broadcast
from trio_transports.session.events import Event
from trio_transports.session.run import open_session
from trio_transports.wire import Wire

pytestmark = pytest.mark.alone

LIMIT: Final = 1 << 20
LIMIT_S: Final = 60.0
RATE: Final = 16000
PLAYED_S: Final = 2.0
CHUNK_S: Final = 0.02
TRIES: Final = 3
SHIFT_S: Final = 0.003
"""How much the most punctual chunk of the last half second may differ from that of an early one."""


async def lateness_of(client: Wire, server: Wire, after_s: float) -> list[float]:
    """Play for two seconds, and note at the client by how much each chunk is later than one each 20 ms would be."""
    params = TransportParams(
        audio_out_enabled=True,
        audio_out_sample_rate=RATE,
        audio_out_10ms_chunks=2,
        audio_out_auto_silence=False,
        serializer=JSONFrameSerializer(),
    )
    events: Broadcast[Event] = Broadcast()
    late_s: list[float] = []

    async def listen() -> None:
        with suppress(ConnectionClosed):
            while True:
                if '"type":"audio"' in str(await client.receive()):
                    late_s.append(trio.current_time() - len(late_s) * CHUNK_S)

    await trio.sleep(after_s)
    with events.activity():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            async with open_session(server, params, events=events) as session:
                await session.output.send(AudioFrame(audio=bytes(2 * round(RATE * PLAYED_S)), sample_rate=RATE))
                await session.output.drain()
    return [each_s - min(late_s) for each_s in late_s]


async def lateness_on_each(names: Sequence[str]) -> dict[str, list[float]]:
    """On these paths beside each other, each session at a phase of its own."""
    found: dict[str, list[float]] = {}

    async def play(name: str, wires: tuple[Wire, Wire], after_s: float) -> None:
        found[name] = await lateness_of(*wires, after_s)

    async with AsyncExitStack() as stack:
        pairs = [await stack.enter_async_context(PATHS[name].pair(max_message_bytes=LIMIT)) for name in names]
        async with trio.open_nursery() as nursery:
            for number, (name, wires) in enumerate(zip(names, pairs, strict=True)):
                nursery.start_soon(play, name, wires, number * CHUNK_S / len(names))
    return found


def keeps_time(late_s: Sequence[float]) -> bool:
    """Whether it neither gains nor loses on the clock, nor sends by the handful."""
    shift_s = min(late_s[-25:]) - min(late_s[10:35])
    return abs(shift_s) < SHIFT_S and statistics.median(late_s) < CHUNK_S / 2


@pytest.mark.parametrize(
    ("late_s", "expected"),
    [
        ([0.001] * 100, True),
        ([0.001, 0.1] * 50, False),  # each second one late
        ([0.0001 * number for number in range(100)], False),  # slow by half a percent
        ([0.01 - 0.0001 * number for number in range(100)], False),  # fast
        ([0.08, 0.06, 0.04, 0.02, 0.0] * 20, False),  # five at a time
        ([*[0.001] * 20, 0.3, 0.3, *[0.001] * 78], True),  # the machine was elsewhere for a moment
    ],
)
def test_what_is_called_keeping_time(late_s: Sequence[float], expected: bool) -> None:
    assert keeps_time(late_s) is expected


@pytest.mark.parametrize("is_held_back", [False, True])
async def test_a_session_keeps_time(is_held_back: bool) -> None:
    """Each chunk of two seconds comes, once, and at an even pace, in one of three tries.

    What is held back is so for the whole process, and has a turn of its own.
    """
    left = [name for name, path in PATHS.items() if path.is_held_back is is_held_back]
    waited: list[float] = []
    for _ in range(TRIES):
        without_core = watch_core()
        with trio.fail_after(LIMIT_S):
            found = await lateness_on_each(left)
        waited.append(without_core())
        assert {name: len(late_s) for name, late_s in found.items()} == dict.fromkeys(left, round(PLAYED_S / CHUNK_S))
        left = [name for name in left if not keeps_time(found[name])]
        if not left:
            return
    fail_or_warn(f"chunks were late by { {name: found[name] for name in left} } s", waited)
