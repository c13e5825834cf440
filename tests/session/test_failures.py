"""What goes wrong inside: services that crash, deadlines that pass unused, lines that are lost while closing."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from attrs import evolve
from trio.testing import MockClock

from tests.session.hearing import Inverting, Planned
from tests.session.helpers import CHUNK_BYTES, audio, params, seconds
from tests.session.test_clock import RawPCM
from tests.session.test_endings import the_end, watched
from trio_transports import (
    AudioFrame,
    ConnectionClosed,
    Disconnected,
    EndFrame,
    ReconnectPolicy,
    Session,
    TextFrame,
    WebsocketClientParams,
)
from trio_transports._nursery import open_services
from trio_transports.audio import AudioFormat
from trio_transports.serializers import FrameSerializer, JSONFrameSerializer
from trio_transports.session.broadcast import Broadcast
from trio_transports.session.events import Event
from trio_transports.session.run import open_session
from trio_transports.testing import ScriptedPeer, memory_session, memory_wire_pair, scripted
from trio_transports.wire import Wire


class BrokenMixer:
    """Fails at its tenth chunk."""

    chunks = 0

    def start(self, audio_format: AudioFormat) -> None:
        pass

    def mix(self, pcm: bytes) -> bytes:
        self.chunks += 1
        if self.chunks == 10:
            raise ZeroDivisionError("the mixer's own")
        return pcm

    def control(self, settings: object, enabled: bool | None = None) -> None:
        pass

    def stop(self) -> None:
        pass


async def test_a_crash_in_the_clock_ends_the_session_at_once(autojump_clock: MockClock) -> None:
    """A mixer that crashes cancels the body; its exception comes out; both sides hear 1011 without delay."""
    told: list[Event] = []
    peer = None
    with pytest.raises(ZeroDivisionError, match="the mixer's own"):
        async with watched(params(audio_out_mixer=BrokenMixer)) as (_, peer, told):
            await trio.sleep_forever()
    assert trio.current_time() < 0.5
    assert the_end(told) == (1011, "internal error", "error")
    assert peer is not None
    assert peer.closed is not None
    assert peer.closed.code == 1011


@pytest.mark.parametrize("after_s", [9.0, 9.5, 10.0, 10.5])
async def test_a_write_deadline_that_passed_unused_means_nothing(autojump_clock: MockClock, after_s: float) -> None:
    """A message put at the very moment the idle deadline passes is written, and the line stays."""
    async with watched(params(send_timeout=10, ping_interval=None, audio_out_auto_silence=False)) as (
        session,
        peer,
        told,
    ):
        await session.output.send_message({"n": 1}, urgent=True)
        await trio.sleep(0.001)
        autojump_clock.jump(after_s)  # as a busy task would: nobody ran meanwhile
        session.output._outbound.interrupt()
        await trio.sleep(1)
        assert session.is_connected
        assert len(peer.messages) == 2
    assert the_end(told)[0] == 1000


class Line:
    """A client's line that is lost at will, and dialled again as slowly as told.

    Its wires write at once where ``sends_now`` says so, or else where the room's tests do.
    """

    def __init__(
        self, *, redial_s: float, serializer: FrameSerializer | None = None, sends_now: bool | None = None
    ) -> None:
        self.redial_s = redial_s
        self.sends_now = scripted.SENDS_NOW if sends_now is None else sends_now
        self.serializer = serializer or JSONFrameSerializer()
        self.peers: list[ScriptedPeer] = []
        self.dialled = 0

    @asynccontextmanager
    async def wire(self) -> AsyncIterator[Wire]:
        near, far = memory_wire_pair(sends_now=self.sends_now)
        peer = ScriptedPeer(far, self.serializer)
        self.peers.append(peer)
        async with open_services() as services:
            services.start_soon(peer.run, name="peer")
            yield near
            near.abort()
            peer.resume()
            await peer.wait_closed()

    @asynccontextmanager
    async def redial(self, _cause: ConnectionClosed) -> AsyncIterator[Wire]:
        self.dialled += 1
        await trio.sleep(self.redial_s)
        async with self.wire() as wire:
            yield wire


def reconnecting(**changes: object) -> WebsocketClientParams:
    base = params()
    values = {name: getattr(base, name) for name in ("serializer", "audio_in_enabled", "audio_out_enabled")}
    settings = {**values, "audio_out_sample_rate": 16000, "audio_out_10ms_chunks": 2, **changes}
    return WebsocketClientParams(reconnect=ReconnectPolicy(), **settings)


@asynccontextmanager
async def on_a_line(
    line: Line, settings: WebsocketClientParams
) -> AsyncIterator[tuple[Session, list[Disconnected], Broadcast[Event]]]:
    hub: Broadcast[Event] = Broadcast()
    subscription, ends = hub.subscribe(), list[Disconnected]()
    with hub.activity():
        async with line.wire() as wire, open_session(wire, settings, events=hub, redial=line.redial) as session:
            yield session, ends, hub
    ends += [event async for event in subscription if isinstance(event, Disconnected)]


@pytest.mark.parametrize("closing", ["session timeout", "idle timeout", "aclose", "body", "crash", "cancel"])
async def test_closing_while_dialling_again(autojump_clock: MockClock, closing: str) -> None:
    """Whatever ends a session that has no connection ends the dialling too: nothing is opened afterwards."""
    line = Line(redial_s=1000)
    settings = reconnecting(idle_timeout=5)
    if closing == "session timeout":
        settings = evolve(settings, session_timeout=20, session_timeout_action="close")
    ends: list[Disconnected] = []
    try:
        with trio.move_on_after(30 if closing in ("cancel", "idle timeout") else 200):
            async with on_a_line(line, settings) as (session, ends, _):
                await trio.sleep(1)
                line.peers[0].drop()
                await trio.sleep(1)
                assert not session.is_connected
                match closing:
                    case "session timeout":
                        assert [frame async for frame in session.input] == []
                    case "idle timeout" | "cancel":
                        await trio.sleep_forever()
                    case "aclose":
                        await session.aclose(4000, "enough")
                        assert [frame async for frame in session.input] == []
                    case "crash":
                        raise ZeroDivisionError("the body's own")
    except ZeroDivisionError:
        assert closing == "crash"
    assert trio.current_time() < 40
    assert line.dialled == 1
    assert len(line.peers) == 1
    if ends:  # the list is filled when the body was not cancelled from outside
        assert len(ends) == 1


async def test_senders_go_on_after_a_reconnection(autojump_clock: MockClock) -> None:
    """A sender held back by a full queue and a drain go on when stale audio was dropped at the reconnection."""
    line = Line(redial_s=3)
    settings = evolve(
        reconnecting(audio_out_auto_silence=False, audio_out_max_queue_secs=1),
        reconnect=ReconnectPolicy(max_queued_audio_secs=0),
    )
    with trio.fail_after(60):
        async with on_a_line(line, settings) as (session, _, _):
            await trio.sleep(0.1)
            line.peers[0].drop()
            await trio.sleep(0.1)
            for _ in range(6):
                await session.output.send(seconds(0.5))
            await session.output.drain()
            assert session.statistics().reconnects == 1
            assert await session.output.write_audio(audio(CHUNK_BYTES))
    assert line.peers[1].recorder.of(AudioFrame)


class UnwillingFilter(Inverting):
    def stop(self) -> None:
        raise ZeroDivisionError("it cannot stop")


class UnwillingAnalyzer(Planned):
    def stop(self) -> None:
        raise ZeroDivisionError("it cannot stop")


class UnwillingMixer(BrokenMixer):
    def mix(self, pcm: bytes) -> bytes:
        return pcm

    def stop(self) -> None:
        raise ZeroDivisionError("it cannot stop")


class UnwillingTap:
    """Does not take back what it has heard."""

    def taken_back(self, *_: object) -> None:
        raise ZeroDivisionError("it cannot stop")

    def __getattr__(self, _name: str) -> Callable[..., None]:
        return lambda *_: None


UNWILLING: dict[str, dict[str, object]] = {
    "audio_out_filter": {"audio_out_filter": UnwillingFilter},
    "audio_out_mixer": {"audio_out_mixer": UnwillingMixer},
    "audio_in_filter": {"audio_in_filter": UnwillingFilter},
    "vad_analyzer": {"vad_enabled": True, "vad_analyzer": UnwillingAnalyzer},
    "tap": {},
    "several": {"audio_out_filter": UnwillingFilter, "audio_out_mixer": UnwillingMixer, "audio_in_filter": Inverting},
}


@pytest.mark.parametrize("who", UNWILLING)
async def test_the_end_is_told_whatever_a_part_of_the_users_does_at_it(autojump_clock: MockClock, who: str) -> None:
    """One Disconnected, messages() ends, all others are stopped; and the error comes out."""
    told: list[Event] = []
    listener: Inverting | None = None
    with pytest.raises(ZeroDivisionError, match="it cannot stop"):  # noqa: PT012
        settings = params(**UNWILLING[who])
        if who == "several":
            settings = evolve(settings, audio_in_filter=(listener := Inverting()))
        async with watched(settings) as (session, peer, told):
            messages = session.messages()
            if who == "tap":
                session.output._outbound.taps.each.append(UnwillingTap())
            await peer.send(audio(CHUNK_BYTES))
            peer.stall()
            await session.output.send(seconds(5))
            await trio.sleep(3)
            await peer.close(4000, "enough")
            await trio.sleep_forever()
    assert the_end(told) == (4000, "enough", "remote")
    with trio.fail_after(1):
        assert len([message async for message in messages]) == 1
        with pytest.raises(trio.EndOfChannel):  # noqa: PT012
            while True:
                await session.input.receive()
    assert listener is None or listener.told[-1] == "stop"


async def test_the_call_is_hung_up_whatever_a_filter_does_at_its_end(autojump_clock: MockClock) -> None:
    """Also where another part of the user's has crashed before."""
    hung_up: list[Session] = []

    async def hang_up(session: Session) -> None:
        hung_up.append(session)

    settings = params(audio_out_filter=UnwillingFilter, audio_out_mixer=BrokenMixer, hang_up=hang_up)
    told: list[Event] = []
    with pytest.raises(ZeroDivisionError):
        async with watched(settings) as (_, _, told):
            await trio.sleep_forever()
    the_end(told)
    assert len(hung_up) == 1


@pytest.mark.parametrize("way", ["once cancelled", "amid the goodbye", "amid an EndFrame's"])
async def test_a_deadline_takes_nothing_from_the_bodys_own_exception(autojump_clock: MockClock, way: str) -> None:
    """It comes out as it is, though a deadline around the session passes before, or while goodbye is said."""
    error = trio.ClosedResourceError if way == "amid an EndFrame's" else ValueError
    with pytest.raises(error), trio.move_on_after(1):  # noqa: PT012
        async with watched(params(close_timeout=2)) as (session, peer, _):
            match way:
                case "once cancelled":
                    try:
                        await trio.sleep_forever()
                    finally:
                        raise ValueError("mine")
                case "amid the goodbye":
                    peer.wire.unresponsive = True  # type: ignore[attr-defined]
                    await trio.sleep(0.5)
                    raise ValueError("mine")
                case _:
                    await session.output.send(seconds(30))
                    with trio.move_on_after(0.5):
                        await session.output.send(EndFrame())
                    await session.output.send(TextFrame(text="too late"))
    assert trio.current_time() < 4


async def test_a_write_that_begins_as_an_idle_deadline_passes_has_its_own_time(autojump_clock: MockClock) -> None:
    """Begun by whoever queues it, in the turn in which the send task is told of the deadline: in either order."""
    settings = params(send_timeout=10, audio_out_auto_silence=False)
    for _ in range(20):
        async with memory_session(settings, buffer_messages=1, sends_now=True) as (session, peer):
            await session.output.send_message({"n": 1}, urgent=True)
            await trio.sleep(0.001)
            peer.stall()
            for _ in range(2):  # one is read, one fills the buffer
                await session.output.send(TextFrame(text="more"))
                await trio.sleep(0.001)
            await trio.sleep_until(session.output._outbound.outbox._deadline.scope.deadline)
            await session.output.send(audio(CHUNK_BYTES))
            await trio.sleep(1)
            assert session.is_connected
            peer.resume()
            await session.output.drain()
        assert len(peer.recorder.of(AudioFrame)) == 1


async def test_what_a_lost_connection_took_along_was_not_heard(autojump_clock: MockClock) -> None:
    """Nor were the texts that belong there; what was said before and after counts. Lost twice, in two utterances."""
    line = Line(redial_s=3)
    settings = reconnecting(audio_out_auto_silence=False)
    async with on_a_line(line, settings) as (session, _, _):
        for number in (1, 2):
            name = f"u{number}"
            for second in range(10):
                await session.output.send(TextFrame(text=f"{number}.{second}", utterance=name))
                await session.output.send(evolve(seconds(1), utterance=name))
            await trio.sleep(2.1)
            line.peers[-1].drop()
            await trio.sleep(12)
            told = session.output.playback[name]
            assert 2.5 < told.seconds < 4
            assert told.sent_seconds == pytest.approx(10, abs=0.1)
            assert not told.is_complete
            texts = [text.text for text in told.texts]
            assert texts[:2] == [f"{number}.0", f"{number}.1"]
            assert len(texts) <= 4
            assert texts[-1] == f"{number}.9"
            if number == 1:
                heard_s = sum(len(peer.recorder.audio) for peer in line.peers) / 2 / 16000
                assert told.seconds <= heard_s + 0.05


async def test_audio_that_a_lost_connection_took_along_was_not_written(autojump_clock: MockClock) -> None:
    """Though the rest of it goes on over the next one; twice."""
    line = Line(redial_s=0.05)
    settings = reconnecting(audio_out_auto_silence=False, send_timeout=3, ping_interval=None)
    async with on_a_line(line, settings) as (session, _, _):
        for _ in range(2):
            line.peers[-1].stall()
            assert await session.output.write_audio(seconds(2)) is False
            await trio.sleep(5)
            assert await session.output.write_audio(seconds(0.5)) is True
    assert len(line.peers) == 3


async def test_audio_that_goes_on_over_the_next_connection_was_written(autojump_clock: MockClock) -> None:
    """Nothing of it was under way when the line was lost; twice."""
    line = Line(redial_s=0.05)
    async with on_a_line(line, reconnecting(audio_out_auto_silence=False)) as (session, _, _):
        for _ in range(2):

            async def drop() -> None:
                await trio.sleep(0.51)
                line.peers[-1].drop()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(drop)
                assert await session.output.write_audio(seconds(1)) is True
    assert len(line.peers) == 3


async def test_a_text_whose_audio_has_still_to_come_is_not_lost(autojump_clock: MockClock) -> None:
    """With that of another utterance; and what lost a little is over when the rest was heard."""
    line = Line(redial_s=3)
    async with on_a_line(line, reconnecting(audio_out_auto_silence=False)) as (session, _, _):
        for number in (1, 2):
            one, two = f"one {number}", f"two {number}"
            await session.output.send(evolve(seconds(5), utterance=one))
            await session.output.send(TextFrame(text="next", utterance=two))
            await trio.sleep(1.1)
            line.peers[-1].drop()
            await trio.sleep(5)
            await session.output.send(evolve(seconds(1), utterance=two))
            await trio.sleep(3)
            heard = session.output.playback
            assert (heard[one].is_complete, heard[one].is_over) == (False, True)
            assert [text.text for text in heard[two].texts] == ["next"]
            assert heard[two].is_complete
            await session.output.interrupt()
            assert session.output.playback[one] == heard[one]


async def test_the_first_packet_of_a_new_connection_begins_with_its_own_audio(autojump_clock: MockClock) -> None:
    """What waited for a packet to fill is lost with the old one."""
    line = Line(redial_s=0.5, serializer=RawPCM())
    settings = reconnecting(audio_out_auto_silence=False, fixed_audio_packet_size=1000, serializer=RawPCM())
    async with on_a_line(line, settings) as (session, _, _):
        for number in (1, 2):
            await session.output.send(AudioFrame(audio=bytes([number]) * 640, sample_rate=16000))
            await trio.sleep(0.05)
            line.peers[-1].drop()
            await trio.sleep(1)
            await session.output.send(AudioFrame(audio=bytes([9]) * 2000, sample_rate=16000))
            await trio.sleep(1)
            first = next(message for _, message in line.peers[-1].messages if isinstance(message, bytes))
            assert first == bytes([9]) * 1000


@pytest.mark.parametrize("how", ["drop", "close"])
async def test_a_call_that_the_server_has_ended_is_not_dialled_again(how: str, autojump_clock: MockClock) -> None:
    """It said so in its dialect, and then its connection went without a code."""
    line = Line(redial_s=0.1)
    async with on_a_line(line, reconnecting()) as (session, ends, _):
        await line.peers[0].send(EndFrame())
        await trio.testing.wait_all_tasks_blocked()
        if how == "drop":
            line.peers[0].drop()
        else:
            await line.peers[0].close(1001)
        await trio.sleep(5)
        assert line.dialled == 0
        assert not session.is_connected
    assert [end.initiator for end in ends] == ["error" if how == "drop" else "remote"]
