"""Stages joined by channels: what is a stage, order, bounds."""

import logging
from collections.abc import Iterator
from functools import partial

import pytest
import trio

from tests.pipeline.bench import Bench, Receive, Send, audio, copy, numbers, through
from trio_transports.frames import (
    AudioFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    StartFrame,
    TextFrame,
)
from trio_transports.pipeline import Pipeline, Stage
from trio_transports.pipeline.link import StageLink


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


async def test_live_frames_with_next_to_nothing_in_them_are_bounded() -> None:
    """Each counts as a millisecond at least, also after an interruption that some of them outlive."""
    dropped: list[Frame] = []
    link = StageLink(4, None, dropped.append)
    for says_to_the_end in (False, True):
        tiny = AudioFrame(audio=b"\1\0", sample_rate=768_000, interruptible=not says_to_the_end)
        for _ in range(10_000):
            await link.put_live(tiny, 5.0)
        assert len(link.frames) <= 5000
    link.interrupt(InterruptionFrame())
    await link.put_live(AudioFrame(audio=b"", sample_rate=16_000), 5.0)
    assert len(link.frames) == 5000
    assert len(dropped) == 15_001


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
