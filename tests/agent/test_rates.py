"""Chunks at the rate the caller wants."""

import numpy as np
import pytest

from trio_transports.agent import AudioChunk
from trio_transports.agent.rates import RateConversion
from trio_transports.audio.convert import Converter
from trio_transports.audio.format import AudioFormat


def tone(sample_rate: int, seconds: float, hz: float = 440.0) -> bytes:
    time = np.arange(int(sample_rate * seconds)) / sample_rate
    return (np.sin(2 * np.pi * hz * time) * 8000).astype("<i2").tobytes()


@pytest.mark.parametrize("target", [None, AudioFormat(24000)])
def test_nothing_to_convert(target: AudioFormat | None) -> None:
    """Without a target, or in its format, the very chunk comes back."""
    chunk = AudioChunk(tone(24000, 0.02))
    rates = RateConversion(target)
    (same,) = rates.process(chunk)
    assert same is chunk
    assert rates.flush() == ()


def test_chunks_are_one_stream() -> None:
    """Cut into pieces, with the flush at the end, it is what the whole would be; what is known is kept."""
    pcm = tone(8000, 0.5)
    rates = RateConversion(AudioFormat(24000))
    pieces = [
        AudioChunk(pcm[start : start + 322], sample_rate=8000, transcript=str(start), received_at=float(start))
        for start in range(0, len(pcm), 322)
    ]
    converted = [chunk for piece in pieces for chunk in rates.process(piece)]
    assert [chunk.transcript for chunk in converted] == [piece.transcript for piece in pieces]
    assert [chunk.received_at for chunk in converted] == [piece.received_at for piece in pieces]
    assert {chunk.format for chunk in converted} == {AudioFormat(24000)}
    whole = Converter(AudioFormat(8000), AudioFormat(24000))
    expected = whole.process(pcm) + whole.flush()
    assert b"".join(chunk.data for chunk in (*converted, *rates.flush())) == expected


def test_a_change_of_format_flushes() -> None:
    """What the first rate's resampler held comes before the audio of the second, and is its own chunk."""
    rates = RateConversion(AudioFormat(24000))
    first = AudioChunk(tone(8000, 0.1), sample_rate=8000, transcript="one", received_at=1.0)
    second = AudioChunk(tone(16000, 0.1), sample_rate=16000, transcript="two", received_at=2.0)
    (start,) = rates.process(first)
    held, rest = rates.process(second)
    assert (held.transcript, held.received_at) == (None, 2.0)
    assert rest.transcript == "two"
    expected = Converter(AudioFormat(8000), AudioFormat(24000))
    assert start.data + held.data == expected.process(first.data) + expected.flush()


def test_empty_chunks_pass() -> None:
    """A chunk with a transcript and no audio is not the converter's business."""
    chunk = AudioChunk(b"", "text", sample_rate=8000)
    assert RateConversion(AudioFormat(24000)).process(chunk) == (chunk,)
