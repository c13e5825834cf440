"""A frame worker at its limits: what it logs, how it says goodbye, and when it gives up a silent caller."""

import pytest
import trio
import trio.testing

from tests.bus.bridged import StuckBus, audio, working
from trio_transports.bus import BridgedCall, BusFrameMessage, BusMessage, BusSubscription, FrameWorker
from trio_transports.bus.bus import GOODBYE_S
from trio_transports.errors import ConnectionClosed
from trio_transports.frames import CancelFrame, EndFrame, Frame, MessageFrame, StartFrame

LONG = "x" * 1000
SHOWN = repr("x" * 100)


def from_caller(frame: Frame, name: str = LONG) -> BusMessage:
    return BusFrameMessage(source=name, target="worker", frame=frame)


def heard(reader: BusSubscription) -> list[object]:
    messages = [waiting.message for waiting in reader._data.waiting]
    return [message.frame for message in messages if isinstance(message, BusFrameMessage)]


async def never(call: BridgedCall) -> None:
    await trio.sleep_forever()


async def test_whose_call_is_ended_is_logged_in_so_many_letters(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a handler that reads nothing, of one that fails, and of a caller that is silent."""

    async def fails(call: BridgedCall) -> None:
        raise ZeroDivisionError

    async with working(FrameWorker("worker", never)) as bus:
        await bus.send(from_caller(StartFrame()))
        await trio.testing.wait_all_tasks_blocked()
        for number in range(1100):
            await bus.send(from_caller(MessageFrame(message=number)))
    async with working(FrameWorker("worker", fails)) as bus:
        await bus.send(from_caller(StartFrame()))
        await trio.testing.wait_all_tasks_blocked()
    async with working(FrameWorker("worker", never, idle_timeout=40)) as bus:
        await bus.send(from_caller(StartFrame()))
        await trio.sleep(100)
    told = [record.getMessage() for record in caplog.records]
    assert told[0] == f"worker: the handler of {SHOWN} reads nothing; its call is ended"
    assert told[-2:] == [
        f"worker: the handler of {SHOWN} failed; its call has ended",
        f"worker: nothing from {SHOWN} for 40 s; its call is over",
    ]


@pytest.mark.parametrize("heard_last_s", [0.0, 25.0, 30.0, 31.0])
async def test_a_caller_may_be_silent_for_so_long(heard_last_s: float, autojump_clock: trio.testing.MockClock) -> None:
    """For exactly that time too; what has been silent longer is noticed within a quarter of it."""
    ended_s = list[float]()

    async def handler(call: BridgedCall) -> None:
        async for _ in call.input:
            pass
        ended_s.append(trio.current_time() - began_s)

    async with working(FrameWorker("worker", handler, idle_timeout=40)) as bus:
        began_s = trio.current_time()
        await bus.send(from_caller(StartFrame(), "call"))
        await trio.sleep(heard_last_s)
        await bus.send(from_caller(audio(), "call"))
        await trio.sleep(100)
    assert ended_s == [pytest.approx({0.0: 50, 25.0: 70, 30.0: 80, 31.0: 80}[heard_last_s])]


async def test_a_handler_that_ends_with_its_call_has_not_failed(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """As one of a session: nothing is logged, however its exception comes."""
    ended = list[str]()

    async def handler(call: BridgedCall) -> None:
        async for _ in call.input:
            pass
        ended.append(call.id)
        if call.id == "group":
            async with trio.open_nursery() as nursery:
                nursery.start_soon(call.output.send, audio())
        await call.output.send(audio())

    async with working(FrameWorker("worker", handler)) as bus:
        for name in ("alone", "group"):
            for frame in (StartFrame(), EndFrame()):
                await bus.send(from_caller(frame, name))
            await trio.testing.wait_all_tasks_blocked()
    assert ended == ["alone", "group"]
    assert caplog.records == []


@pytest.mark.parametrize("in_group", [False, True])
async def test_a_handler_that_loses_another_connection_has_failed(
    in_group: bool, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A session of its own, say, while the call goes on: that is logged, and the caller is told."""
    lost: Exception = ConnectionClosed(1006, "", initiator="error")

    async def handler(call: BridgedCall) -> None:
        raise ExceptionGroup("", [lost]) if in_group else lost

    async with working(FrameWorker("worker", handler)) as bus:
        reader = bus.subscribe("call", accepts=lambda message: message.target == "call")
        await bus.send(from_caller(StartFrame(), "call"))
        await trio.testing.wait_all_tasks_blocked()
        assert heard(reader) == [CancelFrame(reason="the handler failed")]
    (record,) = caplog.records
    assert (record.levelname, record.getMessage()) == (
        "ERROR",
        "worker: the handler of 'call' failed; its call has ended",
    )


async def test_a_worker_that_is_stopped_tells_its_callers(autojump_clock: trio.testing.MockClock) -> None:
    """Though it is cancelled itself; in a second at most, where the bus takes no more."""
    for is_stuck in (False, True):
        bus, worker = StuckBus(), FrameWorker("worker", never)
        reader = bus.subscribe("call", accepts=lambda message: message.target == "call")
        async with trio.open_nursery() as nursery:
            await nursery.start(worker.run, bus)
            await bus.send(from_caller(StartFrame(), "call"))
            await trio.testing.wait_all_tasks_blocked()
            began_s, bus.is_stuck = trio.current_time(), is_stuck
            worker.stop()
        assert heard(reader) == ([] if is_stuck else [CancelFrame(reason="the call was cancelled")])
        assert trio.current_time() - began_s == (GOODBYE_S if is_stuck else 0)
