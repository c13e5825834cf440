"""What holds for any stages, any delays and any interruptions."""

from random import Random

import pytest
import trio
from trio.testing import MockClock

from trio_transports.frames import AudioFrame, Frame, InterruptionFrame, TextFrame, UserStartedSpeakingFrame
from trio_transports.pipeline import Pipeline, Stage

FRAMES = 300


def audio(number: int) -> AudioFrame:
    return AudioFrame(audio=number.to_bytes(2, "little"), sample_rate=16000)


def number_of(frame: Frame) -> int:
    match frame:
        case AudioFrame(audio=pcm):
            return int.from_bytes(pcm, "little")
        case TextFrame(text=text):
            return int(text)
        case InterruptionFrame(id=number):
            return number
        case _:
            raise AssertionError(frame)


class Slow:
    """An async stage that takes its time around each frame, and sometimes gives up waiting and tries again."""

    def __init__(self, random: Random) -> None:
        self.random = random

    async def __call__(self, input: trio.abc.ReceiveChannel[Frame], output: trio.abc.SendChannel[Frame]) -> None:  # noqa: A002
        while True:
            with trio.move_on_after(self.random.choice((0.001, 0.05, 10))) as patience:
                try:
                    frame = await input.receive()
                except trio.EndOfChannel:
                    return
            if patience.cancelled_caught:
                continue
            await trio.sleep(self.random.choice((0, 0, 0.001, 0.03)))
            await output.send(frame)
            await trio.sleep(self.random.choice((0, 0, 0.002)))


class SlowSink(trio.abc.SendChannel[Frame]):
    """Room for one frame, taken at odd times; a cancelled send has sent nothing."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.frames: list[Frame] = []

    async def send(self, value: Frame) -> None:
        await trio.sleep(0 if isinstance(value, InterruptionFrame) else self.random.choice((0, 0.001, 0.02)))
        self.frames.append(value)

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


@pytest.mark.parametrize("seed", range(16))
async def test_nothing_older_follows_an_interruption(seed: int, autojump_clock: MockClock) -> None:
    """Content keeps its order and none from before follows an interruption; facts come all, once, in order."""
    random = Random(seed)
    kinds: list[Stage] = [Slow(random), lambda frame: frame, Slow(random), lambda frame: (frame,)]
    stages = [random.choice(kinds) for _ in range(random.randrange(5))]
    feed, source = trio.open_memory_channel[Frame](0)
    sink = SlowSink(random)
    pipeline = Pipeline(stages, max_queued_frames=random.choice((1, 3, 64)), audio_max_queue_secs=0.001)
    sent: list[Frame] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pipeline.run, source, sink)
        for number in range(FRAMES):
            frame: Frame = random.choices(
                (
                    audio(number),
                    TextFrame(text=str(number)),
                    UserStartedSpeakingFrame(at_s=number),
                    InterruptionFrame(id=number),
                ),
                (20, 4, 4, 1),
            )[0]
            sent.append(frame)
            await feed.send(frame)
            await trio.sleep(random.choice((0, 0, 0.001, 0.01)))
        feed.close()
    facts = [frame for frame in sink.frames if isinstance(frame, UserStartedSpeakingFrame)]
    assert facts == [frame for frame in sent if isinstance(frame, UserStartedSpeakingFrame)]
    told = [frame.id for frame in sink.frames if isinstance(frame, InterruptionFrame)]
    assert told == sorted(set(told))
    assert told[-1:] == [frame.id for frame in sent if isinstance(frame, InterruptionFrame)][-1:]
    latest = interrupted_at = -1
    for frame in sink.frames:
        if isinstance(frame, InterruptionFrame):
            interrupted_at = frame.id
        elif isinstance(frame, AudioFrame | TextFrame):
            assert number_of(frame) > latest
            latest = number_of(frame)
            assert latest > interrupted_at
