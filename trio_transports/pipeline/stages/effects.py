"""What a voice goes through before it is heard: noise, a bad line, pauses. For testing how an agent copes with that.

Each is a stage for the caller's audio; the same ``seed`` gives the same call again. Audio alone is changed.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import trio
from attrs import evolve

from ...frames import AudioFrame, Frame
from ..stage import AsyncStage

Samples = npt.NDArray[np.float64]


def _effect(name: str, make: Callable[[], Callable[[Samples, int], Samples]]) -> AsyncStage:
    """Make a stage of what makes, for each call, a function of samples and their rate."""

    async def stage(input: trio.abc.ReceiveChannel[Frame], output: trio.abc.SendChannel[Frame]) -> None:  # noqa: A002
        change = make()
        async for frame in input:
            if isinstance(frame, AudioFrame) and frame.audio:
                samples = np.frombuffer(frame.audio, "<i2").astype(np.float64).reshape(-1, frame.num_channels)
                changed = np.clip(np.rint(change(samples, frame.sample_rate)), -32768, 32767)
                frame = evolve(frame, audio=changed.astype("<i2").tobytes())
            await output.send(frame)

    stage.__qualname__ = name
    return stage


def noise(level_dbfs: float = -40.0, *, seed: int = 0) -> AsyncStage:
    """Add white noise of this level, as of a fan or a street far away."""
    if level_dbfs > 0:
        raise ValueError(f"noise: level_dbfs is at most 0, not {level_dbfs}")

    def make() -> Callable[[Samples, int], Samples]:
        random, size = np.random.default_rng(seed), 32768 * 10 ** (level_dbfs / 20)
        return lambda samples, _rate: samples + random.normal(0, size, samples.shape)

    return _effect("noise", make)


def bad_line(loss: float = 0.05, *, loss_secs: float = 0.06, seed: int = 0) -> AsyncStage:
    """Lose this part of the audio, some ``loss_secs`` at a time; silence comes instead, as on a bad mobile line."""
    if not (0 <= loss < 1 and loss_secs > 0):
        raise ValueError(f"bad_line: {loss=} must be from 0 to below 1, and {loss_secs=} above 0")

    def make() -> Callable[[Samples, int], Samples]:
        random, left_s, is_lost = np.random.default_rng(seed), 0.0, False

        def change(samples: Samples, rate: int) -> Samples:
            nonlocal left_s, is_lost
            changed, at = samples.copy(), 0
            while at < len(changed):
                if left_s <= 0:
                    is_lost, left_s = bool(random.random() < loss), loss_secs
                upto = min(len(changed), at + max(1, round(left_s * rate)))
                if is_lost:
                    changed[at:upto] = 0
                left_s, at = left_s - (upto - at) / rate, upto
            return changed

        return change

    return _effect("bad_line", make)


def pauses(every_secs: float = 2.0, pause_secs: float = 0.8) -> AsyncStage:
    """Make a hesitant speaker, with ``pause_secs`` of silence after each ``every_secs`` of audio."""
    if not (every_secs > 0 and pause_secs > 0):
        raise ValueError(f"pauses: {every_secs=} and {pause_secs=} must be above 0")

    async def pauses_stage(input: trio.abc.ReceiveChannel[Frame], output: trio.abc.SendChannel[Frame]) -> None:  # noqa: A002
        spoken_s = 0.0
        async for frame in input:
            await output.send(frame)
            if not isinstance(frame, AudioFrame):
                continue
            spoken_s += frame.duration_s
            if spoken_s >= every_secs - 1e-6:
                spoken_s = 0.0
                await output.send(evolve(frame, audio=frame.format.silence(frame.format.samples_in(pause_secs))))

    return pauses_stage
