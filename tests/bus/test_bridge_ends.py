"""The two ends of a bridge: what of the bus is no word for the caller, and who says that the call is over."""

from typing import final

import pytest
import trio
import trio.testing
from attrs import frozen

from tests.bus.bridged import Ends, bridged
from trio_transports.bus import BusFrameMessage, BusGapMessage, BusMessage, BusSubscription, LocalBus
from trio_transports.bus.messages import CustomFrame
from trio_transports.frames import CancelFrame, EndFrame, Frame, StartFrame, TextFrame


@final
@frozen
class Note(CustomFrame):
    text: str


def said(frame: Frame | CustomFrame) -> BusMessage:
    return BusFrameMessage(source="worker", target="call", frame=frame)


def frames(heard: BusSubscription) -> list[object]:
    """What the worker was told, in order."""
    messages = [waiting.message for waiting in heard._data.waiting]
    return [message.frame for message in messages if isinstance(message, BusFrameMessage)]


async def test_what_is_no_frame_of_a_session_passes_the_caller_by(autojump_clock: trio.testing.MockClock) -> None:
    """A frame of the application's own, and the word that some were lost: the call goes on, each time."""
    bus, session = LocalBus(), Ends()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bridged, session, bus)
        await trio.testing.wait_all_tasks_blocked()
        for number in range(2):
            for message in (
                said(Note("x")),
                BusGapMessage(source="bus", missed=1),
                said(TextFrame(text=str(number))),
            ):
                await bus.send(message)
            await trio.testing.wait_all_tasks_blocked()
            assert session.caller_hears.receive_nowait() == TextFrame(text=str(number))
            with pytest.raises(trio.WouldBlock):
                session.caller_hears.receive_nowait()
        await session.caller_sends.aclose()


@pytest.mark.parametrize("end", [EndFrame(), CancelFrame()])
async def test_a_worker_that_has_ended_the_call_is_told_no_end(
    end: Frame, autojump_clock: trio.testing.MockClock
) -> None:
    """It knows; one that has not is told how the call ended."""
    for ended in (True, False):
        bus, session = LocalBus(), Ends()
        heard = bus.subscribe("worker", accepts=lambda message: message.target == "worker")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bridged, session, bus)
            await trio.testing.wait_all_tasks_blocked()
            if ended:
                await bus.send(said(end))
            else:
                await session.caller_sends.aclose()
        start = StartFrame(stream_id="call")
        assert frames(heard) == ([start] if ended else [start, EndFrame()])
