"""What a pipeline of functions has of its own: whose context it is called in, and what it leaves to its tasks."""

import contextvars
import gc
import weakref
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from math import inf
from typing import final

import pytest
import trio
from attrs import define, field
from trio.testing import MockClock

from tests.pipeline.test_with_session import audio, params
from tests.session.test_failures import Line, on_a_line, reconnecting
from trio_transports import Session
from trio_transports.frames import Frame, InterruptionFrame, TextFrame
from trio_transports.pipeline import Pipeline, at_once
from trio_transports.pipeline.stage import FrameFunction
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.serializers.protocol import Message
from trio_transports.testing import memory_session


@pytest.fixture(autouse=True)
def _no_call_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is: what passes at once is counted here."""
    monkeypatch.setattr(at_once, "SLOW_S", inf)


def task_name() -> str:
    return trio.lowlevel.current_task().name.rpartition(" ")[2]


@asynccontextmanager
async def running(session: Session, *functions: FrameFunction) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Pipeline(functions).run, session.input, session.output)
        await trio.sleep(0.01)
        yield
        await trio.sleep(0.1)
        nursery.cancel_scope.cancel()


async def test_a_function_is_called_in_the_context_of_its_run(autojump_clock: MockClock) -> None:
    """Not in that of the task that takes frames from the wire; and the next run's is its own."""
    whose = contextvars.ContextVar("whose", default="nobody's")
    seen: list[tuple[str, str]] = []
    async with memory_session(params()) as (session, peer):
        for name in ("first", "second"):
            whose.set(name)
            async with running(session, lambda frame: seen.append((task_name(), whose.get()))):
                await peer.send(TextFrame(text="whose"))
                await peer.send(TextFrame(text="whose"))
                await trio.sleep(0.1)
    assert seen == [("receive", "first")] * 2 + [("receive", "second")] * 2


async def test_a_function_that_cancels_its_run_sends_nothing_more(autojump_clock: MockClock) -> None:
    """Nor is it called again; what comes then waits for the next reader."""
    async with memory_session(params()) as (session, peer):
        for turn in range(2):
            scope, calls = trio.CancelScope(), list[Frame]()

            def leaves(frame: Frame, scope: trio.CancelScope = scope, calls: list[Frame] = calls) -> Frame:
                calls.append(frame)
                scope.cancel()
                return frame

            with scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(Pipeline([leaves]).run, session.input, session.output)
                    await trio.sleep(0.1)
                    await peer.send(TextFrame(text="never said"))
                    await peer.send(TextFrame(text=f"kept {turn}"))
                    await trio.sleep(1)
            assert scope.cancelled_caught
            assert calls == [TextFrame(text="never said")]
            await trio.sleep(0.1)
            assert await session.input.receive() == TextFrame(text=f"kept {turn}")
    assert peer.recorder.of(TextFrame) == []


async def test_a_function_that_cancels_and_raises_is_heard(autojump_clock: MockClock) -> None:
    """As in a task: what it raised comes out, and not that it was cancelled."""
    async with memory_session(params()) as (session, peer):
        for _ in range(2):
            scope = trio.CancelScope()

            def breaks(frame: Frame, scope: trio.CancelScope = scope) -> Frame:
                scope.cancel()
                raise ZeroDivisionError("its own")

            async def play() -> None:
                await trio.sleep(0.1)
                await peer.send(TextFrame(text="break"))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(play)
                with pytest.raises(ZeroDivisionError, match="its own"), scope:
                    await Pipeline([breaks]).run(session.input, session.output)


@pytest.mark.parametrize("sends_now", [False, True])
async def test_a_function_may_have_its_session_closed(autojump_clock: MockClock, sends_now: bool) -> None:
    """By a task of its caller's: what it said before is heard, the peer is told why, and nothing is called after it."""
    for code in (4000, 4001):
        closing, calls = trio.Event(), list[Frame]()

        def closes(frame: Frame, closing: trio.Event = closing, calls: list[Frame] = calls) -> Frame:
            calls.append(frame)
            closing.set()
            return frame

        async with memory_session(params(), sends_now=sends_now) as (session, peer), running(session, closes):
            await peer.send(TextFrame(text="last"))
            await closing.wait()
            await session.aclose(code, "from inside")
            closed = await peer.wait_closed()
        assert (closed.code, closed.reason) == (code, "from inside")
        assert calls == peer.recorder.of(TextFrame) == [TextFrame(text="last")]


async def test_what_a_function_sends_elsewhere_is_in_order(autojump_clock: MockClock) -> None:
    """It may hand frames to a task of its caller's, which sends them itself meanwhile."""
    async with memory_session(params()) as (session, peer):
        aside, others = trio.open_memory_channel[Frame](100)

        async def say_aside() -> None:
            async for frame in others:
                await session.output.send(frame)

        def splits(frame: Frame) -> Frame | None:
            if isinstance(frame, TextFrame) and frame.text.startswith("aside"):
                aside.send_nowait(frame)
                return None
            return frame

        async with trio.open_nursery() as nursery:
            nursery.start_soon(say_aside)
            async with running(session, splits):
                for n in range(2):
                    for text in ("one", "aside one", "two", "aside two"):
                        await peer.send(TextFrame(text=f"{text} {n}"))
                    await trio.sleep(0.1)
            nursery.cancel_scope.cancel()
    said = [frame.text for frame in peer.recorder.of(TextFrame)]
    assert sorted(said) == sorted(f"{text} {n}" for n in range(2) for text in ("one", "aside one", "two", "aside two"))
    for prefix in ("aside", ""):
        kind = [text for text in said if text.startswith("aside") == bool(prefix)]
        assert kind == [f"{prefix} {word} {n}".strip() for n in range(2) for word in ("one", "two")]


@final
@define(eq=False)
class ManyAtOnce:
    """A dialect of one message that is many frames."""

    count: int
    _json: JSONFrameSerializer = field(factory=JSONFrameSerializer)
    audio_format: None = None

    def encode(self, frame: Frame) -> Sequence[Message]:
        return self._json.encode(frame)

    def decode(self, message: Message) -> Sequence[Frame]:
        return [TextFrame(text=f"{message!s} {n}") for n in range(self.count)]


async def test_of_one_message_few_frames_pass_at_once(autojump_clock: MockClock) -> None:
    """The others wait for the task, so that one message holds nobody up; all come out in order."""
    where: list[str] = []

    def notes(frame: Frame) -> Frame:
        where.append(task_name())
        return frame

    async with memory_session(params(serializer=ManyAtOnce(100))) as (session, peer):
        peer.serializer = JSONFrameSerializer()
        async with running(session, notes):
            for turn in range(2):
                await peer.send_raw(f"{turn}")
                await trio.sleep(0.1)
    assert where == (["receive"] * 4 + ["input"] * 96) * 2
    assert peer.recorder.of(TextFrame) == [TextFrame(text=f"{turn} {n}") for turn in range(2) for n in range(100)]


async def test_too_many_frames_in_a_message_end_the_session_as_ever(autojump_clock: MockClock) -> None:
    """A thousand unread are the bound: what few pass at once do not change that."""
    for _ in range(2):
        async with memory_session(params(serializer=ManyAtOnce(2000))) as (session, peer):
            peer.serializer = JSONFrameSerializer()
            async with running(session, lambda frame: None):
                await peer.send_raw("x")
                closed = await peer.wait_closed()
        assert (closed.code, closed.reason) == (1008, "1024 frames wait unread by the handler")


async def test_a_slow_function_is_left_to_the_tasks_for_a_while(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There others have their turn between two frames. A quick one passes at once again afterwards."""
    monkeypatch.setattr(at_once, "SLOW_S", 0.02)
    now_s, steps_s = 100.0, [0.0]
    monkeypatch.setattr(at_once, "perf_counter", lambda: now_s)
    where: list[str] = []

    def works(frame: Frame) -> None:
        nonlocal now_s
        where.append(task_name())
        now_s += steps_s[0]

    async with memory_session(params()) as (session, peer), running(session, works):
        for _ in range(2):
            for step_s, passed_s in ((0.001, 0.0), (0.03, 0.0), (0.03, 0.0), (0.001, 0.0), (0.001, 1.0)):
                now_s += passed_s
                steps_s[0] = step_s
                await peer.send(TextFrame(text="work"))
                await trio.sleep(0.01)
    assert where == ["receive", "receive", "input", "input", "receive"] * 2


async def test_frames_pass_at_once_on_each_new_connection(autojump_clock: MockClock) -> None:
    """And what was said meanwhile is not lost: the run goes on from one connection to the next."""
    line, where = Line(redial_s=0.05), list[str]()

    def notes(frame: Frame) -> Frame:
        where.append(task_name())
        return frame

    async with on_a_line(line, reconnecting()) as (session, _, _), running(session, notes):
        for n in range(3):
            for text in ("one", "two"):
                await line.peers[n].send(TextFrame(text=f"{text} {n}"))
                await line.peers[n].send(audio(1))
                await trio.sleep(0.1)
            assert [frame.text for frame in line.peers[n].recorder.of(TextFrame)] == [f"one {n}", f"two {n}"]
            if n < 2:
                line.peers[n].drop()
                await trio.sleep(1)
    assert where.count("receive") >= 3 * 2


async def test_two_that_read_one_input_lose_nothing(autojump_clock: MockClock) -> None:
    """Each frame goes to one of them, as of any channel."""
    first, second = list[Frame](), list[Frame]()
    async with (
        memory_session(params()) as (session, peer),
        running(session, first.append),
        running(session, second.append),
    ):
        for n in range(20):
            await peer.send(TextFrame(text=str(n)))
            if n % 3 == 0:
                await trio.sleep(0.01)
    heard = sorted((*first, *second), key=lambda frame: int(frame.text))  # type: ignore[union-attr]
    assert heard == [TextFrame(text=str(n)) for n in range(20)]


@final
@define(eq=False)
class Answering:
    """A dialect that owes an answer to each message."""

    _owed: list[Message] = field(factory=list)
    _json: JSONFrameSerializer = field(factory=JSONFrameSerializer)
    audio_format: None = None

    def encode(self, frame: Frame) -> Sequence[Message]:
        return self._json.encode(frame)

    def decode(self, message: Message) -> Sequence[Frame]:
        self._owed.append(self._json.encode(TextFrame(text="owed"))[0])
        return self._json.decode(message)

    def replies(self) -> Sequence[Message]:
        owed, self._owed = self._owed, []
        return owed


@pytest.mark.parametrize("sends_now", [False, True])
async def test_what_the_dialect_owes_goes_ahead_of_what_a_function_says(
    autojump_clock: MockClock, sends_now: bool
) -> None:
    """As it does where a task calls the function."""
    settings = params(serializer=Answering)
    async with memory_session(settings, sends_now=sends_now) as (session, peer), running(session, lambda frame: frame):
        for n in range(2):
            await peer.send(TextFrame(text=str(n)))
            await trio.sleep(0.1)
    assert [frame.text for frame in peer.recorder.of(TextFrame)] == ["owed", "0", "owed", "1"]


@final
@define(eq=False)
class Pausing:
    """A dialect whose peer asks for a pause by a message that the functions are given too."""

    is_paused: bool = field(default=False, init=False)
    _json: JSONFrameSerializer = field(factory=JSONFrameSerializer)
    audio_format: None = None

    def encode(self, frame: Frame) -> Sequence[Message]:
        return self._json.encode(frame)

    def decode(self, message: Message) -> Sequence[Frame]:
        frames = self._json.decode(message)
        for frame in frames:
            if isinstance(frame, TextFrame):
                self.is_paused = frame.text == "pause"
        return frames


@pytest.mark.parametrize("sends_now", [False, True])
async def test_a_pause_has_begun_when_a_function_is_told_of_it(autojump_clock: MockClock, sends_now: bool) -> None:
    """No audio that it answers with leaves in the pause; it does afterwards."""
    settings = params(serializer=Pausing)

    def speaks(frame: Frame) -> Frame | None:
        where.append(task_name())
        return audio(7) if isinstance(frame, TextFrame) else None

    where: list[str] = []
    async with memory_session(settings, sends_now=sends_now) as (session, peer), running(session, speaks):
        peer.serializer = JSONFrameSerializer()
        for n in range(1, 3):
            await peer.send(TextFrame(text="pause"))
            await trio.sleep(0.1)
            assert len(peer.recorder.audio) == 2 * (n - 1) * 640
            await peer.send(TextFrame(text="go on"))
            await trio.sleep(1)
            assert len(peer.recorder.audio) == 2 * n * 640
    assert where.count("receive") >= 4


@pytest.mark.parametrize("breaks", [False, True])
async def test_nothing_is_kept_of_a_run_that_is_over(autojump_clock: MockClock, breaks: bool) -> None:
    """A session may go on for hours after it: its functions, and what they hold, are let go."""
    async with memory_session(params()) as (session, peer):
        for _ in range(2):
            watch = Held(breaks)
            kept = weakref.ref(watch)
            try:
                async with running(session, watch):
                    await peer.send(TextFrame(text="passes"))
                    await trio.sleep(0.1)
            except* ZeroDivisionError:
                assert breaks
            assert watch.tasks == ["receive"]
            del watch
            gc.collect()
            assert kept() is None


@final
@define(eq=False)
class Held:
    """A function that holds something."""

    _breaks: bool
    tasks: list[str] = field(factory=list, init=False)

    def __call__(self, frame: Frame) -> None:
        self.tasks.append(task_name())
        if self._breaks:
            raise ZeroDivisionError


async def test_a_drain_waits_for_what_passed(autojump_clock: MockClock) -> None:
    """Audio that came too early for its time is queued, and drained."""
    async with memory_session(params()) as (session, peer), running(session, lambda frame: frame):
        for _ in range(2):
            began_s = trio.current_time()
            for sample in range(10):
                await peer.send(audio(1 + sample))
            await trio.sleep(0.001)
            await session.output.drain()
            assert trio.current_time() - began_s == pytest.approx(0.18, abs=0.01)
            await trio.sleep(1)
    assert len(peer.recorder.audio) == 2 * 10 * 640


async def test_an_interruption_of_the_callers_own_finds_nothing_left(autojump_clock: MockClock) -> None:
    """``output.interrupt`` beside the pipeline drops what passed and has not left."""
    async with memory_session(params()) as (session, peer), running(session, lambda frame: frame):
        for _ in range(2):
            for sample in range(10):
                await peer.send(audio(1 + sample))
            await trio.sleep(0.05)
            await session.output.interrupt()
            await trio.sleep(1)
    assert len(peer.recorder.of(InterruptionFrame)) == 2
    assert len(peer.recorder.audio) == 2 * 3 * 640
