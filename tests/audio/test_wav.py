import struct
import wave
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import wavfile

from tests.audio.signals import noise
from trio_transports.audio.format import AudioFormat
from trio_transports.audio.g711 import alaw_to_pcm, pcm_to_alaw, pcm_to_ulaw, ulaw_to_pcm
from trio_transports.audio.wav import add_wav_header, read_wav, split_wav_header, strip_wav_header, write_wav

MONO = AudioFormat(16000)
PCM = noise(320)
FMT = struct.pack("<HHIIHH", 1, 1, 16000, 32000, 2, 16)


def chunk(name: bytes, body: bytes, size: int | None = None) -> bytes:
    return name + struct.pack("<I", len(body) if size is None else size) + body + bytes(len(body) % 2)


def riff(*chunks: bytes, size: int | None = None) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body) if size is None else size) + body


@pytest.mark.parametrize("audio_format", [MONO, AudioFormat(44100, 2)])
def test_header_is_the_standard_librarys(audio_format: AudioFormat) -> None:
    """The header put on is byte for byte that of the wave module, and its lengths are those of the data."""
    file = BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((audio_format.num_channels, 2, audio_format.sample_rate, 0, "NONE", ""))
        writer.writeframes(PCM)
    assert add_wav_header(PCM, audio_format) == file.getvalue()


@given(pcm=st.binary(max_size=64).filter(lambda data: len(data) % 4 == 0), channels=st.sampled_from([1, 2]))
def test_round_trip(pcm: bytes, channels: int) -> None:
    """What was put on comes off, with the format it tells."""
    audio_format = AudioFormat(8000, channels)
    assert split_wav_header(add_wav_header(pcm, audio_format)) == (audio_format, pcm)


@pytest.mark.parametrize("pcm", [b"", b"R", b"RIFF", b"RIFF\x00\x00\x00\x00WAV", b"RIFF\x24\x00\x00\x00AVI ", PCM])
def test_bare_pcm_is_untouched(pcm: bytes) -> None:
    """Data without a header is returned as the same object."""
    assert strip_wav_header(pcm) is pcm
    assert split_wav_header(pcm) == (None, pcm)


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF, len(PCM), len(PCM) + 2])
@pytest.mark.parametrize("riff_size", [0, 0xFFFFFFFF, 36 + len(PCM), 7])
def test_streaming_and_wrong_sizes(size: int, riff_size: int) -> None:
    """Sizes that are unknown, or past the end, mean all that follows; the outer size is never believed."""
    assert strip_wav_header(riff(chunk(b"fmt ", FMT), chunk(b"data", PCM, size), size=riff_size)) == PCM


def test_size_too_small() -> None:
    """A data size that is too small loses no audio."""
    assert strip_wav_header(riff(chunk(b"fmt ", FMT), chunk(b"data", PCM, 100))) == PCM


def test_a_stray_byte() -> None:
    """What would split a sample after the audio is not audio."""
    assert strip_wav_header(riff(chunk(b"fmt ", FMT), chunk(b"data", PCM)) + b"\x00") == PCM


@given(channels=st.integers(0, 3), rate=st.sampled_from([0, 8000]), block=st.integers(0, 6), size=st.integers(0, 12))
def test_plain_headers_are_taken_off_alike(channels: int, rate: int, block: int, size: int) -> None:
    """The short way for the usual header finds what the walk finds, right or wrong."""
    fmt = struct.pack("<HHIIHH", 1, channels, rate, 0, block, 16)
    data = riff(chunk(b"fmt ", fmt), b"data" + struct.pack("<I", size) + bytes(range(12)))

    def outcome(strip: Callable[[bytes], bytes]) -> bytes | str:
        try:
            return strip(data)
        except ValueError as exc:
            return str(exc)

    assert outcome(strip_wav_header) == outcome(lambda data: split_wav_header(data)[1])


def test_chunks_around_the_audio() -> None:
    """Chunks before and after the audio, odd ones with their pad byte, are not heard."""
    others = chunk(b"LIST", b"INFOISFT\x05\x00\x00\x00abcd\x00"), chunk(b"fact", b"abc")
    assert strip_wav_header(riff(*others, chunk(b"fmt ", FMT), others[1], chunk(b"data", PCM), *others)) == PCM


def test_a_header_alone() -> None:
    """A header sent before its audio is no audio, and its format is told."""
    for size in (0, 0xFFFFFFFF, 640):
        assert split_wav_header(riff(chunk(b"fmt ", FMT), chunk(b"data", b"", size))) == (MONO, b"")


def test_a_header_on_every_chunk() -> None:
    """Several headed chunks in one message are one run of audio without clicks, also when one of them is empty."""
    first, second = PCM[:200], PCM[200:]
    message = add_wav_header(first, MONO) + add_wav_header(b"", MONO) + add_wav_header(second, MONO)
    assert strip_wav_header(message) == PCM


def test_a_change_of_format_in_a_message() -> None:
    """Headed chunks of different formats in one message are an error that names both."""
    with pytest.raises(ValueError, match="changes from 16000 Hz mono to 8000 Hz mono at byte 684"):
        strip_wav_header(add_wav_header(PCM, MONO) + add_wav_header(PCM, AudioFormat(8000)))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (riff(), "no data chunk in 12 bytes"),
        (riff(chunk(b"fmt ", FMT)), "no data chunk in 36 bytes"),
        (riff(chunk(b"data", PCM)), "data chunk at byte 12 comes before any 'fmt ' chunk"),
        (riff(chunk(b"fmt ", FMT[:10])), "claims 10 bytes, 10 are there, 16 are needed"),
        (riff(chunk(b"fmt ", FMT, 99)), "b'fmt ' at byte 12 claims 99 bytes and 16 are there"),
        (riff(chunk(b"LIST", b"ab", 0xFFFFFFF0)), "claims 4294967280 bytes and 2 are there"),
        (riff(chunk(b"fmt ", FMT[:2] + bytes(14)), chunk(b"data", PCM)), "0 channels at 0 Hz"),
        (riff(chunk(b"fmt ", FMT[:14] + b"\x18\x00"), chunk(b"data", PCM)), "1 channels of 24 bits in 2 bytes"),
        (riff(chunk(b"fmt ", FMT), chunk(b"data", PCM[:-1])), "639 bytes is not whole samples of 16000 Hz mono"),
        (
            riff(chunk(b"fmt ", struct.pack("<HHIIHH", 7, 1, 8000, 8000, 1, 8)), chunk(b"data", PCM)),
            "announces 8-bit mu-law, and only 16-bit PCM is taken",
        ),
        (
            riff(chunk(b"fmt ", struct.pack("<HHIIHH", 0x55, 1, 8000, 8000, 1, 8)), chunk(b"data", PCM)),
            "8-bit format tag 0x0055",
        ),
        (
            riff(chunk(b"fmt ", struct.pack("<HHIIHH", 0xFFFE, 1, 8000, 16000, 2, 16) + bytes(24))),
            "names no known sub-format",
        ),
    ],
)
def test_malformed(data: bytes, text: str) -> None:
    """A malformed header is a ValueError that says what and where."""
    with pytest.raises(ValueError, match=text):
        strip_wav_header(data)


@given(st.binary(max_size=80))
def test_any_bytes(data: bytes) -> None:
    """Whatever follows RIFF and WAVE, it is parsed or a ValueError."""
    for start in (riff(), riff(chunk(b"fmt ", FMT)), riff(chunk(b"fmt ", FMT)) + b"data"):
        try:
            strip_wav_header(start + data)
        except ValueError as exc:
            assert "WAV" in str(exc)  # noqa: PT017


def test_header_needs_whole_samples() -> None:
    """A header is not put on data that splits a sample."""
    with pytest.raises(ValueError, match="multiple of 4 bytes"):
        add_wav_header(bytes(6), AudioFormat(8000, 2))


def test_files(tmp_path: Path) -> None:
    """A file written is read back, by this reader and by the standard library's."""
    path = tmp_path / "a.wav"
    write_wav(path, AudioFormat(8000, 2), PCM)
    assert read_wav(path) == (AudioFormat(8000, 2), PCM)
    with wave.open(str(path)) as reader:
        assert reader.readframes(999) == PCM


@pytest.mark.parametrize("kind", ["u1", "<i4", "<f4", "<f8"])
@pytest.mark.parametrize("channels", [1, 2])
def test_other_encodings(tmp_path: Path, kind: str, channels: int) -> None:
    """8-bit and 32-bit integers and floats, as scipy writes them, are read as 16-bit PCM."""
    values = np.array([[-32768, -1, 0, 1, 256, 32767], [5120, -5120, 0, 1, 2, 3]]).T[:, :channels]
    scaled = {
        "u1": (values >> 8) + 128,
        "<i4": values * 65536,
        "<f4": values / 32768,
        "<f8": values / 32768,
    }[kind]
    path = tmp_path / "a.wav"
    wavfile.write(path, 22050, scaled.astype(kind))
    audio_format, pcm = read_wav(path)
    assert audio_format == AudioFormat(22050, channels)
    expected = values >> 8 << 8 if kind == "u1" else values
    assert np.array_equal(np.frombuffer(pcm, "<i2").reshape(-1, channels), expected)


def test_rounding_and_saturation(tmp_path: Path) -> None:
    """What 16 bits cannot hold is rounded and saturated; what is no number is silence."""
    path = tmp_path / "a.wav"
    floats = np.array([2.0, -2.0, np.nan, np.inf, 0.6 / 32768], "<f4")
    wavfile.write(path, 8000, floats)
    assert np.frombuffer(read_wav(path)[1], "<i2").tolist() == [32767, -32768, 0, 32767, 1]
    triples = b"\xff\xff\x7f\x00\x00\x80\x80\x00\x00\x7f\x00\x00\xff\xff\xff"
    path.write_bytes(
        riff(chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, 8000, 24000, 3, 24)), chunk(b"data", triples + b"\x01"))
    )
    assert np.frombuffer(read_wav(path)[1], "<i2").tolist() == [32767, -32768, 1, 0, 0]


@pytest.mark.parametrize(("tag", "encode", "decode"), [(6, pcm_to_alaw, alaw_to_pcm), (7, pcm_to_ulaw, ulaw_to_pcm)])
def test_g711_files(tmp_path: Path, tag: int, encode: object, decode: object) -> None:
    """Files of telephone recordings are decoded."""
    assert callable(encode)
    assert callable(decode)
    path = tmp_path / "a.wav"
    code = encode(PCM)
    path.write_bytes(riff(chunk(b"fmt ", struct.pack("<HHIIHH", tag, 1, 8000, 8000, 1, 8)), chunk(b"data", code)))
    assert read_wav(path) == (AudioFormat(8000), decode(code))


def test_extensible(tmp_path: Path) -> None:
    """An extensible header tells its encoding in its sub-format."""
    tail = bytes.fromhex("0100000000001000800000aa00389b71")
    fmt = struct.pack("<HHIIHHHHI", 0xFFFE, 2, 48000, 192000, 4, 16, 22, 16, 3) + tail
    assert split_wav_header(riff(chunk(b"fmt ", fmt), chunk(b"data", PCM))) == (AudioFormat(48000, 2), PCM)


def test_unreadable_files(tmp_path: Path) -> None:
    """A file that cannot be read is an error that names the file and the reason."""
    path = tmp_path / "a.wav"
    path.write_bytes(b"OggS" + bytes(20))
    with pytest.raises(ValueError, match=r"a.wav is not a WAV file: it begins with b'OggS"):
        read_wav(path)
    path.write_bytes(riff(chunk(b"fmt ", struct.pack("<HHIIHH", 2, 1, 8000, 8000, 1, 4)), chunk(b"data", PCM)))
    with pytest.raises(ValueError, match=r"a.wav: WAV of 4-bit format tag 0x0002 cannot be read"):
        read_wav(path)
    path.write_bytes(riff())
    with pytest.raises(ValueError, match=r"a.wav: malformed WAV: no data chunk"):
        read_wav(path)
