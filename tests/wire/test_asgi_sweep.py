"""What an ASGI server hands out after the end of a connection is taken, and waited for as long as it comes."""

from collections import deque
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from trio_transports.wire.asgi_writer import sweep

GONE = {"type": "websocket.disconnect", "code": 1000}
LATE = {"type": "websocket.receive", "text": "late"}


@pytest.mark.parametrize("lets_others_run", [False, True])
@pytest.mark.parametrize("late", [0, 1, 50])
async def test_a_server_that_says_the_end_again_and_again(
    autojump_clock: MockClock, late: int, lets_others_run: bool
) -> None:
    """Once the end has been said, a server may say it to whoever asks: nothing more comes after that."""
    messages = deque([LATE] * late)

    async def receive() -> Any:  # noqa: ANN401 - what ASGI allows
        if lets_others_run:
            await trio.lowlevel.checkpoint()
        return messages.popleft() if messages else GONE

    for _ in range(2):
        with trio.fail_after(1):
            await sweep(receive)
    assert not messages


async def test_what_comes_late_is_taken(autojump_clock: MockClock) -> None:
    """A server with a queue of its own goes on as long as it finds room there."""
    send, receive = trio.open_memory_channel[Any](1)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def serve() -> None:
            for _ in range(20):
                await send.send(LATE)

        await sweep(receive.receive)
    assert send.statistics().current_buffer_used == 0
