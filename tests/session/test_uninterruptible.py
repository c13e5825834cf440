"""What is said to its end: ``interruptible=False`` survives an interruption, and the peer hears it whole."""

import pytest
import trio
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from tests.session.calls import call
from tests.session.helpers import CHUNK_BYTES, CHUNK_S, audio, params, pcm, seconds
from trio_transports import (
    AudioFrame,
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    DTMFFrame,
    Frame,
    InterruptionFrame,
    MessageFrame,
    TextFrame,
)
from trio_transports.audio import AudioFormat
from trio_transports.session.chunk_form import ChunkForm
from trio_transports.session.queue import AudioQueue
from trio_transports.testing import memory_session

QUIET = {"audio_out_auto_silence": False, "audio_out_end_silence_secs": 0}


def kept(frame: AudioFrame) -> AudioFrame:
    return evolve(frame, interruptible=False)


@pytest.mark.parametrize("interruptions", [1, 2, 3])
async def test_an_announcement_is_heard_to_its_end(autojump_clock: MockClock, interruptions: int) -> None:
    """Interrupted while it plays, it goes on in its time, the peer is not told to drop it, and what follows is gone."""
    async with memory_session(params(**QUIET)) as (session, peer):
        await session.output.send(kept(seconds(1)))
        await session.output.send(audio(50 * CHUNK_BYTES, start=7))
        for _ in range(interruptions):
            await trio.sleep(0.2)
            await session.output.interrupt()
        await session.output.drain()
        assert trio.current_time() == pytest.approx(1 - CHUNK_S)
        assert session.statistics().audio_out_dropped_s == pytest.approx(1)
        assert session.statistics().interruptions == interruptions
        speech = [frame for frame in await read(session) if isinstance(frame, BotStoppedSpeakingFrame)]
        assert len(speech) == 1
    assert peer.recorder.audio == seconds(1).audio
    assert peer.recorder.of(InterruptionFrame) == []
    times_s = [at_s for at_s, _ in peer.messages]
    assert times_s == pytest.approx([number * CHUNK_S for number in range(50)], abs=1e-6)


async def read(session: object) -> list[Frame]:
    """What the handler can read now or within the next second."""
    frames: list[Frame] = []
    with trio.move_on_after(1):
        async for frame in session.input:  # type: ignore[attr-defined]
            frames.append(frame)
    return frames


@pytest.mark.parametrize("times", [1, 2, 3])
async def test_what_waits_behind_is_said_at_once(autojump_clock: MockClock, times: int) -> None:
    """An announcement that waits behind an answer is all that is left of the queue, and leaves without delay."""
    async with memory_session(params(**QUIET)) as (session, peer):
        for number in range(times):
            began_s, before = trio.current_time(), len(peer.messages)
            await session.output.send(seconds(1))
            await session.output.send(kept(audio(10 * CHUNK_BYTES, start=number)))
            await session.output.send(seconds(1))
            await trio.sleep(0.1)
            await session.output.interrupt()
            await session.output.drain()
            assert trio.current_time() - began_s == pytest.approx(0.1 + 9 * CHUNK_S, abs=1e-6)
            await trio.sleep(0.01)
            assert len(peer.recorder.of(InterruptionFrame)) == number + 1, "the answer was cut off at the peer, too"
            said = peer.recorder.audio[-10 * CHUNK_BYTES :]
            assert said == pcm(10 * CHUNK_BYTES, start=number)
            assert len(peer.messages) - before in (5 + 1 + 10, 6 + 1 + 10)
            await trio.sleep(1)


async def test_texts_keys_and_raw_messages(autojump_clock: MockClock) -> None:
    """Of what is queued between the audio, that which is to be said stays in order, and so do facts."""
    async with memory_session(params(**QUIET)) as (session, peer):
        await session.output.send(seconds(1))
        for frame in (
            TextFrame(text="gone"),
            TextFrame(text="stays", interruptible=False),
            DTMFFrame(digit="5"),
            MessageFrame(message="gone"),
            MessageFrame(message="stays", interruptible=False),
        ):
            await session.output.send(frame)
        await session.output.send_raw('{"type":"text","text":"gone"}')
        await session.output.send_raw('{"type":"text","text":"raw"}', interruptible=False)
        await session.output.send(seconds(1))
        await trio.sleep(0.1)
        await session.output.interrupt()
        await session.output.drain()
        assert session.statistics().frames_dropped == 3
    frames = [heard.frame for heard in peer.recorder.heard if not isinstance(heard.frame, AudioFrame)]
    assert frames == [
        InterruptionFrame(),
        TextFrame(text="stays"),
        DTMFFrame(digit="5"),
        MessageFrame(message="stays"),
        TextFrame(text="raw"),
    ]


async def test_keys_as_tones_are_pressed_to_their_end(autojump_clock: MockClock) -> None:
    """A barge-in while digits are dialled loses none."""
    async with call(audio_out_auto_silence=False) as here:
        await here.phone.open()
        for digit in "123":
            await here.session.output.send(DTMFFrame(digit=digit))
        await trio.sleep(0.05)
        await here.session.output.interrupt()
        await here.session.output.drain()
    assert len(here.phone.pcm) == pytest.approx(3 * 0.2 * 2 * 8000, abs=320)
    assert here.phone.clears == []


async def test_promises_tell_the_truth(autojump_clock: MockClock) -> None:
    """write_audio is True for what was said to its end, and False for what was cut off."""
    outcomes: dict[str, bool] = {}
    async with memory_session(params(**QUIET)) as (session, _), trio.open_nursery() as nursery:

        async def write(name: str, frame: AudioFrame) -> None:
            outcomes[name] = await session.output.write_audio(frame)

        for name, frame in (
            ("played", seconds(0.1)),
            ("cut off", seconds(0.5)),
            ("kept", kept(seconds(0.2))),
            ("dropped", seconds(0.2)),
            ("kept too", kept(seconds(0.2))),
        ):
            nursery.start_soon(write, name, frame)
            await trio.sleep(0.001)
        await trio.sleep(0.2)
        for _ in range(2):
            await session.output.interrupt()
            await trio.sleep(0.05)
    assert outcomes == {"played": True, "cut off": False, "kept": True, "dropped": False, "kept too": True}


async def test_a_sender_that_waits_for_room(autojump_clock: MockClock) -> None:
    """An announcement that found no room when the interruption came is said as soon as there is."""
    async with memory_session(params(audio_out_max_queue_secs=1, **QUIET)) as (session, peer):
        for _ in range(2):
            await session.output.send(seconds(1))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.output.send, kept(audio(CHUNK_BYTES, start=9)))
            await trio.sleep(0.01)
            await session.output.interrupt()
    assert peer.recorder.audio.endswith(pcm(CHUNK_BYTES, start=9))


@pytest.mark.parametrize("interruptions", [1, 2])
async def test_what_waits_for_a_slow_peer(autojump_clock: MockClock, interruptions: int) -> None:
    """What was handed over to a wire that has no room is kept as well, and what is to be cut off is dropped there."""
    async with memory_session(params(**QUIET), buffer_messages=1) as (session, peer):
        peer.stall()
        await session.output.send(kept(seconds(0.3)))
        await trio.sleep(1)
        for _ in range(interruptions):
            await session.output.interrupt()
            await trio.sleep(0.1)
        peer.resume()
        await session.output.drain()
        await trio.sleep(1)
        peer.stall()
        await session.output.send(kept(audio(4 * CHUNK_BYTES, start=3)))
        await session.output.send(seconds(1))
        await trio.sleep(1)
        await session.output.interrupt()
        peer.resume()
        await session.output.drain()
    assert peer.recorder.audio == seconds(0.3).audio + pcm(4 * CHUNK_BYTES, start=3)


@pytest.mark.parametrize("rate", [8000, 24000, 44100])
async def test_converted_audio_keeps_its_end(autojump_clock: MockClock, rate: int) -> None:
    """What the converter holds back of an announcement comes out at the interruption."""
    async with memory_session(params(**QUIET)) as (session, peer):
        await session.output.send(kept(seconds(0.5, rate=rate)))
        await trio.sleep(0.1)
        await session.output.interrupt()
        await session.output.drain()
    assert len(peer.recorder.audio) / 2 / 16000 == pytest.approx(0.5, abs=2 * CHUNK_S)


@pytest.mark.parametrize("packet", [None, 500, 1500])
async def test_packets_of_one_size(autojump_clock: MockClock, packet: int | None) -> None:
    """A packet that an announcement has begun to fill is completed with it."""
    async with memory_session(params(fixed_audio_packet_size=packet, serializer=Raw, **QUIET)) as (session, peer):
        await session.output.send(kept(seconds(0.5)))
        await session.output.send(seconds(0.5))
        await trio.sleep(0.1)
        await session.output.interrupt()
        await session.output.drain()
    heard = b"".join(message for _, message in peer.messages if isinstance(message, bytes))
    assert heard[: len(seconds(0.5).audio)] == seconds(0.5).audio
    assert not any(heard[len(seconds(0.5).audio) :])


class Raw:
    """PCM as it is."""

    audio_format = None

    def encode(self, frame: object) -> list[bytes]:
        return [frame.audio] if isinstance(frame, AudioFrame) else []

    def decode(self, message: str | bytes) -> list[AudioFrame]:
        assert isinstance(message, bytes)
        return [AudioFrame(audio=message, sample_rate=16000)]


async def test_speech_is_told_as_it_is_heard(autojump_clock: MockClock) -> None:
    """The bot stops with what was cut off and starts with what is said all the same."""
    async with memory_session(params(**QUIET)) as (session, _):
        await session.output.send(seconds(1))
        await session.output.send(kept(seconds(0.2)))
        await trio.sleep(0.1)
        await session.output.interrupt()
        await session.output.drain()
        told = [type(frame) for frame in await read(session)]
    assert told == [BotStartedSpeakingFrame, BotStoppedSpeakingFrame] * 2


# The queue by itself: against a model that remembers every byte.


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("push"), st.integers(1, 60), st.booleans()),
            st.tuples(st.just("take"), st.integers(1, 6), st.booleans()),
            st.tuples(st.just("pass"), st.just(0), st.booleans()),
            st.tuples(st.just("interrupt"), st.just(0), st.just(False)),
        ),
        max_size=40,
    )
)
@settings(max_examples=200)
def test_what_is_left_is_what_is_kept(steps: list[tuple[str, int, bool]]) -> None:
    """Whatever is pushed, taken and interrupted: kept bytes leave in order, others until the next interruption.

    What passes an empty queue only moves its places.
    """
    queue = AudioQueue(ChunkForm(AudioFormat(1000, 1), 5))
    model: list[tuple[int, bool]] = []
    number = 0
    for step, count, flag in steps:
        if step == "push":
            samples = [(number + i) % 251 for i in range(count)]
            number += count
            queue.push_began = queue.pushed
            queue.push(b"".join(bytes([sample, 0]) for sample in samples), 0.0)
            if flag:
                queue.keep()
            model += [(sample, flag) for sample in samples]
        elif step == "pass":
            if not model:
                place = queue.pass_chunk(0.0)
                assert place + 10 == queue.taken == queue.pushed
                if flag:
                    queue.wrote(queue.taken)
        elif step == "take":
            for _ in range(count):
                pcm_chunk = queue.chunker.pop()
                if pcm_chunk is None:
                    break
                queue.take(pcm_chunk)
                assert list(pcm_chunk[::2]) == [sample for sample, _ in model[:5]]
                del model[:5]
                if flag:
                    queue.wrote(queue.taken)
        else:
            dropped_s = queue.interrupt()
            assert dropped_s == pytest.approx(sum(not is_kept for _, is_kept in model) / 1000)
            model = [(sample, is_kept) for sample, is_kept in model if is_kept]
        assert queue.chunker.pending_bytes == 2 * len(model)
        assert queue.written <= queue.taken <= queue.pushed
        if not model:
            assert queue.taken == queue.pushed
