"""A busy session, cancelled at every step it takes: it always ends whole."""

from functools import partial

import pytest
import trio

from tests.session.helpers import CHUNK_BYTES, audio, params, seconds
from tests.session.sweep import CancelAtStep, sweep
from trio_transports import (
    AudioFrame,
    BotStoppedSpeakingFrame,
    Connected,
    ConnectionClosed,
    Disconnected,
    TextFrame,
)
from trio_transports.session.broadcast import Broadcast
from trio_transports.session.events import Event
from trio_transports.session.run import open_session
from trio_transports.testing import ScriptedPeer, memory_wire_pair


async def busy(instrument: CancelAtStep, *, sends_now: bool) -> None:
    """Every verb of a session, with a peer that talks back and stalls for a while."""
    near, far = memory_wire_pair(buffer_messages=2, sends_now=sends_now)
    peer = ScriptedPeer(far)
    events: Broadcast[Event] = Broadcast()
    told = events.subscribe()

    async def chat() -> None:
        try:
            for number in range(12):
                await peer.send(audio(CHUNK_BYTES, start=number))
                await peer.send(TextFrame(text=str(number)))
                await trio.sleep(0.03)
        except ConnectionClosed:
            return

    async def stall() -> None:
        await trio.sleep(0.15)
        peer.stall()
        await trio.sleep(0.05)
        peer.resume()

    async def body() -> None:
        async with (
            open_session(near, params(session_timeout=0.2), events=events) as session,
            trio.open_nursery() as use,
        ):

            @use.start_soon
            async def read() -> None:
                async for frame in session.input:
                    if isinstance(frame, AudioFrame):
                        await session.output.send(frame)

            await session.output.send(seconds(0.1))
            await session.output.send(BotStoppedSpeakingFrame())
            await session.output.send_message({"urgent": True}, urgent=True)
            await session.output.write_audio(audio(100))
            await session.output.send(seconds(1))
            await trio.sleep(0.2)
            await session.output.interrupt()
            await session.output.send(seconds(0.2))
            await session.output.drain()
            use.cancel_scope.cancel()

    with trio.fail_after(60), events.activity():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.run)
            nursery.start_soon(chat)
            nursery.start_soon(stall)
            with trio.CancelScope() as scope:
                instrument.arm(scope)
                await body()
            instrument.scope = None
            peer.resume()
            ended = await peer.wait_closed()
    kinds = [type(event) async for event in told]
    assert kinds.count(Connected) == kinds.count(Disconnected)
    assert kinds.count(Disconnected) <= 1
    # A cancellation that comes while 1000 is being said changes nothing about that.
    assert ended.code in ((1000, 1001) if scope.cancelled_caught else (1000,))


@pytest.mark.parametrize("sends_now", [False, True], ids=["sends", "sends-now"])
def test_cancelled_at_every_step(sends_now: bool) -> None:
    """Hundreds of points: after each the session is over, told once, and no task is left (the run itself ends)."""
    assert sweep(partial(busy, sends_now=sends_now)) > 250
