"""Stages joined by channels: order, bounds, interruption, endings and crashes."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import partial
from itertools import zip_longest

import pytest
import trio
from attrs import evolve as replace
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_transports.frames import (
    AudioFrame,
    DTMFFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    MarkFrame,
    MessageFrame,
    StartFrame,
    TextFrame,
    UserStartedSpeakingFrame,
)
from trio_transports.pipeline import FrameFunction, Pipeline, Stage

Receive = trio.abc.ReceiveChannel[Frame]
Send = trio.abc.SendChannel[Frame]


def audio(number: int, duration_ms: int = 20) -> AudioFrame:
    return AudioFrame(audio=number.to_bytes(2, "little") * (16 * duration_ms), sample_rate=16000)


def numbers(frames: Iterable[Frame]) -> list[int]:
    return [int.from_bytes(frame.audio[:2], "little") for frame in frames if isinstance(frame, AudioFrame)]


async def copy(input: Receive, output: Send) -> None:  # noqa: A002
    async for frame in input:
        await output.send(frame)


async def through(pipeline: Pipeline, frames: Iterable[Frame]) -> list[Frame]:
    """Run frames through, then end the input; give what came out."""
    frames = list(frames)
    feed, source = trio.open_memory_channel[Frame](len(frames))
    sink, out = trio.open_memory_channel[Frame](10_000)
    for frame in frames:
        feed.send_nowait(frame)
    feed.close()
    await pipeline.run(source, sink)
    sink.close()
    return [frame async for frame in out]


class Bench:
    """A running pipeline with its input and output at hand; the output holds ``room`` frames."""

    def __init__(self, room: float = 10_000) -> None:
        self.feed, self.source = trio.open_memory_channel[Frame](10_000)
        self.sink, self.out = trio.open_memory_channel[Frame](room)

    async def settle(self) -> None:
        await wait_all_tasks_blocked()

    def received(self) -> list[Frame]:
        frames: list[Frame] = []
        while True:
            try:
                frames.append(self.out.receive_nowait())
            except trio.WouldBlock:
                return frames


async def test_an_empty_pipeline_carries_everything() -> None:
    """No stages: what comes in goes out, in order."""
    frames: list[Frame] = [audio(1), TextFrame(text="a"), audio(2), EndFrame()]
    assert await through(Pipeline([]), frames) == frames


@pytest.mark.parametrize(
    "stages", [[copy], [copy, copy, copy], [lambda f: f], [copy, lambda f: f, copy], [lambda f: [f], copy]]
)
async def test_order_is_kept_through_any_mix_of_stages(stages: list[Stage]) -> None:
    """Frames leave in the order in which they came, whatever kind the stages are."""
    frames: list[Frame] = [audio(n) if n % 3 else TextFrame(text=str(n)) for n in range(200)]
    assert await through(Pipeline(stages, audio_max_queue_secs=None), frames) == frames


async def test_a_function_gives_none_one_or_several() -> None:
    """None drops the frame, a frame replaces it, an iterable (also a generator) multiplies it."""

    def none(frame: Frame) -> None:
        return None

    def one(frame: Frame) -> Frame:
        return TextFrame(text="one")

    def several(frame: Frame) -> Iterator[Frame]:
        yield frame
        yield TextFrame(text="more")

    assert await through(Pipeline([none]), [StartFrame()]) == []
    assert await through(Pipeline([one]), [StartFrame()]) == [TextFrame(text="one")]
    assert await through(Pipeline([several, several]), [StartFrame()]) == [
        StartFrame(),
        TextFrame(text="more"),
        TextFrame(text="more"),
        TextFrame(text="more"),
    ]


@pytest.mark.parametrize("result", ["text", 7, b"bytes", [EndFrame(), "x"]])
async def test_a_function_that_gives_no_frame_is_told(result: object) -> None:
    """A result that is no frame is a TypeError that names the function and what it gave."""

    def wrong(frame: Frame) -> object:
        return result

    with pytest.raises(TypeError, match=r"stage .*wrong gave .* for a EndFrame"):
        await through(Pipeline([wrong]), [EndFrame()])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        (7, "cannot be called"),
        (lambda: None, r"a plain function, which is called with \(frame\)"),
        (lambda a, b: None, r"a plain function, which is called with \(frame\)"),
    ],
)
def test_what_is_no_stage_is_refused_when_the_pipeline_is_made(stage: Stage, message: str) -> None:
    """A wrong stage is a TypeError at construction."""
    with pytest.raises(TypeError, match=message):
        Pipeline([stage])


def test_an_async_function_of_one_frame_and_an_async_generator_are_refused() -> None:
    """The two likely mistakes with async stages are named."""

    async def one(frame: Frame) -> None: ...

    async def generator(input: Receive, output: Send):  # type: ignore[no-untyped-def]  # noqa: A002, ANN202
        yield 1

    with pytest.raises(TypeError, match=r"is an async stage, which is called with \(input, output\)"):
        Pipeline([one])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="async generator"):
        Pipeline([generator])


@pytest.mark.parametrize(
    "settings", [{"max_queued_frames": 0}, {"audio_max_queue_secs": 0.0}, {"max_queued_frames": 1.5}]
)
def test_bounds_are_checked(settings: dict[str, float]) -> None:
    """A bound that bounds nothing is a ValueError that names it."""
    with pytest.raises(ValueError, match=next(iter(settings))):
        Pipeline([], **settings)  # type: ignore[arg-type]


async def test_objects_and_partials_are_stages() -> None:
    """A partial of an async function, an object with an async call, a bound method and a pipeline's run are stages."""

    class Tagger:
        async def __call__(self, input: Receive, output: Send) -> None:  # noqa: A002
            async for _ in input:
                await output.send(TextFrame(text="object"))

    class Shouter:
        def shout(self, frame: Frame) -> Frame:
            return TextFrame(text=frame.text.upper()) if isinstance(frame, TextFrame) else frame

    async def tagged(tag: str, input: Receive, output: Send) -> None:  # noqa: A002
        async for frame in input:
            await output.send(frame)
            await output.send(TextFrame(text=tag))

    inner = Pipeline([partial(tagged, "partial"), Shouter().shout])
    assert await through(Pipeline([Tagger(), inner.run]), [EndFrame()]) == [
        TextFrame(text="OBJECT"),
        TextFrame(text="PARTIAL"),
    ]


async def test_one_pipeline_serves_many_runs_at_once() -> None:
    """A pipeline keeps nothing of a run."""
    pipeline = Pipeline([copy, lambda frame: frame, copy])
    results: dict[int, list[Frame]] = {}

    async def one(n: int) -> None:
        results[n] = await through(pipeline, [audio(n)] * 20)

    async with trio.open_nursery() as nursery:
        for n in range(10):
            nursery.start_soon(one, n)
    assert {n: numbers(frames) for n, frames in results.items()} == {n: [n] * 20 for n in range(10)}


async def test_a_sender_waits_when_the_next_stage_is_behind() -> None:
    """A link holds max_queued_frames, and not one more."""
    sent = 0

    async def eager(input: Receive, output: Send) -> None:  # noqa: A002
        nonlocal sent
        for n in range(100):
            await output.send(TextFrame(text=str(n)))
            sent += 1

    async def stuck(input: Receive, output: Send) -> None:  # noqa: A002
        await trio.sleep_forever()

    bench = Bench()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Pipeline([eager, stuck], max_queued_frames=7).run, bench.source, bench.sink)
        await bench.settle()
        assert sent == 7
        nursery.cancel_scope.cancel()


async def test_live_input_is_always_read(caplog: pytest.LogCaptureFixture) -> None:
    """Behind a stuck stage the oldest audio goes, other frames stay, and one warning is given."""
    gate = trio.Event()

    async def stuck(input: Receive, output: Send) -> None:  # noqa: A002
        await gate.wait()
        await copy(input, output)

    bench = Bench()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Pipeline([stuck], audio_max_queue_secs=1.0).run, bench.source, bench.sink)
        await bench.feed.send(TextFrame(text="first"))
        for n in range(200):
            await bench.feed.send(audio(n))
        await bench.settle()
        gate.set()
        bench.feed.close()
    frames = bench.received()
    assert frames[0] == TextFrame(text="first")
    assert numbers(frames) == list(range(150, 200))
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "stuck]) is over 1 s of audio behind its input: the oldest is dropped" in warnings[0]


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


async def test_input_that_is_not_live_waits() -> None:
    """With audio_max_queue_secs=None nothing is lost to a slow output: the input waits."""
    bench = Bench(room=0)
    received: list[Frame] = []

    async def reader() -> None:
        async for frame in bench.out:
            received.append(frame)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(reader)
        for n in range(1000):
            bench.feed.send_nowait(audio(n))
        bench.feed.close()
        await Pipeline([copy], audio_max_queue_secs=None).run(bench.source, bench.sink)
        bench.sink.close()
    assert numbers(received) == list(range(1000))


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


async def test_a_stage_that_returns_early_ends_the_pipeline() -> None:
    """Its last words are delivered, stages before it are stopped, and run returns though the input goes on."""
    stopped = False

    async def ticker(input: Receive, output: Send) -> None:  # noqa: A002
        nonlocal stopped
        try:
            while True:
                await output.send(TextFrame(text="tick"))
                await trio.sleep(1)
        finally:
            stopped = True

    async def goodbye(input: Receive, output: Send) -> None:  # noqa: A002
        await input.receive()
        await output.send(TextFrame(text="goodbye"))

    bench = Bench()
    await Pipeline([ticker, goodbye]).run(bench.source, bench.sink)
    assert stopped
    assert bench.received() == [TextFrame(text="goodbye")]


async def test_a_stage_that_returns_early_ends_the_tasks_of_others() -> None:
    """The same, when it is a task of the stage before it that finds out; a crash beside that is still a crash."""
    crashes = False

    async def busy(input: Receive, output: Send) -> None:  # noqa: A002
        async def talk() -> None:
            try:
                while True:
                    await output.send(TextFrame(text="tick"))
            finally:
                if crashes:
                    raise KeyError("boom")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk)
            nursery.start_soon(talk)

    async def leaves(input: Receive, output: Send) -> None:  # noqa: A002
        await wait_all_tasks_blocked()

    bench = Bench()
    await Pipeline([busy, leaves]).run(bench.source, bench.sink)
    crashes = True
    with pytest.RaisesGroup(KeyError, KeyError):
        await Pipeline([busy, leaves]).run(bench.source, bench.sink)


async def test_a_stage_may_work_on_after_it_closed_its_output(autojump_clock: MockClock) -> None:
    """Closing the output ends the next stage; the pipeline waits for the work that is left."""
    is_saved = False

    async def recorder(input: Receive, output: Send) -> None:  # noqa: A002
        nonlocal is_saved
        async for frame in input:
            await output.send(frame)
        await output.aclose()
        await trio.sleep(5)
        is_saved = True

    assert await through(Pipeline([recorder, copy]), [audio(1)]) == [audio(1)]
    assert is_saved


async def test_closed_ends_are_errors_of_the_stage_that_closed_them() -> None:
    """Using an end after closing it is trio's ClosedResourceError."""

    async def receives(input: Receive, output: Send) -> None:  # noqa: A002
        await input.aclose()
        with pytest.raises(trio.ClosedResourceError):
            await input.receive()

    async def sends(input: Receive, output: Send) -> None:  # noqa: A002
        await output.aclose()
        with pytest.raises(trio.ClosedResourceError):
            await output.send(EndFrame())
        with pytest.raises(trio.ClosedResourceError):
            await output.send(InterruptionFrame())

    assert await through(Pipeline([receives]), []) == []
    assert await through(Pipeline([sends]), []) == []


def crash(frame: Frame) -> Frame:
    raise KeyError("boom")


async def crash_at_once(input: Receive, output: Send) -> None:  # noqa: A002
    raise KeyError("boom")


@pytest.mark.parametrize(
    "stages", [[crash], [copy, crash], [copy, crash, copy], [crash_at_once], [copy, crash_at_once, copy]]
)
async def test_a_crash_comes_out_as_itself(stages: list[Stage]) -> None:
    """The exception leaves run bare, without a group around it and without one in its context."""
    bench = Bench()
    await bench.feed.send(EndFrame())
    with pytest.raises(KeyError, match="boom") as caught:
        await Pipeline(stages).run(bench.source, bench.sink)
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None


async def test_a_failure_beside_a_cancellation_comes_out_as_itself() -> None:
    """An output that fails while the run is cancelled from outside is not hidden in a group, nor is a cancellation."""

    class FailsWhenCancelled(trio.abc.SendChannel[Frame]):
        async def send(self, value: Frame) -> None:
            scope.cancel()
            raise trio.BrokenResourceError("gone")

        async def aclose(self) -> None:
            await trio.lowlevel.checkpoint()

    async def waits(input: Receive, output: Send) -> None:  # noqa: A002
        await output.send(audio(1))
        await trio.sleep_forever()

    bench = Bench()
    with trio.CancelScope() as scope, pytest.raises(trio.BrokenResourceError, match="gone"):
        await Pipeline([waits, copy]).run(bench.source, FailsWhenCancelled())
    with trio.move_on_after(0.05) as scope:
        await Pipeline([waits, copy]).run(bench.source, bench.sink)
    assert scope.cancelled_caught


async def test_a_crash_cancels_the_others() -> None:
    """No stage outlives the pipeline."""
    cleaned: list[str] = []

    async def waits(name: str, input: Receive, output: Send) -> None:  # noqa: A002
        try:
            await trio.sleep_forever()
        finally:
            cleaned.append(name)

    async def crashes(input: Receive, output: Send) -> None:  # noqa: A002
        await trio.lowlevel.checkpoint()
        raise RuntimeError("down")

    bench = Bench()
    with pytest.raises(RuntimeError, match="down"):
        await Pipeline([partial(waits, "before"), crashes, partial(waits, "after")]).run(bench.source, bench.sink)
    assert sorted(cleaned) == ["after", "before"]


async def test_a_broken_resource_of_the_stage_itself_is_a_crash() -> None:
    """Only the pipeline's own broken link is an ending in good order."""

    async def broken(input: Receive, output: Send) -> None:  # noqa: A002
        raise trio.BrokenResourceError("my own connection")

    with pytest.raises(trio.BrokenResourceError, match="my own connection"):
        await through(Pipeline([broken, copy]), [])


async def test_an_output_that_fails_ends_the_pipeline_with_its_error() -> None:
    """What the output raises leaves run as itself."""
    bench = Bench()
    bench.out.close()
    await bench.feed.send(EndFrame())
    with pytest.raises(trio.BrokenResourceError):
        await Pipeline([copy]).run(bench.source, bench.sink)


@pytest.mark.parametrize("stages", [[], [lambda f: f], [copy], [copy, copy]])
async def test_cancelling_run_leaves_nothing(stages: list[FrameFunction | Callable[..., Awaitable[None]]]) -> None:
    """Cancelled, run ends at once and the channels it was given are still open."""
    bench = Bench(room=0)
    with trio.move_on_after(0.5) as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Pipeline(stages).run, bench.source, bench.sink)
            await bench.feed.send(audio(1))
            await bench.settle()
            scope.cancel()
    assert scope.cancelled_caught
    bench.source.close()
    bench.sink.close()


async def test_cancelling_a_receive_loses_nothing(autojump_clock: MockClock) -> None:
    """A stage that polls its input with a deadline gets every frame."""
    got: list[Frame] = []

    async def polls(input: Receive, output: Send) -> None:  # noqa: A002
        while len(got) < 50:
            with trio.move_on_after(0.001):
                got.append(await input.receive())

    bench = Bench()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Pipeline([polls]).run, bench.source, bench.sink)
        for n in range(50):
            await bench.feed.send(audio(n))
            await trio.sleep(0.0007)
    assert numbers(got) == list(range(50))
