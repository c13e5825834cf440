"""What a picture of 640 by 480 costs, raw and as JPEG, and what 20 ms of Opus cost, piece by piece and in a session.

``in a session`` is the CPU time of everything between ``output.send`` and the message at the peer, worker threads
included: a picture that comes in the track's own shape, one that is scaled down, one that is encoded.
"""

import time
from collections.abc import Iterator
from functools import partial

import numpy as np
import trio

from trio_transports.audio.codecs import make_decoder, make_encoder
from trio_transports.audio.codecs.codec import OPUS
from trio_transports.frames import ImageFrame
from trio_transports.params import TransportParams
from trio_transports.serializers import FrameSerializer, JSONFrameSerializer
from trio_transports.serializers.packed import PackedFrameSerializer
from trio_transports.testing import memory_session
from trio_transports.video.codec import PictureEncoder, decode
from trio_transports.video.shaping import PictureShape

from .audio import speechlike
from .timing import Figure, microseconds

PICTURES = "pictures, 640x480"
SESSION = "pictures in a session, 640x480"
OPUS_20_MS = "Opus, 20 ms"
OURS = "ours"

SIZE = (640, 480)
LARGE = (1024, 768)
RATE = 24_000


def scene(width: int, height: int) -> bytes:
    """Soft shapes with some grain, as a camera sees: neither flat nor noise."""
    across, down = np.meshgrid(np.linspace(0, 9, width), np.linspace(0, 7, height))
    grain = np.random.default_rng(2).normal(0, 4, (height, width, 3))
    soft = np.stack([np.sin(across + down), np.cos(across * 0.7), np.sin(down * 1.3 + 1)], axis=2)
    return np.clip(128 + 90 * soft + grain, 0, 255).astype(np.uint8).tobytes()


def figures(quick: bool) -> list[Figure]:
    return [*_pieces(quick), *_sessions(quick), *_opus(quick)]


def _figure(group: str, name: str, value: float) -> Figure:
    return Figure(group=group, name=name, peer=OURS, value=value)


def _pieces(quick: bool) -> Iterator[Figure]:
    width, height = SIZE
    raw, large = scene(*SIZE), scene(*LARGE)
    timed = partial(microseconds, quick=quick)
    for name, target in (("to YUV420", "YUV420"), ("to GRAY", "GRAY")):
        shape = PictureShape(width=width, height=height, pixel_format=target)  # type: ignore[arg-type]
        yield _figure(PICTURES, name, timed(partial(shape.apply, raw, SIZE, "RGB")))
    shrink = PictureShape(width=width, height=height)
    yield _figure(PICTURES, "scaled down from 1024x768", timed(partial(shrink.apply, large, LARGE, "RGB")))
    files: dict[str, bytes] = {}
    for codec in ("JPEG", "WEBP", "PNG"):
        encode = partial(PictureEncoder(codec).encode, raw, width, height, "RGB")
        files[codec] = encode()
        yield _figure(PICTURES, f"encode {codec}", timed(encode))
        yield _figure(PICTURES, f"decode {codec}", timed(partial(decode, files[codec], codec, max_pixels=10**6)))
    dialects: tuple[tuple[str, FrameSerializer], ...] = (
        ("json", JSONFrameSerializer()),
        ("packed", PackedFrameSerializer()),
    )
    for dialect, serializer in dialects:
        for kind, image in (("RGB", raw), ("JPEG", files["JPEG"])):
            frame = ImageFrame(image=image, size=SIZE, format=kind)
            (message,) = serializer.encode(frame)
            yield _figure(PICTURES, f"{dialect} write {kind}", timed(partial(serializer.encode, frame)))
            yield _figure(PICTURES, f"{dialect} read {kind}", timed(partial(serializer.decode, message)))


def _sessions(quick: bool) -> Iterator[Figure]:
    raw = ImageFrame(image=scene(*SIZE), size=SIZE)
    large = ImageFrame(image=scene(*LARGE), size=LARGE)
    for name, codec, image in (("raw", None, raw), ("raw, scaled down", None, large), ("JPEG", "JPEG", raw)):
        yield _figure(SESSION, name, trio.run(_shown, image, codec, 10 if quick else 50))


async def _shown(image: ImageFrame, codec: str | None, count: int) -> float:
    params = TransportParams(
        serializer=PackedFrameSerializer(),
        video_out_enabled=True,
        video_out_is_live=True,
        video_out_framerate=25,
        video_out_width=SIZE[0],
        video_out_height=SIZE[1],
        video_out_codec=codec,
        max_message_bytes=4 * 1024 * 1024,
    )
    async with memory_session(params) as (session, _):
        await session.output.send(image)
        await session.output.drain()
        begun_s = time.process_time()
        for _ in range(count):
            await session.output.send(image)
        await session.output.drain()
        took_s, sent = time.process_time() - begun_s, session.statistics().pictures_sent - 1
    return took_s / max(1, sent) * 1e6


def _opus(quick: bool) -> Iterator[Figure]:
    timed = partial(microseconds, quick=quick)
    pcm = speechlike(RATE)
    for bitrate in (24_000, 96_000):
        encoder, decoder = make_encoder(OPUS, RATE, bitrate=bitrate), make_decoder(OPUS, 48_000)
        packet = encoder.encode(pcm)
        yield _figure(OPUS_20_MS, f"encode, {bitrate} bit/s", timed(partial(encoder.encode, pcm)))
        yield _figure(OPUS_20_MS, f"decode, {bitrate} bit/s", timed(partial(decoder.decode, packet)))
        if decoder.conceal is not None:
            yield _figure(OPUS_20_MS, f"conceal a lost one, {bitrate} bit/s", timed(decoder.conceal))
