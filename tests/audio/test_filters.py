from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from tests.audio.contracts import FORMATS, check_filter
from tests.audio.signals import level_db, noise, samples, sine
from trio_transports.audio.filters import AudioFilter, FilterChain, Gain, HighPass, NoiseGate
from trio_transports.audio.format import AudioFormat

MONO = AudioFormat(16000)
BAD_ENABLED: dict[str, Any] = {"enabled": 1}
BAD_GAIN: tuple[Any] = ("3",)
FILTERS: Mapping[str, Callable[[], AudioFilter]] = {
    "high-pass": lambda: HighPass(150),
    "gain": lambda: Gain(6),
    "limiter": lambda: Gain(20, release_s=0.02),
    "gate": lambda: NoiseGate(-12, hold_s=0.001, release_s=0.01),
    "chain": lambda: FilterChain(hum=HighPass(), loud=Gain(10), gate=NoiseGate()),
}


def run(
    audio_filter: AudioFilter, pcm: bytes, audio_format: AudioFormat = MONO
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    audio_filter.start(audio_format)
    return samples(audio_filter.filter(pcm))


@pytest.mark.parametrize("audio_format", FORMATS, ids=str)
@pytest.mark.parametrize("name", FILTERS)
def test_contract(name: str, audio_format: AudioFormat) -> None:
    """Every filter does what the session relies on."""
    check_filter(FILTERS[name], audio_format)


@pytest.mark.parametrize("name", FILTERS)
@given(sizes=st.lists(st.integers(1, 200), max_size=20))
@settings(max_examples=15, deadline=None)
def test_single_samples(name: str, sizes: list[int]) -> None:
    """Pieces of any length, down to one sample, give what the whole gives."""
    swell = samples(noise(3000, 30000)) * np.abs(np.sin(np.arange(3000) / 300)) ** 3
    pcm = swell.astype("<i2").tobytes()
    whole, cut = FILTERS[name](), FILTERS[name]()
    whole.start(MONO)
    cut.start(MONO)
    parts, at = [], 0
    for size in [*sizes, 3000]:
        parts.append(cut.filter(pcm[at : at + 2 * size]))
        at += 2 * size
    assert b"".join(parts) == whole.filter(pcm)


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
@pytest.mark.parametrize("cutoff_hz", [20, 80, 300, 3900])
def test_high_pass_against_scipy(rate: int, cutoff_hz: float) -> None:
    """The high-pass is scipy's Butterworth filter of the second order, to the last bit but one."""
    pcm = noise(rate)
    sections = signal.butter(2, cutoff_hz, "highpass", fs=rate, output="sos")
    expected = np.rint(signal.sosfilt(sections, samples(pcm)))
    assert np.abs(run(HighPass(cutoff_hz), pcm, AudioFormat(rate)) - np.clip(expected, -32768, 32767)).max() <= 1


def test_high_pass_on_voice_and_hum() -> None:
    """Hum at 50 Hz goes down by 20 dB and DC to nothing, a voice at 200 Hz by less than half a decibel."""
    hum = run(HighPass(150), sine(50, 16000, 1))
    assert level_db(hum[8000:]) < -18.5
    constant = run(HighPass(80), np.full(16000, 20000, "<i2").tobytes())
    assert not constant[8000:].any()
    assert level_db(run(HighPass(80), sine(200, 16000, 1))[8000:]) > -0.5


def test_high_pass_after_silence_is_idle() -> None:
    """What is left of a sound dies away completely."""
    high_pass = HighPass()
    run(high_pass, noise(16000))
    assert not samples(high_pass.filter(bytes(320_000)))[32000:].any()
    kernel = high_pass._kernel
    assert kernel is not None
    assert kernel._outputs == [(0.0, 0.0)]  # type: ignore[attr-defined]


@pytest.mark.parametrize("gain_db", [-20, -6.0206, 0, 6.0206])
def test_gain(gain_db: float) -> None:
    """Below the ceiling the gain is a plain factor."""
    pcm = noise(3000, 9000)
    assert np.array_equal(run(Gain(gain_db), pcm), np.rint(samples(pcm) * 10 ** (gain_db / 20)))


def test_limiter_holds_the_ceiling() -> None:
    """Whatever comes in, nothing goes above the ceiling, and all channels are turned down alike."""
    swell = samples(noise(16000, 32767)) * np.linspace(0, 1, 16000)
    stereo = np.stack([swell, swell / 4], axis=1).astype("<i2")
    out = run(Gain(24, ceiling_dbfs=-6), stereo.tobytes(), AudioFormat(8000, 2)).reshape(-1, 2)
    assert np.abs(out).max() <= 32767 * 10 ** (-6 / 20) + 0.5
    assert np.abs(out).max() > 32767 * 10 ** (-6 / 20) - 2
    loud = np.abs(stereo[:, 1]) > 200
    assert np.allclose((out[:, 0] / np.where(loud, out[:, 1], 1))[loud], 4, atol=0.05)


def test_limiter_releases() -> None:
    """After a loud sound the full gain is back within a few time constants."""
    loud, quiet = sine(400, 16000, 0.2, 30000), sine(400, 16000, 0.6, 1000)
    out = run(Gain(12, release_s=0.05), loud + quiet)
    assert level_db(out[3200:3600], 1000) < 8
    assert level_db(out[-4000:], 1000) == pytest.approx(12, abs=0.01)


def test_limiter_on_a_minute_at_once() -> None:
    """A piece of any length works as well as many short ones."""
    pcm = noise(16000, 30000) * 20
    whole = run(Gain(12), pcm)
    short = Gain(12)
    short.start(MONO)
    assert np.array_equal(whole, samples(b"".join(short.filter(pcm[at : at + 640]) for at in range(0, len(pcm), 640))))


def test_gain_glides() -> None:
    """A change of gain is heard over 50 ms, not as a step."""
    gain = Gain(0)
    gain.start(MONO)
    gain.control({"gain_db": -20})
    out = samples(gain.filter(np.full(1600, 10000, "<i2").tobytes()))
    assert out[0] == 10000
    assert np.abs(np.diff(out)).max() < 15
    assert set(out[800:]) == {1000}


def test_gate() -> None:
    """The gate opens in attack_s at a word, holds through a short pause, and closes after hold_s."""
    word, pause = np.full(1600, 8000, "<i2"), np.full(1600, 50, "<i2")
    pcm = np.concatenate([pause, word, pause, word, pause, pause, pause]).tobytes()
    out = run(NoiseGate(-30, reduction_db=40, attack_s=0.01, hold_s=0.15, release_s=0.05), pcm)
    assert set(out[:1600]) <= {0.0, 1.0}
    assert (np.diff(out[1600:1760]) >= 0).all()
    assert set(out[1760:3200]) == set(out[4800:6400]) == {8000.0}
    assert set(out[3200:4800]) == {50.0}
    closing = 6400 + 2400
    assert set(out[6400:closing]) == {50.0}
    assert (np.diff(out[closing : closing + 900]) <= 0).all()
    assert set(out[closing + 900 :]) <= {0.0, 1.0}


def test_open_gate_costs_nothing() -> None:
    """While it is open the gate returns the object it was given."""
    gate = NoiseGate(-40)
    gate.start(MONO)
    voice = sine(300, 16000, 0.1)
    gate.filter(voice)
    assert gate.filter(voice) is voice


def test_gate_hysteresis() -> None:
    """A level just below the threshold keeps an open gate open and a closed one closed."""
    below = np.full(16000, 32768 * 10 ** (-33 / 20), "<i2").tobytes()
    assert np.abs(run(NoiseGate(-30), below)).max() < 10
    gate = NoiseGate(-30)
    run(gate, np.full(1600, 8000, "<i2").tobytes())
    assert gate.filter(below) is below


def test_a_gate_knows_the_lowest_sample() -> None:
    """-32768 is loud, though its magnitude does not fit into 16 bits."""
    assert abs(run(NoiseGate(-1, attack_s=0), np.full(100, -32768, "<i2").tobytes())[-1]) == 32768


def test_settings_hold() -> None:
    """What control sets is told, holds from then on and over a new start, and is in a fresh filter."""
    gate = NoiseGate()
    gate.start(MONO)
    gate.control({"threshold_dbfs": -20, "hold_s": 1})
    assert gate.settings["threshold_dbfs"] == -20
    gate.stop()
    gate.start(MONO)
    assert gate.fresh().settings == gate.settings
    assert "threshold_dbfs=-20" in repr(gate)


def test_changing_the_cutoff() -> None:
    """A new cutoff works on the running stream."""
    high_pass = HighPass(20)
    high_pass.start(MONO)
    tone = sine(100, 16000, 1)
    assert level_db(samples(high_pass.filter(tone))[8000:]) > -0.1
    high_pass.control({"cutoff_hz": 1000})
    assert level_db(samples(high_pass.filter(tone))[8000:]) < -38


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: HighPass(0), ValueError, "HighPass.cutoff_hz must be between 1 and 20000, not 0"),
        (partial(HighPass, **BAD_ENABLED), TypeError, "HighPass: enabled must be True or False, not 1"),
        (partial(Gain, *BAD_GAIN), TypeError, "Gain.gain_db must be a number, not '3'"),
        (lambda: Gain(float("nan")), ValueError, "Gain.gain_db must be between -120 and 60"),
        (lambda: Gain(0, ceiling_dbfs=1), ValueError, "Gain.ceiling_dbfs must be between -60 and 0"),
        (lambda: NoiseGate(True), TypeError, "NoiseGate.threshold_dbfs must be a number, not True"),
        (lambda: FilterChain(), ValueError, "FilterChain needs at least one filter"),
    ],
)
def test_what_cannot_be_a_filter(make: object, error: type[Exception], text: str) -> None:
    """A setting that cannot be is refused at construction, by name."""
    assert callable(make)
    with pytest.raises(error, match=text):
        make()


def test_a_cutoff_above_the_audio() -> None:
    """A cutoff that the rate cannot have is refused when the rate is known, and leaves the filter as it was."""
    with pytest.raises(ValueError, match="cutoff_hz must be below half the sample rate: 5000 Hz is too high for 8000"):
        HighPass(5000).start(AudioFormat(8000))
    high_pass, same = HighPass(), HighPass()
    run(high_pass, noise(100))
    run(same, noise(100))
    with pytest.raises(ValueError, match="too high"):
        high_pass.control({"cutoff_hz": 9000})
    assert high_pass.filter(noise(100)) == same.filter(noise(100))


def test_chain() -> None:
    """A chain is its filters one after another, with the settings of each under its name."""
    pcm = noise(4000, 30000)
    chain = FilterChain(hum=HighPass(100), loud=Gain(-3))
    high_pass, gain = HighPass(100), Gain(-3)
    for one in (chain, high_pass, gain):
        one.start(MONO)
    assert chain.filter(pcm) == gain.filter(high_pass.filter(pcm))
    chain.control({"loud": {"enabled": False}})
    assert chain.filter(pcm) == high_pass.filter(pcm)
    with pytest.raises(ValueError, match="no filter 'gate': it has hum, loud"):
        chain.control({"gate": {}})
    with pytest.raises(TypeError, match="settings of 'hum' must be a mapping, not 100"):
        chain.control({"hum": 100})
    with pytest.raises(TypeError, match="enabled must be True or False"):
        chain.control({}, enabled=1)  # type: ignore[arg-type]


def test_a_chain_with_a_slow_member_is_slow() -> None:
    """One filter that wants a thread makes the chain want one; one that cannot start stops those before it."""

    class Slow:
        slow = True
        running = False

        def start(self, audio_format: AudioFormat) -> None:
            self.running = True

        def filter(self, pcm: bytes) -> bytes:
            return pcm

        def control(self, settings: Mapping[str, object], enabled: bool | None = None) -> None: ...

        def stop(self) -> None:
            self.running = False

        def fresh(self) -> "Slow":
            return Slow()

    slow = Slow()
    assert FilterChain(a=HighPass(), b=slow).slow
    assert not FilterChain(a=HighPass()).slow
    with pytest.raises(ValueError, match="too high"):
        FilterChain(a=slow, b=HighPass(5000)).start(AudioFormat(8000))
    assert not slow.running
