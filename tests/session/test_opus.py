"""Opus through a whole session: chunks and receipts as exact as those of bare PCM, in virtual time."""

import pytest
import trio
from trio.testing import MockClock

from tests.session.helpers import audio, gaps, params, seconds
from trio_transports import AudioFrame, TransportParams
from trio_transports.serializers.packed import PackedFrameSerializer
from trio_transports.testing import memory_session

pytest.importorskip("av")

RATE = 24000


def opus(**changes: object) -> TransportParams:
    settings: dict[str, object] = {
        "serializer": PackedFrameSerializer(encoding="OPUS"),
        "audio_out_auto_silence": False,
        "audio_out_sample_rate": None,
        "audio_out_10ms_chunks": 4,
        **changes,
    }
    return params(**settings)


async def test_a_packet_each_20_ms_and_a_receipt_for_what_left(autojump_clock: MockClock) -> None:
    """Whatever the length and format of what is sent: so many packets as it has, each at its time. Done twice."""
    async with memory_session(opus()) as (session, peer):
        for round_ in (1, 2):
            begun_s = trio.current_time()
            assert await session.output.write_audio(audio(RATE * 2 + 336, rate=RATE))  # 7 ms more than a second
            assert trio.current_time() - begun_s == pytest.approx(1.0, abs=0.03)  # when the last one has left
            assert session.statistics().audio_sent_s == pytest.approx(1.02 * round_)
            await trio.sleep(1)
            assert len(peer.messages) == 51 * round_
    assert {round(gap, 3) for gap in gaps([at_s for at_s, _ in peer.messages][:50])} == {0.02}
    assert {(one.sample_rate, one.duration_s) for one in peer.recorder.of(AudioFrame)} == {(48000, 0.02)}


async def test_an_interrupted_receipt_tells_the_truth(autojump_clock: MockClock) -> None:
    """What was cut off was not delivered, and nothing is made up for it at the peer. Done twice."""
    async with memory_session(opus()) as (session, peer):
        for _ in range(2):
            outcome: list[bool] = []

            async def write(outcome: list[bool]) -> None:
                outcome.append(await session.output.write_audio(seconds(1, rate=RATE)))

            count = len(peer.recorder.of(AudioFrame))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(write, outcome)
                await trio.sleep(0.5)
                await session.output.interrupt()
            assert outcome == [False]
            assert await session.output.write_audio(seconds(0.1, rate=RATE))
            assert len(peer.recorder.of(AudioFrame)) - count == pytest.approx(25 + 5, abs=1)


@pytest.mark.parametrize("bitrate", [16_000, 64_000])
async def test_the_bitrate_of_each_destination_is_the_parameters(bitrate: int, autojump_clock: MockClock) -> None:
    """Two tracks, each with a coder of its own: together they take twice that."""
    tracks = opus(audio_out_bitrate=bitrate, audio_out_destinations=["left"])
    async with memory_session(tracks) as (session, peer):
        voice = audio(RATE * 2 * 2, rate=RATE)
        for name in (None, "left"):
            await session.output.send(AudioFrame(audio=voice.audio, sample_rate=RATE, destination=name))
        await session.output.drain()
    assert len(peer.messages) == 200
    size = sum(len(message) - 30 for _, message in peer.messages)  # the rest of a message, about
    assert 8 * size / 4 == pytest.approx(bitrate, rel=0.25)
