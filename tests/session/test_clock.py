"""The audio clock's rules, in virtual time, as the peer hears them."""

import random

import pytest
import trio
from attrs import evolve
from trio.testing import MockClock

from tests.session.helpers import CHUNK_BYTES, CHUNK_S, RATE, audio, gaps, is_silence, params, pcm, seconds
from tests.session.test_output import Bed
from trio_transports import AudioFrame, BotStoppedSpeakingFrame, InterruptionFrame, TextFrame
from trio_transports.testing import memory_session


async def test_chunks_leave_one_by_one_at_their_times(autojump_clock: MockClock) -> None:
    """A second of audio queued at once leaves as fifty chunks, one every 20 ms, the first at once."""
    async with memory_session(params()) as (session, peer):
        began_s = trio.current_time()
        await session.output.send(seconds(1))
        await session.output.drain()
        await trio.testing.wait_all_tasks_blocked()
        times_s = [at_s - began_s for at_s in peer.recorder.audio_times_s]
    assert times_s == pytest.approx([n * CHUNK_S for n in range(50)])


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 24000, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
async def test_ten_minutes_with_stalls_take_ten_minutes(autojump_clock: MockClock, rate: int, channels: int) -> None:
    """Ten minutes of audio end within a chunk of ten minutes, whatever stalls the peer has, mono and stereo."""
    stalls = random.Random(rate * channels)
    whole_s, chunk_ms = 600, 100
    settings = params(
        audio_out_sample_rate=rate,
        audio_out_channels=channels,
        audio_out_10ms_chunks=chunk_ms // 10,
        audio_out_max_queue_secs=2 * whole_s,
        send_timeout=60,
        ping_interval=None,
    )
    async with memory_session(settings, buffer_messages=1) as (session, peer):
        began_s = trio.current_time()
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def stall_now_and_then() -> None:
                while True:
                    await trio.sleep(stalls.uniform(5, 40))
                    peer.stall()
                    await trio.sleep(stalls.uniform(0.01, 0.35))
                    peer.resume()

            ten_s = AudioFrame(audio=bytes(rate * 20 * channels), sample_rate=rate, num_channels=channels)
            for _ in range(whole_s // 10):
                await session.output.send(ten_s)
            await session.output.drain()
            took_s = trio.current_time() - began_s
            nursery.cancel_scope.cancel()
        peer.resume()
        await trio.testing.wait_all_tasks_blocked()
        heard_s = len(peer.recorder.audio) / (2 * rate * channels)
        late_resets = session.statistics().late_resets
    chunk_s = chunk_ms / 1000
    assert whole_s - 2 * chunk_s <= took_s <= whole_s + chunk_s
    assert whole_s <= heard_s < whole_s + chunk_s
    assert late_resets == 0


async def test_a_stall_is_made_up_for(autojump_clock: MockClock) -> None:
    """After 200 ms in which the peer took nothing, audio leaves at once until it is back on schedule, not later."""
    async with memory_session(params(), buffer_messages=1) as (session, peer):
        began_s = trio.current_time()
        await session.output.send(seconds(2))
        await trio.sleep(0.5)
        peer.stall()
        await trio.sleep(0.2)
        peer.resume()
        await session.output.drain()
        assert trio.current_time() - began_s == pytest.approx(1.98)
        assert session.statistics().late_resets == 0


async def test_a_long_stall_moves_the_schedule(autojump_clock: MockClock) -> None:
    """Of two seconds' delay only catch_up_ms is made up for in a burst; the rest moves the schedule and is counted."""
    async with memory_session(params(catch_up_ms=400), buffer_messages=1) as (session, peer):
        began_s = trio.current_time()
        await session.output.send(seconds(4))
        await trio.sleep(0.5)
        peer.stall()
        await trio.sleep(2)
        peer.resume()
        await session.output.drain()
        took_s = trio.current_time() - began_s
        assert took_s == pytest.approx(3.98 + 2 - 0.4, abs=0.2)
        assert session.statistics().late_resets >= 1


async def test_a_gap_in_the_source_causes_no_burst(autojump_clock: MockClock) -> None:
    """Audio that comes late from the handler is paced from when it came: no chunk leaves early."""
    async with memory_session(params(audio_out_auto_silence=False)) as (session, peer):
        for pause_s in (0.0, 0.005, 0.3, 1.7):
            await trio.sleep(pause_s)
            await session.output.send(seconds(0.1))
            await session.output.drain()
            await trio.sleep(0.02)
        times_s = peer.recorder.audio_times_s
    assert min(gaps(times_s)) >= CHUNK_S - 1e-9


async def test_a_late_source_does_not_add_delay_for_ever(autojump_clock: MockClock) -> None:
    """Audio that comes in real time with jitter is never held back longer than the largest jitter."""
    jitter = random.Random(1)
    async with memory_session(params(audio_out_auto_silence=False)) as (session, peer):
        began_s, sent_s = trio.current_time(), []
        for number in range(500):
            await trio.sleep_until(began_s + number * CHUNK_S + jitter.uniform(0, 0.015))
            sent_s.append(trio.current_time())
            await session.output.send(audio(CHUNK_BYTES))
        await session.output.drain()
        await trio.testing.wait_all_tasks_blocked()
        waits_s = [heard - sent for heard, sent in zip(peer.recorder.audio_times_s, sent_s, strict=True)]
    assert max(waits_s) <= 0.015 + 1e-9


async def test_a_stall_does_not_delay_the_rest_of_the_call(autojump_clock: MockClock) -> None:
    """After a live source was held up for 150 ms and is on time again, its audio leaves as it comes within a second."""
    async with memory_session(params(audio_out_auto_silence=False)) as (session, peer):
        began_s, sent_s = trio.current_time(), []
        for number in range(200):
            due_s = began_s + number * CHUNK_S
            held_up = 50 <= number < 57
            await trio.sleep_until(began_s + 57 * CHUNK_S if held_up else due_s)
            sent_s.append(trio.current_time())
            await session.output.send(audio(CHUNK_BYTES))
        await session.output.drain()
        await trio.testing.wait_all_tasks_blocked()
        heard = [h for h in peer.recorder.heard if isinstance(h.frame, AudioFrame) and not is_silence(h.frame.audio)]
        waits_s = [h.at_s - sent for h, sent in zip(heard, sent_s, strict=True)]
    assert max(waits_s) < 0.17
    assert max(waits_s[100:]) <= 0.005


async def test_audio_queued_ahead_is_never_hurried(autojump_clock: MockClock) -> None:
    """A source that runs ahead, in real time or faster, and stumbles once, is still paced chunk by chunk."""
    async with memory_session(params(audio_out_auto_silence=False)) as (session, peer):
        await session.output.send(audio(CHUNK_BYTES))
        await trio.sleep(0.1)
        for number in range(100):
            await session.output.send(audio(CHUNK_BYTES, start=number))
            await trio.sleep(0.005)
        await session.output.drain()
        await trio.testing.wait_all_tasks_blocked()
        times_s = peer.recorder.audio_times_s
    assert min(gaps(times_s)) >= CHUNK_S - 0.0051


async def test_gaps_are_filled_with_silence_then_the_clock_parks(autojump_clock: MockClock) -> None:
    """After audio, silence fills the gap from its 60th ms on, for two seconds, on the schedule; then nothing more."""
    async with memory_session(params()) as (session, peer):
        await session.output.send(seconds(0.1))
        await trio.sleep(10)
        times_s, chunks = peer.recorder.audio_times_s, peer.recorder.of(AudioFrame)
        silent = [is_silence(chunk.audio) for chunk in chunks]
        assert silent == [False] * 5 + [True] * 100
        assert gaps(times_s)[4] == pytest.approx(0.02 + 0.06)
        assert gaps(times_s)[5:] == pytest.approx([CHUNK_S] * 99)
        assert session.statistics().silence_chunks == 100
        await session.output.send(seconds(0.1))
        await session.output.drain()
        await trio.testing.wait_all_tasks_blocked()
        assert len(peer.recorder.of(AudioFrame)) == 110


async def test_without_auto_silence_the_clock_only_waits(autojump_clock: MockClock) -> None:
    """With audio_out_auto_silence off nothing is made up."""
    async with memory_session(params(audio_out_auto_silence=False)) as (session, peer):
        await session.output.send(seconds(0.1))
        await trio.sleep(10)
        assert len(peer.recorder.audio) == 5 * CHUNK_BYTES


async def test_silence_can_go_on_for_ever(autojump_clock: MockClock) -> None:
    """With silence_max_secs None the stream never pauses."""
    async with memory_session(params(silence_max_secs=None)) as (session, peer):
        await session.output.send(seconds(0.1))
        await trio.sleep(60)
        assert len(peer.recorder.of(AudioFrame)) == pytest.approx(60 / CHUNK_S, abs=5)


async def test_the_lead_sends_ahead_and_no_further(autojump_clock: MockClock) -> None:
    """With a lead of 200 ms that much audio leaves at once, and the rest keeps that distance."""
    async with memory_session(params(audio_out_lead_ms=200)) as (session, peer):
        began_s = trio.current_time()
        await session.output.send(seconds(1))
        await session.output.drain()
        await trio.testing.wait_all_tasks_blocked()
        times_s = [at_s - began_s for at_s in peer.recorder.audio_times_s]
    assert times_s == pytest.approx([max(0.0, n * CHUNK_S - 0.2) for n in range(50)])


async def test_all_bytes_arrive_in_any_sizes(autojump_clock: MockClock) -> None:
    """Audio sent in pieces of any size arrives bit-exact, plus the padding of the last chunk."""
    sizes = random.Random(2)
    async with memory_session(params(audio_out_auto_silence=False)) as (session, peer):
        sent = b""
        for number in range(60):
            piece = audio(2 * sizes.randrange(1, 1500), start=number)
            sent += piece.audio
            await session.output.send(piece)
        await session.output.drain()
        await trio.testing.wait_all_tasks_blocked()
        heard = peer.recorder.audio
    assert heard[: len(sent)] == sent
    assert is_silence(heard[len(sent) :])
    assert len(heard) == -(-len(sent) // CHUNK_BYTES) * CHUNK_BYTES
    assert all(len(frame.audio) == CHUNK_BYTES for frame in peer.recorder.of(AudioFrame))


async def test_the_tail_is_flushed_by_the_end_of_an_utterance(autojump_clock: MockClock) -> None:
    """BotStoppedSpeakingFrame completes the last chunk at once."""
    async with memory_session(params(audio_out_auto_silence=False)) as (session, peer):
        await session.output.send(audio(100))
        await session.output.send(BotStoppedSpeakingFrame())
        await trio.testing.wait_all_tasks_blocked()
        assert peer.recorder.audio == pcm(100) + bytes(CHUNK_BYTES - 100)


async def test_the_tail_is_flushed_after_a_while(autojump_clock: MockClock) -> None:
    """A partial chunk leaves partial_flush_ms after the last audio."""
    async with memory_session(params(partial_flush_ms=100)) as (session, peer):
        began_s = trio.current_time()
        await session.output.send(audio(100))
        await peer.recorder.wait_for(AudioFrame)
        assert peer.recorder.audio_times_s[0] - began_s == pytest.approx(0.1)


async def test_frames_keep_their_place_and_urgent_ones_overtake(autojump_clock: MockClock) -> None:
    """A text sent between two seconds of audio arrives between them; an urgent message before both."""
    async with memory_session(params()) as (session, peer):
        await session.output.send(seconds(1))
        await session.output.send(TextFrame(text="between"))
        await session.output.send(seconds(1))
        await session.output.send_message({"now": True}, urgent=True)
        await session.output.drain()
        await trio.testing.wait_all_tasks_blocked()
        kinds = [type(heard.frame).__name__ for heard in peer.recorder.heard]
    assert kinds.index("TextFrame") == 51
    assert kinds.index("MessageFrame") == 1
    assert kinds.count("AudioFrame") == 100


async def test_interruption_drops_what_is_queued_and_tells_the_peer_first(autojump_clock: MockClock) -> None:
    """After an interruption the peer hears of it at once, and nothing that was queued before."""
    async with memory_session(params(audio_out_auto_silence=False)) as (session, peer):
        await session.output.send(seconds(5))
        await session.output.send(TextFrame(text="never"))
        await trio.sleep(0.5)
        interrupted_s = trio.current_time()
        await session.output.interrupt()
        await session.output.send(audio(CHUNK_BYTES, start=77))
        await trio.sleep(6)
        after = [heard for heard in peer.recorder.heard if heard.at_s >= interrupted_s]
        statistics = session.statistics()
    assert isinstance(after[0].frame, InterruptionFrame)
    assert after[0].at_s == interrupted_s
    assert [h.frame.audio for h in after if isinstance(h.frame, AudioFrame)] == [pcm(CHUNK_BYTES, start=77)]
    assert after[1].at_s == interrupted_s, "the schedule starts anew: what follows does not wait for the old one"
    assert not peer.recorder.of(TextFrame)
    assert statistics.audio_out_dropped_s == pytest.approx(4.48, abs=0.03)
    assert statistics.frames_dropped == 1


async def test_interruption_is_told_with_nothing_queued(autojump_clock: MockClock) -> None:
    """The clear message goes out although the local queue is empty: the peer may still play."""
    async with memory_session(params()) as (session, peer):
        await session.output.interrupt()
        await peer.recorder.wait_for(InterruptionFrame)


async def test_audio_that_waited_for_room_is_dropped_by_an_interruption(autojump_clock: MockClock) -> None:
    """A send held back by a full queue belongs to what was interrupted: it returns, and nothing of it leaves."""
    async with memory_session(params(audio_out_max_queue_secs=1, audio_out_auto_silence=False)) as (session, peer):
        await session.output.send(seconds(1.5))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.output.send, audio(CHUNK_BYTES, start=99))
            await trio.sleep(0.1)
            await session.output.interrupt()
        await trio.sleep(3)
        after = [type(heard.frame) for heard in peer.recorder.heard]
    assert AudioFrame not in after[after.index(InterruptionFrame) :]


async def test_interruption_overtakes_a_stalled_peer_backlog(autojump_clock: MockClock) -> None:
    """With a peer that reads slowly at most the message being written comes before the interruption."""
    async with memory_session(params(), buffer_messages=1) as (session, peer):
        await session.output.send(seconds(5))
        await trio.sleep(0.3)
        peer.stall()
        await trio.sleep(1)
        heard_before = len(peer.recorder.heard)
        await session.output.interrupt()
        peer.resume()
        await peer.recorder.wait_for(InterruptionFrame)
        index = [type(h.frame) for h in peer.recorder.heard].index(InterruptionFrame)
    assert index - heard_before <= 3, "one in the peer's hand, one in the buffer, one in the write"


async def test_several_messages_of_one_chunk_are_spread_over_it(autojump_clock: MockClock) -> None:
    """With packets of a quarter of a chunk, packets leave one by one, not in bursts of four."""
    settings = params(serializer=RawPCM(), fixed_audio_packet_size=CHUNK_BYTES // 4)
    async with memory_session(settings) as (session, peer):
        await session.output.send(seconds(0.5))
        await session.output.drain()
        await trio.testing.wait_all_tasks_blocked()
        sizes = {len(message) for _, message in peer.messages}
        times_s = [at_s for at_s, _ in peer.messages]
    assert sizes == {CHUNK_BYTES // 4}
    assert gaps(times_s) == pytest.approx([CHUNK_S / 4] * 99)


@pytest.mark.parametrize("size", [2, 100, 160, 640, 641, 999, 5000])
async def test_fixed_packets_have_their_size_and_lose_nothing(autojump_clock: MockClock, size: int) -> None:
    """Every binary audio message is that long; all audio arrives, the last packet padded, text kept out of it."""
    settings = params(serializer=RawPCM(), fixed_audio_packet_size=size, audio_out_auto_silence=False)
    async with memory_session(settings) as (session, peer):
        sent = seconds(0.21).audio
        await session.output.send(AudioFrame(audio=sent, sample_rate=RATE))
        await session.output.send(TextFrame(text="control"))
        await session.output.drain()
        await trio.testing.wait_all_tasks_blocked()
        packets = [message for _, message in peer.messages if isinstance(message, bytes)]
        texts = [message for _, message in peer.messages if isinstance(message, str)]
    assert {len(packet) for packet in packets} == {size}
    assert b"".join(packets)[: len(sent)] == sent
    assert is_silence(b"".join(packets)[len(sent) :])
    assert texts == ["control"]


@pytest.mark.parametrize("size", [960, 1600, 1000])
@pytest.mark.parametrize("has_bed", [False, True])
async def test_what_fills_gaps_takes_its_time_in_packets_of_any_size(
    autojump_clock: MockClock, size: int, has_bed: bool
) -> None:
    """Silence and bed leave as fast as they are played, and the ends of many utterances add no delay."""
    settings = params(serializer=RawPCM(), fixed_audio_packet_size=size, silence_max_secs=None)
    if has_bed:
        settings = evolve(settings, audio_out_mixer=Bed())
    async with memory_session(settings, buffer_messages=10_000) as (session, peer):
        await session.output.send(seconds(0.2))
        began_s = trio.current_time()
        for _ in range(20):
            await trio.sleep(0.5)
            await session.output.send(seconds(0.05))
        await trio.sleep(3)
        passed_s = trio.current_time() - began_s
        await trio.testing.wait_all_tasks_blocked()
        sent_s = sum(len(message) for _, message in peer.messages) / 2 / RATE
    waits_s = 0.2 if has_bed else 3.0  # the moment before each silence
    assert passed_s - waits_s <= sent_s <= passed_s + 0.2


async def test_a_serializer_that_buffers_does_not_change_the_pace(autojump_clock: MockClock) -> None:
    """Three seconds of audio take three seconds when encode gives nothing three times and then four messages."""
    async with memory_session(params(serializer=Hoarding())) as (session, peer):
        began_s = trio.current_time()
        await session.output.send(seconds(3))
        await session.output.drain()
        assert trio.current_time() - began_s == pytest.approx(3, abs=2 * CHUNK_S)
        await trio.testing.wait_all_tasks_blocked()
        assert len(peer.messages) == 148


async def test_write_audio_tells_the_truth(autojump_clock: MockClock) -> None:
    """True once all of it was written and not before; False when an interruption drops it or the peer has gone."""
    async with memory_session(params()) as (session, peer):
        began_s = trio.current_time()
        assert await session.output.write_audio(seconds(1)) is True
        assert trio.current_time() - began_s == pytest.approx(0.98)
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def interrupted() -> None:
                assert await session.output.write_audio(seconds(1)) is False

            await trio.sleep(0.5)
            await session.output.interrupt()
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def cut_off() -> None:
                assert await session.output.write_audio(seconds(1)) is False

            await trio.sleep(0.5)
            peer.drop()
        assert await session.output.write_audio(seconds(1)) is False


async def test_an_idle_clock_does_not_spin(autojump_clock: MockClock) -> None:
    """An hour without audio takes no more than a handful of looks at the tracks."""
    async with memory_session(params(ping_interval=None)) as (session, _):
        await session.output.send(seconds(0.1))
        looks = 0
        track = session.output._outbound.tracks[None]
        original = track.next_time

        class Counting:
            def next_time(self, now_s: float, turn: int) -> float:
                nonlocal looks
                looks += 1
                return original(now_s, turn)

        session.output._outbound.clock.tracks = (Counting(),)  # type: ignore[assignment]
        await trio.sleep(3600)
    assert looks < 250, "a hundred chunks of silence, then nothing"


class RawPCM:
    """Binary PCM, text as it is: a whole dialect in ten lines."""

    audio_format = None

    def encode(self, frame: object) -> list[str | bytes]:
        match frame:
            case AudioFrame():
                return [frame.audio]
            case TextFrame():
                return [frame.text]
        return []

    def decode(self, message: str | bytes) -> list[AudioFrame | TextFrame]:
        if isinstance(message, str):
            return [TextFrame(text=message)]
        return [AudioFrame(audio=message[: len(message) // 2 * 2], sample_rate=RATE)]


class Hoarding(RawPCM):
    """Keeps three chunks back and gives four at once."""

    def __init__(self) -> None:
        self.kept: list[str | bytes] = []

    def encode(self, frame: object) -> list[str | bytes]:
        self.kept += super().encode(frame)
        if len(self.kept) < 4:
            return []
        ready, self.kept = self.kept, []
        return ready
