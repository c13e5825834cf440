"""The arithmetic between bytes, samples and seconds."""

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_transports import AudioFormat

formats = st.builds(AudioFormat, st.integers(1, 768_000), st.integers(1, 64))


@given(formats, st.integers(0, 10**7))
def test_bytes_samples_and_seconds(audio_format: AudioFormat, samples: int) -> None:
    """Each can be had from the other, exactly."""
    size = audio_format.size_bytes(samples)
    assert size == samples * audio_format.bytes_per_sample == samples * 2 * audio_format.num_channels
    assert audio_format.samples(size) == samples
    assert audio_format.samples_in(audio_format.duration_s(size)) == samples
    assert audio_format.duration_s(audio_format.bytes_per_second) == 1


@given(formats, st.integers(0, 1000), st.integers(1, 127))
def test_half_a_sample_is_an_error(audio_format: AudioFormat, samples: int, more: int) -> None:
    """A size that splits a sample is a ValueError that says what would do."""
    size = audio_format.size_bytes(samples) + more
    if more % audio_format.bytes_per_sample == 0:
        assert audio_format.samples(size) > samples
        return
    says = f"^{size} bytes are not whole samples of {audio_format}: pass a multiple of {audio_format.bytes_per_sample} "
    with pytest.raises(ValueError, match=says):
        audio_format.samples(size)
    with pytest.raises(ValueError, match=says):
        audio_format.duration_s(size)


@given(formats, st.integers(0, 100))
def test_silence(audio_format: AudioFormat, samples: int) -> None:
    """Silence is zeros, so many samples of all channels."""
    assert audio_format.silence(samples) == bytes(audio_format.size_bytes(samples))


@pytest.mark.parametrize(("rate", "duration_s", "samples"), [(8000, 0.02, 160), (11025, 0.02, 220), (44100, 1e-6, 0)])
def test_the_nearest_number_of_samples(rate: int, duration_s: float, samples: int) -> None:
    """A duration that is no whole number of samples gives the nearest."""
    assert AudioFormat(rate).samples_in(duration_s) == samples


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ((0,), "sample_rate"),
        ((-1,), "sample_rate"),
        ((8000.0,), "sample_rate"),
        (("8000",), "sample_rate"),
        ((8000, 0), "num_channels"),
        ((8000, -2), "num_channels"),
        ((8000, None), "num_channels"),
    ],
)
def test_what_is_no_format(values: tuple[Any, ...], field: str) -> None:
    """A rate or count that is none is an error that names it."""
    with pytest.raises((ValueError, TypeError), match=field):
        AudioFormat(*values)


def test_it_is_a_value() -> None:
    """Equal by rate and channels, hashable, frozen, and readable."""
    assert {AudioFormat(8000), AudioFormat(8000, 1), AudioFormat(8000, 2)} == {AudioFormat(8000), AudioFormat(8000, 2)}
    assert [str(AudioFormat(8000, channels)) for channels in (1, 2, 6)] == [
        "8000 Hz mono",
        "8000 Hz stereo",
        "8000 Hz 6 channels",
    ]
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        AudioFormat(8000).sample_rate = 16000  # type: ignore[misc]
