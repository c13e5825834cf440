"""How loud the bot is, what a filter makes of it, and how it falls silent."""

from collections.abc import Mapping

import numpy as np
import pytest
import trio
from attrs import evolve
from trio.testing import MockClock

from tests.session.helpers import CHUNK_BYTES, RATE, params, seconds
from trio_transports import AudioFrame, FilterControlFrame, LocalProtocolError, TransportParams, VolumeFrame
from trio_transports.audio import AudioFormat
from trio_transports.testing import memory_session

QUIET: Mapping[str, object] = {"audio_out_auto_silence": False}
CHUNK = CHUNK_BYTES // 2


def level(value: int, chunks: int) -> AudioFrame:
    return AudioFrame(audio=np.full(chunks * CHUNK, value, "<i2").tobytes(), sample_rate=RATE)


def heard(pcm: bytes) -> list[int]:
    """The last sample of each chunk."""
    return [int(value) for value in np.frombuffer(pcm, "<i2")[CHUNK - 1 :: CHUNK]]


@pytest.mark.parametrize("volume", [0, 0.5, 1, 2])
async def test_the_parameter(autojump_clock: MockClock, volume: float) -> None:
    """audio_out_volume is how loud everything is from the first sample on."""
    async with memory_session(params(audio_out_volume=volume, **QUIET)) as (session, peer):
        await session.output.send(level(1000, 5))
    assert set(np.frombuffer(peer.recorder.audio, "<i2")) == {round(1000 * volume)}


@pytest.mark.parametrize("times", [1, 2, 3])
async def test_a_volume_frame_changes_what_is_queued(autojump_clock: MockClock, times: int) -> None:
    """The next chunk is as loud as told, though it was queued before; no chunk is lost or late, and nothing clicks."""
    async with memory_session(params(**QUIET)) as (session, peer):
        await session.output.send(level(1000, 10 * 2 * times))
        for _ in range(times):
            for volume in (0.5, 1):
                await trio.sleep(0.19)
                await session.output.send(VolumeFrame(volume=volume))
                await trio.sleep(0.01)
        await session.output.drain()
    levels = heard(peer.recorder.audio)
    assert levels == pytest.approx(([1000] * 10 + [500] * 10) * times, abs=3)
    samples = np.frombuffer(peer.recorder.audio, "<i2").astype(int)
    assert abs(np.diff(samples)).max() <= 3


async def test_a_destination_of_its_own(autojump_clock: MockClock) -> None:
    """A VolumeFrame is for the output that it names, and an unknown one is an error."""
    async with memory_session(params(audio_out_destinations=["left"], **QUIET)) as (session, peer):
        await session.output.send(VolumeFrame(volume=0, destination="left"))
        for destination in (None, "left"):
            await session.output.send(evolve(level(1000, 3), destination=destination))
        await session.output.drain()
        with pytest.raises(LocalProtocolError, match="'right' is not one of audio_out_destinations"):
            await session.output.send(VolumeFrame(volume=1, destination="right"))
    last = {frame.destination: heard(frame.audio)[-1] for frame in peer.recorder.of(AudioFrame)}
    assert last == {None: 1000, "left": 0}


@pytest.mark.parametrize("volume", [-0.1, 10.1, float("nan"), "1", True, None])
def test_what_is_no_volume(volume: object) -> None:
    """A bad volume is told where it is made, in the frame and in the parameters."""
    with pytest.raises((ValueError, TypeError), match=r"^VolumeFrame\.volume must be"):
        VolumeFrame(volume=volume)  # type: ignore[arg-type]
    with pytest.raises((ValueError, TypeError), match=r"^TransportParams\.audio_out_volume must be"):
        TransportParams(audio_out_volume=volume)  # type: ignore[arg-type]


class Halving:
    """A filter that halves every sample, and writes down what it is told."""

    slow = False

    def __init__(self) -> None:
        self.told: list[object] = []
        self.enabled = True

    def start(self, audio_format: AudioFormat) -> None:
        self.told.append(audio_format)

    def filter(self, pcm: bytes) -> bytes:
        return (np.frombuffer(pcm, "<i2") // 2).astype("<i2").tobytes() if self.enabled else pcm

    def control(self, settings: Mapping[str, object], enabled: bool | None = None) -> None:
        self.told.append((dict(settings), enabled))
        self.enabled = self.enabled if enabled is None else enabled

    def stop(self) -> None:
        self.told.append("stop")


async def test_a_filter_of_what_is_said(autojump_clock: MockClock) -> None:
    """Queued audio passes it in the line's format; a frame controls it; the session's end stops it."""
    made: list[Halving] = []

    def factory() -> Halving:
        made.append(Halving())
        return made[-1]

    async with memory_session(params(audio_out_filter=factory, **QUIET)) as (session, peer):
        await session.output.send(level(1000, 3))
        await session.output.send(FilterControlFrame(settings={"a": 1}, enabled=False, output=True))
        await session.output.send(level(1000, 3))
        await session.output.drain()
    assert heard(peer.recorder.audio) == [500] * 3 + [1000] * 3
    assert made[0].told == [AudioFormat(RATE, 1), ({"a": 1}, False), "stop"]


@pytest.mark.parametrize("changes", [{"audio_out_filter": Halving}, {"audio_out_volume": 0.5}])
async def test_audio_that_comes_as_it_plays(autojump_clock: MockClock, changes: Mapping[str, object]) -> None:
    """Each chunk when its time has come: none passes by the filter or the volume, and none leaves twice."""
    async with memory_session(params(**changes, **QUIET)) as (session, peer):
        for _ in range(50):
            await session.output.send(level(1000, 1))
            await trio.sleep(0.02)
        await session.output.drain()
    assert heard(peer.recorder.audio) == [500] * 50


async def test_a_filter_that_is_not_there(autojump_clock: MockClock) -> None:
    """Controlling the filter of what is said needs one, whatever the other direction has."""
    async with memory_session(params(audio_in_filter=Halving)) as (session, _):
        with pytest.raises(LocalProtocolError, match="set audio_out_filter"):
            await session.output.send(FilterControlFrame(output=True))
        await session.output.send(FilterControlFrame())


async def test_a_slow_filter_is_refused(autojump_clock: MockClock) -> None:
    """What works in a thread cannot keep time: an error in the parameters, or with the session for a factory."""

    class Slow(Halving):
        slow = True

    for source in (Slow, Slow()):
        with pytest.raises(ValueError, match="audio_out_filter is slow"):
            TransportParams(audio_out_enabled=True, audio_out_filter=source)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="audio_out_filter is slow"):
        async with memory_session(params(audio_out_filter=lambda: Slow())):
            pytest.fail("must not open")
    with pytest.raises(ValueError, match="audio_out_filter needs audio_out_enabled=True"):
        TransportParams(audio_out_filter=Halving())  # type: ignore[arg-type]


class Bare:
    """PCM as it is; no word for an interruption."""

    audio_format = None

    def encode(self, frame: object) -> list[bytes]:
        return [frame.audio] if isinstance(frame, AudioFrame) else []

    def decode(self, message: str | bytes) -> list[AudioFrame]:
        assert isinstance(message, bytes)
        return [AudioFrame(audio=message, sample_rate=RATE)]


@pytest.mark.parametrize("interruptions", [1, 2, 3])
async def test_an_interruption_fades(autojump_clock: MockClock, interruptions: int) -> None:
    """A peer that cannot be told to drop what it has hears 5 ms of what came next fall silent, and then nothing."""
    async with memory_session(params(serializer=Bare, **QUIET)) as (session, peer):
        for _ in range(interruptions):
            before = len(peer.recorder.audio)
            await session.output.send(level(10000, 50))
            await trio.sleep(0.11)
            await session.output.interrupt()
            await trio.sleep(1)
            samples = np.frombuffer(peer.recorder.audio[before:], "<i2").astype(int)
            assert len(samples) == 7 * CHUNK, "six chunks, and one in which it fades"
            assert set(samples[: 6 * CHUNK]) == {10000}
            assert abs(np.diff(samples)).max() < 10000 * np.pi / 2 / 80 + 2
            assert not samples[6 * CHUNK + 80 :].any()


async def test_no_fade_where_the_peer_drops_what_it_has(autojump_clock: MockClock) -> None:
    """After an interruption that the peer is told of nothing of the old turn is sent."""
    async with memory_session(params(**QUIET)) as (session, peer):
        await session.output.send(level(10000, 50))
        await trio.sleep(0.11)
        await session.output.interrupt()
        await trio.sleep(1)
        assert len(peer.recorder.audio) == 6 * CHUNK_BYTES


async def test_nothing_to_fade(autojump_clock: MockClock) -> None:
    """An interruption while nothing plays sends nothing, twice."""
    async with memory_session(params(serializer=Bare, **QUIET)) as (session, peer):
        for _ in range(2):
            await session.output.interrupt()
        await session.output.send(seconds(0.1))
        await session.output.drain()
        await trio.sleep(1)
        await session.output.interrupt()
    assert peer.recorder.audio == seconds(0.1).audio
