"""Words in audio are heard as they were said, whatever the code and the rate, and none is heard that was not said."""

import numpy as np
import pytest

from tests.real.faults.steps import Hearing, word
from trio_transports import AudioFrame
from trio_transports.audio.convert import Converter
from trio_transports.audio.format import AudioFormat
from trio_transports.audio.g711 import alaw_to_pcm, pcm_to_alaw, pcm_to_ulaw, ulaw_to_pcm

NUMBERS = list(range(12))


def said(rate: int) -> bytes:
    pcm = b"".join(word(number).audio for number in NUMBERS)
    if rate == 16000:
        return pcm
    converter = Converter(AudioFormat(16000), AudioFormat(rate))
    return converter.process(pcm) + converter.flush()


def heard(pcm: bytes, rate: int, piece_ms: int) -> list[int]:
    step, hearing = 2 * rate * piece_ms // 1000, Hearing()
    frames = [AudioFrame(audio=pcm[at : at + step], sample_rate=rate) for at in range(0, len(pcm), step)]
    return [number for frame in frames for number in hearing.feed(frame)]


@pytest.mark.parametrize("piece_ms", [1, 7, 20, 40, 5000])
@pytest.mark.parametrize("rate", [8000, 16000, 24000])
@pytest.mark.parametrize("code", ["l16", "ulaw", "alaw"])
def test_each_word_is_heard_once(code: str, rate: int, piece_ms: int) -> None:
    """There and back through the code and the resampler, in pieces of any length."""
    pcm = said(rate)
    for _ in range(2):
        if code == "ulaw":
            pcm = ulaw_to_pcm(pcm_to_ulaw(pcm))
        elif code == "alaw":
            pcm = alaw_to_pcm(pcm_to_alaw(pcm))
        converter = Converter(AudioFormat(rate), AudioFormat(16000))
        back = Converter(AudioFormat(16000), AudioFormat(rate))
        if rate != 16000:
            pcm = back.process(converter.process(pcm) + converter.flush()) + back.flush()
    assert heard(pcm, rate, piece_ms) == NUMBERS


def test_a_lost_message_is_a_lost_word() -> None:
    """20 ms less, anywhere a word is, and that word is missing."""
    pcm, step = said(16000), 640
    for number in NUMBERS:
        at = number * 3 * step
        assert heard(pcm[:at] + pcm[at + step :], 16000, 20) == [each for each in NUMBERS if each != number]


def test_a_word_said_twice_is_heard_twice() -> None:
    assert heard(word(3).audio + word(3).audio, 16000, 20) == [3, 3]


def test_a_voice_is_no_word() -> None:
    tone = (np.sin(np.arange(16000) / 6) * 9000).astype("<i2").tobytes()
    assert heard(tone + bytes(16000), 16000, 20) == []
