import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.audio.signals import noise
from trio_transports.audio.channels import mix_channels


def pcm(*values: int) -> bytes:
    return np.array(values, "<i2").tobytes()


@pytest.mark.parametrize(
    ("source", "target", "before", "after"),
    [
        (1, 2, (1, -2), (1, 1, -2, -2)),
        (1, 3, (7,), (7, 7, 7)),
        (2, 1, (10, 20, -32768, -32768, 32767, 32767, 1, 0, -1, 0), (15, -32768, 32767, 1, 0)),
        (3, 1, (1, 2, 4, -3, -3, -3), (2, -3)),
        (4, 2, (1, 10, 3, 20), (2, 15)),
        (3, 2, (10, 5, 20), (15, 5)),
        (6, 2, (3, 6, 3, 6, 3, 6), (3, 6)),
        (2, 4, (1, 2), (1, 2, 1, 2)),
        (2, 3, (1, 2, 3, 4), (1, 2, 1, 3, 4, 3)),
    ],
)
def test_mixing(source: int, target: int, before: tuple[int, ...], after: tuple[int, ...]) -> None:
    """Up copies, down averages, channel by channel."""
    assert mix_channels(pcm(*before), source, target) == pcm(*after)


@given(source=st.integers(1, 8), target=st.integers(1, 8), count=st.integers(0, 50))
def test_sizes_and_centred_voices(source: int, target: int, count: int) -> None:
    """Any two counts work, the number of samples stays, and what is equal in all channels keeps its level."""
    mono = np.frombuffer(noise(count), "<i2")
    out = mix_channels(mono.repeat(source).tobytes(), source, target)
    assert out == mono.repeat(target).tobytes()


def test_equal_counts_cost_nothing() -> None:
    """Equal counts return the same object."""
    stereo = noise(4)
    assert mix_channels(stereo, 2, 2) is stereo


def test_mistakes() -> None:
    """Split samples and counts below one are errors that say so."""
    with pytest.raises(ValueError, match="6 bytes are not whole samples of 2 channels: pass a multiple of 4 bytes"):
        mix_channels(bytes(6), 2, 1)
    with pytest.raises(ValueError, match="at least 1, not 1 and 0"):
        mix_channels(bytes(6), 1, 0)
