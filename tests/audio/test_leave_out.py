"""Leaving out a piece of audio where it is heard least."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_transports.audio.leave_out import QUIET, is_quiet, leave_out


def pcm(values: object) -> bytes:
    return np.asarray(values).astype("<i2").tobytes()


@given(count=st.integers(0, 800), samples=st.integers(0, 900), channels=st.integers(1, 3), seed=st.integers(0, 1000))
def test_it_is_exactly_so_much_shorter(count: int, samples: int, channels: int, seed: int) -> None:
    """Whatever is taken out of whatever, what is left has the right length and no sample louder than before."""
    values = np.random.default_rng(seed).integers(-32768, 32768, (count, channels))
    left = np.frombuffer(leave_out(pcm(values), samples, channels), "<i2").reshape(-1, channels)
    assert len(left) == max(0, count - samples)
    if len(left):
        assert left.max() <= values.max()
        assert left.min() >= values.min()


def test_nothing_to_leave_out_is_the_same_object() -> None:
    data = pcm(np.arange(100))
    assert leave_out(data, 0, 1) is data


@pytest.mark.parametrize("quiet_from", [0, 300, 700])
def test_the_quietest_place_is_taken(quiet_from: int) -> None:
    """Of a loud tone with a quiet stretch in it the quiet stretch goes, and the tone stays."""
    tone = 20000 * np.sin(np.arange(1000) / 5)
    tone[quiet_from : quiet_from + 300] = 0
    left = np.frombuffer(leave_out(pcm(tone), 200, 1), "<i2")
    assert np.count_nonzero(np.abs(left) > 1000) == np.count_nonzero(np.abs(tone) > 1000)


def test_the_ends_are_joined_without_a_click() -> None:
    """A slow tone stays a tone: no step in it is larger than its own and a fade of 80 samples make it."""
    tone = 8000 * np.sin(np.arange(2000) * 2 * np.pi / 400)
    left = np.frombuffer(leave_out(pcm(tone), 333, 1), "<i2").astype(int)
    assert np.abs(np.diff(left)).max() <= 16000 / 80 + 8000 * 2 * np.pi / 400
    flat = pcm(np.full(800, 1234))
    assert set(np.frombuffer(leave_out(flat, 300, 1), "<i2")) == {1234}


def test_what_is_quiet() -> None:
    """Up to QUIET nothing is heard, one sample above it is; nothing at all is quiet."""
    assert is_quiet(b"")
    assert is_quiet(pcm([QUIET, -QUIET]))
    assert not is_quiet(pcm([0, QUIET + 1]))
    assert not is_quiet(pcm([-32768, 0]))
