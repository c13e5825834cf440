"""A session's frames over a bus: the caller here, the handler somewhere else."""

import logging

import pytest
import trio
import trio.testing

from tests.bus.bridged import Ends, audio, bridged, echo, working
from tests.bus.proxies import client, wire_pair
from trio_transports.bus import (
    BUS_SUBPROTOCOL,
    LIFECYCLE_FRAMES,
    BridgedCall,
    BusDataMessage,
    BusFrameMessage,
    BusMessage,
    FrameWorker,
    LocalBus,
    WebSocketProxyServer,
    bridge,
)
from trio_transports.bus.bridging import MAX_FRAMES, WaitingFrames
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


async def test_a_caller_is_served_by_a_worker(autojump_clock: trio.testing.MockClock) -> None:
    """Frames of a caller reach the worker's handler, its answers the caller, and each side's end ends the other."""
    told: list[StartFrame] = []

    async def handler(call: BridgedCall) -> None:
        told.append(call.start)
        await echo(call)

    async with working(FrameWorker("worker", handler)) as bus:
        session = Ends()
        async with trio.open_nursery() as nursery:
            start = StartFrame(stream_id="call-1", from_number="+1")

            async def run() -> None:
                await bridge(session, bus, name="call-1", worker="worker", start=start)

            nursery.start_soon(run)
            for frame in (audio(fill=1), TextFrame(text="hello"), audio(fill=2)):
                await session.caller_sends.send(frame)
            got = [await session.caller_hears.receive() for _ in range(3)]
            assert got == [audio(fill=1), TextFrame(text="hello"), audio(fill=2)]
            await session.caller_sends.aclose()
        assert told == [start]
        await trio.testing.wait_all_tasks_blocked()


async def test_many_callers_at_once(autojump_clock: trio.testing.MockClock) -> None:
    """Each of several callers has a handler of its own, and hears only its own answers."""

    async def handler(call: BridgedCall) -> None:
        async for frame in call.input:
            if isinstance(frame, TextFrame):
                await call.output.send(TextFrame(text=f"{call.id} said {frame.text}"))

    async with working(FrameWorker("worker", handler)) as bus:
        sessions = [Ends() for _ in range(20)]
        async with trio.open_nursery() as nursery:

            async def run(number: int) -> None:
                await bridge(sessions[number], bus, name=f"call-{number}", worker="worker")

            for number, session in enumerate(sessions):
                nursery.start_soon(run, number)
                await session.caller_sends.send(TextFrame(text="hello"))
            for number, session in enumerate(sessions):
                assert await session.caller_hears.receive() == TextFrame(text=f"call-{number} said hello")
                await session.caller_sends.aclose()


@pytest.mark.parametrize("how", ["returns", "ends", "fails", "cancels"])
async def test_the_worker_ends_the_call(
    how: str, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """However the handler ends, the caller is told once, the bridge returns, and other calls go on."""
    caplog.set_level(logging.CRITICAL)

    async def handler(call: BridgedCall) -> None:
        frame = await call.input.receive()
        if how == "ends":
            await call.output.end("enough")
            await call.output.end("again")
            await trio.sleep(5)
        elif how == "cancels":
            call.scope.cancel()
            await trio.sleep_forever()
        elif how == "fails":
            raise ZeroDivisionError(frame)

    async with working(FrameWorker("worker", handler)) as bus:
        session, other = Ends(), Ends()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bridged, other, bus, "other")
            await session.caller_sends.send(TextFrame(text="x"))
            with trio.fail_after(1):
                await bridge(session, bus, name="call", worker="worker")
            await session.output.aclose()
            heard = [frame async for frame in session.caller_hears]
            expected = {
                "returns": EndFrame(),
                "ends": EndFrame(reason="enough"),
                "fails": CancelFrame(reason="the handler failed"),
                "cancels": CancelFrame(reason="the call was cancelled"),
            }
            assert heard == [expected[how]]
            assert other.caller_hears.statistics().current_buffer_used == 0
            await other.caller_sends.aclose()


async def test_the_handler_learns_that_the_call_is_over(autojump_clock: trio.testing.MockClock) -> None:
    """After the caller is gone the handler's input ends once it is read, and sending raises ConnectionClosed."""
    log: list[object] = []

    async def handler(call: BridgedCall) -> None:
        log.extend([frame async for frame in call.input])
        with pytest.raises(ConnectionClosed):
            await call.output.send(TextFrame(text="too late"))
        await call.output.end()
        log.append("over")

    async with working(FrameWorker("worker", handler)) as bus:
        session = Ends()
        await session.caller_sends.send(TextFrame(text="x"))
        await session.caller_sends.aclose()
        await bridge(session, bus, name="call", worker="worker")
        await trio.testing.wait_all_tasks_blocked()
    assert log == [TextFrame(text="x"), EndFrame(), "over"]


async def test_cancelling_the_session_tells_the_worker(autojump_clock: trio.testing.MockClock) -> None:
    """A bridge that is cancelled tells the worker a CancelFrame, and leaves nothing on the bus."""
    got: list[Frame] = []

    async def handler(call: BridgedCall) -> None:
        got.extend([frame async for frame in call.input])

    async with working(FrameWorker("worker", handler)) as bus:
        with trio.move_on_after(1):
            await bridge(Ends(), bus, name="call", worker="worker")
        await trio.testing.wait_all_tasks_blocked()
        assert repr(bus) == "<LocalBus with 1 subscribers>"
    assert got == [CancelFrame(reason="the bridge was cancelled or failed")]


async def test_an_interruption_overtakes_what_waits(autojump_clock: trio.testing.MockClock) -> None:
    """The worker's interruption reaches a session whose output is full at once, and nothing sent before follows it."""
    bus = LocalBus()
    session = Ends(output_buffer=2)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bridged, session, bus)
        await trio.testing.wait_all_tasks_blocked()
        for number in range(50):
            await bus.send(BusFrameMessage(source="worker", target="call", frame=audio(fill=number)))
        await trio.testing.wait_all_tasks_blocked()
        await bus.send(BusFrameMessage(source="worker", target="call", frame=InterruptionFrame()))
        await bus.send(BusFrameMessage(source="worker", target="call", frame=audio(fill=99)))
        await trio.testing.wait_all_tasks_blocked()
        heard = [await session.caller_hears.receive() for _ in range(4)]
        assert heard == [audio(fill=0), audio(fill=1), InterruptionFrame(), audio(fill=99)]
        await session.caller_sends.aclose()


async def test_a_bridge_ends_with_its_bus(autojump_clock: trio.testing.MockClock) -> None:
    """Though the session would go on: nothing that it says would reach anybody."""
    bus, session = LocalBus(), Ends()
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery, bus.running():
            nursery.start_soon(bridged, session, bus)
            await trio.testing.wait_all_tasks_blocked()


async def test_what_waits_for_a_session_is_bounded() -> None:
    """Past a minute of audio or a thousand other frames the oldest of its kind is dropped and counted."""
    waiting = WaitingFrames()
    for number in range(70):
        waiting.put(audio(1.0, fill=number))
    for number in range(MAX_FRAMES + 5):
        waiting.put(TextFrame(text=str(number)))
    assert waiting.dropped == 15
    assert await waiting.get() == audio(1.0, fill=10)
    for _ in range(59):
        await waiting.get()
    assert await waiting.get() == TextFrame(text="5")


async def test_a_worker_does_not_run_ahead(autojump_clock: trio.testing.MockClock) -> None:
    """Audio is sent at most ``max_ahead_s`` ahead of its playing time; an interruption starts anew."""
    log: list[float] = []

    async def handler(call: BridgedCall) -> None:
        began_s = trio.current_time()
        for _ in range(5):
            await call.output.send(audio(1.0))
            log.append(trio.current_time() - began_s)
        await call.output.interrupt()
        await call.output.send(audio(1.0))
        log.append(trio.current_time() - began_s)

    async with working(FrameWorker("worker", handler, max_ahead_s=2)) as bus:
        session = Ends()
        await bridge(session, bus, name="call", worker="worker")
    assert log == pytest.approx([0, 0, 1, 2, 3, 3])


async def test_frames_can_be_kept_off_the_bus(autojump_clock: trio.testing.MockClock) -> None:
    """With LIFECYCLE_FRAMES excluded a Pipecat pipeline is neither started nor ended by a caller."""
    bus = LocalBus()
    reader = bus.subscribe("reader")
    session = Ends()
    for frame in (StartFrame(), TextFrame(text="x"), EndFrame()):
        await session.caller_sends.send(frame)
    await session.caller_sends.aclose()
    await bridge(session, bus, name="call", worker=None, bridge="b", exclude_frames=LIFECYCLE_FRAMES)
    assert reader.statistics().waiting_data == 1
    message = await reader.receive()
    assert message == BusFrameMessage(source="call", bridge="b", frame=TextFrame(text="x"), role="input")


@pytest.mark.parametrize("target", ["worker", None])
async def test_a_caller_that_never_announces_begins_with_its_first_frame(
    target: str | None, autojump_clock: trio.testing.MockClock
) -> None:
    """A Pipecat bridge sends no StartFrame, and by default names no target: its frames begin a call all the same."""
    async with working(FrameWorker("worker", echo)) as bus:
        for name in ("first", "second"):
            reader = bus.subscribe(name, accepts=lambda message, name=name: message.target == name)  # type: ignore[misc]
            for _ in range(3):
                await bus.send(BusFrameMessage(source=name, target=target, frame=TextFrame(text="x")))
            await trio.testing.wait_all_tasks_blocked()
            assert reader.statistics().waiting_data == 3


async def test_the_rest_of_an_announced_call_begins_no_other(autojump_clock: trio.testing.MockClock) -> None:
    """What still comes of a caller that announced itself, after the call has ended, is ignored; a new start is not."""
    calls: list[str] = []

    async def count(call: BridgedCall) -> None:
        calls.append(call.id)

    async with working(FrameWorker("worker", count)) as bus:
        for round_ in (1, 2):
            for frame in (StartFrame(), TextFrame(text="x"), TextFrame(text="y")):
                await bus.send(BusFrameMessage(source="call", target="worker", frame=frame))
                await trio.testing.wait_all_tasks_blocked()
            assert calls == ["call"] * round_


async def test_a_worker_hears_its_own_bridge_only(autojump_clock: trio.testing.MockClock) -> None:
    """Frames of another bridge, of none where it has one, and for another worker are not for it."""
    for own, others in ((None, ("a", "b")), ("a", (None, "b"))):
        worker = FrameWorker("worker", echo, bridge=own)
        async with working(worker) as bus:
            for bridge_name in others:
                await bus.send(BusFrameMessage(source="call", frame=TextFrame(text="x"), bridge=bridge_name))
            await bus.send(BusFrameMessage(source="call", target="other", frame=TextFrame(text="x"), bridge=own))
            await trio.testing.wait_all_tasks_blocked()
            assert [call.id for call in worker.calls] == []
            await bus.send(BusFrameMessage(source="call", frame=TextFrame(text="x"), bridge=own))
            await trio.testing.wait_all_tasks_blocked()
            assert [call.id for call in worker.calls] == ["call"]


async def test_calls_are_bounded(autojump_clock: trio.testing.MockClock) -> None:
    """Past ``max_calls`` a caller is told that all are taken; a flood of calls costs no more than that."""

    async def handler(call: BridgedCall) -> None:
        await trio.sleep_forever()

    worker = FrameWorker("worker", handler, max_calls=3)
    async with working(worker) as bus:
        refused = bus.subscribe("refused", accepts=lambda message: (message.target or "").startswith("call"))
        for number in range(100):
            for frame in (StartFrame(), EndFrame()):
                await bus.send(BusFrameMessage(source=f"call-{number}", target="worker", frame=frame))
            await trio.testing.wait_all_tasks_blocked()
        messages = [await refused.receive() for _ in range(97)]
        frames = {m.frame for m in messages if isinstance(m, BusFrameMessage)}
        assert frames == {CancelFrame(reason="all 3 calls are taken")}


async def test_a_caller_that_died_without_a_word(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A call that brings no frame for ``idle_timeout`` is over for its handler."""
    ended: list[float] = []

    async def handler(call: BridgedCall) -> None:
        async for _ in call.input:
            pass
        ended.append(trio.current_time())

    worker = FrameWorker("worker", handler, idle_timeout=40)
    async with working(worker) as bus:
        began_s = trio.current_time()
        await bus.send(BusFrameMessage(source="call", target="worker", frame=StartFrame()))
        await trio.sleep(30)
        await bus.send(BusFrameMessage(source="call", target="worker", frame=audio()))
        await trio.sleep(100)
        assert worker.calls == ()
    assert 70 <= ended[0] - began_s <= 80


async def test_a_handler_that_reads_nothing_loses_its_call(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """More than a thousand unread frames end the call; unread audio is dropped, as in a session."""

    async def handler(call: BridgedCall) -> None:
        await trio.sleep_forever()

    worker = FrameWorker("worker", handler)
    async with working(worker) as bus:
        reader = bus.subscribe("call", accepts=lambda message: message.target == "call")
        await bus.send(BusFrameMessage(source="call", target="worker", frame=StartFrame()))
        for number in range(1100):
            await bus.send(BusFrameMessage(source="call", target="worker", frame=audio()))
            await bus.send(BusFrameMessage(source="call", target="worker", frame=MessageFrame(message=number)))
        message = await reader.receive()
        assert isinstance(message, BusFrameMessage)
        assert message.frame == CancelFrame(reason="the call was cancelled")
        assert worker.calls == ()


async def test_a_bridge_hears_only_its_worker(autojump_clock: trio.testing.MockClock) -> None:
    """Frames of another worker, of another bridge or for another call do not reach the caller."""
    bus = LocalBus()
    session = Ends()
    async with trio.open_nursery() as nursery:

        async def run() -> None:
            await bridge(session, bus, name="call", worker="worker", bridge="b")

        nursery.start_soon(run)
        await trio.testing.wait_all_tasks_blocked()
        strays: list[BusMessage] = [
            BusFrameMessage(source="other", target="call", frame=audio(), bridge="b"),
            BusFrameMessage(source="worker", target="other", frame=audio(), bridge="b"),
            BusFrameMessage(source="worker", target="call", frame=audio(), bridge="c"),
            BusFrameMessage(source="call", target="call", frame=audio(), bridge="b"),
            BusDataMessage(source="worker", target="call"),
        ]
        for message in strays:
            await bus.send(message)
        await bus.send(BusFrameMessage(source="worker", target="call", frame=TextFrame(text="x"), bridge="b"))
        assert await session.caller_hears.receive() == TextFrame(text="x")
        await session.caller_sends.aclose()


@pytest.mark.parametrize("subprotocol", [BUS_SUBPROTOCOL, None])
async def test_what_a_bot_says_at_once_crosses_a_proxy_whole(
    subprotocol: str | None, autojump_clock: trio.testing.MockClock
) -> None:
    """Half a minute of audio, sent in one burst by a worker behind a proxy, reaches the session whole and in order."""
    count = 1500

    async def handler(call: BridgedCall) -> None:
        for number in range(count):
            await call.output.send(audio(fill=number % 256))
        await call.input.receive()

    near_wire, far_wire = wire_pair(subprotocol)
    here, there = LocalBus(), LocalBus()
    session = Ends()
    to_far = client(near_wire)
    to_near = WebSocketProxyServer("gate", websocket=far_wire, worker_name="far", remote_worker_name="near")
    async with trio.open_nursery() as nursery:
        await nursery.start(FrameWorker("far", handler).run, there)
        await nursery.start(to_near.run, there)
        await nursery.start(to_far.run, here)

        async def run() -> None:
            await bridge(session, here, name="near", worker="far")

        nursery.start_soon(run)
        heard = [await session.caller_hears.receive() for _ in range(count)]
        assert heard == [audio(fill=number % 256) for number in range(count)]
        await session.caller_sends.aclose()
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert to_near.statistics().dropped == to_far.statistics().dropped == 0


async def test_what_waits_for_a_session_is_bounded_in_bytes(autojump_clock: trio.testing.MockClock) -> None:
    """Large messages that a session does not take: the oldest go and are counted, and later there is room again."""
    waiting = WaitingFrames()
    for _ in range(2):
        for number in range(30):
            waiting.put(MessageFrame(message=["x" * 1_000_000, number]))
        assert waiting.dropped == 14
        frames = [await waiting.get() for _ in range(16)]
        assert [frame.message[1] for frame in frames if isinstance(frame, MessageFrame)] == [*range(14, 30)]  # type: ignore[index]
        waiting.dropped = 0
