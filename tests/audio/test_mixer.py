from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.audio.contracts import FORMATS, check_mixer
from tests.audio.signals import level_db, noise, samples, sine
from trio_transports.audio.format import AudioFormat
from trio_transports.audio.mixer import FADE_S, AudioMixer, SoundMixer
from trio_transports.audio.resample import Resampler
from trio_transports.audio.sound import Sound
from trio_transports.audio.wav import write_wav

MONO = AudioFormat(16000)
TONE = Sound(MONO, sine(440, 16000, 0.5, 8000))
OTHER = Sound(AudioFormat(8000, 2), noise(8000, 3000))


def mixers() -> Mapping[str, SoundMixer]:
    return {
        "one": SoundMixer(TONE, volume=0.5),
        "resampled": SoundMixer(OTHER, volume=1),
        "shorter than a chunk": SoundMixer(Sound(AudioFormat(44100), noise(50))),
        "once": SoundMixer({"a": TONE, "b": OTHER}, "b", loop=False),
    }


@pytest.mark.parametrize("audio_format", FORMATS, ids=str)
@pytest.mark.parametrize("name", mixers())
def test_contract(name: str, audio_format: AudioFormat) -> None:
    """Every mixer does what the session relies on."""

    def make() -> AudioMixer:
        return mixers()[name]

    check_mixer(make, audio_format)


def bed(mixer: SoundMixer, count: int) -> npt.NDArray[np.float64]:
    """What the mixer plays under ``count`` samples of silence, mono."""
    return samples(mixer.mix(bytes(2 * count)))


def started(mixer: SoundMixer, audio_format: AudioFormat = MONO) -> SoundMixer:
    mixer.start(audio_format)
    return mixer


def test_sum_and_volume() -> None:
    """The bed times its volume is added to the voice."""
    voice = noise(8000, 5000)
    mixed = samples(started(SoundMixer(TONE, volume=0.5)).mix(voice))
    assert np.array_equal(mixed, np.rint(samples(TONE.pcm) * 0.5 + samples(voice)))


def test_saturation() -> None:
    """What is too loud is cut at full scale."""
    loud = Sound(MONO, np.array([30000, -30000], "<i2").tobytes())
    mixed = started(SoundMixer(loud, volume=1)).mix(np.array([30000, -30000], "<i2").tobytes())
    assert samples(mixed).tolist() == [32767, -32768]


def test_loop_has_no_seam() -> None:
    """A loop of whole periods, resampled, is an unbroken tone."""
    for rate in (8000, 44100, 48000):
        out = bed(started(SoundMixer(TONE, volume=1), AudioFormat(rate)), 4 * rate)
        spectrum = np.abs(np.fft.rfft(out * np.blackman(len(out))))
        peak = spectrum.argmax()
        assert peak == 440 * 4
        assert spectrum[np.abs(np.arange(len(spectrum)) - peak) > 8].max() < spectrum[peak] * 1e-3


def test_a_sound_is_heard_at_its_place() -> None:
    """A resampled sound begins where it began, not later by the resampler's delay."""
    click = np.zeros(1600, "<i2")
    click[160] = 20000
    for loop in (True, False):
        for rate in (8000, 24000, 44100):
            out = Sound(MONO, click.tobytes()).frames(AudioFormat(rate), loop=loop)
            assert out.argmax() == pytest.approx(rate / 100, abs=1)
            assert len(out) == rate // 10


def test_playing_once() -> None:
    """Without a loop a sound ends, in the middle of a chunk if it must, and can be played again by its name."""
    mixer = started(SoundMixer(TONE, volume=1, loop=False, crossfade_s=0))
    out = bed(mixer, 10000)
    assert np.array_equal(out[:8000], samples(TONE.pcm))
    assert not out[8000:].any()
    voice = noise(320)
    assert mixer.mix(voice) is voice
    mixer.control({"sound": "bed"})
    assert np.array_equal(bed(mixer, 8000), samples(TONE.pcm))


def test_loop_on_and_off() -> None:
    """A loop that is switched off plays to its end; one that is switched on goes on."""
    mixer = started(SoundMixer(TONE, volume=1))
    bed(mixer, 12000)
    mixer.control({"loop": False})
    out = bed(mixer, 8000)
    assert np.array_equal(out[:4000], samples(TONE.pcm)[4000:])
    assert not out[4000:].any()
    mixer.control({"loop": True, "sound": "bed", "crossfade_s": 0})
    assert np.array_equal(bed(mixer, 24000), np.tile(samples(TONE.pcm), 3))


@pytest.mark.parametrize(
    "change",
    [
        lambda mixer: mixer.control({"volume": 0.1}),
        lambda mixer: mixer.control({"volume": 0}),
        lambda mixer: mixer.control({}, enabled=False),
        lambda mixer: mixer.control({"sound": "low"}),
        lambda mixer: mixer.control({"sound": "low", "volume": 1.0}, enabled=True),
    ],
)
def test_no_change_clicks(change: object) -> None:
    """After any change the wave goes on without a jump, also when it is changed again in the middle of the glide."""
    assert callable(change)
    low = Sound(MONO, sine(200, 16000, 0.5, 8000))
    mixer = started(SoundMixer({"tone": TONE, "low": low}, volume=0.8))
    parts = [bed(mixer, 1000)]
    change(mixer)
    parts.append(bed(mixer, 100))
    mixer.control({"sound": "tone", "volume": 0.8}, enabled=True)
    parts.append(bed(mixer, 20000))
    out = np.concatenate(parts)
    steepest = 2 * np.pi * 440 / 16000 * 8000 * 1.25
    assert np.abs(np.diff(out)).max() < steepest
    reference = bed(started(SoundMixer(TONE, volume=0.8)), len(out))
    assert np.abs(np.diff(out[-2000:])).max() == pytest.approx(np.abs(np.diff(reference[-2000:])).max(), rel=0.02)


def test_crossfade_keeps_the_loudness() -> None:
    """From one noise to another the level stays within 1 dB, and after it only the new one is heard."""
    first, second = (Sound(MONO, noise(16000, 8000, seed)) for seed in (1, 2))
    mixer = started(SoundMixer({"a": first, "b": second}, "a", volume=1, crossfade_s=0.4))
    mixer.control({"sound": "b"})
    out = bed(mixer, 16000)
    expected = level_db(samples(first.pcm))
    for start in range(0, 6400, 800):
        assert level_db(out[start : start + 800]) == pytest.approx(expected, abs=1.2)
    assert np.array_equal(out[6400:], samples(second.pcm)[6400:])


def test_off_and_on() -> None:
    """Off, the bed fades out and costs nothing; on again, it is where it would have been."""
    mixer = started(SoundMixer(TONE, volume=1))
    mixer.control({}, enabled=False)
    fade = round(FADE_S * 16000)
    assert not bed(mixer, 2 * fade)[fade:].any()
    voice = noise(3210)
    assert mixer.mix(voice) is voice
    mixer.control({}, enabled=True)
    out = bed(mixer, 8000)
    reference = np.tile(samples(TONE.pcm), 3)[2 * fade + 3210 :]
    assert np.array_equal(out[fade:], reference[fade : len(out)])


def test_ending_unheard() -> None:
    """A sound that is played once goes on while it is off, and can end there."""
    for skipped, left in ((3000, 5000), (9000, 0)):
        mixer = started(SoundMixer(TONE, volume=1, loop=False, enabled=False))
        bed(mixer, skipped)
        mixer.control({"loop": False}, enabled=True)
        out = bed(mixer, 9000)
        assert np.array_equal(out[800:left], samples(TONE.pcm)[skipped + 800 :])
        assert not out[left:].any()


def test_off_from_the_start() -> None:
    """A mixer that begins disabled is silent until it is enabled."""
    mixer = started(SoundMixer(TONE, enabled=False))
    voice = noise(3200)
    assert mixer.mix(voice) is voice
    mixer.control({"volume": 1.0}, enabled=True)
    assert bed(mixer, 8000)[4000:].max() > 7900


def test_the_same_name_plays_on() -> None:
    """Naming the loop that plays changes nothing."""
    mixer, other = started(SoundMixer(TONE)), started(SoundMixer(TONE))
    bed(mixer, 1000)
    bed(other, 1000)
    mixer.control({"sound": "bed"})
    assert np.array_equal(bed(mixer, 9000), bed(other, 9000))


@given(
    sizes=st.lists(st.integers(1, 1500), min_size=1, max_size=10),
    changes=st.lists(
        st.sampled_from([{"sound": "b"}, {"sound": "a"}, {"volume": 0.9}, {"volume": 0.0}, {"loop": False}, {}]),
        max_size=4,
    ),
    enabled=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_pieces_do_not_matter(sizes: list[int], changes: list[Mapping[str, object]], enabled: bool) -> None:
    """With changes at the same places, the bed is the same however the chunks are cut."""
    one = started(SoundMixer({"a": TONE, "b": OTHER}, "a", crossfade_s=0.05))
    many = one.fresh()
    many.start(MONO)
    for change in [*changes, {}]:
        for mixer in (one, many):
            mixer.control(change, enabled=enabled)
        voice = noise(2000, 3000)
        parts, at = [], 0
        for size in [*sizes, 2000]:
            parts.append(many.mix(voice[at : at + 2 * size]))
            at += 2 * size
        assert b"".join(parts) == one.mix(voice)


def test_sounds_are_converted_once() -> None:
    """Fresh mixers share the converted sounds."""
    mixer = SoundMixer(OTHER)
    first, second = mixer.fresh(), mixer.fresh()
    first.start(MONO)
    second.start(MONO)
    assert first._voices[0].sound is second._voices[0].sound


def test_few_formats_of_a_sound_are_kept() -> None:
    """Fifty calls of fifty rates leave a few formats of a sound behind, and who plays one that has gone plays on."""
    sound = Sound(MONO, noise(16000))
    first, alone = (started(SoundMixer(each, volume=1), AudioFormat(24000)) for each in (sound, Sound(MONO, sound.pcm)))
    heard = [bed(first, 12000)]
    for rate in range(8001, 8051):
        call = started(SoundMixer(sound), AudioFormat(rate))
        bed(call, rate)
        call.stop()
    heard.append(bed(first, 24000))
    assert np.array_equal(np.concatenate(heard), bed(alone, 36000))
    assert len(sound._converted) <= 4


@pytest.mark.parametrize("loop", [True, False])
@pytest.mark.parametrize("rate", [8000, 20001, 44100])
def test_a_sound_is_converted_as_it_is_played(rate: int, loop: bool) -> None:
    """A start converts nothing, and a second of a minute no more than that; off, it keeps step too."""
    sound, audio_format = Sound(MONO, noise(60 * 16000)), AudioFormat(rate)
    mixer = started(SoundMixer(sound, loop=loop), audio_format)
    converted = sound._converted[audio_format, loop]
    assert converted.done == 0
    for second, on in enumerate((True, False, True), 1):
        mixer.control({}, on)
        for _ in range(50):
            bed(mixer, rate // 50)
        assert second * (rate // 50 * 50) <= converted.done <= (second + 0.2) * rate
    whole = Sound(MONO, sound.pcm).frames(audio_format, loop=loop)
    assert len(whole) == len(converted.frames) == 60 * rate
    assert np.abs(whole[: converted.done].astype(int) - converted.frames[: converted.done]).max() <= 1


def test_sounds_from_files_and_arrays(tmp_path: Path) -> None:
    """A WAV file, an array of integers and one of floats are the same sound."""
    path = tmp_path / "bed.wav"
    stereo = np.array([[1, -2], [300, 32767], [-32768, 0]], "<i2")
    write_wav(path, AudioFormat(8000, 2), stereo.tobytes())
    for sound in (
        Sound.from_wav(path),
        Sound.from_array(stereo, 8000),
        Sound.from_array(stereo / 32768.0, 8000),
        SoundMixer(str(path)).sounds["bed"],
    ):
        assert sound.audio_format == AudioFormat(8000, 2)
        assert sound.pcm == stereo.tobytes()


def test_resampling_is_the_resamplers() -> None:
    """Played once, a sound is what the resampler makes of it, without its delay."""
    sound = Sound(AudioFormat(8000), noise(800))
    resampler = Resampler(8000, 16000)
    out = samples(resampler.process(sound.pcm) + resampler.flush())[96 : 96 + 1600]
    assert np.array_equal(sound.frames(MONO, loop=False).reshape(-1), out)


@pytest.mark.parametrize(
    ("settings_", "enabled", "error", "text"),
    [
        ({"sound": "c"}, None, ValueError, "has no sound 'c': it has a, b"),
        ({"sound": ["a"]}, None, ValueError, r"has no sound \['a'\]"),
        ({"volume": -1}, None, ValueError, "volume must be between 0 and 8, not -1"),
        ({"volume": float("nan")}, None, ValueError, "volume must be between 0 and 8"),
        ({"volume": "1"}, None, TypeError, "volume must be a number, not '1'"),
        ({"loop": 1}, None, TypeError, "must be True or False, not 1"),
        ({"crossfade_s": -0.1}, None, ValueError, "crossfade_s must be at least 0"),
        ({"crossfade_s": None}, None, TypeError, "crossfade_s must be a number"),
        ({"sounds": "a", "vol": 1}, None, ValueError, "no setting 'sounds', 'vol': it has sound, volume, loop"),
        ({}, 1, TypeError, "must be True or False, not 1"),
    ],
)
def test_bad_settings_change_nothing(
    settings_: Mapping[str, object], enabled: bool | None, error: type[Exception], text: str
) -> None:
    """A setting that cannot be is an error that names it, and none of the others is applied."""
    mixer, other = (started(SoundMixer({"a": TONE, "b": OTHER})) for _ in range(2))
    with pytest.raises(error, match=text):
        mixer.control({"volume": 0.9, "loop": False, **settings_}, enabled=enabled)
    assert np.array_equal(bed(mixer, 9000), bed(other, 9000))


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: SoundMixer({}), ValueError, "SoundMixer.sounds is empty"),
        (lambda: SoundMixer({"a": TONE}, "b"), ValueError, "no sound 'b': it has a"),
        (lambda: SoundMixer(TONE, volume=9), ValueError, "between 0 and 8"),
        (lambda: SoundMixer(TONE, crossfade_s=float("inf")), ValueError, "at least 0, not inf"),
        (lambda: SoundMixer("/no/such/file.wav"), FileNotFoundError, "no/such/file.wav"),
        (lambda: Sound(MONO, b""), ValueError, "Sound.pcm is empty"),
        (lambda: Sound(MONO, b"abc"), ValueError, "not whole samples"),
        (lambda: Sound.from_array(np.zeros((2, 2, 2)), 8000), ValueError, "one or two dimensions, not 3"),
        (lambda: Sound.from_array(np.zeros(4, np.int32), 8000), TypeError, "int16 or floats, not int32"),
    ],
)
def test_what_cannot_be_a_mixer(make: object, error: type[Exception], text: str) -> None:
    """What cannot be played is refused at construction, with the reason."""
    assert callable(make)
    with pytest.raises(error, match=text):
        make()
