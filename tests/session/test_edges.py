"""The edges of a session: closing seen from its first step, raw messages, outputs that cannot be named, a peer gone."""

import gc
from weakref import ref

import pytest
import trio
from trio.testing import MockClock

from tests.real.telephony.phone import caller
from tests.session.calls import call
from tests.session.helpers import CHUNK_BYTES, audio, params, pcm, seconds
from tests.session.test_endings import the_end, watched
from tests.session.test_failures import BrokenMixer, Line, on_a_line, reconnecting
from trio_transports import (
    AudioFrame,
    ConnectionClosed,
    EndFrame,
    Session,
    TextFrame,
    TransportParams,
    WebsocketClientParams,
)
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.serializers.detect import DetectingFrameSerializer
from trio_transports.serializers.protobuf import ProtobufFrameSerializer
from trio_transports.serializers.protocol import Message
from trio_transports.serializers.rtvi import RTVIFrameSerializer
from trio_transports.serializers.twilio import TwilioFrameSerializer
from trio_transports.session.broadcast import Broadcast, EventsLost
from trio_transports.session.run import open_session
from trio_transports.testing import ScriptedPeer, memory_session, memory_wire_pair

# Closing


@pytest.mark.parametrize("way", ["body", "aclose", "EndFrame", "timeout", "raises", "cancelled", "crash"])
async def test_is_closing_from_the_first_step(autojump_clock: MockClock, way: str) -> None:
    """However this side ends a session, ``is_closing`` says so while that takes its time."""
    changes: dict[str, object] = {"close_timeout": 2, "ping_interval": None}
    if way == "timeout":
        changes |= {"session_timeout": 1, "session_timeout_action": "close"}
    if way == "crash":
        changes["audio_out_mixer"] = BrokenMixer
    seen: list[Session] = []

    async def run() -> None:
        with trio.move_on_after(1 if way == "cancelled" else 100):
            async with memory_session(params(**changes)) as (session, peer):
                seen.append(session)
                peer.wire.unresponsive = True  # type: ignore[attr-defined]
                assert not session.is_closing
                match way:
                    case "timeout" | "cancelled" | "crash":
                        await trio.sleep_forever()
                    case "aclose":
                        await session.output.send(seconds(1))
                        await session.aclose()
                    case "EndFrame":
                        await session.output.send(seconds(1))
                        await session.output.send(EndFrame())
                    case "raises":
                        await trio.sleep(1)
                        raise RuntimeError("mine")
                    case "body":
                        await session.output.send(seconds(1))

    async def run_and_fail_as_expected() -> None:
        if way in ("raises", "crash"):
            with pytest.raises((RuntimeError, ZeroDivisionError)):
                await run()
        else:
            await run()

    began_s = {"timeout": 1.0, "cancelled": 1.0, "raises": 1.0, "crash": 0.2}.get(way, 0.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_and_fail_as_expected)
        await trio.sleep(began_s + 0.01)
        while not seen[0]._parts.life.state.is_over:
            assert seen[0].is_closing
            await trio.sleep(0.25)
        assert trio.current_time() > began_s + 1.5
    assert not seen[0].is_closing


# Raw messages


async def test_raw_messages_keep_their_place(autojump_clock: MockClock) -> None:
    """Text and bytes leave as they are, between the audio and the frames around them."""
    async with memory_session(params()) as (session, peer):
        await session.output.send(seconds(0.1))
        await session.output.send_raw('{"type":"text","text":"raw"}')
        await session.output.send(seconds(0.1))
        await session.output.send(TextFrame(text="framed"))
        await session.output.send_raw(b'{"type":"text","text":"bytes"}')
    kinds = [type(heard.frame).__name__ for heard in peer.recorder.heard]
    assert kinds == ["AudioFrame"] * 5 + ["TextFrame"] + ["AudioFrame"] * 5 + ["TextFrame"] * 2
    assert [frame.text for frame in peer.recorder.of(TextFrame)] == ["raw", "framed", "bytes"]
    assert peer.messages[5][1] == '{"type":"text","text":"raw"}'
    assert peer.messages[-1][1] == b'{"type":"text","text":"bytes"}'


@pytest.mark.parametrize("thing", [TextFrame(text="x"), {"a": 1}, None, 3, bytearray(b"x")])
async def test_what_is_no_raw_message(autojump_clock: MockClock, thing: object) -> None:
    """Anything but str and bytes is a TypeError that says so."""
    async with memory_session(params()) as (session, _):
        for _ in range(2):
            with pytest.raises(TypeError, match="send_raw takes str for a text message or bytes for a binary one"):
                await session.output.send_raw(thing)  # type: ignore[arg-type]


async def test_raw_messages_end_with_the_session(autojump_clock: MockClock) -> None:
    """After the end of the output, and of the connection, they raise as frames do; before a line's start they wait."""
    async with memory_session(params(audio_out_end_silence_secs=0)) as (session, peer):
        await session.output.end()
        with pytest.raises(trio.ClosedResourceError):
            await session.output.send_raw("x")
        peer.drop()
        await trio.sleep(1)
        with pytest.raises(ConnectionClosed):
            await session.output.send_raw("x")
    line = caller("twilio")
    async with call(line) as here, trio.open_nursery() as nursery:
        raw = f'{{"event":"mark","streamSid":"{line.stream_id}","mark":{{"name":"raw"}}}}'
        nursery.start_soon(here.session.output.send_raw, raw)
        await trio.sleep(1)
        assert here.phone.heard == []
        await here.phone.open()
        await trio.sleep(0.1)
        assert here.phone.marks == ["raw"]


@pytest.mark.parametrize("interruptions", [1, 2])
async def test_an_interruption_drops_raw_messages(autojump_clock: MockClock, interruptions: int) -> None:
    """What waits behind audio is dropped with it and counted."""
    async with memory_session(params()) as (session, peer):
        for number in range(interruptions):
            await session.output.send(seconds(1))
            await session.output.send_raw('{"type":"text","text":"dropped"}')
            await trio.sleep(0.1)
            await session.output.interrupt()
            assert session.statistics().frames_dropped == number + 1
        await session.output.send_raw('{"type":"text","text":"said"}')
    assert [frame.text for frame in peer.recorder.of(TextFrame)] == ["said"]


@pytest.mark.parametrize("readers", [1, 2, 3])
async def test_raw_messages_received(autojump_clock: MockClock, readers: int) -> None:
    """Every subscriber of a session gets what arrives, undecoded, malformed messages too, and ends with it."""
    texts: list[Message] = ['{"type":"text","text":"one"}', "not JSON", b"\x00"]
    async with memory_session(params()) as (session, peer):
        subscriptions = [session.messages() for _ in range(readers)]
        for text in texts:
            await peer.send_raw(text)
        await trio.sleep(1)
    for subscription in subscriptions:
        assert [message async for message in subscription] == texts
    assert [message async for message in session.messages()] == [], "after the end there is nothing to wait for"


async def test_raw_messages_are_bounded(autojump_clock: MockClock) -> None:
    """A reader that does not read loses the oldest and is told how many."""
    async with memory_session(params()) as (session, peer):
        subscription = session.messages(buffer=2)
        for number in range(5):
            await peer.send(TextFrame(text=str(number)))
        await trio.sleep(1)
        assert await subscription.receive() == EventsLost(3)


async def test_raw_messages_are_bounded_in_bytes(autojump_clock: MockClock) -> None:
    """Few but large ones too: past max_unread_bytes the oldest go, every time, and whoever reads loses none."""
    async with memory_session(params(max_unread_bytes=100_000)) as (session, peer):
        idle, busy = session.messages(), session.messages()
        for _ in range(2):
            for number in range(50):
                message = f'{{"type":"not known","number":{number},"rest":"{"x" * 10_000}"}}'
                await peer.send_raw(message)
                assert await busy.receive() == message
            assert await idle.receive() == EventsLost(41)
            for number in range(41, 50):
                kept = await idle.receive()
                assert isinstance(kept, str)
                assert f'"number":{number},' in kept
        assert session.is_connected
        assert session.statistics().messages_received == 100


async def test_raw_messages_of_every_connection(autojump_clock: MockClock) -> None:
    """A subscription of a reconnecting client's session goes on over each loss."""
    line = Line(redial_s=0.05)
    async with on_a_line(line, reconnecting()) as (session, _, _):
        subscription = session.messages()
        for loss in range(3):
            await line.peers[loss].send(TextFrame(text=str(loss)))
            assert await subscription.receive() == f'{{"type":"text","text":"{loss}"}}'
            line.peers[loss].drop()
            await trio.sleep(1)


# Outputs that cannot be named


@pytest.mark.parametrize(
    "serializer",
    [
        TwilioFrameSerializer,
        TwilioFrameSerializer(),
        ProtobufFrameSerializer(),
        RTVIFrameSerializer,
        DetectingFrameSerializer(),
    ],
)
@pytest.mark.parametrize("field", ["audio_out_destinations", "video_out_destinations"])
def test_a_dialect_that_cannot_name_destinations(serializer: object, field: str) -> None:
    """More outputs than its peer can tell apart are refused when the parameters are made."""
    name = (serializer if isinstance(serializer, type) else type(serializer)).__name__
    with pytest.raises(ValueError, match=rf"^TransportParams.{field} has 'left', but {name} cannot name destinations"):
        TransportParams(
            serializer=serializer,  # type: ignore[arg-type]
            audio_out_enabled=True,
            video_out_enabled=True,
            **{field: ("left",)},  # type: ignore[arg-type]
        )


async def test_a_factory_of_such_a_dialect(autojump_clock: MockClock) -> None:
    """What a function makes is known only with the session, and refused there."""
    settings = WebsocketClientParams(serializer=lambda: TwilioFrameSerializer(), audio_out_destinations=("left",))
    near, _ = memory_wire_pair()
    with pytest.raises(ValueError, match=r"^WebsocketClientParams\.audio_out_destinations has 'left'"):
        async with open_session(near, settings, events=Broadcast()):
            pytest.fail("must not open")


def test_dialects_that_can() -> None:
    """JSON names them, and a dialect of one's own is trusted to."""
    for serializer in (JSONFrameSerializer(), JSONFrameSerializer):
        assert TransportParams(serializer=serializer, audio_out_destinations=("left",)).audio_out_destinations


# A peer that has gone


async def leave(peer: ScriptedPeer, way: str) -> None:
    """Go away after a moment, in which what was sent is read."""
    await trio.sleep(0.01)
    if way == "closes":
        await peer.close(4000, "enough")
    else:
        peer.drop()


async def work_for_ever(stopped: list[str]) -> None:
    """Note the cancellation, which is all that ends it."""
    with trio.fail_after(1000):
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            stopped.append("cancelled")
            raise


@pytest.mark.parametrize("way", ["closes", "drops"])
@pytest.mark.parametrize("times", [1, 2, 3])
async def test_the_handler_ends_with_its_peer(autojump_clock: MockClock, way: str, times: int) -> None:
    """With on_peer_gone="cancel" a body that does not look is cancelled, and its block ends quietly."""
    stopped: list[str] = []
    for _ in range(times):
        began_s = trio.current_time()
        async with watched(params(on_peer_gone="cancel")) as (session, peer, told):
            await session.output.send(audio(CHUNK_BYTES))
            await leave(peer, way)
            await work_for_ever(stopped)
        assert trio.current_time() - began_s < 0.1
        assert the_end(told)[0] == (4000 if way == "closes" else 1006)
        assert peer.recorder.audio == pcm(CHUNK_BYTES)
    assert stopped == ["cancelled"] * times


async def test_by_default_the_handler_goes_on(autojump_clock: MockClock) -> None:
    """Without the option the body's own work is its own business."""
    async with watched(params()) as (_, peer, _):
        peer.drop()
        await trio.sleep(1000)
    assert trio.current_time() == 1000


@pytest.mark.parametrize("way", ["aclose", "EndFrame"])
async def test_an_end_of_ones_own_cancels_nobody(autojump_clock: MockClock, way: str) -> None:
    """Where this side ended the call the handler may go on."""
    async with watched(params(on_peer_gone="cancel")) as (session, _, told):
        await (session.aclose() if way == "aclose" else session.output.send(EndFrame()))
        await trio.sleep(100)
    assert trio.current_time() >= 100
    assert the_end(told)[0] == 1000


async def test_an_outer_cancellation_stays_one(autojump_clock: MockClock) -> None:
    """A deadline around the session is not swallowed by the option."""
    with trio.move_on_after(1) as deadline:
        async with watched(params(on_peer_gone="cancel")):
            await trio.sleep_forever()
    assert deadline.cancelled_caught


async def test_a_lost_connection_that_comes_back_cancels_nobody(autojump_clock: MockClock) -> None:
    """A reconnecting client's body goes on over its losses, and ends when that is given up."""
    line, stopped = Line(redial_s=0.05), list[str]()
    async with on_a_line(line, reconnecting(on_peer_gone="cancel")) as (session, ends, _):
        for loss in range(2):
            line.peers[loss].drop()
            await trio.sleep(1)
            assert session.is_connected
        await line.peers[2].close(1000, "done")
        await work_for_ever(stopped)
    assert stopped
    assert len(ends) == 1


async def test_audio_of_a_peer_that_has_gone_can_be_read_no_more(autojump_clock: MockClock) -> None:
    """The cancelled body loses what it has not read: that is what the option asks for."""
    heard: list[object] = []
    async with watched(params(on_peer_gone="cancel")) as (session, peer, _):
        await peer.send(audio(CHUNK_BYTES))
        await peer.close()
        async for frame in session.input:
            heard.append(frame)
            await trio.sleep(1)
    assert len(heard) <= 1
    assert all(isinstance(frame, AudioFrame) for frame in heard)


@pytest.mark.parametrize("times", [1, 2])
async def test_an_event_that_is_kept_keeps_no_connection(autojump_clock: MockClock, times: int) -> None:
    """Of a session that is over its events keep what it remembers: no wire, no audio that was queued either way."""
    kept: list[object] = []
    for _ in range(times):
        async with watched(params()) as (session, peer, told):
            wire = ref(session._parts.outbound.outbox._wire)
            assert wire() is not None
            await session.output.send(seconds(50))
            await peer.send(seconds(4))
            await leave(peer, "drops")
        kept += told
        assert session.statistics().audio_queued_s == 0
        del session, peer, told
        gc.collect()
        assert wire() is None
    assert len(kept) == 2 * times
