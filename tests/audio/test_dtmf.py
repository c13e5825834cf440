import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.audio.signals import noise, samples
from trio_transports.audio.dtmf import HIGH_HZ, KEYS, LOW_HZ, DTMFDetected, DTMFDetector, dtmf_tones
from trio_transports.audio.format import AudioFormat
from trio_transports.audio.g711 import alaw_to_pcm, pcm_to_alaw, pcm_to_ulaw, ulaw_to_pcm

MONO = AudioFormat(8000)
ALL = "".join(KEYS)
TRIALS = 16


def tone(
    digit: str,
    duration_s: float = 0.06,
    *,
    off: tuple[float, float] = (0, 0),
    levels_dbfs: tuple[float, float] = (-10, -10),
    trial: int = 0,
    lead_s: float = 0.05,
) -> npt.NDArray[np.float64]:
    """A key at 8 kHz after silence, each trial at another place among the detector's windows."""
    row = next(index for index, row in enumerate(KEYS) if digit in row)
    column = KEYS[row].index(digit)
    at = np.arange(round(duration_s * 8000)) / 8000
    total = np.zeros(len(at))
    for hertz, wrong, level_dbfs in zip((LOW_HZ[row], HIGH_HZ[column]), off, levels_dbfs, strict=True):
        total += 10 ** (level_dbfs / 20) * np.sin(2 * np.pi * hertz * (1 + wrong) * at + trial)
    return np.concatenate([np.zeros(round(lead_s * 8000) + 3 * trial), total])


def found(*parts: npt.NDArray[np.float64], noise_dbfs: float | None = None, seed: int = 0) -> str:
    """The keys that are heard in these parts one after another, and silence."""
    values = np.concatenate([*parts, np.zeros(800)])
    if noise_dbfs is not None:
        values = values + np.random.default_rng(seed).standard_normal(len(values)) * 10 ** (noise_dbfs / 20)
    pcm = np.rint(np.clip(values, -1, 1) * 32767).astype("<i2").tobytes()
    return "".join(key.digit for key in detected(pcm))


def detected(pcm: bytes, rate: int = 8000, size: int = 160) -> list[DTMFDetected]:
    detector = DTMFDetector()
    detector.start(rate)
    keys: list[DTMFDetected] = []
    for at in range(0, len(pcm), 2 * size):
        keys += detector.detect(pcm[at : at + 2 * size])
    detector.stop()
    return keys


@pytest.mark.parametrize("digit", ALL)
def test_tones_are_the_standards(digit: str) -> None:
    """A tone holds the two frequencies of its key, the higher one louder by 2 dB, and nothing else."""
    pcm = dtmf_tones(digit, MONO, tone_s=1, gap_s=0, level_dbfs=-10)
    spectrum = np.abs(np.fft.rfft(samples(pcm) * np.hanning(8000)))
    row = next(index for index, row in enumerate(KEYS) if digit in row)
    low, high = LOW_HZ[row], HIGH_HZ[KEYS[row].index(digit)]
    assert set(np.argsort(spectrum)[-2:].tolist()) == {low, high}
    assert spectrum[high] / spectrum[low] == pytest.approx(10 ** (2 / 20), rel=0.01)
    assert spectrum[high] / 4000 / 0.5 / 32767 == pytest.approx(10 ** (-10 / 20), rel=0.01)
    far = (np.abs(np.arange(len(spectrum)) - low) > 20) & (np.abs(np.arange(len(spectrum)) - high) > 20)
    assert spectrum[far].max() < spectrum[high] / 1000


def test_lengths() -> None:
    """Each tone is followed by its gap; all channels carry the same."""
    stereo = AudioFormat(16000, 2)
    pcm = dtmf_tones("12", stereo, tone_s=0.08, gap_s=0.05)
    values = np.frombuffer(pcm, "<i2").reshape(-1, 2)
    assert len(values) == 2 * (1280 + 800)
    assert (values[:, 0] == values[:, 1]).all()
    assert not values[1280:2080].any()
    assert abs(int(values[0, 0])) < 200
    assert np.abs(values).max() < 32767
    assert dtmf_tones("", stereo) == b""


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 24000, 44100, 48000])
@pytest.mark.parametrize("size", [1, 37, 160, 9999])
def test_what_is_made_is_found(rate: int, size: int) -> None:
    """Every key made is found once, in order and at its time, at any rate and in pieces of any size."""
    keys = detected(dtmf_tones(ALL if size > 1 else "1D", AudioFormat(rate), tone_s=0.05, gap_s=0.05), rate, size)
    assert "".join(key.digit for key in keys) == (ALL if size > 1 else "1D")
    for index, key in enumerate(keys):
        assert key.at_s == pytest.approx(0.1 * index, abs=0.008)


@given(digits=st.text(alphabet=ALL, max_size=8), tone_ms=st.integers(40, 200), gap_ms=st.integers(40, 100))
@settings(max_examples=25, deadline=None)
def test_any_number(digits: str, tone_ms: int, gap_ms: int) -> None:
    """Any sequence of keys with tones and gaps of 40 ms or more is found, repeated keys too."""
    pcm = dtmf_tones(digits, MONO, tone_s=tone_ms / 1000, gap_s=gap_ms / 1000) + bytes(1600)
    assert "".join(key.digit for key in detected(pcm)) == digits


@pytest.mark.parametrize(("duration_ms", "accepted"), [(20, False), (23, False), (30, False), (40, True), (500, True)])
def test_durations(duration_ms: int, accepted: bool) -> None:
    """40 ms are a key, 23 ms are none."""
    for trial in range(TRIALS):
        digit = ALL[trial]
        assert found(tone(digit, duration_ms / 1000, trial=trial)) == (digit if accepted else "")


@pytest.mark.parametrize(("off", "accepted"), [(0.015, True), (0.018, True), (0.03, False), (0.035, False)])
def test_frequencies(off: float, accepted: bool) -> None:
    """1.5 % off is a key in either direction, 3.5 % off is none, though only one of the two be off."""
    for trial in range(TRIALS):
        digit = ALL[trial]
        offs = ((off, off), (-off, -off), (off, -off), (-off, 0.0), (0.0, off))
        assert [found(tone(digit, off=pair, trial=trial)) for pair in offs] == [digit if accepted else ""] * 5


@pytest.mark.parametrize(("high_over_low_db", "accepted"), [(-12, False), (-8, True), (0, True), (4, True), (7, False)])
def test_twist(high_over_low_db: float, accepted: bool) -> None:
    """The higher tone may be 4 dB stronger or 8 dB weaker than the lower one, not much more."""
    for trial in range(TRIALS):
        digit = ALL[trial]
        tones = tone(digit, levels_dbfs=(-14, -14 + high_over_low_db), trial=trial)
        assert found(tones) == (digit if accepted else "")


@pytest.mark.parametrize(("level_dbfs", "accepted"), [(-6, True), (-40, True), (-46, False)])
def test_levels(level_dbfs: float, accepted: bool) -> None:
    """Keys are found from full scale down to -40 dBFS, and not much below."""
    for trial in range(TRIALS):
        digit = ALL[trial]
        assert found(tone(digit, levels_dbfs=(level_dbfs,) * 2, trial=trial)) == (digit if accepted else "")


@pytest.mark.parametrize(("gap_ms", "keys"), [(0, 1), (5, 1), (10, 1), (25, 2), (40, 2)])
def test_gaps(gap_ms: int, keys: int) -> None:
    """A gap of 10 ms is overlooked, one of 40 ms is the end of a key."""
    for trial in range(TRIALS):
        digit = ALL[trial]
        first, second = tone(digit, trial=trial), tone(digit, lead_s=gap_ms / 1000)
        assert found(first, second) == digit * keys


def test_keys_without_a_gap() -> None:
    """A key that follows another at once is a key."""
    assert found(tone("1"), tone("9", lead_s=0), tone("D", lead_s=0)) == "19D"


def test_noise() -> None:
    """Every key is found 10 dB above white noise, with frequencies at the limit, and none in noise alone."""
    for trial in range(TRIALS):
        digit = ALL[trial]
        tones = tone(digit, off=(0.015, -0.015), levels_dbfs=(-13, -13), trial=trial)
        assert found(tones, noise_dbfs=-23, seed=trial) == digit
    for amplitude in (300, 30000):
        assert detected(noise(8000 * 20, amplitude)) == []


@pytest.mark.parametrize(("encode", "decode"), [(pcm_to_ulaw, ulaw_to_pcm), (pcm_to_alaw, alaw_to_pcm)])
def test_through_g711(encode: object, decode: object) -> None:
    """Keys survive the telephone network's codes."""
    assert callable(encode)
    assert callable(decode)
    pcm = decode(encode(dtmf_tones(ALL, MONO, tone_s=0.05, gap_s=0.05)))
    assert "".join(key.digit for key in detected(pcm)) == ALL


def test_overdriven_tones() -> None:
    """Tones that were clipped on their way are found."""
    for trial in range(TRIALS):
        assert found(tone(ALL[trial], levels_dbfs=(-3, -3), trial=trial)) == ALL[trial]


@pytest.mark.parametrize("hertz", [*LOW_HZ, *HIGH_HZ, 350, 440, 480, 620, 1100, 2100])
def test_single_tones_are_no_key(hertz: float) -> None:
    """One of the frequencies alone, and the tones of dialling, ringing and fax, are no key."""
    at = np.arange(8000) / 8000
    assert found(0.4 * np.sin(2 * np.pi * hertz * at)) == ""
    assert found(0.3 * np.sin(2 * np.pi * hertz * at) + 0.3 * np.sin(2 * np.pi * 440 * at)) == ""


def test_a_third_tone_is_no_key() -> None:
    """Three frequencies at once, as a voice or a chord has them, are no key."""
    for trial in range(TRIALS):
        pair = tone(ALL[trial], 0.2, trial=trial)
        third = 0.3 * np.sin(2 * np.pi * 1050 * np.arange(len(pair)) / 8000)
        assert found(pair + third) == ""


def test_vowels_are_no_key() -> None:
    """Harmonic sounds of any pitch, gliding or not, are no key."""
    at = np.arange(8000) / 8000
    for pitch in range(80, 400, 7):
        phase = 2 * np.pi * pitch * (at + 0.05 * np.sin(2 * np.pi * 3 * at) / 3)
        voice = sum((np.sin(k * phase + k) / k for k in range(1, 3400 // pitch)), np.zeros(8000))
        assert found(voice * 0.2) == ""


def test_life() -> None:
    """A detector runs between start and stop, and knows nothing of the stream before."""
    detector = DTMFDetector()
    with pytest.raises(RuntimeError, match=r"before start\(sample_rate\) or after stop\(\)"):
        detector.detect(b"")
    held = dtmf_tones("5", MONO, gap_s=0)
    for one in (detector, detector, detector.fresh()):
        one.start(8000)
        assert [key.digit for key in one.detect(held)] == ["5"]
    detector.stop()
    with pytest.raises(RuntimeError, match="before start"):
        detector.detect(held)


@pytest.mark.parametrize(
    ("digits", "audio_format", "settings_", "text"),
    [
        ("1x", MONO, {}, "'x' is not a key of a telephone: the keys are 1 2 3 A"),
        ("1", MONO, {"tone_s": 0}, "tone_s must be above 0"),
        ("1", MONO, {"gap_s": -1}, "gap_s not below it"),
        ("1", MONO, {"level_dbfs": 0}, "between -60 and -6"),
        ("1", AudioFormat(3000), {}, "3000 Hz mono cannot carry a tone of 1633 Hz: use 8000 Hz or more"),
    ],
)
def test_what_cannot_be_dialled(digits: str, audio_format: AudioFormat, settings_: dict[str, float], text: str) -> None:
    """What cannot be sounded is an error that says why."""
    with pytest.raises(ValueError, match=text):
        dtmf_tones(digits, audio_format, **settings_)


def test_split_samples_are_refused() -> None:
    """Half a sample is an error that says what to pass."""
    detector = DTMFDetector()
    detector.start(8000)
    with pytest.raises(ValueError, match="3 bytes are not whole 16-bit mono samples"):
        detector.detect(bytes(3))
