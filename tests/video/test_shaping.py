"""Size, proportions, codecs and bitrate of pictures."""

from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from trio_transports.video.bitrate import MIN_QUALITY, BitrateControl
from trio_transports.video.codec import PICTURE_CODECS, PictureCodec, PictureEncoder, codec_named, decode
from trio_transports.video.pixels import PIXEL_FORMATS, PixelFormat, Pixels, size_bytes
from trio_transports.video.scaling import scaled, scaled_here
from trio_transports.video.shaping import MAX_PIXELS, PictureShape


def picture(
    width: int, height: int, channels: int = 3, seed: int = 3
) -> np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)
    return pixels


@pytest.mark.parametrize("target", [(20, 15), (40, 30), (5, 4), (33, 7), (1, 1), (128, 3)])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("scale", [scaled, scaled_here])
def test_scaling_agrees_with_pillow(
    target: tuple[int, int], channels: int, scale: Callable[[Pixels, int, int], Pixels]
) -> None:
    """Larger, smaller, or one of each, with and without the extra: within rounding of Pillow's BILINEAR."""
    pixels = picture(20, 15, channels)
    ours = scale(pixels, *target)
    reference = np.stack(
        [
            np.asarray(Image.fromarray(pixels[..., n].copy()).resize(target, Image.Resampling.BILINEAR))
            for n in range(channels)
        ],
        axis=2,
    )
    assert ours.shape == (target[1], target[0], channels)
    assert np.abs(ours.astype(int) - reference).max() <= 1


def test_a_letterbox_keeps_the_proportions() -> None:
    """A square picture on a wide screen has black at both sides and none above or below."""
    shape = PictureShape(width=40, height=20, fit="letterbox")
    shown = np.frombuffer(shape.apply(b"\xff" * 300, (10, 10), "RGB"), np.uint8).reshape(20, 40, 3)
    assert not shown[:, :10].any()
    assert not shown[:, 30:].any()
    assert (shown[:, 10:30] == 255).all()


def test_a_letterbox_of_a_wide_picture_has_black_above_and_below() -> None:
    shape = PictureShape(width=20, height=20, fit="letterbox", pixel_format="RGBA")
    shown = np.frombuffer(shape.apply(b"\xff" * (10 * 5 * 4), (10, 5), "RGBA"), np.uint8).reshape(20, 20, 4)
    assert not shown[:5, :, :3].any()
    assert not shown[15:, :, :3].any()
    assert (shown[5:15] == 255).all()
    assert (shown[..., 3] == 255).all()


def test_stretching_fills_everything() -> None:
    shape = PictureShape(width=40, height=20, fit="stretch")
    assert shape.apply(b"\xff" * 300, (10, 10), "RGB") == b"\xff" * 2400


@pytest.mark.parametrize("pixel_format", PIXEL_FORMATS)
def test_what_has_the_right_shape_passes_untouched(pixel_format: PixelFormat) -> None:
    data = np.random.default_rng(2).integers(0, 256, size_bytes(pixel_format, 8, 6), np.uint8).tobytes()
    assert PictureShape(width=8, height=6, pixel_format=pixel_format).apply(data, (8, 6), pixel_format) is data


@pytest.mark.parametrize("codec", PICTURE_CODECS)
@pytest.mark.parametrize("pixel_format", PIXEL_FORMATS)
def test_every_format_can_be_encoded_by_every_codec(codec: PictureCodec, pixel_format: PixelFormat) -> None:
    """What comes out is a file of that kind, of that size, that shows the picture."""
    shape = PictureShape(width=32, height=24, pixel_format=pixel_format)
    raw = shape.apply(bytes((250, 120, 30)) * (32 * 24), (32, 24), "RGB")
    file = PictureEncoder(codec).encode(raw, 32, 24, pixel_format)
    with Image.open(BytesIO(file)) as opened:
        assert (opened.format, opened.size) == (codec, (32, 24))
    shown, size = decode(file, codec, max_pixels=10_000)
    assert size == (32, 24)
    colour = np.frombuffer(shown, np.uint8).reshape(-1, 3).mean(axis=0)
    grey = round(0.299 * 250 + 0.587 * 120 + 0.114 * 30)
    expected = (grey,) * 3 if pixel_format == "GRAY" else (250, 120, 30)
    assert np.abs(colour - expected).max() < 6


def test_an_encoded_picture_is_brought_into_shape_too() -> None:
    file = PictureEncoder("PNG").encode(b"\x09" * 300, 10, 10, "RGB")
    assert PictureShape(width=10, height=10, pixel_format="BGR").apply(file, (0, 0), "png") == b"\x09" * 300


def test_a_transparent_file_stays_transparent_where_the_track_has_it() -> None:
    """Elsewhere it is drawn on nothing, as ever."""
    pixels = bytes((250, 120, 30, 40)) * 100
    written = BytesIO()
    Image.frombytes("RGBA", (10, 10), pixels).save(written, "PNG")
    for _ in range(2):
        shape = PictureShape(width=10, height=10, pixel_format="RGBA")
        assert shape.apply(written.getvalue(), (0, 0), "png") == pixels
        opaque = PictureShape(width=10, height=10).apply(written.getvalue(), (0, 0), "png")
        assert len(opaque) == 300


def test_a_broken_file_is_a_value_error_that_names_the_codec() -> None:
    file = PictureEncoder("PNG").encode(b"\x09" * 300, 10, 10, "RGB")
    for broken in (b"", file[:30], b"GIF89a" + file, file[:45]):
        with pytest.raises(ValueError, match="not a PNG picture"):
            decode(broken, "PNG", max_pixels=1000)


def test_another_kind_of_file_is_not_opened() -> None:
    """A peer that says JPEG cannot make PNG's decoder run."""
    file = PictureEncoder("PNG").encode(b"\x09" * 300, 10, 10, "RGB")
    with pytest.raises(ValueError, match="not a JPEG picture"):
        decode(file, "JPEG", max_pixels=1000)


@pytest.mark.parametrize("limit", [99, 1])
def test_a_file_over_the_limit_is_refused_by_its_header(limit: int) -> None:
    file = PictureEncoder("PNG").encode(b"\x09" * 300, 10, 10, "RGB")
    with pytest.raises(ValueError, match=f"10x10 is over the limit of {limit} pixels"):
        decode(file, "PNG", max_pixels=limit)


def test_a_bomb_is_refused() -> None:
    """A small file that would be gigabytes of pixels."""
    file = BytesIO()
    Image.new("L", (20000, 20000)).save(file, "PNG")
    with pytest.raises(ValueError, match="over the limit"):
        decode(file.getvalue(), "PNG", max_pixels=MAX_PIXELS)


def progressive(mode: str = "L") -> bytes:
    file = BytesIO()
    Image.new(mode, (64, 64), 90).save(file, "JPEG", progressive=True)
    return file.getvalue()


def scanned_again(file: bytes, times: int) -> bytes:
    """The last scan, of a dozen bytes, again and again: each is a way through all of the pixels."""
    last = file.rindex(b"\xff\xda")
    return file[:last] + file[last:-2] * times + file[-2:]


def test_a_jpeg_of_many_scans_is_refused() -> None:
    """A few kilobytes that would be minutes of work; hidden behind a comment they are found as well."""
    comment = b"\xff\xfe\x00\x06\xff\xd9\xff\xd9"
    file = progressive()
    last = file.rindex(b"\xff\xda")
    ended_before = b"\xff\xd8\xff\xd9" + file  # the decoder reads on, as behind tables alone
    commented = file[:last] + comment + file[last:]
    for bomb in (scanned_again(each, 300) for each in (file, commented, ended_before)):
        Image.open(BytesIO(bomb)).load()
        with pytest.raises(ValueError, match="more than 64 scans"):
            decode(bomb, "JPEG", max_pixels=MAX_PIXELS)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_an_ordinary_progressive_jpeg_is_taken(mode: str) -> None:
    """Ten scans, and what looks like a scan beside them, in a comment or behind the picture."""
    file = progressive(mode)
    assert file.count(b"\xff\xda") == {"L": 6, "RGB": 10}[mode]
    wanted = decode(file, "JPEG", max_pixels=MAX_PIXELS)
    looks = b"\xff\xda" * 300
    commented = file[:2] + b"\xff\xfe" + (len(looks) + 2).to_bytes(2, "big") + looks + file[2:]
    for each in (scanned_again(file, 20), commented, file + looks):
        assert decode(each, "JPEG", max_pixels=MAX_PIXELS)[1] == (64, 64)
    assert decode(commented + looks, "JPEG", max_pixels=MAX_PIXELS) == wanted


@pytest.mark.parametrize(
    ("size", "said"), [((0, 5), "no pixels"), ((5000, 5000), "over the limit"), ((2, 2), "12 bytes")]
)
def test_what_is_no_picture_is_refused(size: tuple[int, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        PictureShape(width=4, height=4).apply(b"", size, "RGB")


def test_an_unknown_codec_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'gif' is not a picture codec: use one of JPEG, PNG, WEBP"):
        codec_named("gif")
    assert codec_named("jpg") == "JPEG"


@pytest.mark.parametrize("bitrate", [700_000, 1_500_000])
def test_quality_follows_the_bitrate(bitrate: int) -> None:
    """Two seconds of busy pictures settle at the bitrate or below; a calm second brings the quality back."""
    encoder = PictureEncoder("JPEG")
    control = BitrateControl(bitrate, 30, encoder.quality)
    rough = np.kron(picture(40, 30), np.ones((4, 4, 1), np.uint8)).tobytes()
    taken = []
    for _ in range(90):
        taken.append(len(encoder.encode(rough, 160, 120, "RGB")))
        encoder.quality = control.encoded(taken[-1])
    assert sum(taken[30:]) / 2 * 8 <= bitrate * 1.05
    assert sum(taken[30:]) / 2 * 8 >= bitrate * 0.5
    settled = encoder.quality
    for _ in range(30):
        encoder.quality = control.encoded(len(encoder.encode(bytes(160 * 120 * 3), 160, 120, "RGB")))
    assert encoder.quality > settled


def test_quality_has_a_floor() -> None:
    """A bitrate that no quality can hold does not go below the lowest quality."""
    control = BitrateControl(8_000, 30)
    for _ in range(100):
        control.encoded(20_000)
    assert control.quality == MIN_QUALITY
