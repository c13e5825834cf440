"""What the user's speech does to a session, and what is told of the bot's, in virtual time."""

from collections.abc import Sequence

import numpy as np
import pytest
import trio
from trio.testing import MockClock

from tests.session.hearing import Planned, everything, kinds
from tests.session.helpers import CHUNK_BYTES, CHUNK_S, RATE, audio, is_silence, params, seconds
from tests.session.test_endings import Announced
from tests.vad.scenes import Floats, vowel, white
from tests.vad.scenes import pcm as as_pcm
from trio_transports import (
    AudioFrame,
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    ConnectionClosed,
    Frame,
    InterruptionFrame,
    TextFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from trio_transports.testing import ScriptedPeer, memory_session
from trio_transports.vad import EnergyVADAnalyzer, SpeechStarted, SpeechStopped, VADParams

START_S = 0.2
WINDOW_S = 0.016
LEAD_S = 1.0
SPEECH_S = 0.6


def scene() -> bytes:
    """Faint noise, and a vowel in it from ``LEAD_S`` on."""
    sound: Floats = white(round((LEAD_S + SPEECH_S + 0.6) * RATE), -60)
    start = round(LEAD_S * RATE)
    sound[start : start + round(SPEECH_S * RATE)] += vowel(RATE, SPEECH_S, -20)
    return as_pcm(sound)


async def speak(peer: ScriptedPeer, sound: bytes) -> None:
    """Send a sound in real time, a chunk when it would have been spoken."""
    began_s = trio.current_time()
    for number, start in enumerate(range(0, len(sound), CHUNK_BYTES), 1):
        await trio.sleep_until(began_s + number * CHUNK_S)
        await peer.send(AudioFrame(audio=sound[start : start + CHUNK_BYTES], sample_rate=RATE))


def numbered(count: int) -> AudioFrame:
    """Audio whose every sample is the number of its chunk."""
    samples = np.repeat(np.arange(1, count + 1, dtype="<i2"), CHUNK_BYTES // 2)
    return AudioFrame(audio=samples.tobytes(), sample_rate=RATE)


def numbers(frames: Sequence[Frame]) -> list[int]:
    return [int(np.frombuffer(frame.audio, "<i2")[0]) for frame in frames if isinstance(frame, AudioFrame)]


async def test_speech_stops_the_bot(autojump_clock: MockClock) -> None:
    """The bot is silent start_secs and one chunk after the user began; the peer is told; nothing older follows."""
    settings = params(
        vad_enabled=True,
        vad_analyzer=EnergyVADAnalyzer(VADParams(start_secs=START_S)),
        allow_interruptions=True,
        audio_out_auto_silence=False,
    )
    async with memory_session(settings) as (session, peer), trio.open_nursery() as nursery:
        frames: list[Frame] = []

        @nursery.start_soon
        async def handle() -> None:
            await session.output.send(numbered(1000))
            async for frame in session.input:
                frames.append(frame)
                if isinstance(frame, UserStoppedSpeakingFrame):
                    await session.output.send(TextFrame(text="yes?"))
                    await session.output.send(AudioFrame(audio=b"\xff\x7f" * RATE, sample_rate=RATE))

        await trio.testing.wait_all_tasks_blocked()
        began_s = trio.current_time()
        await speak(peer, scene())
        await trio.sleep(2)
        nursery.cancel_scope.cancel()
    heard = [(item.at_s - began_s, item.frame) for item in peer.recorder.heard]
    (clear_s,) = [at_s for at_s, frame in heard if isinstance(frame, InterruptionFrame)]
    old = [at_s for at_s, frame in heard if isinstance(frame, AudioFrame) and frame.audio != b"\xff\x7f" * 320]
    # Two windows and the chunk that the speech is cut by: see the analyzer's own test.
    assert LEAD_S + START_S <= clear_s <= LEAD_S + START_S + 2 * WINDOW_S + CHUNK_S
    assert old[-1] <= clear_s
    assert next(frame for at_s, frame in heard if at_s > clear_s) == TextFrame(text="yes?")
    told = [frame for frame in frames if not isinstance(frame, AudioFrame)]
    assert kinds(told) == [
        "BotStartedSpeaking",
        "UserStartedSpeaking",
        "BotStoppedSpeaking",
        "Interruption",
        "UserStoppedSpeaking",
        "BotStartedSpeaking",
        "BotStoppedSpeaking",
    ]
    assert [
        f.at_s for f in told if isinstance(f, UserStartedSpeakingFrame | UserStoppedSpeakingFrame)
    ] == pytest.approx([LEAD_S, LEAD_S + SPEECH_S], abs=0.05)
    assert session.statistics().interruptions == 1


async def test_speech_alone_interrupts_nothing(autojump_clock: MockClock) -> None:
    """Without allow_interruptions the handler is told of speech, and the bot speaks on."""
    planned = Planned(plan=[(0.1, SpeechStarted(0)), (0.3, SpeechStopped(0.2))])
    async with memory_session(params(vad_enabled=True, vad_analyzer=planned)) as (session, peer):
        await session.output.send(seconds(1))
        await speak(peer, bytes(20 * CHUNK_BYTES))
        await session.output.drain()
        frames = await everything(session)
    assert [kind for kind in kinds(frames) if kind.startswith(("User", "Inter"))] == [
        "UserStartedSpeaking",
        "UserStoppedSpeaking",
    ]
    assert not peer.recorder.of(InterruptionFrame)
    assert peer.recorder.audio[: 50 * CHUNK_BYTES] == seconds(1).audio


async def test_the_peer_is_told_though_nothing_is_queued(autojump_clock: MockClock) -> None:
    """Each time the user begins to speak the clear message goes out: the peer may still be playing."""
    planned = Planned(plan=[(0.1 * turn, (SpeechStarted, SpeechStopped)[turn % 2 == 0](0)) for turn in range(1, 7)])
    settings = params(vad_enabled=True, vad_analyzer=planned, allow_interruptions=True)
    async with memory_session(settings) as (session, peer):
        await speak(peer, bytes(40 * CHUNK_BYTES))
        frames = await everything(session)
        assert len(peer.recorder.of(InterruptionFrame)) == 3
        assert session.statistics().interruptions == 3
    assert (
        kinds([f for f in frames if not isinstance(f, AudioFrame)])
        == [
            "UserStartedSpeaking",
            "Interruption",
            "UserStoppedSpeaking",
        ]
        * 3
    )


async def test_audio_that_waited_for_room_is_not_heard_after_the_interruption(autojump_clock: MockClock) -> None:
    """A handler blocked in send when the user begins to speak goes on with what it sends next."""
    planned = Planned(plan=[(0.5, SpeechStarted(0.3))])
    settings = params(
        vad_enabled=True,
        vad_analyzer=planned,
        allow_interruptions=True,
        audio_out_max_queue_secs=0.1,
        audio_out_auto_silence=False,
    )
    async with memory_session(settings) as (session, peer), trio.open_nursery() as nursery:
        sent_after: list[int] = []

        @nursery.start_soon
        async def talk() -> None:
            for number in range(1, 1000):
                if session.statistics().interruptions:
                    sent_after.append(number)
                await session.output.send(
                    AudioFrame(audio=np.full(CHUNK_BYTES // 2, number, "<i2").tobytes(), sample_rate=RATE)
                )

        await speak(peer, bytes(50 * CHUNK_BYTES))
        nursery.cancel_scope.cancel()
    frames = [item.frame for item in peer.recorder.heard]
    clear = frames.index(InterruptionFrame())
    assert numbers(frames[clear:]) == sent_after[: len(numbers(frames[clear:]))]
    assert len(numbers(frames[clear:])) > 20


async def test_the_bot_speaks_when_it_is_heard(autojump_clock: MockClock) -> None:
    """The bot's start is told with its first chunk on the way, not when queued; its stop after 350 ms of silence."""
    async with memory_session(params(serializer=Announced)) as (session, peer), trio.open_nursery() as nursery:
        told: list[tuple[float, Frame]] = []

        @nursery.start_soon
        async def read() -> None:
            async for frame in session.input:
                told.append((trio.current_time(), frame))

        nursery.start_soon(session.output.send, seconds(1))
        await trio.sleep(3)
        assert not told
        await peer.send_raw("start")
        await trio.sleep(3)
        nursery.cancel_scope.cancel()
    assert [(round(at_s, 3), type(frame)) for at_s, frame in told[1:]] == [
        (3.0, BotStartedSpeakingFrame),
        (3.98 + 0.35, BotStoppedSpeakingFrame),
    ]


async def test_silence_is_not_speech(autojump_clock: MockClock) -> None:
    """Silence that fills gaps or ends the output is sent, and is no speech of the bot's."""
    async with memory_session(params()) as (session, peer):
        await session.output.send(audio(CHUNK_BYTES))
        await session.output.end()
        frames = await everything(session)
        assert is_silence(peer.recorder.audio[CHUNK_BYTES:])
        assert len(peer.recorder.audio) == 101 * CHUNK_BYTES
    assert kinds(frames) == ["BotStartedSpeaking", "BotStoppedSpeaking"]


async def test_the_end_of_an_utterance_is_told_when_it_was_sent(autojump_clock: MockClock) -> None:
    """A BotStoppedSpeakingFrame that the handler sends comes back on its input once the audio before it has gone."""
    async with memory_session(params(audio_out_auto_silence=False)) as (session, _):
        for _ in range(2):
            began_s = trio.current_time()
            await session.output.send(seconds(0.5))
            await session.output.send(BotStoppedSpeakingFrame())
            assert await session.input.receive() == BotStartedSpeakingFrame()
            assert await session.input.receive() == BotStoppedSpeakingFrame()
            assert trio.current_time() - began_s == pytest.approx(0.48, abs=CHUNK_S)
            await trio.sleep(1)


async def test_speech_while_the_session_closes(autojump_clock: MockClock) -> None:
    """What is still being flushed is interrupted as well, and then the session closes as it was about to."""
    planned = Planned(plan=[(0.7, SpeechStarted(0.5))])
    settings = params(vad_enabled=True, vad_analyzer=planned, allow_interruptions=True)
    async with memory_session(settings) as (session, peer), trio.open_nursery() as nursery:

        @nursery.start_soon
        async def talk() -> None:
            with pytest.raises(ConnectionClosed):
                await speak(peer, bytes(100 * CHUNK_BYTES))

        await session.output.send(seconds(10))
        await trio.sleep(0.5)
        await session.aclose(4000, "that is all")
        assert trio.current_time() == pytest.approx(0.7)
    assert peer.closed is not None
    assert peer.closed.code == 4000
    assert isinstance(peer.recorder.heard[-1].frame, InterruptionFrame)
