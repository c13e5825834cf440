"""Voice effects: each changes audio and nothing else, the same way for the same seed."""

import numpy as np
import numpy.typing as npt
import pytest
from trio.testing import MockClock

from tests.pipeline.test_stages import run
from trio_transports.frames import AudioFrame, DTMFFrame, Frame
from trio_transports.pipeline import Stage
from trio_transports.pipeline.stages.effects import bad_line, noise, pauses
from trio_transports.testing import speech_like


def pieces(duration_s: float) -> list[Frame | float]:
    pcm = speech_like(duration_s).audio
    return [AudioFrame(audio=pcm[at : at + 640], sample_rate=16000) for at in range(0, len(pcm), 640)]


async def heard(stage: Stage, frames: list[Frame | float]) -> npt.NDArray[np.float64]:
    sink = await run([stage], frames)
    pcm = b"".join(frame.audio for frame in sink.frames if isinstance(frame, AudioFrame))
    return np.frombuffer(pcm, "<i2").astype(np.float64)


async def test_noise_has_its_level_and_is_the_same_again(autojump_clock: MockClock) -> None:
    """To half a decibel, in each call the same; a stereo frame stays one."""
    silence: list[Frame | float] = [AudioFrame(audio=bytes(1280), sample_rate=16000, num_channels=2)] * 50
    first, again, other = [await heard(noise(-30, seed=seed), silence) for seed in (1, 1, 2)]
    assert 20 * np.log10(first.std() / 32768) == pytest.approx(-30, abs=0.5)
    assert (first == again).all()
    assert (first != other).any()


@pytest.mark.parametrize("loss", [0.0, 0.1, 0.5])
async def test_a_bad_line_loses_its_part(loss: float, autojump_clock: MockClock) -> None:
    """About that much is silence, in gaps of their own length, and what is not lost is unchanged."""
    frames = pieces(20.0)
    whole = await heard(lambda frame: frame, frames)
    lossy = await heard(bad_line(loss, seed=3), frames)
    gone = lossy != whole
    assert gone.mean() == pytest.approx(loss, abs=0.08)
    assert not lossy[gone].any()


async def test_a_hesitant_speaker(autojump_clock: MockClock) -> None:
    """A pause after each two seconds; nothing of the words is lost, and keys pass."""
    frames = pieces(7.0)
    sink = await run([pauses(2.0, 0.5)], [*frames, DTMFFrame(digit="1")])
    total = b"".join(frame.audio for frame in sink.frames if isinstance(frame, AudioFrame))
    assert len(total) / 32000 == pytest.approx(8.5, abs=0.03)
    assert sink.frames[-1] == DTMFFrame(digit="1")
    spoken = [frame for frame in sink.frames if isinstance(frame, AudioFrame) and len(frame.audio) == 640]
    assert spoken == frames


@pytest.mark.parametrize("make", [lambda: noise(3), lambda: bad_line(1.0), lambda: pauses(0)])
def test_what_makes_no_sense(make) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Is a ValueError that names it."""
    with pytest.raises(ValueError, match=r"noise|bad_line|pauses"):
        make()
