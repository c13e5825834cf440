"""Real speech against the detector of telephone keys."""

import subprocess
from pathlib import Path

import numpy as np

from tests.tools import requires
from trio_transports.audio.dtmf import DTMFDetector, dtmf_tones
from trio_transports.audio.format import AudioFormat
from trio_transports.audio.wav import read_wav

TEXT = (
    "My number is zero one two three four five six seven eight nine. Who told you so, and when do you need to know? "
    "Ooh, a new blue moon over the yellow sea! We see the trees, we hear the breeze, and nobody knows who is to go. "
    "Please hold the line while you are being connected, all our agents are busy at the moment. La la la la la."
)
VOICES = ("en-us", "en-us+f3", "en-gb+m4", "en-gb+f5", "en-us+whisper", "de", "fr+f2", "it", "es+f4")


def test_speech_is_no_key(tmp_path: Path) -> None:
    """Minutes of speech in high and low voices, quiet and overdriven, hold no key; one among them is found."""
    path = tmp_path / "speech.wav"
    heard_s = 0.0
    for voice in VOICES:
        subprocess.run([requires("espeak-ng"), "-v", voice, "-w", path, TEXT], check=True, timeout=60)
        audio_format, pcm = read_wav(path)
        values = np.frombuffer(pcm, "<i2").astype(np.float64)
        for gain in (0.2, 1.0, 4.0):
            loud = np.clip(np.rint(values * gain), -32768, 32767).astype("<i2").tobytes()
            detector = DTMFDetector()
            detector.start(audio_format.sample_rate)
            assert list(detector.detect(loud)) == [], f"{voice} at gain {gain}"
            key = dtmf_tones("7", AudioFormat(audio_format.sample_rate))
            assert [found.digit for found in detector.detect(key)] == ["7"]
            heard_s += audio_format.duration_s(len(pcm))
    assert heard_s > 300
