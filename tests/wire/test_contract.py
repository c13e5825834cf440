"""Every wire keeps the one contract."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from trio_transports.testing import check_wire, memory_wire_pair
from trio_transports.wire import Wire
from trio_transports.wire.protocol import SendsNow


@asynccontextmanager
async def memory_pair(*, max_message_bytes: int) -> AsyncIterator[tuple[Wire, Wire]]:
    yield memory_wire_pair(max_message_bytes=max_message_bytes)


async def test_the_memory_wire(autojump_clock: object) -> None:
    """The memory wire keeps the contract of wires."""
    await check_wire(memory_pair)


@asynccontextmanager
async def lean_pair(*, max_message_bytes: int) -> AsyncIterator[tuple[Wire, Wire]]:
    yield memory_wire_pair(max_message_bytes=max_message_bytes, sends_now=True)


async def test_the_memory_wire_that_sends_now(autojump_clock: object) -> None:
    """So does the one that writes at once where there is room, and its contract is about that too."""
    near, far = memory_wire_pair(sends_now=True)
    assert isinstance(near, SendsNow)
    assert isinstance(far, SendsNow)
    assert not isinstance(memory_wire_pair()[0], SendsNow)
    await check_wire(lean_pair)


@pytest.mark.parametrize("sends_now", [False, True])
async def test_who_is_cancelled_takes_nothing(sends_now: bool) -> None:
    """A receive that begins in a cancelled scope leaves the message that has arrived to the next one, twice."""
    near, far = memory_wire_pair(sends_now=sends_now)
    await near.send("kept")
    for _ in range(2):
        with trio.CancelScope() as scope:
            scope.cancel()
            await far.receive()
        assert scope.cancelled_caught
    assert await far.receive() == "kept"
