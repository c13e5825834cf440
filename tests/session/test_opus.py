"""Opus through a whole session: chunks and receipts as exact as those of bare PCM, in virtual time."""

import json
from collections.abc import Awaitable, Callable, Sequence

import numpy as np
import pytest
import trio
from trio.testing import MockClock

from tests.serializers.test_lines import payload_of, telnyx_start
from tests.session.hearing import everything
from tests.session.helpers import audio, gaps, params, seconds
from trio_transports import AudioFrame, BotStartedSpeakingFrame, BotStoppedSpeakingFrame, TransportParams
from trio_transports.audio.codecs import make_decoder
from trio_transports.audio.codecs.codec import OPUS
from trio_transports.frames import Frame
from trio_transports.serializers import Message
from trio_transports.serializers.packed import PackedFrameSerializer
from trio_transports.serializers.telnyx import TelnyxFrameSerializer
from trio_transports.session.session import Session
from trio_transports.testing import ScriptedPeer, memory_session

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


async def _interrupt_a_receipt(session: Session, peer: ScriptedPeer) -> None:
    """Of a second half is heard, and told so; what follows it is whole."""
    outcome: list[bool] = []

    async def write() -> None:
        outcome.append(await session.output.write_audio(seconds(1, rate=RATE)))

    count = len(peer.recorder.of(AudioFrame))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        await trio.sleep(0.5)
        await session.output.interrupt()
    assert outcome == [False]
    assert await session.output.write_audio(seconds(0.1, rate=RATE))
    assert len(peer.recorder.of(AudioFrame)) - count == pytest.approx(25 + 5, abs=1)


async def test_an_interrupted_receipt_tells_the_truth(autojump_clock: MockClock) -> None:
    """What was cut off was not delivered, and nothing is made up for it at the peer. Done twice."""
    async with memory_session(opus()) as (session, peer):
        for _ in range(2):
            await _interrupt_a_receipt(session, peer)


@pytest.mark.parametrize("bitrate", [16_000, 64_000])
async def test_the_bitrate_of_each_destination_is_the_parameters(bitrate: int, autojump_clock: MockClock) -> None:
    """Two tracks, each with a coder of its own: together they take twice that."""
    tracks = opus(audio_out_bitrate=bitrate, audio_out_destinations=["left"])
    async with memory_session(tracks) as (session, peer):
        voice = audio(RATE * 2 * 2, rate=RATE)
        for name in (None, "left"):
            await session.output.send(AudioFrame(audio=voice.audio, sample_rate=RATE, destination=name))
        await session.output.drain()
    assert len(peer.messages) == 202  # one more each, in which the end of the last comes out
    size = sum(len(message) - 30 for _, message in peer.messages)  # the rest of a message, about
    assert 8 * size / 4 == pytest.approx(bitrate, rel=0.25)


async def _stopped(session: Session) -> None:
    await session.output.send(BotStoppedSpeakingFrame())


async def _drained(session: Session) -> None:
    await session.output.drain()


@pytest.mark.parametrize("over_ms", [0, 5, 15])
@pytest.mark.parametrize("end", [_stopped, _drained])
async def test_the_end_of_an_utterance_waits_for_no_other_audio(
    end: Callable[[Session], Awaitable[None]], over_ms: int, autojump_clock: MockClock
) -> None:
    """The coder looks 6.5 ms ahead: silence follows, once, and does not count as speech. Done twice."""
    wanted_ms = 100 + over_ms
    async with memory_session(opus()) as (session, peer):
        for round_ in (1, 2):
            tone = np.sin(np.arange(RATE * wanted_ms // 1000) * 2 * np.pi * 440 / RATE) * 12000
            frame = AudioFrame(audio=tone.astype("<i2").tobytes(), sample_rate=RATE)
            assert await session.output.write_audio(frame)
            for _ in range(3):
                await end(session)
                await trio.sleep(0.5)
            got = peer.recorder.of(AudioFrame)
            assert len(got) == (5 + (1 if over_ms < 13 else 2)) * round_
            pcm = np.frombuffer(b"".join(one.audio for one in got), "<i2").astype(float)
            pcm = pcm[len(pcm) // round_ * (round_ - 1) :]
            heard_ms = np.flatnonzero(np.abs(pcm) > 3000)[-1] / 48
            assert heard_ms == pytest.approx(wanted_ms + 6.5, abs=2.5)
        told = [type(one) for one in await everything(session)]
    assert told == [BotStartedSpeakingFrame, BotStoppedSpeakingFrame] * 2


async def test_what_waits_for_nothing_is_followed_by_nothing(autojump_clock: MockClock) -> None:
    """Neither a session that said nothing, nor one whose words were cut off or followed by silence already."""
    async with memory_session(opus()) as (session, peer):
        await session.output.drain()
        assert await session.output.write_audio(seconds(0.1, rate=RATE))
        await session.output.interrupt()
        await session.output.drain()
        assert len(peer.recorder.of(AudioFrame)) == 5
    async with memory_session(opus(audio_out_auto_silence=True, silence_max_secs=0.1)) as (session, peer):
        assert await session.output.write_audio(seconds(0.1, rate=RATE))
        await trio.sleep(1)
        before = len(peer.recorder.of(AudioFrame))
        await session.output.drain()
        assert len(peer.recorder.of(AudioFrame)) == before


TELNYX_START = telnyx_start(encoding="OPUS", sample_rate=48000)


def telnyx(**changes: object) -> TransportParams:
    return opus(serializer=TelnyxFrameSerializer(send_encoding="OPUS", send_rate=RATE), **changes)


class Handset:
    """What Telnyx hears of it: the packets, through a decoder of its own."""

    audio_format = None

    def __init__(self) -> None:
        self._decoder = make_decoder(OPUS, 48000)

    def encode(self, frame: Frame) -> Sequence[Message]:
        raise AssertionError("it only listens")

    def decode(self, message: Message) -> Sequence[Frame]:
        if json.loads(message)["event"] != "media":
            return ()
        return [AudioFrame(audio=self._decoder.decode(payload_of(message)), sample_rate=48000)]


async def test_chunks_and_receipts_are_exact_on_a_line_too(autojump_clock: MockClock) -> None:
    """Telnyx with Opus: nothing before its start, then a packet each 20 ms, the receipt with the last. Twice."""
    async with memory_session(telnyx()) as (session, peer):
        peer.serializer = Handset()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.output.send, seconds(0.02, rate=RATE))
            await trio.sleep(1)
            assert not peer.messages
            await peer.send_raw(TELNYX_START)
        await session.output.drain()
        await trio.sleep(1)
        count = len(peer.recorder.of(AudioFrame))
        before_s = session.statistics().audio_sent_s
        for round_ in (1, 2):
            begun_s = trio.current_time()
            assert await session.output.write_audio(audio(RATE * 2 + 336, rate=RATE))  # 7 ms more than a second
            assert trio.current_time() - begun_s == pytest.approx(1.0, abs=0.03)
            assert session.statistics().audio_sent_s - before_s == pytest.approx(1.02 * round_)
            await trio.sleep(1)
            got = peer.recorder.audio_times_s[count:]
            assert len(got) == 51 * round_
            packets_s = got[51 * (round_ - 1) :]
            assert packets_s == pytest.approx([begun_s + n * 0.02 for n in range(51)], abs=1e-6)
    assert {(one.sample_rate, one.duration_s) for one in peer.recorder.of(AudioFrame)} == {(48000, 0.02)}


async def test_an_interrupted_receipt_tells_the_truth_on_a_line(autojump_clock: MockClock) -> None:
    """Telnyx with Opus: half a second of a second was heard, and the next words are whole. Done twice."""
    async with memory_session(telnyx()) as (session, peer):
        peer.serializer = Handset()
        await peer.send_raw(TELNYX_START)
        for _ in range(2):
            await _interrupt_a_receipt(session, peer)
    assert sum('"clear"' in str(message) for _, message in peer.messages) == 2
