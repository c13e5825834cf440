"""The volume and the fade, on arrays of samples."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_transports.audio.loudness import GLIDE_S, MAX_VOLUME, Volume, fade_out

RATE = 16000


def constant(level: int, samples: int, channels: int = 1) -> bytes:
    return np.full(samples * channels, level, "<i2").tobytes()


def levels(pcm: bytes) -> list[int]:
    return [int(value) for value in np.frombuffer(pcm, "<i2")]


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("volume", [0, 0.5, 1, 2, MAX_VOLUME])
def test_the_level_is_the_volume(volume: float, channels: int) -> None:
    """Every sample of every channel is made louder or quieter by it, and cut off at full scale."""
    heard = Volume(volume).apply(constant(1000, 320, channels) + constant(-8000, 320, channels), channels)
    wanted = [round(1000 * volume)] * 320 * channels + [max(-32768, round(-8000 * volume))] * 320 * channels
    assert levels(heard) == wanted


def test_one_is_no_change_at_all() -> None:
    """At 1 the very same bytes come back, and no work is done for them."""
    volume = Volume(1.0)
    assert volume.is_one
    pcm = constant(1, 10)
    assert Volume(1.0).apply(pcm, 1) is pcm


@pytest.mark.parametrize("changes", [1, 2, 3])
def test_a_change_glides(changes: int) -> None:
    """From one volume to the next in 20 ms, without a step that could be heard, and back to no work at 1."""
    volume, glide = Volume(1.0), round(GLIDE_S * RATE)
    for _ in range(changes):
        volume.go(0.0, RATE)
        down = levels(volume.apply(constant(10000, 2 * glide), 1))
        assert down[0] == 10000
        assert down[glide:] == [0] * glide
        assert max(abs(a - b) for a, b in pairwise(down)) <= 10000 / glide + 1
        volume.go(1.0, RATE)
        assert not volume.is_one
        up = levels(volume.apply(constant(10000, 2 * glide), 1))
        assert up[0] == 0
        assert up[glide:] == [10000] * glide
        pcm = constant(10000, 2)
        assert volume.apply(pcm, 1) is pcm
        assert volume.is_one


@given(st.lists(st.integers(1, 400), min_size=1, max_size=8))
def test_it_is_the_same_however_the_audio_is_cut(sizes: list[int]) -> None:
    """A glide over many small chunks is that over one large one."""
    whole, parts = Volume(1.0), Volume(1.0)
    whole.go(0.25, RATE)
    parts.go(0.25, RATE)
    expected = whole.apply(constant(20000, sum(sizes)), 1)
    assert b"".join(parts.apply(constant(20000, size), 1) for size in sizes) == expected


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("samples", [1, 2, 80, 240])
def test_a_fade_ends_in_silence(samples: int, channels: int) -> None:
    """It begins near the full level, falls all the time, all channels alike, and its last sample is nothing."""
    faded = np.frombuffer(fade_out(constant(20000, samples, channels), channels), "<i2").reshape(-1, channels)
    assert len(faded) == samples
    assert (faded[-1] == 0).all()
    assert (np.diff(faded[:, 0].astype(int)) <= 0).all()
    assert (faded == faded[:, :1]).all()
    if samples >= 80:
        assert faded[0, 0] > 19000
    assert fade_out(b"", channels) == b""
