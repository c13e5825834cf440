"""Every way a session can end, and what each side then knows."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from attrs import evolve
from trio.testing import MockClock

from tests.session.helpers import CHUNK_BYTES, audio, is_silence, params, pcm, seconds
from trio_transports import (
    AudioFrame,
    Connected,
    ConnectionClosed,
    Disconnected,
    EndFrame,
    IdleTimeout,
    Session,
    SessionTimeout,
    StartFrame,
    TextFrame,
    TransportParams,
)
from trio_transports.errors import Ending
from trio_transports.serializers.twilio import TwilioFrameSerializer
from trio_transports.session.broadcast import Broadcast
from trio_transports.session.events import Event
from trio_transports.session.state import TRANSITIONS, Life, State
from trio_transports.testing import ScriptedPeer, memory_session


@asynccontextmanager
async def watched(settings: TransportParams) -> AsyncIterator[tuple[Session, ScriptedPeer, list[Event]]]:
    """A session and the list of its events, complete when the context has ended."""
    hub: Broadcast[Event] = Broadcast()
    subscription, told = hub.subscribe(), list[Event]()
    try:
        async with memory_session(settings, events=hub) as (session, peer):
            yield session, peer, told
    finally:
        with trio.CancelScope(shield=True):
            async for event in subscription:
                told.append(event)


def the_end(told: list[Event]) -> tuple[int, str, str]:
    """The one Disconnected among the events."""
    ends = [(event.code, event.reason, event.initiator) for event in told if isinstance(event, Disconnected)]
    assert len(ends) == 1, f"Disconnected must be told exactly once: {told}"
    assert isinstance(told[0], Connected)
    return ends[0]


@pytest.mark.parametrize("before", list(State))
def test_the_state_table(before: State) -> None:
    """Only what the table lists can follow; a refused change changes nothing; what is over stays over."""
    for after in State:
        life = Life(started_at_s=0)
        life.state = before
        allowed = after in TRANSITIONS[before]
        assert life.to(after) is allowed
        assert life.state is (after if allowed else before)
    assert bool(TRANSITIONS[before]) is (not before.is_over)


async def test_what_was_said_is_heard_when_the_body_returns(autojump_clock: MockClock) -> None:
    """Queued audio, the partial chunk and a last text reach the peer before the close with 1000."""
    async with watched(params()) as (session, peer, told):
        await session.output.send(seconds(3))
        await session.output.send(audio(100))
        await session.output.send(TextFrame(text="goodbye"))
    assert peer.recorder.audio == seconds(3).audio + pcm(100) + bytes(CHUNK_BYTES - 100)
    assert peer.recorder.of(TextFrame) == [TextFrame(text="goodbye")]
    assert peer.closed is not None
    assert (peer.closed.code, peer.closed.initiator) == (1000, "remote")
    assert the_end(told) == (1000, "", "local")


async def test_draining_has_a_limit(autojump_clock: MockClock) -> None:
    """With drain_timeout the flush is cut off there, and the close still said."""
    began_s = trio.current_time()
    async with watched(params(drain_timeout=1)) as (session, peer, told):
        await session.output.send(seconds(30))
    assert trio.current_time() - began_s == pytest.approx(1, abs=0.05)
    assert peer.closed is not None
    assert peer.closed.code == 1000
    assert the_end(told)[2] == "local"
    assert session.statistics().audio_out_dropped_s == pytest.approx(29, abs=0.1)


async def test_a_stalled_peer_cannot_hold_the_end(autojump_clock: MockClock) -> None:
    """A peer that stops reading costs send_timeout and close_timeout, then its connection."""
    began_s = trio.current_time()
    async with watched(params(send_timeout=3, close_timeout=1)) as (session, peer, told):
        peer.stall()
        await session.output.send(seconds(30))
    assert trio.current_time() - began_s <= 64 * 0.02 + 3 + 1 + 1
    code, reason, initiator = the_end(told)
    assert (code, initiator) == (1006, "error")
    assert "send_timeout" in reason


async def test_a_peer_that_never_answers_the_close(autojump_clock: MockClock) -> None:
    """close_timeout bounds the wait for the peer's half of the goodbye."""
    async with watched(params(close_timeout=2)) as (_, peer, told):
        peer.wire.unresponsive = True  # type: ignore[attr-defined]
        began_s = trio.current_time()
    assert trio.current_time() - began_s == pytest.approx(2, abs=0.01)
    assert the_end(told) == (1000, "", "local")


async def test_who_closes_a_call_waits_for_its_end(autojump_clock: MockClock) -> None:
    """Not less than close_timeout where the peer does not answer, and a second time not at all."""
    async with watched(params(close_timeout=2)) as (session, peer, _):
        peer.wire.unresponsive = True  # type: ignore[attr-defined]
        began_s = trio.current_time()
        for _ in range(2):
            await session.aclose()
            assert trio.current_time() - began_s == pytest.approx(2, abs=0.01)


async def test_an_exception_comes_out_as_it_is(autojump_clock: MockClock) -> None:
    """The body's own exception leaves unwrapped, with its cause; queued audio is dropped; the peer is told 1011."""
    cause = KeyError("cause")
    told: list[Event] = []
    peer = None
    with pytest.raises(RuntimeError, match="mine") as caught:  # noqa: PT012
        async with watched(params()) as (session, peer, told):
            await session.output.send(seconds(60))
            raise RuntimeError("mine") from cause
    assert caught.value.__cause__ is cause
    assert trio.current_time() < 1
    assert peer is not None
    assert peer.closed is not None
    assert (peer.closed.code, peer.closed.reason) == (1011, "internal error")
    assert the_end(told) == (1011, "internal error", "local")


async def test_a_group_of_the_bodys_own_stays_a_group(autojump_clock: MockClock) -> None:
    """A group that the body raised is not taken apart, also when it holds one exception only."""
    group = ExceptionGroup("the body's", [ValueError("one")])
    with pytest.raises(ExceptionGroup) as caught:
        async with watched(params()):
            raise group
    assert caught.value is group


async def test_cancellation_says_goodbye_in_bounded_time(autojump_clock: MockClock) -> None:
    """A cancelled body drops its audio, the peer is told 1001, and the cancellation goes on."""
    told: list[Event] = []
    peer = None
    with trio.move_on_after(5) as scope:
        async with watched(params()) as (session, peer, told):
            await session.output.send(seconds(60))
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert trio.current_time() == pytest.approx(5)
    assert peer is not None
    assert peer.closed is not None
    assert peer.closed.code == 1001
    assert the_end(told) == (1001, "going away", "local")


async def test_cancellation_while_draining(autojump_clock: MockClock) -> None:
    """A cancellation that comes during the flush ends it at once."""
    told: list[Event] = []
    with trio.move_on_after(5) as scope:
        async with watched(params()) as (session, _, told):
            await session.output.send(seconds(60))
    assert scope.cancelled_caught
    assert trio.current_time() == pytest.approx(5)
    assert the_end(told)[0] == 1001


async def test_the_peer_closes(autojump_clock: MockClock) -> None:
    """What the peer sent is read to its end, then sending raises, and the body goes on with its own work."""
    async with watched(params()) as (session, peer, told):
        for number in range(3):
            await peer.send(TextFrame(text=str(number)))
        await peer.close(4000, "enough")
        await trio.sleep(1)
        assert [frame async for frame in session.input] == [TextFrame(text=str(number)) for number in range(3)]
        with pytest.raises(trio.EndOfChannel):
            await session.input.receive()
        for _ in range(2):
            with pytest.raises(ConnectionClosed) as caught:
                await session.output.send(audio(CHUNK_BYTES))
            assert (caught.value.code, caught.value.reason, caught.value.initiator) == (4000, "enough", "remote")
        assert not session.is_connected
        await trio.sleep(1)
    assert the_end(told) == (4000, "enough", "remote")


async def test_the_peer_vanishes(autojump_clock: MockClock) -> None:
    """A lost connection is 1006 by error, whatever was under way."""
    async with watched(params()) as (session, peer, told):
        await session.output.send(seconds(10))
        await trio.sleep(1)
        peer.drop()
        with pytest.raises(ConnectionClosed):
            await session.output.drain()
    assert the_end(told)[::2] == (1006, "error")


@pytest.mark.parametrize("order", ["send first", "receive first"])
async def test_the_end_is_told_once_in_any_order_of_failures(autojump_clock: MockClock, order: str) -> None:
    """The failure of a write before, or after, that of the read: one Disconnected."""
    async with watched(params(send_timeout=0.5)) as (session, peer, told):
        if order == "send first":
            peer.stall()
            await session.output.send(seconds(5))
            await trio.sleep(3)
            peer.drop()
        else:
            peer.drop()
            with pytest.raises(ConnectionClosed):  # noqa: PT012
                while True:
                    await session.output.send(seconds(1))
        await trio.sleep(1)
    assert the_end(told)[0] == 1006


async def test_sends_after_the_end_raise_one_type_and_log_nothing(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A thousand sends after the end raise ConnectionClosed each, at once, and do not flood the log."""
    caplog.set_level(logging.DEBUG, logger="trio_transports")
    async with watched(params()) as (session, peer, _):
        peer.drop()
        await trio.sleep(1)
        for _ in range(1000):
            with pytest.raises(ConnectionClosed):
                await session.output.send(audio(CHUNK_BYTES))
        assert trio.current_time() == 1
    assert len(caplog.records) <= 1


async def test_end_flushes_and_plays_silence(autojump_clock: MockClock) -> None:
    """end() sends what is queued, two seconds of paced silence, and then takes nothing more."""
    async with watched(params()) as (session, peer, _):
        await session.output.send(seconds(1))
        await session.output.end()
        assert trio.current_time() == pytest.approx(2.98)
        with pytest.raises(trio.ClosedResourceError):
            await session.output.send(audio(CHUNK_BYTES))
    heard = peer.recorder.audio
    assert heard[: 50 * CHUNK_BYTES] == seconds(1).audio
    assert is_silence(heard[50 * CHUNK_BYTES :])
    assert len(heard) == 150 * CHUNK_BYTES


async def test_closing_the_session_from_inside(autojump_clock: MockClock) -> None:
    """session.aclose flushes, closes with the code and reason given, and leaves the body running."""
    async with watched(params()) as (session, peer, told):
        await session.output.send(seconds(1))
        await session.aclose(4001, "that is all")
        assert peer.recorder.audio == seconds(1).audio
        with pytest.raises(ConnectionClosed):
            await session.output.send(audio(CHUNK_BYTES))
        await session.aclose()
    assert the_end(told) == (4001, "that is all", "local")


async def test_session_timeout_notifies(autojump_clock: MockClock) -> None:
    """By default the session timeout is told and nothing else happens; each session has its own timer."""
    for _ in range(2):
        began_s = trio.current_time()
        async with watched(params(session_timeout=10)) as (session, peer, told):
            await trio.sleep(15)
            await session.output.send(TextFrame(text="still here"))
            await session.output.drain()
        assert [type(event) for event in told] == [Connected, SessionTimeout, Disconnected]
        assert trio.current_time() - began_s == pytest.approx(15)
        assert peer.recorder.of(TextFrame)


async def test_session_timeout_closes(autojump_clock: MockClock) -> None:
    """With the action "close" the session timeout ends the session, which the body sees."""
    async with watched(params(session_timeout=10, session_timeout_action="close")) as (session, _, told):
        assert [frame async for frame in session.input] == []
        assert trio.current_time() == pytest.approx(10)
    assert [type(event) for event in told] == [Connected, SessionTimeout, Disconnected]
    assert the_end(told) == (1000, "session timeout", "local")


async def test_idle_timeout_closes_a_silent_peer(autojump_clock: MockClock) -> None:
    """A peer that says nothing for idle_timeout is let go; one that speaks is not."""
    async with watched(params(idle_timeout=10)) as (session, peer, told):
        for _ in range(4):
            await trio.sleep(9)
            await peer.send(TextFrame(text="here"))
        assert len([frame async for frame in session.input]) == 4
        assert trio.current_time() == pytest.approx(46)
    assert [type(event) for event in told] == [Connected, IdleTimeout, Disconnected]
    assert the_end(told) == (1001, "idle timeout", "local")


async def test_the_call_is_hung_up_once(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """hang_up runs once at the session's own end, within its deadline; its failure is logged and hides nothing."""
    calls: list[str] = []

    def hanging_up(outcome: Callable[[], object]) -> TransportParams:
        async def hang_up(session: Session) -> None:
            assert session.start is not None
            calls.append(session.start.call_id or "")
            await trio.sleep(1)
            outcome()

        return params(serializer=Announced, hang_up=hang_up, hang_up_timeout=5)

    async with watched(hanging_up(lambda: None)) as (_, peer, told):
        await peer.send_raw("start")
        await trio.sleep(1)
    assert calls == ["call-1"]
    the_end(told)

    def fail() -> None:
        raise ValueError("no line")

    with pytest.raises(RuntimeError, match="mine"):  # noqa: PT012
        async with watched(hanging_up(fail)) as (_, peer, _):
            await peer.send_raw("start")
            await trio.sleep(1)
            raise RuntimeError("mine")
    assert calls == ["call-1"] * 2
    assert "hanging up call 'call-1' failed" in caplog.text

    slow = evolve(hanging_up(lambda: None), hang_up_timeout=0.5)
    async with watched(slow) as (_, peer, _):
        await peer.send_raw("start")
        await trio.sleep(1)
    assert "longer than hang_up_timeout" in caplog.text


async def test_audio_waits_for_the_peers_announcement(autojump_clock: MockClock) -> None:
    """With a dialect that must hear the stream's start first, audio sent earlier is held back, not lost."""
    async with watched(params(serializer=Announced)) as (session, peer, _), trio.open_nursery() as nursery:
        nursery.start_soon(session.output.send, audio(CHUNK_BYTES))
        await trio.sleep(3)
        assert not peer.messages
        await peer.send_raw("start")
        await peer.recorder.wait_for(AudioFrame)
    assert peer.recorder.audio == pcm(CHUNK_BYTES)


async def test_a_peer_that_never_announces_itself(autojump_clock: MockClock) -> None:
    """A send that waits for the announcement ends with the connection."""
    async with watched(params(serializer=Announced)) as (session, peer, _), trio.open_nursery() as nursery:

        @nursery.start_soon
        async def send() -> None:
            with pytest.raises(ConnectionClosed):
                await session.output.send(audio(CHUNK_BYTES))

        await trio.sleep(3)
        peer.drop()


class Announced:
    """A dialect that says nothing before it has heard "start"; used by the peer's side it is ready at once."""

    audio_format = None

    def __init__(self) -> None:
        self.is_ready = False

    def encode(self, frame: object) -> list[str | bytes]:
        return [frame.audio] if isinstance(frame, AudioFrame) else []

    def decode(self, message: str | bytes) -> list[object]:
        if message == "start":
            self.is_ready = True
            return [StartFrame(call_id="call-1")]
        assert isinstance(message, bytes)
        return [AudioFrame(audio=message, sample_rate=16000)]


TWILIO_START = (
    '{"event": "start", "streamSid": "MZ1", "start": {"streamSid": "MZ1", "callSid": "CA1", '
    '"mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}}}'
)


@pytest.mark.parametrize(
    ("code", "by"),
    [(1000, "remote"), (4000, "local")],
    ids=["the handler has nothing left to do", "the handler has a word of its own"],
)
@pytest.mark.parametrize("round_", range(3))
async def test_a_line_that_says_that_the_call_is_over_has_ended_it(
    code: int, by: str, round_: int, autojump_clock: MockClock
) -> None:
    """Whichever side's Close comes first then: a phone says ``stop``, and closes a moment later or not at all."""
    settings = params(serializer=TwilioFrameSerializer())
    async with watched(settings) as (session, peer, told):
        await peer.send_raw(TWILIO_START)
        await peer.send_raw('{"event": "stop", "streamSid": "MZ1"}')
        assert [type(frame) async for frame in session.input][-1] is EndFrame
        await session.aclose(code)
    assert the_end(told) == (code, "", by)


@pytest.mark.parametrize(("before", "by"), [(State.OPEN, "remote"), (State.DRAINING, "local")])
def test_who_ends_the_call_first_has_ended_it(before: State, by: str) -> None:
    """The line's ``stop`` that answers this side's goodbye changes nothing."""
    life = Life(started_at_s=0)
    life.state = before
    life.peer_stopped()
    assert life.close(Ending(1000, "", "local"))
    assert life.told_ending == Ending(1000, "", by)  # type: ignore[arg-type]
