"""Opus packets that are lost before they come from Telnyx: its decoder makes up for them, where they are missing."""

import random
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
import trio
from trio.testing import MockClock

from tests.serializers.test_lines import media, telnyx_start, tone
from tests.session.helpers import params
from trio_transports import AudioFrame, TransportParams
from trio_transports.audio.codecs import make_decoder, make_encoder
from trio_transports.serializers.detect import DetectingFrameSerializer
from trio_transports.serializers.telnyx import TelnyxFrameSerializer
from trio_transports.session.jitter import CONCEAL_S
from trio_transports.session.statistics import Statistics
from trio_transports.testing import memory_session

pytest.importorskip("av")

RATE = 48000
PACKET_S = 0.02
SAMPLES = 960
MADE_UP_AT_THE_END = round(CONCEAL_S / PACKET_S)


def packets(count: int) -> list[bytes]:
    coder = make_encoder("OPUS", RATE, bitrate=64_000)
    pcm, size = tone(RATE, count * PACKET_S), coder.frame_bytes
    assert size is not None
    return [coder.encode(pcm[at : at + size]) for at in range(0, len(pcm), size)]


PACKETS = packets(60)


def decoded(lost: Sequence[int], count: int = len(PACKETS), more: int = 0) -> bytes:
    """What the code itself makes of the packets in their order, asked to make up for those that are lost."""
    decoder = make_decoder("OPUS", RATE)
    assert decoder.conceal is not None
    pcm = b"".join(decoder.conceal() if n in lost else decoder.decode(PACKETS[n]) for n in range(count))
    return pcm + b"".join(decoder.conceal() for _ in range(more))


def line(jitter_ms: int, **changes: object) -> TransportParams:
    settings: dict[str, object] = {
        "serializer": TelnyxFrameSerializer(),
        "audio_in_jitter_ms": jitter_ms,
        "audio_in_sample_rate": RATE,
        "audio_out_sample_rate": None,
        **changes,
    }
    return params(**settings)


def packet(number: int) -> str:
    """As Telnyx writes them: chunks are counted from 1, the time in milliseconds."""
    return media(PACKETS[number], chunk=str(number + 1), timestamp=str(number * 20), track="inbound")


async def heard(
    settings: TransportParams, sent: Sequence[tuple[float, int]], broken: Mapping[int, bytes] | None = None
) -> tuple[bytes, Statistics]:
    """What the handler hears when packets come at these times, and what was counted."""
    audio: list[bytes] = []
    async with memory_session(settings) as (session, peer), trio.open_nursery() as nursery:

        @nursery.start_soon
        async def read() -> None:
            async for frame in session.input:
                if isinstance(frame, AudioFrame):
                    assert frame.sample_rate == RATE
                    audio.append(frame.audio)

        await peer.send_raw(telnyx_start(encoding="OPUS", sample_rate=16000))
        began_s = trio.current_time()
        for at_s, number in sorted(sent):
            await trio.sleep_until(began_s + at_s)
            if broken and number in broken:
                await peer.send_raw(media(broken[number], chunk=str(number + 1), timestamp=str(number * 20)))
            else:
                await peer.send_raw(packet(number))
        await trio.sleep(1)
        told = session.statistics()
        nursery.cancel_scope.cancel()
    return b"".join(audio), told


HOLES = [[], [10], [10, 11, 30], [20, 21, 22, 23, 24], list(range(1, 59, 3))]


@pytest.mark.parametrize("detected", [False, True])
@pytest.mark.parametrize("lost", HOLES)
async def test_the_decoder_conceals_where_the_packets_are_missing(
    lost: list[int], detected: bool, autojump_clock: MockClock
) -> None:
    """Put in order first, then decoded: bit for bit what the code itself makes of the packets and the holes."""
    chance = random.Random(4)
    sent = [(n * PACKET_S + (chance.uniform(0, 0.09) if n else 0.0), n) for n in range(60) if n not in lost]
    changes = {"serializer": DetectingFrameSerializer()} if detected else {}
    got, told = await heard(line(100, **changes), sent)
    assert got == decoded(lost, more=MADE_UP_AT_THE_END)
    assert told.audio_in_concealed_s == pytest.approx((len(lost) + MADE_UP_AT_THE_END) * PACKET_S)
    assert told.audio_in_reordered >= 10
    assert (told.audio_in_late, told.malformed_messages) == (0, 0)


@pytest.mark.parametrize("lost", HOLES)
async def test_without_a_jitter_buffer_they_are_made_up_when_the_next_one_comes(
    lost: list[int], autojump_clock: MockClock
) -> None:
    """By the provider's numbers, so many samples as are missing; nothing is made up after the last."""
    got, _ = await heard(line(0), [(n * PACKET_S, n) for n in range(60) if n not in lost])
    assert got == decoded(lost)


async def test_a_long_hole_is_made_up_for_its_first_100_ms(autojump_clock: MockClock) -> None:
    """After that there would be nothing but silence; twice, with and without the buffer."""
    sent = [(n * PACKET_S, n) for n in range(60) if not (10 <= n < 25 or 30 <= n < 45)]
    got, _ = await heard(line(0), sent)
    assert len(got) == 2 * SAMPLES * (30 + 2 * 5)
    got, told = await heard(line(60), sent)
    assert len(got) == 2 * SAMPLES * (30 + 3 * 5)
    assert told.audio_in_concealed_s == pytest.approx(3 * CONCEAL_S)


@pytest.mark.parametrize("jitter_ms", [0, 60])
async def test_what_comes_after_its_time_or_twice_is_not_heard(jitter_ms: int, autojump_clock: MockClock) -> None:
    """It was made up for: heard too, everything behind it would come later from then on. Twice."""
    sent = [(n * PACKET_S, n) for n in range(60) if n not in (10, 40)]
    late = [(0.5, 10), (0.6, 29), (1.15, 40)]
    got, told = await heard(line(jitter_ms), [*sent, *late])
    assert got == decoded([10, 40], more=MADE_UP_AT_THE_END if jitter_ms else 0)
    assert told.audio_in_late == (3 if jitter_ms else 0)


@pytest.mark.parametrize("jitter_ms", [0, 60])
@pytest.mark.parametrize("broken", [b"\xff", b"\xff\xff\xff\xff"])
async def test_a_packet_that_is_none_is_malformed_and_made_up_for(
    broken: bytes, jitter_ms: int, autojump_clock: MockClock
) -> None:
    """As long as the others: what is behind it keeps its time. Twice."""
    got, told = await heard(line(jitter_ms), [(n * PACKET_S, n) for n in range(60)], {10: broken, 30: broken})
    assert told.malformed_messages == 2
    assert len(got) == 2 * SAMPLES * (60 + (MADE_UP_AT_THE_END if jitter_ms else 0))


@pytest.mark.parametrize("jitter_ms", [0, 60])
async def test_too_many_that_are_none_in_a_row_end_the_call(jitter_ms: int, autojump_clock: MockClock) -> None:
    """Also where they are decoded later than they come: 1007, since text brought them."""
    async with memory_session(line(jitter_ms, max_malformed=4)) as (_, peer):
        await peer.send_raw(telnyx_start(encoding="OPUS", sample_rate=16000))
        for number in range(10):
            await peer.send_raw(packet(number))
        for number in range(10, 14):
            await peer.send_raw(media(b"\x0a" * 3, chunk=str(number + 1), timestamp=str(number * 20)))
            await trio.sleep(PACKET_S)
        closed = await peer.wait_closed()
    assert (closed.code, closed.reason) == (1007, "4 malformed messages in a row")


async def test_packets_without_a_number_are_decoded_as_they_come(autojump_clock: MockClock) -> None:
    """Nothing tells what is lost; and numbers that begin anew are another stream's."""
    got: list[bytes] = []
    async with memory_session(line(0)) as (session, peer):
        await peer.send_raw(telnyx_start(encoding="OPUS", sample_rate=16000))
        for number in (0, 1, 5, 6):
            await peer.send_raw(media(PACKETS[number]))
        for chunk in (1000, 1001, 1, 2):
            await peer.send_raw(media(PACKETS[7], chunk=chunk))
        await trio.testing.wait_all_tasks_blocked()
        await session.input.receive()
        for _ in range(8):
            frame = await session.input.receive()
            assert isinstance(frame, AudioFrame)
            got.append(frame.audio)
    assert [len(one) for one in got] == [2 * SAMPLES] * 8


def test_what_is_made_up_is_a_tone_still() -> None:
    """A gap of silence would be heard: what the decoder makes up is as loud as what was there before."""
    pcm = np.frombuffer(decoded([10, 30]), "<i2").astype(float)
    for first in (10, 30):
        made_up, before = pcm[first * SAMPLES : (first + 1) * SAMPLES], pcm[(first - 5) * SAMPLES : first * SAMPLES]
        assert np.sqrt((made_up**2).mean()) > 0.5 * np.sqrt((before**2).mean())
