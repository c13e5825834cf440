"""Every wire keeps the one contract."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from trio_transports.testing import check_wire, memory_wire_pair
from trio_transports.wire import Wire


@asynccontextmanager
async def memory_pair(*, max_message_bytes: int) -> AsyncIterator[tuple[Wire, Wire]]:
    yield memory_wire_pair(max_message_bytes=max_message_bytes)


async def test_the_memory_wire(autojump_clock: object) -> None:
    """The memory wire keeps the contract of wires."""
    await check_wire(memory_pair)
