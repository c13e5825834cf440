"""Real sessions over a bus: how a caller's frames get there, and who has a turn."""

import trio
import trio.testing

from tests.bus.bridged import audio, bridged, echo, working
from trio_transports.bus import (
    BusFrameMessage,
    BusMessage,
    FrameWorker,
    LocalBus,
    bridge,
)
from trio_transports.frames import (
    AudioFrame,
    EndFrame,
    Frame,
    StartFrame,
    TextFrame,
)
from trio_transports.params import WebsocketServerParams
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.testing import memory_session


async def test_a_real_session_is_bridged(autojump_clock: trio.testing.MockClock) -> None:
    """The session of a transport is served over the bus by a handler that is written like a session's own."""
    params = WebsocketServerParams(audio_in_enabled=True, audio_out_enabled=True, serializer=JSONFrameSerializer())
    async with (
        working(FrameWorker("worker", echo)) as bus,
        memory_session(params) as (session, peer),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(bridged, session, bus)
        await peer.send(TextFrame(text="hello"))
        assert await peer.recorder.wait_for(TextFrame) == TextFrame(text="hello")
        await peer.send(audio(0.2, fill=3))
        await peer.recorder.until(lambda recorder: len(recorder.audio) >= 0.2 * 16000 * 2)
        assert any(peer.recorder.audio)
        await peer.close()


async def test_a_sessions_frames_go_to_the_bus_where_they_are_taken(autojump_clock: trio.testing.MockClock) -> None:
    """In order, those that have to wait for their turn among them; what is excluded goes nowhere."""
    params = WebsocketServerParams(audio_in_enabled=True, audio_out_enabled=True, serializer=JSONFrameSerializer())
    bus, seen = LocalBus(), list[tuple[str, Frame]]()

    def tap(message: BusMessage) -> bool:
        if isinstance(message, BusFrameMessage) and isinstance(message.frame, Frame):
            seen.append((trio.lowlevel.current_task().name, message.frame))
        return True

    bus.subscribe("listener", tap=tap)
    async with memory_session(params) as (session, peer), trio.open_nursery() as nursery:

        async def run() -> None:
            await bridge(session, bus, name="call", worker=None, exclude_frames=(StartFrame,))

        nursery.start_soon(run)
        await trio.sleep(0.1)
        for turn in range(2):
            for n in range(3):
                await peer.send(TextFrame(text=f"{turn} {n}"))
                await peer.send(audio(fill=1))
                await peer.send(StartFrame(stream_id="excluded"))
            await trio.sleep(1)
        await peer.close()
    texts = [frame.text for _, frame in seen if isinstance(frame, TextFrame)]
    assert texts == [f"{turn} {n}" for turn in range(2) for n in range(3)]
    kinds = [type(frame) for _, frame in seen]
    assert kinds == [TextFrame, AudioFrame] * 6 + [EndFrame]
    assert [name for name, _ in seen[:-1]] == ["receive"] * 12


async def test_who_has_much_to_read_from_the_bus_has_a_turn(autojump_clock: trio.testing.MockClock) -> None:
    """Frames go by the bridge's task then, whose sending lets others run; and at once again when it was read."""
    params = WebsocketServerParams(audio_in_enabled=True, audio_out_enabled=True, serializer=JSONFrameSerializer())
    bus, tasks = LocalBus(), list[str]()

    def tap(message: BusMessage) -> bool:
        if isinstance(message, BusFrameMessage) and isinstance(message.frame, TextFrame):
            tasks.append(trio.lowlevel.current_task().name.rpartition(" ")[2].rpartition(".")[2])
        return False

    subscription = bus.subscribe("listener", tap=tap, data_buffer=8)
    async with memory_session(params) as (session, peer), trio.open_nursery() as nursery:

        async def run() -> None:
            await bridge(session, bus, name="call", worker=None, exclude_frames=(StartFrame,))

        nursery.start_soon(run)
        await trio.sleep(0.1)
        for _ in range(2):
            tasks.clear()
            for n in range(6):
                await peer.send(TextFrame(text=f"{n}"))
                await trio.sleep(0.01)
            assert tasks == ["receive"] * 4 + ["run"] * 2, "half full is crowded"
            for n in range(6):
                message = await subscription.receive()
                assert isinstance(message, BusFrameMessage)
                assert message.frame == TextFrame(text=f"{n}")
            await peer.send(TextFrame(text="once more"))
            await trio.sleep(0.01)
            await subscription.receive()
        await peer.close()
