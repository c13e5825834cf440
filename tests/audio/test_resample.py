from fractions import Fraction
from itertools import permutations
from math import gcd

import numpy as np
import pytest
import samplerate
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import signal

from tests.audio.signals import level_db, noise, pieces, samples, sine
from trio_transports.audio.polyphase import Blocks, Points
from trio_transports.audio.resample import Resampler

RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
PAIRS = tuple(permutations(RATES, 2))
each_rate = pytest.mark.parametrize("in_rate", RATES)
COMMON_PAIRS = ((8000, 16000), (16000, 8000), (24000, 8000), (48000, 16000), (16000, 24000), (24000, 16000))


def resampled(pcm: bytes, in_rate: int, out_rate: int, num_channels: int = 1) -> bytes:
    resampler = Resampler(in_rate, out_rate, num_channels)
    return resampler.process(pcm) + resampler.flush()


def others(in_rate: int) -> list[int]:
    return [rate for rate in RATES if rate != in_rate]


@each_rate
def test_output_does_not_depend_on_the_pieces(in_rate: int) -> None:
    """Random pieces give, to the last bit, what one call gives."""
    pcm = noise(in_rate // 4)
    for out_rate in others(in_rate):
        one = Resampler(in_rate, out_rate)
        many = Resampler(in_rate, out_rate)
        cut = b"".join(map(many.process, pieces(pcm, 2, 700))) + many.flush()
        assert cut == one.process(pcm) + one.flush(), out_rate


@pytest.mark.parametrize(("in_rate", "out_rate"), [(48000, 16000), (44100, 48000)])
def test_ten_minutes(in_rate: int, out_rate: int) -> None:
    """Ten minutes in random pieces equal the one-shot result, and are ten minutes long."""
    pcm = noise(in_rate * 20) * 30
    one = Resampler(in_rate, out_rate).process(pcm)
    many = Resampler(in_rate, out_rate)
    assert b"".join(map(many.process, pieces(pcm, 2, 3 * in_rate // 25))) == one
    assert len(one) == 2 * out_rate * 600


@given(
    pair=st.sampled_from(PAIRS),
    num_channels=st.integers(1, 3),
    sizes=st.lists(st.integers(0, 3000), max_size=12),
)
@settings(max_examples=60, deadline=None)
def test_length(pair: tuple[int, int], num_channels: int, sizes: list[int]) -> None:
    """After n samples in, ceil(n * ratio) have come out."""
    resampler = Resampler(*pair, num_channels)
    ratio = Fraction(pair[1], pair[0])
    given_samples = out_bytes = 0
    for size in sizes:
        out_bytes += len(resampler.process(bytes(2 * num_channels * size)))
        given_samples += size
        assert out_bytes == 2 * num_channels * -(-given_samples * ratio // 1)


@each_rate
def test_twenty_milliseconds_in_are_twenty_out(in_rate: int) -> None:
    """Every call with 20 ms returns exactly 20 ms where that is whole samples at both rates."""
    for out_rate in others(in_rate):
        if in_rate % 50 == out_rate % 50 == 0:
            resampler = Resampler(in_rate, out_rate, 2)
            sizes = {len(resampler.process(bytes(4 * (in_rate // 50)))) for _ in range(30)}
            assert sizes == {4 * (out_rate // 50)}


@each_rate
def test_passband(in_rate: int) -> None:
    """Tones up to 90 % of the lower Nyquist frequency keep their level within 0.1 dB."""
    for out_rate in others(in_rate):
        nyquist = min(in_rate, out_rate) / 2
        for share in (0.02, 0.4, 0.8, 0.9):
            out = samples(Resampler(in_rate, out_rate).process(sine(share * nyquist, in_rate, 0.4)))
            assert abs(level_db(out[out_rate // 20 :])) < 0.1, (out_rate, share)


@each_rate
def test_aliases(in_rate: int) -> None:
    """A tone anywhere above the lower Nyquist frequency leaves less than -80 dB behind."""
    for out_rate in others(in_rate):
        for frequency in np.linspace(1.002 * out_rate / 2, in_rate / 2, 6) if out_rate < in_rate else ():
            out = samples(Resampler(in_rate, out_rate).process(sine(frequency, in_rate, 0.3)))
            assert level_db(out[out_rate // 10 :]) < -80, (out_rate, frequency)


@each_rate
def test_images(in_rate: int) -> None:
    """Going up, nothing above the old Nyquist frequency stands above -80 dB, whatever the tone."""
    for out_rate in others(in_rate):
        for share in (0.3, 0.9, 0.998) if out_rate > in_rate else ():
            tone = sine(share * in_rate / 2, in_rate, 1.1)
            out = samples(Resampler(in_rate, out_rate).process(tone))[out_rate // 10 :]
            spectrum = np.abs(np.fft.rfft(out * np.blackman(len(out)))) / (0.42 * len(out) / 2) / 30000
            above = np.fft.rfftfreq(len(out), 1 / out_rate) > in_rate / 2 + 8
            assert 20 * np.log10(spectrum[above].max()) < -80, (out_rate, share)


@pytest.mark.parametrize(("in_rate", "out_rate"), COMMON_PAIRS)
def test_against_scipy(in_rate: int, out_rate: int) -> None:
    """Band-limited noise comes out as scipy's polyphase resampler makes it, shifted by the stated delay."""
    low = min(in_rate, out_rate)
    shape = signal.firwin(401, 0.85 * low / 2, fs=in_rate)
    pcm = np.rint(signal.lfilter(shape, 1, samples(noise(in_rate)))).astype("<i2").tobytes()
    ratio = Fraction(out_rate, in_rate)
    most = max(ratio.numerator, ratio.denominator)
    sharp = signal.firwin(400 * most + 1, 0.95 / most, window=("kaiser", 10.0))
    reference = signal.resample_poly(samples(pcm), ratio.numerator, ratio.denominator, window=sharp)
    resampler = Resampler(in_rate, out_rate)
    out = samples(resampler.process(pcm) + resampler.flush())
    delay = round(resampler.delay_s * out_rate)
    assert delay == pytest.approx(resampler.delay_s * out_rate)
    middle = slice(out_rate // 4, out_rate // 2)
    difference = out[delay:][middle] - reference[middle]
    assert np.sqrt(np.mean(difference**2)) < 0.005 * np.sqrt(np.mean(reference[middle] ** 2))


@pytest.mark.parametrize(("in_rate", "out_rate"), COMMON_PAIRS)
def test_against_libsamplerate(in_rate: int, out_rate: int) -> None:
    """A chord comes out as libsamplerate's best converter makes it, within -60 dB."""
    tones = [sine(share * min(in_rate, out_rate) / 2, in_rate, 1, 9000) for share in (0.05, 0.31, 0.72)]
    pcm = sum(samples(tone) for tone in tones)
    reference = samplerate.resample(pcm, out_rate / in_rate, "sinc_best")
    resampler = Resampler(in_rate, out_rate)
    out = samples(resampler.process(np.asarray(pcm).astype("<i2").tobytes()))
    delay = round(resampler.delay_s * out_rate)
    middle = slice(out_rate // 4, out_rate // 2)
    difference = out[delay:][middle] - reference[middle]
    assert level_db(difference, 9000) < -60


@pytest.mark.parametrize(("in_rate", "out_rate"), [(8000, 48000), (44100, 8000), (11025, 48000)])
def test_channels_are_independent(in_rate: int, out_rate: int) -> None:
    """Each channel of stereo comes out as it would alone."""
    left, right = noise(in_rate // 5, seed=3), noise(in_rate // 5, seed=4)
    both = np.stack([samples(left), samples(right)], axis=1).astype("<i2").tobytes()
    out = samples(resampled(both, in_rate, out_rate, 2)).reshape(-1, 2)
    assert np.array_equal(out[:, 0], samples(resampled(left, in_rate, out_rate)))
    assert np.array_equal(out[:, 1], samples(resampled(right, in_rate, out_rate)))


@pytest.mark.parametrize(("in_rate", "out_rate"), [(8000, 16000), (16000, 24000), (48000, 44100), (48000, 8000)])
@pytest.mark.parametrize("value", [-32768, -1, 0, 12345, 32767])
def test_constants(in_rate: int, out_rate: int, value: int) -> None:
    """A constant stays exactly that constant once the filter is full of it."""
    out = samples(Resampler(in_rate, out_rate).process(np.full(in_rate // 10, value, "<i2").tobytes()))
    assert set(out[out_rate // 20 :]) == {value}


def test_saturation() -> None:
    """Overshoot of a full-scale square wave is clipped, never wrapped."""
    square = np.where(np.arange(16000) // 37 % 2, 32767, -32768).astype("<i2").tobytes()
    out = samples(Resampler(16000, 24000).process(square))
    assert out.max() == 32767
    assert out.min() == -32768
    expected = np.where(np.arange(24000) * 2 // 3 // 37 % 2, 32767, -32768)
    shifted = out[round(0.003 * 24000) :]
    inside = np.abs(np.arange(len(shifted)) * 2 / 3 % 37 - 18) < 8
    assert (np.abs(shifted - expected[: len(shifted)])[inside & (np.arange(len(shifted)) > 100)] < 6000).all()


def test_flush_returns_the_tail_and_begins_anew() -> None:
    """A click at the very end is in what flush returns, and the next stream knows nothing of the one before."""
    resampler = Resampler(8000, 16000)
    head = resampler.process(bytes(318) + b"\xff\x7f")
    assert np.abs(samples(head)).max() < 1000
    tail = resampler.flush()
    assert len(tail) == 2 * round(resampler.delay_s * 16000)
    assert np.abs(samples(tail)).max() > 25000
    assert resampler.flush() == b""
    assert resampler.process(bytes(320)) == bytes(640)


def test_reset_forgets() -> None:
    """After reset a resampler does what a new one does."""
    used, new = Resampler(44100, 48000), Resampler(44100, 48000)
    used.process(noise(1000))
    used.reset()
    assert used.process(noise(2000, seed=5)) == new.process(noise(2000, seed=5))


def test_equal_rates_cost_nothing() -> None:
    """Equal rates return the same object, with no delay and no tail."""
    resampler = Resampler(16000, 16000, 2)
    pcm = noise(640)
    assert resampler.process(pcm) is pcm
    assert resampler.flush() == b""
    assert resampler.delay_s == 0


def test_empty_input() -> None:
    """No audio in, no audio out, and no tail."""
    resampler = Resampler(8000, 16000)
    assert resampler.process(b"") == b""
    assert resampler.flush() == b""


@pytest.mark.parametrize(("in_rate", "out_rate"), [(8000, 16000), (24000, 8000), (16000, 48000), (48000, 24000)])
def test_delay(in_rate: int, out_rate: int) -> None:
    """A click stands exactly delay_s later in the output."""
    click = np.zeros(in_rate // 10, "<i2")
    click[240] = 20000
    resampler = Resampler(in_rate, out_rate)
    out = samples(resampler.process(click.tobytes()))
    assert out.argmax() / out_rate == pytest.approx(240 / in_rate + resampler.delay_s)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ((8000, 0), ValueError, "out_rate must be between 1000 and 768000"),
        ((999_999, 8000), ValueError, "in_rate must be between"),
        ((8000.0, 16000), TypeError, "in_rate must be an int"),
        ((8000, 16000, 0), ValueError, "num_channels must be an int of at least 1"),
    ],
)
def test_what_cannot_be_resampled(arguments: tuple[int, ...], error: type[Exception], text: str) -> None:
    """A rate or count that cannot work is refused at construction, with the reason."""
    with pytest.raises(error, match=text):
        Resampler(*arguments)


def test_split_samples_are_refused() -> None:
    """Bytes that split a sample are an error that says what to pass."""
    with pytest.raises(ValueError, match="6 bytes are not whole samples of 2 channels: pass a multiple of 4"):
        Resampler(8000, 16000, 2).process(bytes(6))


@given(in_rate=st.integers(1000, 100_000), out_rate=st.integers(1000, 100_000), num_channels=st.integers(1, 2))
@example(in_rate=1000, out_rate=768_000, num_channels=1)
@example(in_rate=767_999, out_rate=1001, num_channels=2)
@settings(max_examples=25, deadline=None)
def test_any_rates(in_rate: int, out_rate: int, num_channels: int) -> None:
    """Any two rates resample, with the right length, the same in pieces, and a constant stays that constant."""
    samples_in = 400 + 100 * in_rate // min(in_rate, out_rate)
    pcm = np.full(samples_in * num_channels, -4321, "<i2").tobytes()
    one, many = Resampler(in_rate, out_rate, num_channels), Resampler(in_rate, out_rate, num_channels)
    whole = one.process(pcm)
    assert len(whole) == 2 * num_channels * -(-samples_in * out_rate // in_rate)
    assert b"".join(map(many.process, pieces(pcm, 2 * num_channels, 150))) == whole
    assert one.flush() == many.flush()
    assert set(samples(whole)[-num_channels:]) == {-4321}


ODD_PAIRS = ((8001, 16000), (44100, 44101), (16000, 15999), (192_000, 11_025), (96_000, 1000))


@pytest.mark.parametrize(("in_rate", "out_rate"), ODD_PAIRS)
def test_quality_of_odd_ratios(in_rate: int, out_rate: int) -> None:
    """Ratios without small terms have the same passband and the same silence above it."""
    low = min(in_rate, out_rate)
    for share in (0.05, 0.9):
        tone = sine(share * low / 2, in_rate, 0.3)
        out = samples(Resampler(in_rate, out_rate).process(tone))[out_rate // 10 :]
        assert abs(level_db(out)) < 0.1
    for frequency in (1.005 * low / 2, 1.4 * low / 2) if out_rate < 0.9 * in_rate else ():
        out = samples(Resampler(in_rate, out_rate).process(sine(frequency, in_rate, 0.3)))
        assert level_db(out[out_rate // 10 :]) < -80


@pytest.mark.parametrize(("in_rate", "out_rate"), [(8000, 16000), (44100, 8000), (11025, 16000)])
def test_both_ways_of_computing_agree(in_rate: int, out_rate: int) -> None:
    """Point by point and in blocks the output is the same, but for what interpolation costs."""
    divisor = gcd(in_rate, out_rate)
    up, down = out_rate // divisor, in_rate // divisor
    values = samples(noise(4000, seed=6)).reshape(2, -1)[:, :1900].astype(np.int16)
    blocks, points = Blocks(up, down, 2), Points(up, down, 2)
    for start in (0, 700, 701):
        piece = values[:, start : start + 700]
        assert np.abs(blocks.push(piece) - points.push(piece)).max() < 0.25
