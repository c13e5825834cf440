"""Pictures and audio at once, in virtual time: a slow encoder, several tracks with mixers of their own."""

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
