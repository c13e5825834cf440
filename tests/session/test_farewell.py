"""The end of a call by a frame: what the peer hears, what the handler sees, and what cannot be said any more."""

import logging
from collections.abc import Callable, Sequence

import pytest
import trio
from trio.testing import MockClock

from tests.session.calls import call, lines
from tests.session.hearing import Planned
from tests.session.helpers import CHUNK_BYTES, RATE, audio, is_silence, params, pcm, seconds
from tests.session.test_endings import the_end, watched
from trio_transports import (
    AudioFrame,
    BotStoppedSpeakingFrame,
    CancelFrame,
    ConnectionClosed,
    EndFrame,
    Frame,
    InterruptionFrame,
    Session,
    TextFrame,
    TransportParams,
)
from trio_transports.audio.format import AudioFormat
from trio_transports.pipeline import Pipeline
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.serializers.detect import DetectingFrameSerializer
from trio_transports.serializers.protocol import Message
from trio_transports.testing import ScriptedPeer, memory_session
from trio_transports.testing.phones import ScriptedLine
from trio_transports.vad import SpeechStarted

QUIET_END = {"audio_out_end_silence_secs": 0}
PLAYS_2_S = {"audio_out_end_silence_secs": 2}


def order(peer: ScriptedPeer) -> list[str]:
    """The kinds of what the peer got, runs of one kind as one."""
    names: list[str] = []
    for heard in peer.recorder.heard:
        name = type(heard.frame).__name__.removesuffix("Frame")
        if names[-1:] != [name]:
            names.append(name)
    return names


async def test_an_end_frame_ends_the_call(autojump_clock: MockClock) -> None:
    """What is queued, the end silence, the peer's word for the end, the close with 1000: in this order, and no more."""
    async with watched(params()) as (session, peer, told):
        await session.output.send(seconds(1))
        await session.output.send(audio(100))
        await session.output.send(TextFrame(text="goodbye"))
        await session.output.send(EndFrame(reason="done"))
        assert trio.current_time() == pytest.approx(3, abs=0.05)
        with trio.move_on_after(60) as waiting:
            assert [frame async for frame in session.input if not isinstance(frame, BotStoppedSpeakingFrame)][1:] == []
        assert not waiting.cancelled_caught
        assert not session.is_connected
        with pytest.raises(ConnectionClosed) as caught:
            await session.output.send(TextFrame(text="more"))
        assert (caught.value.code, caught.value.initiator) == (1000, "local")
        await trio.sleep(60)
    assert order(peer) == ["Audio", "Text", "Audio", "End"]
    heard = peer.recorder.audio
    assert heard[: 50 * CHUNK_BYTES + 100] == seconds(1).audio + pcm(100)
    assert is_silence(heard[50 * CHUNK_BYTES + 100 :])
    assert len(heard) == 151 * CHUNK_BYTES
    assert peer.recorder.of(EndFrame) == [EndFrame(reason="done")]
    assert the_end(told) == (1000, "done", "local")


class Wordless:
    """JSON without a word for an interruption, or for the end."""

    audio_format = None

    def __init__(self) -> None:
        self.words = JSONFrameSerializer()

    def encode(self, frame: Frame) -> Sequence[Message]:
        return () if isinstance(frame, InterruptionFrame | EndFrame) else self.words.encode(frame)

    def decode(self, message: Message) -> Sequence[Frame]:
        return self.words.decode(message)


@pytest.mark.parametrize("sends_now", [False, True])
async def test_a_caller_who_interrupts_the_last_of_it_brings_the_end_nearer(
    sends_now: bool, autojump_clock: MockClock
) -> None:
    """Also where nothing is written for the interruption, and so no write tells that nothing is left."""
    caller = Planned(((0.02, SpeechStarted(at_s=0.0)),))
    settings = params(
        serializer=Wordless(), vad_enabled=True, vad_analyzer=caller, allow_interruptions=True, **PLAYS_2_S
    )
    async with memory_session(settings, sends_now=sends_now) as (session, peer), trio.open_nursery() as nursery:
        await session.output.send(seconds(1))
        nursery.start_soon(session.output.send, EndFrame())
        await trio.sleep(1.5)  # amid the silence after it
        await peer.send(AudioFrame(audio=bytes(CHUNK_BYTES), sample_rate=RATE))
        await trio.sleep(0.1)
        assert not session.is_connected


@lines
async def test_every_line_hears_it_all(autojump_clock: MockClock, line: ScriptedLine) -> None:
    """On each telephone line the call ends once all was played, which those that tell have told."""
    async with call(line, serializer=DetectingFrameSerializer(), audio_out_end_silence_secs=0.5) as here:
        await here.phone.open()
        await here.session.output.send(seconds(1))
        await here.session.output.send(EndFrame())
        ended_at_s = trio.current_time()
        assert not here.session.is_connected
    assert len(here.phone.pcm) == pytest.approx(1.5 * 2 * line.rate, abs=2 * line.rate * 0.11)
    last_s = here.phone.packet_times_s[-1]
    packet_s = len(here.phone.packets[-1].pcm) / 2 / line.rate
    assert ended_at_s >= last_s + (packet_s if here.session.serializer.has_marks else 0) - 1e-6  # type: ignore[attr-defined]
    assert ended_at_s < last_s + 0.3
    assert here.phone.close_code == 1000


@pytest.mark.parametrize("frame", [EndFrame(), CancelFrame()])
@pytest.mark.parametrize("times", [1, 2, 3])
async def test_the_call_is_hung_up_though_the_handler_goes_on(
    autojump_clock: MockClock, frame: Frame, times: int
) -> None:
    """hang_up runs as soon as the call is over, once for each call, whatever the handler does then."""
    calls: list[float] = []

    async def hang_up(session: Session) -> None:
        assert not session.is_connected
        calls.append(trio.current_time())
        await trio.sleep(1)

    for call_number in range(times):
        async with watched(params(hang_up=hang_up, **QUIET_END)) as (session, _, told):
            await session.output.send(seconds(1))
            await session.output.send(frame)
            ended_at_s = trio.current_time()
            await trio.sleep(60)
            assert calls[call_number:] == [ended_at_s]
        assert the_end(told)[0] == 1000
    assert len(calls) == times


async def test_a_cancel_frame_ends_the_call_at_once(autojump_clock: MockClock) -> None:
    """CancelFrame drops what is queued, tells the peer, closes with 1000 and ends the input."""
    async with watched(params()) as (session, peer, told):
        await session.output.send(seconds(30))
        await trio.sleep(1)
        await session.output.send(CancelFrame(reason="stop"))
        assert trio.current_time() == pytest.approx(1, abs=0.01)
        async for _ in session.input:
            pass
        assert session.statistics().audio_out_dropped_s == pytest.approx(29, abs=0.1)
    assert trio.current_time() < 1.5
    assert order(peer) == ["Audio", "Cancel"]
    assert peer.recorder.of(CancelFrame) == [CancelFrame(reason="stop")]
    assert the_end(told) == (1000, "stop", "local")


async def test_no_frame_follows_an_end_frame(autojump_clock: MockClock) -> None:
    """While an EndFrame's flush is under way no other frame can be sent, not even another of its kind."""
    async with watched(params()) as (session, peer, told), trio.open_nursery() as nursery:
        await session.output.send(seconds(30))
        nursery.start_soon(session.output.send, EndFrame())
        await trio.sleep(1)
        assert session.is_closing
        for frame in (EndFrame(), TextFrame(text="more"), audio(CHUNK_BYTES)):
            with pytest.raises(trio.ClosedResourceError, match="no frame can follow an EndFrame"):
                await session.output.send(frame)
    assert trio.current_time() == pytest.approx(32, abs=0.1)
    assert order(peer) == ["Audio", "End"]
    assert the_end(told)[0] == 1000


@pytest.mark.parametrize("way", ["same task", "other task", "other task, nursery outside"])
async def test_a_frame_after_the_end_is_an_error_and_no_crash(autojump_clock: MockClock, way: str) -> None:
    """The error comes out of the handler; the peer has heard everything all the same, and is told 1000, not 1011."""
    peer = None
    told: list[object] = []
    with pytest.raises((ConnectionClosed, trio.ClosedResourceError, ExceptionGroup)):  # noqa: PT012
        async with watched(params(**QUIET_END)) as (session, peer, told):  # type: ignore[assignment]
            await session.output.send(seconds(1))
            if way == "same task":
                await session.output.send(EndFrame())
                await session.output.send(TextFrame(text="more"))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(session.output.send, EndFrame())
                await trio.sleep(0.5)
                if way == "other task":
                    await session.output.send(TextFrame(text="more"))
                nursery.start_soon(session.output.send, TextFrame(text="more"))
    assert peer is not None
    assert peer.recorder.audio == seconds(1).audio
    assert peer.closed is not None
    assert peer.closed.code == 1000
    assert the_end(told)[0] == 1000  # type: ignore[arg-type]


async def test_a_bug_while_the_call_ends_is_still_one(autojump_clock: MockClock) -> None:
    """Another error of the handler's during the flush cuts it off with 1011 as ever."""
    told: list[object] = []
    with pytest.raises(ExceptionGroup):  # noqa: PT012
        async with watched(params()) as (session, _, told), trio.open_nursery() as nursery:  # type: ignore[assignment]
            await session.output.send(seconds(30))
            nursery.start_soon(session.output.send, EndFrame())
            await trio.sleep(0.5)
            raise ValueError("mine")
    assert trio.current_time() < 1
    assert the_end(told)[0] == 1011  # type: ignore[arg-type]


@pytest.mark.parametrize("leaves", ["cancelled sender", "returning body"])
async def test_the_call_ends_whatever_becomes_of_the_sender(autojump_clock: MockClock, leaves: str) -> None:
    """A sender that is cancelled, and a body that returns meanwhile, take nothing from the end."""
    async with watched(params(**QUIET_END)) as (session, peer, told):
        await session.output.send(seconds(2))
        with trio.move_on_after(0.5) as cancelled:
            await session.output.send(EndFrame())
        assert cancelled.cancelled_caught
        if leaves == "cancelled sender":
            async for _ in session.input:
                pass
            assert trio.current_time() == pytest.approx(2, abs=0.05)
    assert trio.current_time() == pytest.approx(2, abs=0.05)
    assert peer.recorder.audio == seconds(2).audio
    assert order(peer) == ["Audio", "End"]
    assert the_end(told)[0] == 1000


@pytest.mark.parametrize("interruptions", [1, 2, 3])
async def test_an_interruption_brings_the_end_nearer(autojump_clock: MockClock, interruptions: int) -> None:
    """Barge-in while the goodbye is said drops what is left of it, silence too; the end is said all the same."""
    async with watched(params()) as (session, peer, told), trio.open_nursery() as nursery:
        await session.output.send(seconds(30))
        nursery.start_soon(session.output.send, EndFrame())
        await trio.sleep(1)
        for _ in range(interruptions):
            session.output._outbound.interrupt()
        await trio.sleep(0.1)
        assert not session.is_connected
    assert order(peer) == ["Audio", "Interruption", "End"]
    assert len(peer.recorder.audio) == pytest.approx(50 * CHUNK_BYTES, abs=2 * CHUNK_BYTES)
    assert the_end(told)[0] == 1000


@pytest.mark.parametrize("limit_s", [None, 0, 1])
async def test_the_end_is_bounded(autojump_clock: MockClock, limit_s: float | None) -> None:
    """A peer that tells nothing of what it played, or plays more slowly, is left after the time a drain may take."""
    async with call(drain_timeout=limit_s, audio_out_end_silence_secs=0, send_timeout=100) as here:
        here.phone.scripted.tells_marks = False
        await here.phone.open()
        await here.session.output.send(seconds(3))
        await here.session.output.send(EndFrame())
        assert trio.current_time() == pytest.approx(5 if limit_s is None else limit_s, abs=0.1)
    assert here.phone.close_code == 1000


async def test_a_peer_that_does_not_read_cannot_hold_the_end(autojump_clock: MockClock) -> None:
    """A stalled peer costs what it costs without an EndFrame, and the sender is told that it was not heard."""
    async with watched(params(send_timeout=3, close_timeout=1, **QUIET_END)) as (session, peer, told):
        peer.stall()
        await session.output.send(seconds(30))
        with pytest.raises(ConnectionClosed):
            await session.output.send(EndFrame())
        assert trio.current_time() <= 64 * 0.02 + 3 + 1
    assert the_end(told)[0] == 1006


async def test_the_peer_leaves_while_the_end_is_said(autojump_clock: MockClock) -> None:
    """What the peer did first is what ended the call, and the sender hears of it."""
    async with watched(params()) as (session, peer, told), trio.open_nursery() as nursery:
        await session.output.send(seconds(30))

        @nursery.start_soon
        async def end() -> None:
            with pytest.raises(ConnectionClosed, match="enough"):
                await session.output.send(EndFrame())

        await trio.sleep(1)
        await peer.close(4000, "enough")
    assert the_end(told) == (4000, "enough", "remote")


async def test_an_end_frame_before_anything_was_said(autojump_clock: MockClock) -> None:
    """Where nothing was queued the end comes at once; on a line that has not started too."""
    async with watched(params()) as (session, peer, _):
        await session.output.send(EndFrame())
        assert trio.current_time() == 0
    assert order(peer) == ["End"]
    async with call() as here:
        await here.session.output.send(EndFrame())
        assert trio.current_time() == 0
    assert here.phone.close_code == 1000


async def test_an_end_frame_after_end(autojump_clock: MockClock) -> None:
    """Whoever ended the output can still end the call, and its silence is played once."""
    async with watched(params()) as (session, peer, _):
        await session.output.send(seconds(1))
        await session.output.end()
        await session.output.send(EndFrame())
        assert not session.is_connected
    assert len(peer.recorder.audio) == 150 * CHUNK_BYTES


def gives_end(frame: Frame) -> list[Frame]:
    return [TextFrame(text="bye"), EndFrame()] if isinstance(frame, TextFrame) else []


def gives_more(frame: Frame) -> list[Frame]:
    return [EndFrame(), TextFrame(text="too late")] if isinstance(frame, TextFrame) else []


@pytest.mark.parametrize("stage", [gives_end, gives_more])
async def test_a_pipeline_that_gives_an_end_frame(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, stage: Callable[[Frame], list[Frame]]
) -> None:
    """A function's EndFrame ends the call and with it the pipeline; what it gives after that is not said."""
    caplog.set_level(logging.INFO)
    hung_up: list[Session] = []

    async def hang_up(session: Session) -> None:
        hung_up.append(session)

    settings: TransportParams = params(hang_up=hang_up)

    async def handler(session: Session) -> None:
        await Pipeline([stage]).run(session.input, session.output)

    async with watched(settings) as (session, peer, told):
        await peer.send(TextFrame(text="hello"))
        await handler(session)
    assert trio.current_time() < 1
    assert order(peer) == (["Text", "End"] if stage is gives_end else ["End"])
    assert peer.closed is not None
    assert peer.closed.code == 1000
    assert len(hung_up) == 1
    assert the_end(told)[0] == 1000


async def test_audio_that_waits_for_room_when_the_call_ends(autojump_clock: MockClock) -> None:
    """A sender held back by a full queue when an EndFrame is sent is told so, and what was queued is heard."""
    async with (
        watched(params(audio_out_max_queue_secs=1, **QUIET_END)) as (session, peer, _),
        trio.open_nursery() as nursery,
    ):
        for _ in range(2):
            await session.output.send(seconds(1))

        @nursery.start_soon
        async def send() -> None:
            with pytest.raises((trio.ClosedResourceError, ConnectionClosed)):
                await session.output.send(seconds(1))

        await trio.sleep(0.01)
        await session.output.send(EndFrame())
    assert peer.recorder.audio == 2 * seconds(1).audio


@pytest.mark.parametrize("sends_now", [False, True], ids=["by-its-task", "sends-now"])
@pytest.mark.parametrize("said_s", [0, 0.01, 0.04, 0.045])
async def test_the_end_without_silence_is_waited_for_no_longer_than_it_lasts(
    autojump_clock: MockClock, said_s: float, sends_now: bool
) -> None:
    """The last that leaves the queue may be no message at all, and who waits is told all the same."""
    async with memory_session(params(**QUIET_END), sends_now=sends_now) as (session, peer):
        for _ in range(2):
            await session.output.send(seconds(said_s))
            await session.output.send(BotStoppedSpeakingFrame())
            await session.output.drain()
        await session.output.send(seconds(said_s))
        with trio.fail_after(1):
            await session.output.end()
            await session.output.drain()
    assert len(peer.recorder.audio) >= len(seconds(said_s).audio) * 3


@pytest.mark.parametrize("times", [1, 2])
async def test_a_cancel_frame_cuts_an_end_frames_goodbye_off(autojump_clock: MockClock, times: int) -> None:
    """What is left is dropped, and the call closes at once; a second one has nothing more to do."""
    async with watched(params()) as (session, peer, told), trio.open_nursery() as nursery:
        await session.output.send(seconds(30))
        nursery.start_soon(session.output.send, EndFrame(reason="done"))
        await trio.sleep(1)
        async with trio.open_nursery() as sending:
            for _ in range(times):
                sending.start_soon(session.output.send, CancelFrame(reason="stop"))
        assert trio.current_time() == pytest.approx(1, abs=0.01)
        assert not session.is_connected
        with pytest.raises(ConnectionClosed):
            await session.output.send(CancelFrame())
    assert order(peer) == ["Audio", "Cancel"]
    assert session.statistics().audio_out_dropped_s == pytest.approx(31, abs=0.1)
    assert the_end(told) == (1000, "stop", "local")


@pytest.mark.parametrize("first", [EndFrame(), CancelFrame()])
async def test_a_cancel_frame_while_the_close_is_said(autojump_clock: MockClock, first: Frame) -> None:
    """It changes nothing, and waits for the end as the first did."""
    async with watched(params(close_timeout=2)) as (session, peer, told), trio.open_nursery() as nursery:
        peer.wire.unresponsive = True  # type: ignore[attr-defined]
        nursery.start_soon(session.output.send, first)
        await trio.sleep(1)
        await session.output.send(CancelFrame(reason="stop"))
        assert trio.current_time() == pytest.approx(2, abs=0.01)
    assert the_end(told) == (1000, "", "local")


async def test_a_pipelines_cancel_frame_cuts_its_end_frames_goodbye_off(autojump_clock: MockClock) -> None:
    """The pipeline ends in good order, and nothing is heard after it."""

    async def stage(_input: object, output: trio.abc.SendChannel[Frame]) -> None:
        await output.send(seconds(5))
        await output.send(EndFrame())
        await trio.sleep(1)
        await output.send(CancelFrame(reason="stop"))

    async with watched(params()) as (session, peer, told):
        await Pipeline([stage]).run(session.input, session.output)
        assert trio.current_time() == pytest.approx(1, abs=0.1)
        assert not session.is_connected
    assert order(peer) == ["Audio", "Cancel"]
    assert len(peer.recorder.audio) == pytest.approx(50 * CHUNK_BYTES, abs=2 * CHUNK_BYTES)
    assert the_end(told) == (1000, "stop", "local")


class NoSilence:
    """A filter that fails at silence."""

    slow = False

    def start(self, audio_format: AudioFormat) -> None: ...

    def filter(self, pcm: bytes) -> bytes:
        if is_silence(pcm):
            raise ZeroDivisionError("how loud is nothing?")
        return pcm

    def control(self, settings: object, enabled: bool | None = None) -> None: ...

    def stop(self) -> None: ...


async def test_an_end_that_cannot_be_said_has_ended_nothing(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """Twice: whoever sent it hears what failed, and the call goes on."""
    encode = JSONFrameSerializer.encode

    def has_no_words(serializer: JSONFrameSerializer, frame: Frame) -> Sequence[Message]:
        if isinstance(frame, EndFrame):
            raise ZeroDivisionError
        return encode(serializer, frame)

    monkeypatch.setattr(JSONFrameSerializer, "encode", has_no_words)
    async with memory_session(params()) as (session, peer):
        for number in (1, 2):
            with pytest.raises(ZeroDivisionError):
                await session.output.send(EndFrame())
            await session.output.send(seconds(0.1))
            await session.output.drain()
            await trio.sleep(0.1)
            assert len(peer.recorder.audio) >= number * len(seconds(0.1).audio)
            assert not session.is_closing


@pytest.mark.parametrize("sends_now", [False, True], ids=["by-its-task", "sends-now"])
async def test_an_end_that_fails_midway_is_an_end_all_the_same(sends_now: bool, autojump_clock: MockClock) -> None:
    """Whoever sent it hears what failed; what was said is heard, and the call ends no later than it would."""
    settings = params(audio_out_filter=NoSilence, close_timeout=2, **PLAYS_2_S)
    with trio.fail_after(60):
        async with memory_session(settings, sends_now=sends_now) as (session, peer):
            await session.output.send(seconds(1))
            await trio.sleep(0.5)
            with pytest.raises(ZeroDivisionError):
                await session.output.send(EndFrame())
            async for _ in session.input:
                pass
            assert not session.is_connected
    assert trio.current_time() <= 1 + 2 + 0.1
    assert peer.recorder.audio == seconds(1).audio
    assert order(peer) == ["Audio", "End"]
    assert peer.closed is not None
    assert peer.closed.code == 1000
