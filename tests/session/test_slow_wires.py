"""A wire that takes longer for silence than silence lasts: what was queued has an end all the same."""

import pytest
import trio
from trio.testing import MockClock

from tests.session.helpers import CHUNK_BYTES, CHUNK_S, is_silence, params, seconds
from tests.session.test_clock import RawPCM
from tests.session.test_standstills import Bed
from trio_transports import ConnectionClosed, TextFrame
from trio_transports.session.broadcast import Broadcast
from trio_transports.session.run import open_session
from trio_transports.testing import memory_wire_pair
from trio_transports.wire import Wire


async def read_slowly(wire: Wire, every_s: float, heard: list[str | bytes]) -> None:
    """Read a message every so often, until the connection ends."""
    try:
        while True:
            await trio.sleep(every_s)
            heard.append(await wire.receive())
    except ConnectionClosed:
        pass


@pytest.mark.parametrize("sends_now", [False, True])
@pytest.mark.parametrize(
    ("packet_bytes", "has_bed"),
    [(None, False), (None, True), (CHUNK_BYTES // 2, False), (CHUNK_BYTES * 3 // 2, False), (CHUNK_BYTES // 2, True)],
)
async def test_a_drain_does_not_wait_for_silence(
    packet_bytes: int | None, has_bed: bool, sends_now: bool, autojump_clock: MockClock
) -> None:
    """Twice: it returns when what was sent is written, though silence, or a bed, never stops waiting behind it."""
    heard: list[str | bytes] = []
    settings = params(
        serializer=RawPCM(),
        fixed_audio_packet_size=packet_bytes,
        silence_max_secs=None,
        audio_out_mixer=Bed() if has_bed else None,
    )
    every_s = 1.5 * CHUNK_S * (packet_bytes or CHUNK_BYTES) / CHUNK_BYTES
    near, far = memory_wire_pair(buffer_messages=1, sends_now=sends_now)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(read_slowly, far, every_s, heard)
        async with open_session(near, settings, events=Broadcast()) as session:
            for word in ("first", "second"):
                await session.output.send(seconds(0.2))
                await session.output.send(TextFrame(text=word))
                with trio.fail_after(2):
                    await session.output.drain()
                await trio.sleep(every_s * 2)  # one that was written may wait to be read
                assert heard[-1] == word or heard[-2] == word
                before = len(heard)
                await trio.sleep(every_s * 30)
                assert len(heard) - before >= 29, (
                    "there is silence for every read: this wire is as slow as it should be"
                )
                with trio.fail_after(0.001):
                    await session.output.drain()
                assert is_silence(b"".join(each for each in heard[-5:] if isinstance(each, bytes)))
            near.abort()
    spoken = b"".join(each for each in heard if isinstance(each, bytes))
    assert len(spoken) - spoken.count(0) == 2 * len(seconds(0.2).audio)
