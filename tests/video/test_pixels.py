"""Raw pictures, held against Pillow."""

import tracemalloc
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from trio_transports.video.pixels import PIXEL_FORMATS, PixelFormat, recolour, size_bytes

SIZES = [(8, 6), (7, 5), (1, 1), (64, 48), (3, 2)]


def noise(width: int, height: int, channels: int = 3, seed: int = 1) -> bytes:
    return np.random.default_rng(seed).integers(0, 256, width * height * channels, np.uint8).tobytes()


def reference(image: Image.Image, target: PixelFormat) -> bytes:
    """What Pillow makes of an RGB, RGBA or L picture."""
    match target:
        case "RGB" | "RGBA":
            return image.convert(target).tobytes()
        case "BGR":
            return np.asarray(image.convert("RGB"))[..., ::-1].tobytes()
        case "GRAY":
            return image.convert("RGB").convert("L").tobytes() if image.mode != "L" else image.tobytes()
        case "YUV420":
            width, height = image.size
            half = ((width + 1) // 2, (height + 1) // 2)
            even = Image.fromarray(
                np.pad(np.asarray(image.convert("RGB")), ((0, height % 2), (0, width % 2), (0, 0)), "edge")
            )
            luma = image.convert("RGB").convert("YCbCr").getchannel(0).tobytes()
            chroma = (even.convert("YCbCr").getchannel(n).resize(half, Image.Resampling.BOX).tobytes() for n in (1, 2))
            return luma + b"".join(chroma)


def of_yuv(data: bytes, width: int, height: int) -> Image.Image:
    """A planar picture as Pillow reads it, as RGB."""
    across, down = (width + 1) // 2, (height + 1) // 2
    luma = Image.frombytes("L", (width, height), data[: width * height])
    rest = data[width * height :]
    planes = [
        Image.frombytes("L", (across, down), part)
        .resize((2 * across, 2 * down), Image.Resampling.NEAREST)
        .crop((0, 0, width, height))
        for part in (rest[: across * down], rest[across * down :])
    ]
    return Image.merge("YCbCr", (luma, *planes)).convert("RGB")


def pillow_of(data: bytes, width: int, height: int, source: PixelFormat) -> Image.Image:
    match source:
        case "YUV420":
            return of_yuv(data, width, height)
        case "BGR":
            return Image.fromarray(np.frombuffer(data, np.uint8).reshape(height, width, 3)[..., ::-1].copy())
        case "GRAY":
            return Image.frombytes("L", (width, height), data)
        case "RGB" | "RGBA":
            return Image.frombytes(source, (width, height), data)


COPIES = {
    *((one, other) for one in ("RGB", "RGBA", "BGR", "GRAY") for other in ("RGB", "RGBA", "BGR")),
    *((one, one) for one in PIXEL_FORMATS),
    ("YUV420", "GRAY"),
    ("GRAY", "YUV420"),
}
"""From a format to one that holds all that it holds, or to a part of it: bytes are moved, and nothing is reckoned."""


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("target", PIXEL_FORMATS)
@pytest.mark.parametrize("source", PIXEL_FORMATS)
def test_every_pair_agrees_with_pillow(source: PixelFormat, target: PixelFormat, size: tuple[int, int]) -> None:
    """To the byte where bytes are only moved, and for grey, which both reckon alike; else a byte is one away at most.

    Pillow reckons YUV with six binary places, this with sixteen: ``test_every_sum_is_right_to_one`` holds it against
    the formulas themselves.
    """
    width, height = size
    data = np.random.default_rng(7).integers(0, 256, size_bytes(source, width, height), np.uint8).tobytes()
    ours = recolour(data, width, height, source, target)
    if source == target or (source, target) == ("YUV420", "GRAY"):
        expected = data[: len(ours)]
    elif (source, target) == ("GRAY", "YUV420"):  # of which Pillow makes a colour here and there
        expected = data + bytes((128,)) * (len(ours) - len(data))
    else:
        expected = reference(pillow_of(data, width, height, source), target)
    assert len(ours) == len(expected) == size_bytes(target, width, height)
    error = np.abs(np.frombuffer(ours, np.uint8).astype(int) - np.frombuffer(expected, np.uint8))
    is_exact = (source, target) in COPIES or target == "GRAY"
    assert error.max() <= (0 if is_exact else 1)
    assert error.mean() < (0.6 if width * height > 30 else 1.1)


WEIGHTS = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
"""Of JPEG: what red, green and blue give to Y, Cb and Cr."""


@pytest.mark.parametrize("size", SIZES)
def test_every_sum_is_right_to_one(size: tuple[int, int]) -> None:
    """Y, Cb and Cr from RGB, and back, against JPEG's formulas in floating point."""
    width, height = size
    across, down = (width + 1) // 2, (height + 1) // 2
    rgb = np.frombuffer(noise(width, height), np.uint8).reshape(height, width, 3)
    even = np.pad(rgb, ((0, height % 2), (0, width % 2), (0, 0)), "edge").astype(float)
    blocks = even.reshape(down, 2, across, 2, 3).mean(axis=(1, 3))
    exact = [(rgb @ WEIGHTS[0]).ravel(), *((128 + blocks @ WEIGHTS[n]).ravel() for n in (1, 2))]
    yuv = np.frombuffer(recolour(rgb.tobytes(), width, height, "RGB", "YUV420"), np.uint8)
    assert np.abs(yuv - np.clip(np.concatenate(exact), 0, 255)).max() <= 1

    planes = yuv[width * height :].reshape(2, down, across).astype(float) - 128
    blue, red = (plane.repeat(2, axis=0).repeat(2, axis=1)[:height, :width] for plane in planes)
    luma = yuv[: width * height].reshape(height, width)
    back = np.stack([luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue], axis=2)
    got = np.frombuffer(recolour(yuv.tobytes(), width, height, "YUV420", "RGB"), np.uint8).reshape(height, width, 3)
    assert np.abs(got - np.clip(back, 0, 255)).max() <= 0.51


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("via", ["BGR", "RGBA"])
def test_there_and_back_loses_nothing(via: PixelFormat, size: tuple[int, int]) -> None:
    """Formats that hold all of RGB give it back, bit for bit."""
    data = noise(*size)
    assert recolour(recolour(data, *size, "RGB", via), *size, via, "RGB") == data


def test_grey_survives_yuv_exactly() -> None:
    """A grey picture's Y is the grey itself."""
    data = noise(5, 3, 1)
    assert recolour(recolour(data, 5, 3, "GRAY", "YUV420"), 5, 3, "YUV420", "GRAY") == data


def test_a_real_jpeg_decoder_reads_our_yuv_as_the_same_colours() -> None:
    """Full-range BT.601 is what JPEG means: a flat colour comes back through a JPEG file as itself."""
    data = bytes((200, 40, 90)) * 256
    rgb = recolour(recolour(data, 16, 16, "RGB", "YUV420"), 16, 16, "YUV420", "RGB")
    file = BytesIO()
    Image.frombytes("RGB", (16, 16), data).save(file, "JPEG", quality=95)
    decoded = np.asarray(Image.open(file)).reshape(-1)
    assert np.abs(np.frombuffer(rgb, np.uint8).astype(int) - decoded).max() <= 3


@pytest.mark.parametrize("pixel_format", PIXEL_FORMATS)
@pytest.mark.parametrize("off", [-1, 1])
def test_a_picture_of_the_wrong_length_is_refused(pixel_format: PixelFormat, off: int) -> None:
    """The error says how many bytes there should be."""
    right = size_bytes(pixel_format, 4, 4)
    with pytest.raises(ValueError, match=f"has {right} bytes, not {right + off}"):
        recolour(bytes(right + off), 4, 4, pixel_format, "RGB")


@pytest.mark.parametrize("target", PIXEL_FORMATS)
@pytest.mark.parametrize("source", PIXEL_FORMATS)
def test_a_large_picture_takes_little_memory_while_it_is_worked_on(source: PixelFormat, target: PixelFormat) -> None:
    """Full HD in all pairs: what comes out, what is in between, and two megabytes for the arithmetic."""
    width, height = 1920, 1080
    image = bytes(size_bytes(source, width, height))
    tracemalloc.start()
    try:
        out = recolour(image, width, height, source, target)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * len(out) + size_bytes("RGB", width, height) + 2 * 1024 * 1024


@pytest.mark.parametrize("size", [(3, 70_001), (70_001, 3), (257, 1023), (40_000, 5)])
def test_bands_are_not_seen(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture of several bands, odd ones too, comes out as it does in one."""
    width, height = size
    image = noise(width, height)
    told = []
    for pixels in (1 << 16, 1 << 30):
        monkeypatch.setattr("trio_transports.video.pixels._BAND_PIXELS", pixels)
        yuv = recolour(image, width, height, "RGB", "YUV420")
        told.append((yuv, recolour(image, width, height, "RGB", "GRAY"), recolour(yuv, width, height, "YUV420", "RGB")))
    assert told[0] == told[1]
