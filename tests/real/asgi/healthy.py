"""A healthy call beside what a test does to its server, and what it notices of that."""

import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import final

import trio
from attrs import define, field

from tests.real.asgi.hosts import Hosted
from tests.real.asgi.raw_peer import PING, PONG, TEXT, RawPeer, close_frame, frame, raw_peer


@final
@define(eq=False)
class RoundTrips:
    """How long each answer took, in the time that this thread has worked meanwhile.

    On a machine that others keep busy too, the clock on the wall would say how busy they are.
    """

    took_s: list[float] = field(factory=list)

    async def measure(self, peer: RawPeer) -> None:
        while True:
            began = time.thread_time()
            await peer.send(frame(TEXT, b'{"type": "text", "text": "hello"}'))
            answer = await peer.read_frame()
            while answer is not None and answer.opcode == PING:
                await peer.send(frame(PONG, answer.payload))
                answer = await peer.read_frame()
            assert answer is not None
            assert b"hello" in answer.payload
            self.took_s.append(time.thread_time() - began)
            await trio.sleep(0.005)

    def forget(self) -> None:
        self.took_s.clear()

    @property
    def worst_s(self) -> float:
        """Of no answer at all it says nothing: nan, which is below nothing."""
        return max(self.took_s, default=math.nan)

    @property
    def p99_s(self) -> float:
        """All but one in a hundred were as quick as this; but three at the least, since a busy machine has few.

        Of no more than those it says nothing: nan, which is below nothing.
        """
        left_out = max(3, len(self.took_s) // 100)
        return sorted(self.took_s)[-1 - left_out] if len(self.took_s) > left_out else math.nan


@asynccontextmanager
async def healthy_call(port: int, path: str = "/ws") -> AsyncIterator[RoundTrips]:
    """Talk, and be answered, while the body runs."""
    round_trips = RoundTrips()
    async with raw_peer(port) as peer, trio.open_nursery() as nursery:
        await peer.upgrade(path)
        nursery.start_soon(round_trips.measure, peer)
        yield round_trips
        nursery.cancel_scope.cancel()


async def still_serves(server: Hosted) -> None:
    """A new caller is let in, and hears its echo."""
    with trio.fail_after(30):
        async with raw_peer(server.port) as peer:
            await peer.upgrade()
            assert peer.status == 101
            await peer.send(frame(TEXT, b"still there?"))
            answer = await peer.read_frame()
            assert answer is not None
            assert answer.payload == b"still there?"
            await peer.send(close_frame())
