"""AudioChunk, and the joining of samples that a peer cut in half."""

import copy
import pickle

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from trio_transports.agent import AudioChunk, WholeSamples, silent_chunk
from trio_transports.audio.format import AudioFormat


def test_chunk_is_24_khz_mono_by_default() -> None:
    """A chunk of bytes alone is 24 kHz mono, and knows how long it lasts."""
    chunk = AudioChunk(bytes(48000))
    assert (chunk.sample_rate, chunk.num_channels, chunk.duration_seconds) == (24000, 1, 1.0)
    assert (chunk.transcript, chunk.start_time, chunk.end_time, chunk.received_at) == (None, None, None, None)


def test_chunk_keeps_what_is_known() -> None:
    """Transcript and times survive a change of rate."""
    chunk = AudioChunk(bytes(4), "hello", 1.5, 1.6, received_at=7.0)
    other = chunk.with_audio(bytes(8), AudioFormat(48000))
    assert (other.transcript, other.start_time, other.end_time, other.received_at) == ("hello", 1.5, 1.6, 7.0)
    assert other.format == AudioFormat(48000)


@pytest.mark.parametrize(("size", "channels"), [(1, 1), (7, 1), (2, 2), (6, 2)])
def test_chunk_refuses_half_samples(size: int, channels: int) -> None:
    """A chunk that ends inside a sample is an error that says what to do."""
    with pytest.raises(ValueError, match=rf"{size} bytes, which are not whole samples.*WholeSamples"):
        AudioChunk(bytes(size), num_channels=channels)


def test_chunk_refuses_what_is_not_bytes() -> None:
    """A bytearray is refused, since it could change later."""
    with pytest.raises(TypeError, match="must be bytes, not bytearray"):
        AudioChunk(bytearray(2))  # type: ignore[arg-type]


def test_chunk_refuses_a_bad_format() -> None:
    """Rates and channel counts are whole and positive."""
    with pytest.raises(ValueError, match="sample_rate"):
        AudioChunk(b"", sample_rate=0)
    with pytest.raises(TypeError, match="num_channels"):
        AudioChunk(b"", num_channels=1.5)  # type: ignore[arg-type]


def test_chunk_repr_does_not_print_the_audio() -> None:
    """An error message that shows a chunk stays readable."""
    assert "<48000 bytes>" in repr(AudioChunk(bytes(48000)))


def test_silent_chunk() -> None:
    """Silence of a length, in any format."""
    assert silent_chunk(0.5).data == bytes(24000)
    assert silent_chunk(0.5, AudioFormat(8000, 2)).data == bytes(16000)


@given(st.binary(max_size=200), st.lists(st.integers(0, 40), max_size=20), st.integers(1, 3))
def test_whole_samples_loses_nothing(data: bytes, cuts: list[int], channels: int) -> None:
    """Cut anywhere, the bytes come out in order, in whole samples, and only an incomplete sample is held."""
    samples = WholeSamples(2 * channels)
    out, start = b"", 0
    for cut in [*cuts, len(data)]:
        piece = samples.take(data[start : start + cut])
        assert len(piece) % (2 * channels) == 0
        out += piece
        start += cut
    assert out == data[: len(data) - len(data) % (2 * channels)]
    assert samples.waiting_bytes == len(data) % (2 * channels)


def test_whole_samples_can_forget() -> None:
    """After clear, the next byte begins a sample."""
    samples = WholeSamples()
    samples.take(b"\x01")
    samples.clear()
    assert samples.take(b"\x02\x03") == b"\x02\x03"


def test_channels_by_either_name() -> None:
    """What other libraries call channels is there too."""
    chunk = AudioChunk(bytes(8), num_channels=2)
    assert chunk.channels == chunk.num_channels == 2


def test_the_channels_may_be_given_by_either_name() -> None:
    """``channels`` is what other libraries say; both are taken where they agree, and evolving keeps what was given."""
    stereo = AudioChunk(bytes(8), channels=2)
    assert stereo == AudioChunk(bytes(8), num_channels=2) == AudioChunk(bytes(8), num_channels=2, channels=2)
    assert (stereo.num_channels, stereo.channels, AudioChunk(bytes(2)).channels) == (2, 2, 1)
    assert evolve(stereo, data=bytes(4)).channels == evolve(AudioChunk(bytes(8)), num_channels=2).channels == 2
    assert copy.copy(stereo) == pickle.loads(pickle.dumps(stereo)) == stereo
    with pytest.raises(ValueError, match="num_channels=1 and channels=2 are the same thing: give one of them"):
        AudioChunk(bytes(8), num_channels=1, channels=2)
    for wrong in (0, 1.5, "2"):
        with pytest.raises((ValueError, TypeError), match="num_channels"):
            AudioChunk(bytes(8), channels=wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not whole samples"):
        AudioChunk(bytes(6), channels=2)
