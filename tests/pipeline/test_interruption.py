"""An interruption on its way through a pipeline: what it overtakes, what it drops, who can make one."""

from itertools import zip_longest

import trio
from attrs import evolve as replace

from tests.pipeline.bench import Bench, Receive, Send, audio, copy
from trio_transports.frames import (
    AudioFrame,
    DTMFFrame,
    Frame,
    InterruptionFrame,
    MarkFrame,
    MessageFrame,
    TextFrame,
    UserStartedSpeakingFrame,
)
from trio_transports.pipeline import Pipeline


async def test_an_interruption_is_seen_behind_frames_that_are_not_audio() -> None:
    """Audio that waits for a stuck stage takes no room from others, so they do not hold up what follows them."""

    async def stuck(input: Receive, output: Send) -> None:  # noqa: A002
        await trio.sleep_forever()

    bench = Bench()
    frames: list[Frame] = [*map(audio, range(100)), TextFrame(text="a"), TextFrame(text="b"), InterruptionFrame()]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Pipeline([stuck], max_queued_frames=2).run, bench.source, bench.sink)
        for frame in frames:
            await bench.feed.send(frame)
        await bench.settle()
        assert bench.received() == [InterruptionFrame()]
        for text in ("a", "b", "one too many"):
            await bench.feed.send(TextFrame(text=text))
        await bench.feed.send(InterruptionFrame())
        await bench.settle()
        assert bench.received() == []
        nursery.cancel_scope.cancel()


async def test_an_interruption_overtakes_what_is_queued_and_ends_its_turn() -> None:
    """What a stage reads next is the interruption; queued content is gone, facts and the like stay behind, in order."""
    gate = trio.Event()

    async def stuck(input: Receive, output: Send) -> None:  # noqa: A002
        await gate.wait()
        await copy(input, output)

    bench = Bench()
    kept: list[Frame] = [
        TextFrame(text="the law wants this said", interruptible=False),
        replace(audio(7), interruptible=False),
        DTMFFrame(digit="1"),
        UserStartedSpeakingFrame(at_s=1.0),
        MessageFrame(message="urgent", urgent=True),
    ]
    dropped: list[Frame] = [audio(1), TextFrame(text="a"), MarkFrame(mark="m"), MessageFrame(message=1)]
    mixed = [frame for pair in zip_longest(dropped, kept) for frame in pair if frame is not None]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Pipeline([stuck]).run, bench.source, bench.sink)
        for frame in (*mixed, InterruptionFrame(), audio(3)):
            await bench.feed.send(frame)
        await bench.settle()
        gate.set()
        bench.feed.close()
    # The output's task has no queue in front of it here: it hears of the interruption at once, and once only.
    assert bench.received() == [InterruptionFrame(), *kept, audio(3)]


async def test_an_interruption_does_not_wait_for_a_stuck_stage() -> None:
    """It reaches the output at once, though a stage in between reads nothing and another is blocked sending."""
    stale_sent = trio.Event()

    async def talker(input: Receive, output: Send) -> None:  # noqa: A002
        for n in range(100):
            await output.send(audio(n))
        stale_sent.set()
        async for frame in input:
            await output.send(frame)
            if isinstance(frame, InterruptionFrame):
                await output.send(audio(1000))

    bench = Bench(room=3)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Pipeline([talker], max_queued_frames=5).run, bench.source, bench.sink)
        await bench.settle()
        assert not stale_sent.is_set()
        await bench.feed.send(InterruptionFrame())
        await bench.settle()
        assert stale_sent.is_set()
        frames = bench.received()
        await bench.settle()
        frames += bench.received()
        assert frames == [audio(0), audio(1), audio(2), InterruptionFrame(), audio(1000)]
        bench.feed.close()


async def test_what_is_sent_before_the_interruption_was_read_is_dropped() -> None:
    """A stage that goes on talking with an interruption waiting at its input is not heard; the facts it tells are."""
    go = trio.Event()

    async def late(input: Receive, output: Send) -> None:  # noqa: A002
        await go.wait()
        await output.send(audio(1))
        await output.send(TextFrame(text="old"))
        await output.send(DTMFFrame(digit="1"))
        await output.send(TextFrame(text="kept", interruptible=False))
        assert isinstance(await input.receive(), InterruptionFrame)
        await output.send(audio(3))

    bench = Bench()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Pipeline([late]).run, bench.source, bench.sink)
        await bench.feed.send(InterruptionFrame())
        await bench.settle()
        go.set()
    assert bench.received() == [
        InterruptionFrame(),
        DTMFFrame(digit="1"),
        TextFrame(text="kept", interruptible=False),
        audio(3),
    ]


async def test_a_frame_blocked_at_the_output_is_overtaken() -> None:
    """An interruption passes what waits for room in the output: a fact follows it, content is gone."""
    for waiting, follows in ((DTMFFrame(digit="1"), True), (TextFrame(text="old"), False)):
        bench = Bench(room=0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Pipeline([copy]).run, bench.source, bench.sink)
            await bench.feed.send(waiting)
            await bench.settle()
            await bench.feed.send(InterruptionFrame())
            await bench.feed.send(TextFrame(text="new"))
            await bench.settle()
            assert await bench.out.receive() == InterruptionFrame()
            if follows:
                assert await bench.out.receive() == waiting
            assert await bench.out.receive() == TextFrame(text="new")
            bench.feed.close()


async def test_interruptions_are_told_apart_by_when_not_by_what() -> None:
    """One object sent twice is two interruptions; passing one on through five stages is still one."""
    bench = Bench()
    again = InterruptionFrame()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Pipeline([copy, lambda f: f, copy, copy, copy]).run, bench.source, bench.sink)
        for _ in range(3):
            await bench.feed.send(again)
            await bench.settle()
        bench.feed.close()
    assert bench.received() == [again, again, again]


async def test_a_stage_can_interrupt() -> None:
    """An interruption that a stage makes affects what comes after it, not what comes before."""
    seen: list[Frame] = []
    gate = trio.Event()

    def before(frame: Frame) -> Frame:
        seen.append(frame)
        return frame

    async def interrupts(input: Receive, output: Send) -> None:  # noqa: A002
        async for frame in input:
            await output.send(frame)
            if frame == TextFrame(text="stop"):
                await output.send(InterruptionFrame())

    async def stuck(input: Receive, output: Send) -> None:  # noqa: A002
        await gate.wait()
        await copy(input, output)

    bench = Bench()
    frames: list[Frame] = [audio(1), audio(2), TextFrame(text="stop"), audio(3)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Pipeline([before, copy, interrupts, stuck]).run, bench.source, bench.sink)
        for frame in frames:
            await bench.feed.send(frame)
        await bench.settle()
        gate.set()
        bench.feed.close()
    assert seen == frames
    assert bench.received() == [InterruptionFrame(), audio(3)]


async def test_functions_see_interruptions_but_cannot_hold_them() -> None:
    """A function may answer an interruption with frames of its own; the interruption goes on in any case."""

    def only_audio(frame: Frame) -> Frame | None:
        return frame if isinstance(frame, AudioFrame) else None

    def answer(frame: Frame) -> Frame:
        return MessageFrame(message="sorry") if isinstance(frame, InterruptionFrame) else frame

    for stages in ([only_audio, answer], [only_audio, copy, answer], [copy, only_audio, answer, copy]):
        bench = Bench()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Pipeline(stages).run, bench.source, bench.sink)  # type: ignore[arg-type]
            await bench.feed.send(InterruptionFrame())
            await bench.settle()
            bench.feed.close()
        assert bench.received() == [InterruptionFrame(), MessageFrame(message="sorry")], stages


async def test_speech_interrupts_when_it_is_allowed_to() -> None:
    """The interruption comes before the frame that caused it; functions see both; without leave there is none."""
    seen: list[Frame] = []

    def watch(frame: Frame) -> Frame:
        seen.append(frame)
        return frame

    speech = UserStartedSpeakingFrame(at_s=1.0)
    for is_allowed, expected in ((True, [InterruptionFrame(), speech]), (False, [speech])):
        seen.clear()
        bench = Bench()
        async with trio.open_nursery() as nursery:
            pipeline = Pipeline([watch, copy], allow_interruptions=is_allowed)
            nursery.start_soon(pipeline.run, bench.source, bench.sink)
            await bench.feed.send(speech)
            await bench.settle()
            bench.feed.close()
        assert seen == expected
        assert bench.received() == expected
