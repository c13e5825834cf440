"""Pictures and audio at once, in virtual time: a slow encoder, several tracks with mixers of their own."""

import threading
from collections.abc import Callable, Mapping
from typing import TypeVar, final

import numpy as np
import pytest
import trio
from attrs import define
from trio.testing import MockClock

from tests.session.helpers import CHUNK_BYTES, CHUNK_S, RATE, seconds
from tests.session.test_screens import RATE as PICTURES_PER_S
from tests.session.test_screens import image, numbers, shown, times
from trio_transports import AudioFrame, ImageFrame
from trio_transports.audio.format import AudioFormat
from trio_transports.testing import memory_session
from trio_transports.video.codec import PictureEncoder, decode

T = TypeVar("T")


async def test_an_encoder_slower_than_real_time_costs_pictures_and_no_audio(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A minute: 30 pictures a second are sent, 10 can be encoded; those are shown, the rest is counted.

    The audio beside them is as exact as without.
    """

    async def slow(function: Callable[[ImageFrame], T], picture: ImageFrame) -> T:
        await trio.sleep(0.1)  # as long as a worker thread would take, on the clock of the test
        return function(picture)

    monkeypatch.setattr("trio_transports.session.screens.in_thread", slow)
    settings = shown(video_out_color_format="GRAY", audio_out_max_queue_secs=100)
    async with memory_session(settings) as (session, peer):
        begun_s = trio.current_time()
        await session.output.send(seconds(60))
        for number in range(60 * PICTURES_PER_S):
            await trio.sleep(begun_s + number / PICTURES_PER_S - trio.current_time())
            await session.output.send(image(number))
        await session.output.drain()
        statistics = session.statistics()
    chunks = peer.recorder.audio_times_s
    assert len(chunks) == 3000
    assert all(when == pytest.approx(begun_s + n * CHUNK_S, abs=1e-6) for n, when in enumerate(chunks))
    assert statistics.pictures_sent == len(peer.recorder.of(ImageFrame)) == pytest.approx(600, abs=5)
    assert statistics.pictures_sent + statistics.pictures_dropped == 60 * PICTURES_PER_S
    # The newest is taken each time: no picture is older than the two that it took to encode it and the one before.
    sent_s = [begun_s + number / PICTURES_PER_S for number in range(60 * PICTURES_PER_S)]
    ages = [
        at_s - max(s for s in sent_s if s <= at_s and round((s - begun_s) * PICTURES_PER_S) % 256 == number)
        for number, at_s in zip(numbers(peer.recorder), times(peer.recorder), strict=True)
    ]
    assert max(ages) < 0.25


@final
@define(eq=False)
class Lifting:
    """A mixer whose bed is one constant: what it did can be undone to the bit."""

    by: int

    def start(self, audio_format: AudioFormat) -> None:
        pass

    def mix(self, audio: bytes) -> bytes:
        return (np.frombuffer(audio, "<i2") + np.int16(self.by)).astype("<i2").tobytes()

    def control(self, settings: Mapping[str, object], enabled: bool | None = None) -> None:
        pass

    def stop(self) -> None:
        pass


async def test_two_voices_with_mixers_of_their_own_and_two_screens(autojump_clock: MockClock) -> None:
    """Each track gets its own, bit for bit, while all four play; said twice over."""
    lifts = {None: 1000, "left": -2000}
    settings = shown(
        audio_out_destinations=["left"],
        audio_out_mixer={name: Lifting(by) for name, by in lifts.items()},
        video_out_destinations=["wall"],
    )
    samples = np.arange(1, RATE + 1)
    voices = {None: samples % 499 + 1, "left": samples % 997 + 1}
    async with memory_session(settings) as (session, peer):
        begun_s: list[float] = []
        for _ in range(2):
            begun_s.append(trio.current_time())
            for name, voice in voices.items():
                pcm = voice.astype("<i2").tobytes()
                await session.output.send(AudioFrame(audio=pcm, sample_rate=RATE, destination=name))
            for number in range(30):
                await session.output.send(image(number))
                await session.output.send(image(100 + number, destination="wall"))
            await trio.sleep(1.5)
    for name, voice in voices.items():
        frames = [frame for frame in peer.recorder.of(AudioFrame) if frame.destination == name]
        assert all(len(frame.audio) == CHUNK_BYTES for frame in frames)
        heard = np.frombuffer(b"".join(frame.audio for frame in frames), "<i2") - lifts[name]
        assert np.array_equal(heard[heard != 0], np.tile(voice, 2))
    for name, first in ((None, 0), ("wall", 100)):
        got = [frame for frame in peer.recorder.of(ImageFrame) if frame.destination == name]
        assert [frame.image for frame in got] == [image(first + number).image for number in range(30)] * 2
        at_s = [
            heard.at_s
            for heard in peer.recorder.heard
            if isinstance(heard.frame, ImageFrame) and heard.frame.destination == name
        ]
        wanted_s = [begin_s + number / PICTURES_PER_S for begin_s in begun_s for number in range(30)]
        assert at_s == pytest.approx(wanted_s, abs=1e-6)  # neither screen waits for the other


async def test_a_picture_that_is_prepared_keeps_its_screen() -> None:
    """Scaled or encoded in a thread, it is still for the destination that it was sent to. Twice."""
    settings = shown(video_out_destinations=["wall"], video_out_codec="PNG", video_out_is_live=False)
    async with memory_session(settings) as (session, peer):
        with trio.fail_after(10):
            for _ in range(2):
                for name in (None, "wall"):
                    await session.output.send(ImageFrame(image=bytes(48), size=(4, 4), destination=name))
                await session.output.drain()
    got = peer.recorder.of(ImageFrame)
    assert sorted(str(frame.destination) for frame in got) == ["None", "None", "wall", "wall"]
    assert {(frame.format, frame.size) for frame in got} == {("PNG", (2, 2))}


def grey_of(file: ImageFrame) -> int:
    """The colour of a picture that has one, as its file says; off by a few where it lost something."""
    pixels, size = decode(file.image, file.format, max_pixels=10_000)
    assert size == file.size
    return round(float(np.frombuffer(pixels, np.uint8).mean()))


@pytest.mark.parametrize("codec", ["JPEG", "PNG", "WEBP"])
async def test_pictures_that_take_ever_less_to_encode_keep_their_order(
    codec: str, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten that all encode at once would be done last first: one is encoded at a time, and the audio is as exact."""
    asked, under_way, most = 0, 0, 0

    async def ever_faster(function: Callable[[ImageFrame], T], picture: ImageFrame) -> T:
        nonlocal asked, under_way, most
        asked, under_way = asked + 1, under_way + 1
        most = max(most, under_way)
        await trio.sleep(0.1 - 0.01 * asked)
        under_way -= 1
        return function(picture)

    monkeypatch.setattr("trio_transports.session.screens.in_thread", ever_faster)
    settings = shown(video_out_codec=codec, video_out_framerate=5, audio_out_max_queue_secs=100)
    async with memory_session(settings) as (session, peer):
        begun_s = trio.current_time()
        await session.output.send(seconds(2))
        for number in range(10):
            await session.output.send(image(20 * number))
        await session.output.drain()
    got = peer.recorder.of(ImageFrame)
    assert (asked, most) == (10, 1)
    assert {frame.format for frame in got} == {codec}
    assert [grey_of(frame) for frame in got] == pytest.approx([20 * number for number in range(10)], abs=4)
    chunks = peer.recorder.audio_times_s
    assert chunks == pytest.approx([begun_s + n * CHUNK_S for n in range(100)], abs=1e-6)
    assert times(peer.recorder)[1:] == pytest.approx([begun_s + n / 5 for n in range(1, 10)], abs=1e-6)


@pytest.mark.parametrize("codec", ["JPEG", "WEBP"])
async def test_a_real_encoder_in_a_real_thread_beside_audio(codec: str) -> None:
    """Half a second of pictures that take unequal work: those shown are in order, the rest counted; no audio is lost.

    The loop itself never encodes.
    """
    noise = np.random.default_rng(2).integers(-9, 10, (240, 320, 3))
    settings = shown(video_out_codec=codec, video_out_width=320, video_out_height=240)
    loop, encoded_on = threading.get_ident(), set[int]()
    encode = PictureEncoder.encode

    def watched(self: PictureEncoder, *picture: object) -> bytes:
        encoded_on.add(threading.get_ident())
        return encode(self, *picture)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch, trio.fail_after(20):
        patch.setattr(PictureEncoder, "encode", watched)
        async with memory_session(settings) as (session, peer):
            voice = seconds(0.5)
            await session.output.send(voice)
            for number in range(15):
                pixels = (15 * number + 15 + noise * (number % 2)).astype(np.uint8)
                await session.output.send(ImageFrame(image=pixels.tobytes(), size=(320, 240)))
            await session.output.drain()
            statistics = session.statistics()
    got = peer.recorder.of(ImageFrame)
    seen = [round(np.frombuffer(decode(one.image, codec, max_pixels=10**5)[0], np.uint8).mean() / 15) for one in got]
    assert seen == sorted(set(seen))
    assert seen[-1] == 15
    assert (statistics.pictures_sent, statistics.pictures_sent + statistics.pictures_dropped) == (len(got), 15)
    assert b"".join(frame.audio for frame in peer.recorder.of(AudioFrame)) == voice.audio
    assert encoded_on
    assert loop not in encoded_on
