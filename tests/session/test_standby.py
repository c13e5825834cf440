"""What a reader has left behind for the frames that come, and what becomes of one that it fails on."""

import pytest
import trio
import trio.testing

from trio_transports import TextFrame
from trio_transports.session.standby import Standby


async def test_a_frame_that_was_failed_on_is_dealt_with() -> None:
    """It is not queued besides: the reader has the exception, each time."""
    standby, raised = Standby(), list[str]()

    def fail(frame: object) -> bool:
        raise ValueError("mine")

    async def read() -> None:
        with pytest.raises(ValueError, match="mine"):
            await standby.wait(fail)
        raised.append("mine")

    for times in (1, 2):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await trio.testing.wait_all_tasks_blocked()
            standby.message_begins()
            assert standby.takes(TextFrame(text="text"))
        assert len(raised) == times
