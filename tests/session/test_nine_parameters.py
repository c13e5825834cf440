"""Each of the nine parameters for pictures and compressed audio has its effect: to ignore one fails here."""

from collections.abc import Awaitable, Callable
from functools import partial
from io import BytesIO

import numpy as np
import pytest
import trio
from PIL import Image
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.session.hearing import everything
from tests.session.helpers import params
from trio_transports import AudioFrame, ImageFrame, SpriteFrame, TransportParams
from trio_transports.serializers.packed import PackedFrameSerializer
from trio_transports.testing import memory_session

NINE = (
    "audio_out_bitrate",
    "video_in_enabled",
    "video_out_is_live",
    "video_out_width",
    "video_out_height",
    "video_out_bitrate",
    "video_out_framerate",
    "video_out_color_format",
    "video_out_codec",
)
NOISE = np.random.default_rng(3).integers(0, 256, (60, 80, 3), np.uint8)
PICTURE = ImageFrame(image=bytes(range(48)), size=(4, 4))


def showing(**changes: object) -> TransportParams:
    settings: dict[str, object] = {
        "video_out_enabled": True,
        "video_out_width": 4,
        "video_out_height": 4,
        "audio_out_auto_silence": False,
        **changes,
    }
    return params(**settings)


async def shown(settings: TransportParams, *frames: ImageFrame | SpriteFrame, for_s: float = 0.0) -> list[ImageFrame]:
    """What the peer gets of these, and for so long after the last of them was sent."""
    async with memory_session(settings) as (session, peer):
        for frame in frames:
            await session.output.send(frame)
        await trio.sleep(for_s)
        await session.output.drain()
    return peer.recorder.of(ImageFrame)


async def kbits_per_second_of_audio(bitrate: object) -> object:
    pytest.importorskip("av")
    dialect = PackedFrameSerializer(encoding="OPUS")
    async with memory_session(showing(serializer=dialect, audio_out_bitrate=bitrate)) as (session, peer):
        noise = np.random.default_rng(1).normal(0, 6000, 24000).clip(-32768, 32767).astype("<i2").tobytes()
        await session.output.send(AudioFrame(audio=noise, sample_rate=24000))
        await session.output.drain()
    return round(8 * sum(len(message) - 30 for _, message in peer.messages) / 16_000) * 16


async def pictures_delivered(enabled: object) -> object:
    async with memory_session(showing(video_in_enabled=enabled)) as (session, peer):
        await peer.send(PICTURE)
        await wait_all_tasks_blocked()
        return len(await everything(session))


async def shown_of_ten_at_once(live: object) -> object:
    """All of them, or the first and the newest."""
    ten = [ImageFrame(image=bytes((number,)) * 48, size=(4, 4)) for number in range(10)]
    return len(await shown(showing(video_out_is_live=live), *ten))


async def size_with_width(width: object) -> object:
    return (await shown(showing(video_out_width=width), PICTURE))[0].size


async def size_with_height(height: object) -> object:
    return (await shown(showing(video_out_height=height), PICTURE))[0].size


async def fits_its_share(bitrate: object, codec: str = "JPEG") -> object:
    """Whether a picture takes no more than 2000 bytes or so, once the quality has followed."""
    settings = showing(
        video_out_codec=codec,
        video_out_bitrate=bitrate,
        video_out_is_live=True,
        video_out_framerate=200,
        video_out_width=80,
        video_out_height=60,
    )
    noise = ImageFrame(image=NOISE.tobytes(), size=(80, 60))
    async with memory_session(settings) as (session, peer):
        for _ in range(30):
            await session.output.send(noise)
            await session.output.drain()  # of several at once, those that the worker is late with are not prepared
    return len(peer.recorder.of(ImageFrame)[-1].image) < 2200


async def turns_in_a_second(framerate: object) -> object:
    sprite = SpriteFrame(images=(PICTURE, PICTURE))
    return len(await shown(showing(video_out_framerate=framerate), sprite, for_s=1 - 0.001))


async def format_and_bytes(color_format: object) -> object:
    (got,) = await shown(showing(video_out_color_format=color_format), PICTURE)
    return got.format, len(got.image)


async def format_and_what_it_is(codec: object) -> object:
    (got,) = await shown(showing(video_out_codec=codec), PICTURE)
    if codec is None:
        return got.format, got.image == PICTURE.image
    with Image.open(BytesIO(got.image)) as opened:
        return got.format, opened.format, opened.size


Observe = Callable[[object], Awaitable[object]]
CASES: list[tuple[str, Observe, object, object]] = [
    ("audio_out_bitrate", kbits_per_second_of_audio, 16_000, 16),
    ("audio_out_bitrate", kbits_per_second_of_audio, 96_000, 96),
    ("video_in_enabled", pictures_delivered, False, 0),
    ("video_in_enabled", pictures_delivered, True, 1),
    ("video_out_is_live", shown_of_ten_at_once, True, 10),
    ("video_out_is_live", shown_of_ten_at_once, False, 2),
    ("video_out_width", size_with_width, 4, (4, 4)),
    ("video_out_width", size_with_width, 9, (9, 4)),
    ("video_out_height", size_with_height, 4, (4, 4)),
    ("video_out_height", size_with_height, 7, (4, 7)),
    ("video_out_bitrate", fits_its_share, None, False),
    ("video_out_bitrate", fits_its_share, 200 * 8 * 2000, True),
    ("video_out_bitrate", partial(fits_its_share, codec="WEBP"), None, False),
    ("video_out_bitrate", partial(fits_its_share, codec="WEBP"), 200 * 8 * 2000, True),
    ("video_out_framerate", turns_in_a_second, 10, 10),
    ("video_out_framerate", turns_in_a_second, 25, 25),
    ("video_out_color_format", format_and_bytes, "RGB", ("RGB", 48)),
    ("video_out_color_format", format_and_bytes, "GRAY", ("GRAY", 16)),
    ("video_out_color_format", format_and_bytes, "YUV420", ("YUV420", 24)),
    ("video_out_codec", format_and_what_it_is, None, ("RGB", True)),
    ("video_out_codec", format_and_what_it_is, "JPEG", ("JPEG", "JPEG", (4, 4))),
    ("video_out_codec", format_and_what_it_is, "PNG", ("PNG", "PNG", (4, 4))),
    ("video_out_codec", format_and_what_it_is, "WEBP", ("WEBP", "WEBP", (4, 4))),
]
IN_VIRTUAL_TIME = {
    "audio_out_bitrate",
    "video_in_enabled",
    "video_out_is_live",
    "video_out_framerate",
}
"""The others work in a thread, which has a time of its own."""


@pytest.mark.parametrize(
    ("observe", "value", "expected"),
    [case[1:] for case in CASES if case[0] in IN_VIRTUAL_TIME],
    ids=[f"{case[0]}={case[2]}" for case in CASES if case[0] in IN_VIRTUAL_TIME],
)
async def test_a_parameter_of_time_has_its_effect(
    observe: Observe, value: object, expected: object, autojump_clock: MockClock
) -> None:
    assert await observe(value) == expected


@pytest.mark.parametrize(
    ("observe", "value", "expected"),
    [case[1:] for case in CASES if case[0] not in IN_VIRTUAL_TIME],
    ids=[f"{case[0]}={case[2]}" for case in CASES if case[0] not in IN_VIRTUAL_TIME],
)
async def test_a_parameter_has_its_effect(observe: Observe, value: object, expected: object) -> None:
    with trio.fail_after(60):
        assert await observe(value) == expected


def test_each_of_the_nine_is_tried_with_two_values_that_differ() -> None:
    """With one value only, a parameter that is ignored could pass."""
    for name in NINE:
        assert len({repr(case[3]) for case in CASES if case[0] == name}) >= 2, name
