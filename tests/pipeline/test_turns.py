"""What is of the old turn, and how a call ends from inside a pipeline."""

import logging
from collections import Counter
from collections.abc import Iterator

import pytest
import trio
from attrs import define, field
from attrs import evolve as replace
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_transports.frames import (
    AudioFrame,
    CancelFrame,
    DTMFFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    Played,
    TextFrame,
    TranscriptionFrame,
    UserStartedSpeakingFrame,
)
from trio_transports.pipeline import Pipeline, Stage, per_turn

Receive = trio.abc.ReceiveChannel[Frame]
Send = trio.abc.SendChannel[Frame]


def speech(number: int) -> AudioFrame:
    return AudioFrame(audio=number.to_bytes(2, "little") * 320, sample_rate=16000)


@define(eq=False)
class Sink(trio.abc.SendChannel[Frame]):
    """An output that writes down what it gets and when, and counts what was dropped on the way to it."""

    frames: list[Frame] = field(factory=list)
    times_s: list[float] = field(factory=list)
    dropped: "Counter[str]" = field(factory=Counter)
    takes_s: float = 0.0

    async def send(self, value: Frame) -> None:
        await trio.sleep(self.takes_s)
        self.frames.append(value)
        self.times_s.append(trio.current_time())

    def _count_dropped(self, frame: Frame) -> None:
        self.dropped[type(frame).__name__] += 1

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()

    @property
    def texts(self) -> list[str]:
        return [frame.text for frame in self.frames if isinstance(frame, TextFrame)]


async def copy(input: Receive, output: Send) -> None:  # noqa: A002
    async for frame in input:
        await output.send(frame)


async def llm(input: Receive, output: Send) -> None:  # noqa: A002
    """Five words to each question, one each 0.1 s: written as everybody writes it first."""
    async for frame in input:
        if isinstance(frame, TranscriptionFrame):
            for n in range(5):
                await output.send(TextFrame(text=f"{frame.text} {n}"))
                await trio.sleep(0.1)
        else:
            await output.send(frame)


async def tts(input: Receive, output: Send) -> None:  # noqa: A002
    """A second of work for each text."""
    async for frame in input:
        if isinstance(frame, TextFrame):
            await trio.sleep(1)
        await output.send(frame)


async def turn_of_llm(frame: Frame, output: Send) -> None:
    if isinstance(frame, TranscriptionFrame):
        for n in range(5):
            await output.send(TextFrame(text=f"{frame.text} {n}"))
            await trio.sleep(0.1)
    else:
        await output.send(frame)


@pytest.mark.parametrize("talks", [llm, per_turn(turn_of_llm)])
@pytest.mark.parametrize("barge_ins", [1, 2, 3])
async def test_a_streaming_bot_forgets_its_old_answer(talks: Stage, barge_ins: int, autojump_clock: MockClock) -> None:
    """HAZARDS 50, once, twice and three times: after a barge-in nothing of the old answer is spoken, all of the new."""
    feed, source = trio.open_memory_channel[Frame](100)
    sink = Sink()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Pipeline([talks, tts], allow_interruptions=True).run, source, sink)
        for turn in range(barge_ins):
            await feed.send(TranscriptionFrame(text=f"old{turn}"))
            await trio.sleep(0.15)
            await feed.send(UserStartedSpeakingFrame())
        await feed.send(TranscriptionFrame(text="new"))
        feed.close()
    assert sink.texts == [f"new {n}" for n in range(5)]
    assert sum(isinstance(frame, InterruptionFrame) for frame in sink.frames) == barge_ins
    assert sum(isinstance(frame, UserStartedSpeakingFrame) for frame in sink.frames) == barge_ins
    assert sink.dropped["TextFrame"] >= barge_ins


async def test_per_turn_works_no_more_for_the_old_turn(autojump_clock: MockClock) -> None:
    """The call under way is cancelled at the interruption, which is what the handler is called with next."""
    calls: list[object] = []

    async def handle(frame: Frame, output: Send) -> None:
        calls.append((trio.current_time() - began_s, type(frame).__name__))
        try:
            if isinstance(frame, TranscriptionFrame):
                await trio.sleep(60)
        except trio.Cancelled:
            calls.append((trio.current_time() - began_s, "cancelled"))
            with trio.CancelScope(shield=True):
                await output.send(TextFrame(text="too late"))
            raise

    began_s = trio.current_time()
    feed, source = trio.open_memory_channel[Frame](100)
    sink = Sink()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Pipeline([per_turn(handle)]).run, source, sink)
        for second in (1, 2, 3):
            await feed.send(TranscriptionFrame(text="question"))
            await trio.sleep_until(began_s + second)
            await feed.send(InterruptionFrame())
        feed.close()
    expected: list[object] = []
    for second in (1, 2, 3):
        expected += [
            (second - 1, "TranscriptionFrame"),
            (second, "cancelled"),
            (second, "InterruptionFrame"),
        ]
    assert calls == expected
    assert sink.texts == []
    assert sink.dropped == {"TextFrame": 3}


async def test_per_turn_loses_no_fact(autojump_clock: MockClock) -> None:
    """A fact passed on at once is not lost to an interruption, however full the next link is."""

    async def stuck(input: Receive, output: Send) -> None:  # noqa: A002
        await trio.sleep(5)
        await copy(input, output)

    async def handle(frame: Frame, output: Send) -> None:
        await output.send(frame)

    feed, source = trio.open_memory_channel[Frame](1000)
    sink = Sink()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Pipeline([per_turn(handle), stuck], max_queued_frames=1).run, source, sink)
        for n in range(40):
            await feed.send(UserStartedSpeakingFrame(at_s=n))
            if n % 3 == 0:
                await feed.send(InterruptionFrame())
            await trio.sleep(0.01)
        feed.close()
    assert [frame.at_s for frame in sink.frames if isinstance(frame, UserStartedSpeakingFrame)] == list(range(40))


async def test_per_turn_says_its_goodbye_to_the_end(autojump_clock: MockClock) -> None:
    """Interruptions, several of them, cancel no call for an EndFrame: the other side would be left on the line."""

    async def hangs_up(input: Receive, output: Send) -> None:  # noqa: A002
        await output.send(EndFrame(reason="goodbye"))
        await copy(input, output)

    async def handle(frame: Frame, output: Send) -> None:
        if isinstance(frame, EndFrame):
            await trio.sleep(1)
        await output.send(frame)

    feed, source = trio.open_memory_channel[Frame](100)
    sink = Sink()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Pipeline([hangs_up, per_turn(handle)]).run, source, sink)
        for _ in range(3):
            await trio.sleep(0.1)
            await feed.send(InterruptionFrame())
        await trio.sleep(5)
        assert sink.frames[-1] == EndFrame(reason="goodbye")
        feed.close()


def test_per_turn_refuses_what_it_cannot_call() -> None:
    """A handler of one argument, or a plain function, is a TypeError where the stage is made."""

    async def one(frame: Frame) -> None: ...

    with pytest.raises(TypeError, match=r"called with \(frame, output\)"):
        per_turn(one)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="async def handle"):
        per_turn(lambda frame, output: None)  # type: ignore[arg-type, return-value]


async def test_per_turn_needs_a_pipeline() -> None:
    """Outside a pipeline nothing could tell it of an interruption."""
    _, source = trio.open_memory_channel[Frame](0)
    with pytest.raises(TypeError, match="make it a stage of a Pipeline"):
        await per_turn(turn_of_llm)(source, Sink())


async def test_a_pipeline_in_a_pipeline_interrupts_once(autojump_clock: MockClock) -> None:
    """What the inner one passes on is not a second interruption for the outer: the new turn is not dropped."""
    inner = Pipeline([copy, copy])
    feed, source = trio.open_memory_channel[Frame](100)
    sink = Sink(takes_s=0.05)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Pipeline([copy, inner.run, tts]).run, source, sink)
        for turn in range(3):
            await feed.send(TextFrame(text="old"))
            await trio.sleep(0.5)
            await feed.send(InterruptionFrame())
            await feed.send(TextFrame(text=f"new {turn}"))
            await trio.sleep(3)
        feed.close()
    assert sink.texts == ["new 0", "new 1", "new 2"]
    assert sum(isinstance(frame, InterruptionFrame) for frame in sink.frames) == 3


# How it ends


def on_bye(frame: Frame) -> Frame | Iterator[Frame]:
    if isinstance(frame, TextFrame) and frame.text == "bye":
        frames: list[Frame] = [TextFrame(text="goodbye"), EndFrame(), TextFrame(text="after")]
        return iter(frames)
    return frame


async def stage_on_bye(input: Receive, output: Send) -> None:  # noqa: A002
    async for frame in input:
        await output.send(frame)
        if isinstance(frame, TextFrame):
            await output.send(EndFrame())
            await output.send(TextFrame(text="after"))


@pytest.mark.parametrize(
    "stages",
    [[on_bye], [on_bye, copy], [copy, on_bye], [copy, on_bye, copy], [stage_on_bye], [copy, stage_on_bye, copy]],
)
async def test_an_end_is_the_last_frame(stages: list[Stage], autojump_clock: MockClock) -> None:
    """HAZARDS 49: what follows an EndFrame is dropped, not an error, and run returns though the input goes on."""
    feed, source = trio.open_memory_channel[Frame](100)
    sink = Sink()
    await feed.send(TextFrame(text="bye"))
    await feed.send(TextFrame(text="still there?"))
    with trio.fail_after(1):
        await Pipeline(stages).run(source, sink)
    assert sink.frames[-1] == EndFrame()
    assert sink.texts in (["goodbye"], ["bye"])
    assert sink.dropped["TextFrame"] >= 1


async def test_who_said_goodbye_may_go_on_working(autojump_clock: MockClock) -> None:
    """Frames sent after one's own EndFrame are dropped, before it was delivered and after, and nothing is raised."""
    saved = False

    async def says_bye(input: Receive, output: Send) -> None:  # noqa: A002
        nonlocal saved
        await output.send(EndFrame())
        for _ in range(4):
            await output.send(TextFrame(text="after"))
            await trio.sleep(1)
        saved = True

    _feed, source = trio.open_memory_channel[Frame](100)
    sink = Sink(takes_s=1.5)
    await Pipeline([says_bye, copy]).run(source, sink)
    assert saved
    assert sink.frames == [EndFrame()]
    assert sink.dropped == {"TextFrame": 4}


async def test_an_end_is_said_whatever_interrupts(autojump_clock: MockClock) -> None:
    """An interruption while the last frame is being sent neither stops it nor repeats it."""
    feed, source = trio.open_memory_channel[Frame](100)
    sink = Sink(takes_s=2)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Pipeline([copy]).run, source, sink)
        await feed.send(EndFrame())
        for _ in range(2):
            await trio.sleep(0.5)
            await feed.send(InterruptionFrame())
    assert sink.frames == [EndFrame()]


async def test_a_stage_may_finish_its_work_after_the_end(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """There is time to save what was recorded; one that never comes back is cancelled, and named."""
    saved = False

    async def saves(input: Receive, output: Send) -> None:  # noqa: A002
        nonlocal saved
        async for frame in input:
            await output.send(frame)
        await trio.sleep(5)
        saved = True

    async def hangs(input: Receive, output: Send) -> None:  # noqa: A002
        await trio.sleep_forever()

    async def says_bye(input: Receive, output: Send) -> None:  # noqa: A002
        await output.send(EndFrame())

    _feed, source = trio.open_memory_channel[Frame](100)
    sink = Sink()
    began_s = trio.current_time()
    with caplog.at_level(logging.WARNING):
        await Pipeline([saves, says_bye]).run(source, sink)
    assert saved
    assert not caplog.records
    assert trio.current_time() - began_s == pytest.approx(5)
    with caplog.at_level(logging.WARNING):
        await Pipeline([hangs, says_bye], end_grace_secs=3).run(source, sink)
    assert trio.current_time() - began_s == pytest.approx(8)
    assert "cancelled 3 s after the end, still working: " in caplog.text
    assert "hangs" in caplog.text
    assert sink.frames == [EndFrame(), EndFrame()]


@pytest.mark.parametrize("place", ["input", "first function", "stage", "last function"])
async def test_a_cancellation_overtakes_everything(place: str, autojump_clock: MockClock) -> None:
    """It is sent at once, past a stage that reads nothing and an output that takes its time, and all is over."""
    cancelled: list[str] = []

    async def hangs(input: Receive, output: Send) -> None:  # noqa: A002
        try:
            await trio.sleep_forever()
        finally:
            cancelled.append("hangs")

    async def cancels(input: Receive, output: Send) -> None:  # noqa: A002
        async for frame in input:
            await output.send(TextFrame(text="never said"))
            await output.send(CancelFrame(reason="now") if isinstance(frame, DTMFFrame) else frame)
            await output.send(TextFrame(text="after"))

    def on_digit(frame: Frame) -> Frame | None:
        return CancelFrame(reason="now") if isinstance(frame, DTMFFrame) else None

    stages: list[Stage] = {
        "input": [hangs],
        "first function": [on_digit, hangs],
        "stage": [cancels, hangs],
        "last function": [copy, on_digit],
    }[place]  # type: ignore[assignment]
    feed, source = trio.open_memory_channel[Frame](100)
    sink = Sink(takes_s=1)
    await feed.send(TextFrame(text="first"))
    await feed.send(CancelFrame(reason="now") if place == "input" else DTMFFrame(digit="0"))
    with trio.fail_after(2):
        await Pipeline(stages).run(source, sink)
    assert sink.frames == [CancelFrame(reason="now")]
    assert cancelled == (["hangs"] if hangs in stages else [])


async def test_a_cancellation_does_not_wait_for_the_goodbye(autojump_clock: MockClock) -> None:
    """While the end is being said, which may take long, a cancellation ends it at once."""
    feed, source = trio.open_memory_channel[Frame](100)
    sink = Sink(takes_s=60)
    began_s = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Pipeline([]).run, source, sink)
        await feed.send(EndFrame())
        await trio.sleep(1)
        sink.takes_s = 0
        await feed.send(CancelFrame())
    assert sink.frames == [CancelFrame()]
    assert trio.current_time() - began_s == pytest.approx(1)


async def test_what_is_dropped_is_counted(autojump_clock: MockClock) -> None:
    """By kind: content an interruption took, audio that came too fast, what was left at the end."""

    async def stuck(input: Receive, output: Send) -> None:  # noqa: A002
        await trio.sleep(1)

    feed, source = trio.open_memory_channel[Frame](1000)
    sink = Sink()
    for n in range(100):
        await feed.send(speech(n))
    await feed.send(TextFrame(text="old"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Pipeline([stuck], audio_max_queue_secs=1.0).run, source, sink)
        await wait_all_tasks_blocked()
        assert sink.dropped == {"AudioFrame": 50}
        await feed.send(InterruptionFrame())
        await wait_all_tasks_blocked()
        assert sink.dropped == {"AudioFrame": 100, "TextFrame": 1}
        await feed.send(TextFrame(text="never read"))
    assert sink.dropped == {"AudioFrame": 100, "TextFrame": 2}


@define(eq=False)
class TellingSink(Sink):
    """An output that knows what was heard."""

    playback: dict[str, Played] = field(factory=dict)


async def test_an_interruption_tells_what_was_heard(autojump_clock: MockClock) -> None:
    """What the output knows at that moment, to every stage; a stage can ask at any moment, in an inner pipeline too."""
    cut = Played(utterance="u", seconds=1.0, sent_seconds=2.0)
    over = Played(utterance="old", seconds=1.0, sent_seconds=1.0, is_complete=True, is_over=True)
    seen: list[tuple[Played, ...]] = []
    asked: list[object] = []

    async def watch(frame: Frame, output: Send) -> None:
        if isinstance(frame, InterruptionFrame):
            seen.append(frame.heard)
            asked.append(output.playback)  # type: ignore[attr-defined]

    feed, source = trio.open_memory_channel[Frame](100)
    sink = TellingSink()
    inner = Pipeline([per_turn(watch)])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Pipeline([inner.run], allow_interruptions=True).run, source, sink)
        sink.playback = {"old": over, "u": cut}
        await feed.send(UserStartedSpeakingFrame())
        await trio.sleep(1)
        sink.playback = {}
        await feed.send(UserStartedSpeakingFrame())
        await trio.sleep(1)
        told = (replace(cut, seconds=1.5),)
        await feed.send(InterruptionFrame(heard=told))
        feed.close()
    assert seen == [(cut,), (), told]
    assert asked[0] == {"old": over, "u": cut}
    with pytest.raises(AttributeError, match="does not know what was heard"):
        await Pipeline([per_turn(watch)]).run(_one(InterruptionFrame()), Sink())


def _one(frame: Frame) -> trio.MemoryReceiveChannel[Frame]:
    feed, source = trio.open_memory_channel[Frame](1)
    feed.send_nowait(frame)
    feed.close()
    return source
