"""How a pipeline ends: stages that return early, crashes, cancellation."""

from collections.abc import Awaitable, Callable
from functools import partial

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.pipeline.bench import Bench, Receive, Send, audio, copy, numbers, through
from trio_transports.frames import (
    EndFrame,
    Frame,
    InterruptionFrame,
    TextFrame,
)
from trio_transports.pipeline import FrameFunction, Pipeline, Stage


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
