"""What every mixer and every filter is held to, whoever wrote it."""

from collections.abc import Callable

import pytest

from tests.audio.signals import noise, pieces
from trio_transports.audio.filters import AudioFilter
from trio_transports.audio.format import AudioFormat
from trio_transports.audio.mixer import AudioMixer

FORMATS = (AudioFormat(8000), AudioFormat(24000, 2), AudioFormat(16000, 3))


def check_mixer(make: Callable[[], AudioMixer], audio_format: AudioFormat) -> None:
    """Hold one mixer to the contract."""
    seconds = audio_format.bytes_per_second
    voice = noise(seconds // 2, 9000)

    def started() -> AudioMixer:
        mixer = make()
        mixer.start(audio_format)
        return mixer

    whole = started().mix(voice)
    assert len(whole) == len(voice), "as many bytes come out as went in"
    mixer = started()
    cut = [mixer.mix(piece) for piece in pieces(voice, audio_format.bytes_per_sample, 900)]
    assert b"".join(cut) == whole, "what is mixed does not depend on how the audio is cut"

    mixer = started()
    bed = b"".join(mixer.mix(bytes(piece)) for piece in [seconds // 50 // 12 * 12] * 30)
    assert bed[: len(whole)] == started().mix(bytes(len(bed)))[: len(whole)], "the bed goes on through silence"
    assert mixer.mix(b"") == b"", "no audio, no bed"

    other = mixer.fresh()
    other.start(audio_format)
    assert other.mix(voice) == whole, "a fresh mixer begins with the settings of the first, at the beginning"
    mixer.stop()
    mixer.start(audio_format)
    assert mixer.mix(voice) == whole, "a mixer that is started again begins anew"

    mixer.control({}, enabled=False)
    mixer.mix(voice)
    assert mixer.mix(voice) == voice, "a disabled mixer changes nothing"
    mixer.control({}, enabled=True)
    mixer.mix(voice)
    assert len(mixer.mix(voice)) == len(voice)
    full = b"\xff\x7f" * (seconds // 2) + b"\x00\x80" * (seconds // 2)
    mixed = mixer.mix(full)
    assert max(abs(a - b) for a, b in zip(mixed[1::2], full[1::2], strict=True)) < 128, "the sum never wraps around"
    with pytest.raises(ValueError, match="no-such-setting"):
        mixer.control({"no-such-setting": 1})
    if audio_format.num_channels > 1:
        with pytest.raises(ValueError, match="not whole samples"):
            mixer.mix(bytes(2))
    mixer.stop()
    mixer.stop()
    with pytest.raises(RuntimeError, match=r"before start\(audio_format\) or after stop\(\)"):
        mixer.mix(voice)
    mixer.control({}, enabled=False)
    mixer.start(audio_format)
    assert mixer.mix(voice) == voice, "what is set while it is stopped holds when it starts"
    mixer.stop()


def check_filter(make: Callable[[], AudioFilter], audio_format: AudioFormat) -> None:
    """Hold one filter to the contract."""
    voice = noise(audio_format.bytes_per_second // 2, 9000)

    def started() -> AudioFilter:
        audio_filter = make()
        audio_filter.start(audio_format)
        return audio_filter

    assert started().slow in (True, False)
    whole = started().filter(voice)
    assert len(whole) == len(voice), "as many bytes come out as went in"
    audio_filter = started()
    cut = [audio_filter.filter(piece) for piece in pieces(voice, audio_format.bytes_per_sample, 900)]
    assert b"".join(cut) == whole, "what comes out does not depend on how the audio is cut"
    assert audio_filter.filter(b"") == b"", "no audio in, no audio out"
    assert not any(started().filter(bytes(len(voice)))), "silence stays silence"

    other = audio_filter.fresh()
    other.start(audio_format)
    assert other.filter(voice) == whole, "a fresh filter has the settings of the first and remembers nothing"
    audio_filter.stop()
    audio_filter.start(audio_format)
    assert audio_filter.filter(voice) == whole, "a filter that is started again begins anew"

    audio_filter.control({}, enabled=False)
    assert audio_filter.filter(voice) is voice, "a disabled filter returns what it was given"
    audio_filter.control({}, enabled=True)
    assert audio_filter.filter(voice) == whole, "a filter that was off remembers nothing"
    with pytest.raises(ValueError, match="no-such-setting"):
        audio_filter.control({"no-such-setting": 1})
    if audio_format.num_channels > 1:
        with pytest.raises(ValueError, match="not whole samples"):
            audio_filter.filter(bytes(2))
    audio_filter.stop()
    audio_filter.stop()
    with pytest.raises(RuntimeError, match=r"before start\(audio_format\) or after stop\(\)"):
        audio_filter.filter(voice)
    audio_filter.control({}, enabled=False)
    audio_filter.start(audio_format)
    assert audio_filter.filter(voice) is voice, "what is set while it is stopped holds when it starts"
    audio_filter.stop()
