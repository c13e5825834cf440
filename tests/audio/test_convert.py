import pytest

from tests.audio.signals import noise, pieces
from trio_transports.audio.channels import mix_channels
from trio_transports.audio.convert import Converter
from trio_transports.audio.format import AudioFormat
from trio_transports.audio.resample import Resampler


def test_identity_costs_nothing() -> None:
    """Equal formats return the same object, with no delay and no tail."""
    converter = Converter(AudioFormat(16000, 2), AudioFormat(16000, 2))
    pcm = noise(64)
    assert converter.process(pcm) is pcm
    assert converter.is_identity
    assert converter.delay_s == 0
    assert converter.flush() == b""
    converter.reset()


def test_down_then_resampled() -> None:
    """Stereo to mono is mixed before it is resampled, with one filter instead of two."""
    pcm = noise(9600)
    converter = Converter(AudioFormat(48000, 2), AudioFormat(16000))
    resampler = Resampler(48000, 16000)
    assert converter.process(pcm) == resampler.process(mix_channels(pcm, 2, 1))
    assert converter.flush() == resampler.flush()
    assert converter.delay_s == resampler.delay_s


def test_resampled_then_up() -> None:
    """Mono to stereo is resampled before it is copied."""
    pcm = noise(4800)
    converter = Converter(AudioFormat(24000), AudioFormat(48000, 2))
    resampler = Resampler(24000, 48000)
    assert converter.process(pcm) == mix_channels(resampler.process(pcm), 1, 2)
    assert converter.flush() == mix_channels(resampler.flush(), 1, 2)


def test_channels_alone() -> None:
    """Equal rates only mix, without delay."""
    converter = Converter(AudioFormat(8000), AudioFormat(8000, 2))
    assert converter.process(b"\x01\x00") == b"\x01\x00\x01\x00"
    assert converter.delay_s == 0
    assert not converter.is_identity


@pytest.mark.parametrize("source", [AudioFormat(8000), AudioFormat(44100, 2), AudioFormat(16000, 3)])
@pytest.mark.parametrize("target", [AudioFormat(24000), AudioFormat(8000, 2), AudioFormat(48000, 6)])
def test_pieces(source: AudioFormat, target: AudioFormat) -> None:
    """The output does not depend on how the input was cut, and reset begins anew."""
    pcm = noise(5000 * source.num_channels)
    converter = Converter(source, target)
    whole = converter.process(pcm)
    converter.reset()
    assert b"".join(map(converter.process, pieces(pcm, source.bytes_per_sample, 500))) == whole
    target.samples(len(whole))


def test_split_samples_are_refused() -> None:
    """Bytes that split a sample are an error on every path but the identity."""
    for source, target in ((AudioFormat(8000, 2), AudioFormat(16000, 2)), (AudioFormat(8000, 2), AudioFormat(8000))):
        with pytest.raises(ValueError, match="not whole samples of 2 channels"):
            Converter(source, target).process(bytes(6))


def test_rates_out_of_range() -> None:
    """A rate that cannot be resampled is refused at construction; an equal one never needs to be."""
    with pytest.raises(ValueError, match="between 1000 and 768000"):
        Converter(AudioFormat(4), AudioFormat(8000))
    assert Converter(AudioFormat(4), AudioFormat(4, 2)).process(bytes(2)) == bytes(4)
