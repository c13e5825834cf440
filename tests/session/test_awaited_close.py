"""A dialect whose word for the end is answered: the connection stays open for that answer, and no longer."""

import json
from collections.abc import Sequence

import pytest
import trio
from trio.testing import MockClock

from tests.serializers.genesys_conversation import GENESYS_OPEN, client
from trio_transports import Disconnected, EndFrame, TransportParams
from trio_transports.errors import ConnectionClosed
from trio_transports.frames import CancelFrame
from trio_transports.serializers import FrameSerializer
from trio_transports.serializers.detect import DetectingFrameSerializer
from trio_transports.serializers.genesys import GenesysFrameSerializer
from trio_transports.session.broadcast import Broadcast
from trio_transports.session.events import Event
from trio_transports.session.run import open_session
from trio_transports.wire.memory import MemoryWire, memory_wire_pair

SOURCES = (GenesysFrameSerializer, DetectingFrameSerializer)


async def play_genesys(
    far: MemoryWire, answers: Sequence[tuple[float, str]], told: list[tuple[list[str], int]]
) -> None:
    """Open a session as Genesys does, answer ``disconnect``, and note what was told and the closing code."""
    kinds: list[str] = []
    await far.send(GENESYS_OPEN)
    try:
        while True:
            message = await far.receive()
            if isinstance(message, str):
                kinds.append(json.loads(message)["type"])
                if kinds[-1] == "disconnect":
                    for delay_s, answer in answers:
                        await trio.sleep(delay_s)
                        await far.send(answer)
    except ConnectionClosed as closed:
        told.append((kinds, closed.code))


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("sends_now", [False, True])
@pytest.mark.parametrize(
    ("answers", "ends_at_s", "kinds"),
    [
        ([(0.5, client("close", 2, 2))], 0.5, ["opened", "disconnect", "closed"]),
        ([(0.3, client("ping", 2, 2)), (0.5, client("close", 3, 3))], 0.8, ["opened", "disconnect", "pong", "closed"]),
        ([], 2.0, ["opened", "disconnect"]),
        ([(0.5, client("ping", 2, 2))], 2.0, ["opened", "disconnect", "pong"]),
    ],
    ids=["answered", "after a ping", "never", "by a ping only"],
)
async def test_the_close_is_awaited(
    source: type[FrameSerializer],
    sends_now: bool,
    answers: Sequence[tuple[float, str]],
    ends_at_s: float,
    kinds: list[str],
    autojump_clock: MockClock,
) -> None:
    """After an EndFrame the client's close is answered by closed; without one it ends after close_timeout."""
    for _ in range(2):
        near, far = memory_wire_pair(sends_now=sends_now)
        hub: Broadcast[Event] = Broadcast()
        events = hub.subscribe()
        told: list[tuple[list[str], int]] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(play_genesys, far, answers, told)
            settings = TransportParams(serializer=source, audio_out_enabled=True, audio_out_end_silence_secs=0)
            async with open_session(near, settings, events=hub) as session:
                await anext(aiter(session.input))
                began_s = trio.current_time()
                await session.output.send(EndFrame())
                assert trio.current_time() - began_s == pytest.approx(ends_at_s, abs=0.05)
        assert told == [(kinds, 1000)]
        async for event in events:
            if isinstance(event, Disconnected):
                assert (event.code, event.initiator) == (1000, "local")
                break


@pytest.mark.parametrize("how", ["cancel frame", "cancel frame later", "cancelled", "peer gone"])
async def test_nothing_else_waits(how: str, autojump_clock: MockClock) -> None:
    """A CancelFrame, a cancellation and a peer that goes away instead end at once."""
    near, far = memory_wire_pair()
    hub: Broadcast[Event] = Broadcast()
    await far.send(GENESYS_OPEN)
    settings = TransportParams(
        serializer=GenesysFrameSerializer(), audio_out_enabled=True, audio_out_end_silence_secs=0
    )
    began_s = trio.current_time()
    with trio.move_on_after(0.5):
        async with open_session(near, settings, events=hub) as session, trio.open_nursery() as nursery:
            await anext(aiter(session.input))
            if how == "peer gone":

                async def leave() -> None:
                    await trio.sleep(0.5)
                    await far.aclose(1000, "")

                nursery.start_soon(leave)
            if how == "cancel frame later":
                nursery.start_soon(session.output.send, EndFrame())
                await trio.sleep(0.2)
            await session.output.send(CancelFrame() if how.startswith("cancel frame") else EndFrame())
    ends_at_s = {"cancel frame": 0, "cancel frame later": 0.2}.get(how, 0.5)
    assert trio.current_time() - began_s == pytest.approx(ends_at_s, abs=0.05)
