"""The way from a frame worker's handler to its caller: what is sent, when it waits, and what an end leaves."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from attrs import evolve

from tests.bus.bridged import audio, working
from trio_transports.bus import (
    BridgedCall,
    BusEndWorkerMessage,
    BusFrameMessage,
    BusGapMessage,
    BusSubscription,
    FrameWorker,
)
from trio_transports.errors import ConnectionClosed
from trio_transports.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    MessageFrame,
    StartFrame,
    TextFrame,
)


class Caller:
    """A caller on the bus, and the call that a worker's handler has of it."""

    def __init__(self, worker: FrameWorker, call: BridgedCall, hears: BusSubscription) -> None:
        self.worker = worker
        self.call = call
        self.hears = hears

    def heard(self) -> list[Frame]:
        frames = list[Frame]()
        while self.hears._data.waiting:
            message = self.hears._data.take()
            assert isinstance(message, BusFrameMessage)
            assert (message.source, message.target, message.bridge, message.role) == ("worker", "a", "b", "output")
            frames.append(message.frame)  # type: ignore[arg-type]
        return frames

    async def says(self, frame: Frame) -> None:
        await self.worker.send(BusFrameMessage(source="a", target="worker", frame=frame, bridge="b"))
        await trio.testing.wait_all_tasks_blocked()


@asynccontextmanager
async def caller(max_ahead_s: float = 30.0) -> AsyncIterator[Caller]:
    """A call whose handler leaves it to the test."""
    calls = list[BridgedCall]()

    async def handler(call: BridgedCall) -> None:
        calls.append(call)
        await trio.sleep_forever()

    worker = FrameWorker("worker", handler, bridge="b", max_ahead_s=max_ahead_s)
    async with working(worker) as bus:
        hears = bus.subscribe("a", accepts=lambda message: message.target == "a")
        await bus.send(BusFrameMessage(source="a", target="worker", frame=StartFrame(), bridge="b"))
        await trio.testing.wait_all_tasks_blocked()
        yield Caller(worker, calls[0], hears)


async def test_each_verb_sends_its_frame(autojump_clock: trio.testing.MockClock) -> None:
    async with caller() as a:
        assert repr(a.call) == "<BridgedCall 'a'>"
        output = a.call.output
        for _ in range(2):
            await output.send(TextFrame(text="x"))
            await output.send_message({"n": 1})
            await output.send_message([2], urgent=True)
            await output.interrupt()
            assert a.heard() == [
                TextFrame(text="x"),
                MessageFrame(message={"n": 1}),
                MessageFrame(message=[2], urgent=True),
                InterruptionFrame(),
            ]
        await output.end("enough")
        assert a.heard() == [EndFrame(reason="enough")]


@pytest.mark.parametrize("how", ["end", "aclose", "EndFrame", "CancelFrame"])
async def test_an_output_ends_once(how: str, autojump_clock: trio.testing.MockClock) -> None:
    """However it is ended: nothing can be sent after it, and a further end says nothing. Each is a checkpoint."""
    async with caller() as a:
        output = a.call.output
        if how == "end":
            await output.end()
        elif how == "aclose":
            await output.aclose()
        else:
            await output.send(EndFrame() if how == "EndFrame" else CancelFrame())
        assert a.heard() == [CancelFrame() if how == "CancelFrame" else EndFrame()]
        for _ in range(2):
            with trio.testing.assert_checkpoints():
                await output.end("again")
            with trio.testing.assert_checkpoints(), pytest.raises(trio.ClosedResourceError, match="was ended"):
                await output.send(TextFrame(text="x"))
        assert a.heard() == []
    assert a.heard() == []  # nor does its handler's end say any more


async def test_a_call_that_its_caller_has_ended_is_over(autojump_clock: trio.testing.MockClock) -> None:
    """Sending says by whom, an end says nothing, and neither does the end of its handler. Each is a checkpoint."""
    async with caller() as a:
        await a.says(EndFrame())
        for _ in range(2):
            with trio.testing.assert_checkpoints(), pytest.raises(ConnectionClosed, match="the call is over") as info:
                await a.call.output.send(TextFrame(text="x"))
            assert (info.value.code, info.value.initiator) == (1000, "remote")
            with trio.testing.assert_checkpoints():
                await a.call.output.end()
    assert a.heard() == []


async def test_audio_is_sent_so_far_ahead_and_no_further(autojump_clock: trio.testing.MockClock) -> None:
    """What just fits ahead leaves at once. Time in which nothing is said gives no credit beyond it."""
    async with caller(max_ahead_s=2.0) as a:
        began_s = trio.current_time()
        left_s = list[float]()

        async def say(*frames: Frame) -> None:
            for frame in frames:
                await a.call.output.send(frame)
                left_s.append(trio.current_time() - began_s)

        await say(audio(1.0), audio(1.0), audio(1.0), TextFrame(text="x"), audio(0.5))
        assert left_s == pytest.approx([0, 0, 1, 1, 1.5])
        await trio.sleep(10)
        left_s.clear()
        began_s = trio.current_time()
        await say(audio(2.0), audio(1.0), InterruptionFrame(), audio(2.0), audio(1.0))
        assert left_s == pytest.approx([0, 1, 1, 1, 2])


async def test_audio_that_waits_is_dropped_by_an_interruption(autojump_clock: trio.testing.MockClock) -> None:
    """Each time; what may not be interrupted goes when the new answer leaves room, and that takes no longer for it."""
    async with caller(max_ahead_s=1.0) as a:
        output = a.call.output
        kept = evolve(audio(0.5, fill=9), interruptible=False)
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                began_s = trio.current_time()
                await output.send(audio(1.0, fill=1))
                for frame in (audio(1.0, fill=2), audio(0.5, fill=3)):
                    nursery.start_soon(output.send, frame)
                await trio.testing.wait_all_tasks_blocked()
                await output.interrupt()
                await output.send(audio(1.0, fill=4))
                await output.send(audio(1.0, fill=5))
                assert trio.current_time() - began_s == pytest.approx(1)
                assert a.heard() == [audio(1.0, 1), InterruptionFrame(), audio(1.0, 4), audio(1.0, 5)]
                await output.interrupt()
                assert a.heard() == [InterruptionFrame()]
            await output.send(audio(1.0, fill=6))
            nursery.start_soon(output.send, kept)
            await trio.testing.wait_all_tasks_blocked()
            await output.interrupt()
            began_s = trio.current_time()
        assert (a.heard(), trio.current_time()) == ([audio(1.0, 6), InterruptionFrame(), kept], began_s)


async def test_who_waits_with_audio_looks_again(autojump_clock: trio.testing.MockClock) -> None:
    """Two tasks do not take the same room, and one whose call ends meanwhile hears of it."""
    async with caller(max_ahead_s=1.0) as a:
        output, began_s = a.call.output, trio.current_time()
        await output.send(audio(1.0))
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(output.send, audio(1.0))
        assert trio.current_time() - began_s == pytest.approx(2)

        async def is_told(error: type[Exception]) -> None:
            with pytest.raises(error):
                await output.send(audio(1.0))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(is_told, ConnectionClosed)
            await trio.testing.wait_all_tasks_blocked()
            await a.says(EndFrame())
        assert a.heard() == [audio(1.0)] * 3


async def test_a_cancelled_send_sent_nothing_and_takes_no_time(autojump_clock: trio.testing.MockClock) -> None:
    async with caller(max_ahead_s=1.0) as a:
        await a.call.output.send(audio(1.0))
        with trio.move_on_after(0.5) as limit:
            await a.call.output.send(audio(1.0, fill=1))
        assert limit.cancelled_caught
        assert a.heard() == [audio(1.0)]
        began_s = trio.current_time()
        await a.call.output.send(audio(0.5))
        assert trio.current_time() == began_s
        assert a.heard() == [audio(0.5)]


async def test_a_worker_that_is_told_to_end_ends_its_calls(autojump_clock: trio.testing.MockClock) -> None:
    """Each of them with the reason; those that are over already are told nothing."""
    async with caller() as a:
        other = a.worker.bus.subscribe("other", accepts=lambda message: message.target == "other")
        for frame in (StartFrame(), EndFrame()):
            message = BusFrameMessage(source="other", target="worker", frame=frame, bridge="b")
            await a.worker.send(message)
        await a.worker.send(BusEndWorkerMessage(source="x", target="worker", reason="closing time"))
        await trio.testing.wait_all_tasks_blocked()
        assert a.heard() == [EndFrame(reason="closing time")]
        assert other.statistics().waiting_data == 0


async def test_a_gap_is_no_frame_and_ends_no_call(autojump_clock: trio.testing.MockClock) -> None:
    """A worker that is told that messages were lost goes on with the calls that it has."""
    async with caller() as a:
        await a.worker.send(BusGapMessage(source="bus", missed=1))
        await a.says(TextFrame(text="x"))
        assert await a.call.input.receive() == TextFrame(text="x")
        assert len(a.worker.calls) == 1
