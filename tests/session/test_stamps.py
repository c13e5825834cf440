"""The time that audio was given, ``pts``, on its way out: kept where a dialect can write it."""

from collections.abc import Sequence

import pytest
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.session.helpers import CHUNK_BYTES, CHUNK_S, RATE, audio, params
from trio_transports import AudioFrame, InterruptionFrame
from trio_transports.audio.filters import HighPass
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.serializers.packed import PackedFrameSerializer
from trio_transports.serializers.protobuf import ProtobufFrameSerializer
from trio_transports.testing import memory_session

CHUNK_NS = round(CHUNK_S * 1e9)
BEGAN = 5_000_000_000


def stamped(number: int, chunks: float = 1, rate: int = RATE) -> AudioFrame:
    size = round(CHUNK_BYTES * chunks) * rate // RATE
    return AudioFrame(audio=b"\x01\x02" * (size // 2), sample_rate=rate, pts=BEGAN + number * CHUNK_NS)


async def times(sent: Sequence[AudioFrame | InterruptionFrame], **settings: object) -> list[int | None]:
    """The ``pts`` of what the peer hears, counted in chunks from the first."""
    async with memory_session(params(**settings)) as (session, peer):
        for frame in sent:
            await session.output.send(frame)
        await session.output.drain()
        await wait_all_tasks_blocked()
        heard = [frame.pts for frame in peer.recorder.of(AudioFrame)]
    return [None if pts is None else (pts - BEGAN) // CHUNK_NS for pts in heard]


@pytest.mark.parametrize("dialect", [JSONFrameSerializer, ProtobufFrameSerializer])
async def test_a_chunk_that_is_a_frame_keeps_its_time(
    dialect: type[JSONFrameSerializer | ProtobufFrameSerializer], autojump_clock: MockClock
) -> None:
    """Whatever the time says, it comes out as it was given, and what had none has none."""
    sent = [stamped(0), stamped(1), audio(CHUNK_BYTES), stamped(7), stamped(3)]
    assert await times(sent, serializer=dialect()) == [0, 1, None, 7, 3]


async def test_chunks_of_other_sizes_are_counted_on(autojump_clock: MockClock) -> None:
    """Of a longer frame each chunk has its own time; one of several frames that of its first sample."""
    assert await times([stamped(0, 3), stamped(3, 0.5), stamped(9, 0.5), stamped(20)]) == [0, 1, 2, 3, 20]


async def test_what_is_not_the_senders_audio_has_no_time(autojump_clock: MockClock) -> None:
    """Converted or filtered audio has other samples, a little later."""
    assert set(await times([stamped(0, 3, 2 * RATE)])) == {None}
    assert set(await times([stamped(0, 3)], audio_out_filter=HighPass)) == {None}


@pytest.mark.parametrize("again", [1, 2, 3])
async def test_after_an_interruption_times_are_the_new_ones(again: int, autojump_clock: MockClock) -> None:
    """What was dropped takes its times along."""
    sent: list[AudioFrame | InterruptionFrame] = []
    for turn in range(again):
        sent += [stamped(1000 * turn + number) for number in range(50)] + [InterruptionFrame()]
    heard = await times([*sent, stamped(5000), stamped(5001)])
    assert heard[-2:] == [5000, 5001]
    assert len(heard) < 50


@pytest.mark.parametrize("pts", [-1, 1 << 63, (1 << 64) - 1, 1 << 70])
@pytest.mark.parametrize("dialect", [JSONFrameSerializer, ProtobufFrameSerializer, PackedFrameSerializer])
async def test_a_time_that_cannot_be_written_costs_itself_only(
    pts: int, dialect: type[JSONFrameSerializer], autojump_clock: MockClock
) -> None:
    """A peer may say any; what is echoed of it must not end the session."""
    sent = AudioFrame(audio=b"\x01\x02" * (2 * CHUNK_BYTES // 2), sample_rate=RATE, pts=pts)
    async with memory_session(params(serializer=dialect())) as (session, peer):
        for _ in range(2):
            await session.output.send(sent)
        await session.output.drain()
        await wait_all_tasks_blocked()
        assert [frame.pts for frame in peer.recorder.of(AudioFrame)] == [None] * 4
