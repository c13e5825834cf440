"""recv_audio may be cancelled at any time, and loses nothing."""

import random

import trio

from tests.real.agent.backend import Backend, backend
from trio_transports.agent import AgentFinished, AgentSilent, AudioChunk, WebSocketAgentAdapter
from trio_transports.agent.protocols import RawPCMProtocol

CANCELS = 10_000
CHUNKS = 4_000


async def test_10_000_cancels_lose_no_chunk() -> None:
    """Cancelled before, while and as a chunk comes; every chunk is received once, in order."""
    enough = trio.Event()
    chance = random.Random(7)

    async def behave(caller: Backend) -> None:
        for number in range(CHUNKS):
            await caller.send(number.to_bytes(4, "little"))
            if number % 7 == 0:
                await trio.sleep(chance.choice([0, 0, 0.001]))
        await enough.wait()
        await caller.send((CHUNKS).to_bytes(4, "little"))

    received: list[AudioChunk] = []
    cancels = 0
    with trio.fail_after(120):
        async with backend(behave) as url, WebSocketAgentAdapter(url, RawPCMProtocol()) as adapter:
            while True:
                if cancels >= CANCELS:
                    enough.set()
                how = chance.randrange(4)
                with trio.CancelScope() as scope:
                    if how == 0:
                        scope.cancel()
                    elif how == 1:
                        scope.deadline = trio.current_time() + chance.random() * 0.0001
                    try:
                        received.append(await adapter.recv_audio(timeout=0 if how == 2 else 0.0001))
                    except AgentSilent:
                        cancels += 1  # its own timeout is a cancellation inside
                    except AgentFinished:
                        break
                cancels += scope.cancelled_caught
    assert cancels >= CANCELS
    assert [int.from_bytes(chunk.data, "little") for chunk in received] == list(range(CHUNKS + 1))
