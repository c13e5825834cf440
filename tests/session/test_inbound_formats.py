"""A peer that changes the format of its audio, by right or to do harm, in virtual time."""

import random

import pytest
import trio
from trio.testing import MockClock

from tests.audio.signals import sine
from tests.session.hearing import Inverting, Planned, everything, joined, kinds
from tests.session.helpers import RATE, params, pcm
from trio_transports import (
    AudioFrame,
    BotStoppedSpeakingFrame,
    EndFrame,
    TextFrame,
    TransportParams,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from trio_transports.audio.convert import Converter
from trio_transports.audio.format import AudioFormat
from trio_transports.session.ear import FREE_CHANGES, MAX_CHANNELS, MAX_RATE, MIN_RATE, PIECE_S, SECONDS_PER_CHANGE
from trio_transports.testing import ScriptedPeer, memory_session
from trio_transports.vad import SpeechStarted, SpeechStopped


def silence(rate: int, duration_s: float = 0.02, channels: int = 1) -> AudioFrame:
    return AudioFrame(audio=bytes(round(rate * duration_s) * 2 * channels), sample_rate=rate, num_channels=channels)


def listening(planned: Planned, **changes: object) -> TransportParams:
    return params(vad_enabled=True, vad_analyzer=planned, **changes)


# Times


async def test_times_go_on_at_another_rate(autojump_clock: MockClock) -> None:
    """at_s counts the seconds of audio since the call's first, through every change of rate."""
    planned = Planned(plan=[(0.2, SpeechStarted(0.1)), (0.4, SpeechStopped(0.3))])
    async with memory_session(listening(planned)) as (session, peer):
        for rate, channels in ((16000, 1), (8000, 2), (48000, 1)):
            for _ in range(50):
                await peer.send(silence(rate, channels=channels))
        frames = [frame for frame in await everything(session) if not isinstance(frame, AudioFrame)]
    assert planned.starts == [16000, 8000, 48000]
    assert [type(frame) for frame in frames] == [UserStartedSpeakingFrame, UserStoppedSpeakingFrame] * 3
    assert [frame.at_s for frame in frames] == pytest.approx([0.1, 0.3, 1.1, 1.3, 2.1, 2.3])  # type: ignore[union-attr]


async def test_speech_frames_stand_among_the_audio(autojump_clock: MockClock) -> None:
    """A speech frame comes right before the audio that made it certain."""
    planned = Planned(plan=[(0.06, SpeechStarted(0.02)), (0.1, SpeechStopped(0.08))])
    async with memory_session(listening(planned)) as (session, peer):
        for _ in range(6):
            await peer.send(silence(RATE))
        frames = await everything(session)
    names = [type(frame).__name__.removesuffix("Frame") for frame in frames]
    before, between = ["Audio", "Audio", "UserStartedSpeaking"], ["Audio", "Audio", "UserStoppedSpeaking"]
    assert names == [*before, *between, "Audio", "Audio"]


async def test_every_start_has_its_stop(autojump_clock: MockClock) -> None:
    """Speech that another rate, or the end of the call, cuts off has stopped there."""
    planned = Planned(plan=[(0.2, SpeechStarted(0.1))])
    async with memory_session(listening(planned)) as (session, peer):
        for rate in (16000, 24000):
            for _ in range(25):
                await peer.send(silence(rate))
        await peer.close()
        frames = await everything(session)
    assert kinds(frames) == ["Audio", "UserStartedSpeaking", "Audio", "UserStoppedSpeaking"] * 2
    times = [f.at_s for f in frames if isinstance(f, UserStartedSpeakingFrame | UserStoppedSpeakingFrame)]
    assert times == pytest.approx([0.1, 0.5, 0.6, 1.0])


# Audio that cannot be used


@pytest.mark.parametrize(
    "settings",
    [
        {"audio_in_filter": Inverting(lowest_rate=12000)},
        {"vad_enabled": True, "vad_analyzer": Planned(lowest_rate=12000)},
        {"audio_in_filter": Inverting(), "vad_enabled": True, "vad_analyzer": Planned(lowest_rate=12000)},
    ],
)
async def test_a_rate_that_cannot_be_used_costs_its_frames(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, settings: dict[str, object]
) -> None:
    """A filter or analyzer that refuses the peer's rate does not end the call; audio at another rate is taken again."""
    async with memory_session(params(**settings)) as (session, peer):
        for rate in (16000, 8000, 8000, 16000):
            await peer.send(silence(rate))
        frames = await everything(session)
        statistics = session.statistics()
    assert [frame.sample_rate for frame in frames if isinstance(frame, AudioFrame)] == [16000, 16000]
    assert statistics.malformed_messages == 2
    assert statistics.audio_received_s == pytest.approx(0.04)
    assert caplog.text.count("audio of 8000 Hz mono cannot be used here: this") == 1


@pytest.mark.parametrize(
    "settings", [{"audio_in_sample_rate": RATE}, {"vad_enabled": True}, {"audio_in_filter": Inverting()}]
)
async def test_only_sensible_formats_are_worked_on(autojump_clock: MockClock, settings: dict[str, object]) -> None:
    """Rates and channel counts past the bounds are malformed, and cost what was set up before nothing."""
    bounds = [(MIN_RATE, 1), (MAX_RATE, 1), (RATE, MAX_CHANNELS)]
    beyond = [(MIN_RATE - 1, 1), (MAX_RATE + 1, 1), (RATE, MAX_CHANNELS + 1)]
    async with memory_session(params(**settings)) as (session, peer):
        for rate, channels in bounds:
            await peer.send(silence(rate, channels=channels))
        for _ in range(20):
            for rate, channels in beyond:
                await peer.send(silence(rate, channels=channels))
        await peer.send(silence(RATE, channels=MAX_CHANNELS))
        frames = await everything(session)
        assert session.statistics().malformed_messages == 60
        assert session.statistics().audio_received_s == pytest.approx(4 * 0.02)
    assert frames


async def test_changes_of_format_are_limited(autojump_clock: MockClock) -> None:
    """A peer with another rate on each frame is worked for at so many changes, and then one in each second."""
    planned = Planned()
    async with memory_session(listening(planned, max_malformed=10_000)) as (session, peer):
        for number in range(1000):
            await peer.send(silence(8000 + number))
        await trio.testing.wait_all_tasks_blocked()
        assert len(planned.starts) == FREE_CHANGES
        assert session.statistics().malformed_messages == 1000 - FREE_CHANGES
        for number in range(100):
            await trio.sleep(0.1)
            await peer.send(silence(20000 + number))
        await trio.testing.wait_all_tasks_blocked()
        earned = len(planned.starts) - FREE_CHANGES
        assert earned == pytest.approx(10 / SECONDS_PER_CHANGE, abs=1)
        await trio.sleep(100)
        for number in range(100):
            await peer.send(silence(30000 + number))
        await trio.testing.wait_all_tasks_blocked()
        assert len(planned.starts) == 2 * FREE_CHANGES + earned


async def test_a_peer_may_change_now_and_then(autojump_clock: MockClock) -> None:
    """A change in each second goes on for ever, and audio that needs no work may change with every frame."""
    async with memory_session(listening(Planned())) as (session, peer), trio.open_nursery() as nursery:

        @nursery.start_soon
        async def read() -> None:
            async for _ in session.input:
                pass

        for number in range(120):
            await trio.sleep(1)
            await peer.send(silence((16000, 24000)[number % 2]))
        await trio.testing.wait_all_tasks_blocked()
        assert session.statistics().malformed_messages == 0
        nursery.cancel_scope.cancel()
    async with memory_session(params()) as (session, peer):
        for number in range(200):
            await peer.send(silence((16000, 24000)[number % 2]))
        assert len(await everything(session)) == 200
        assert session.statistics().malformed_messages == 0


# What the converter holds back


def tone(rate: int, duration_s: float = 0.2) -> bytes:
    return sine(440, rate, duration_s)


async def say(peer: ScriptedPeer, rate: int, sound: bytes) -> None:
    for start in range(0, len(sound), rate // 50 * 2):
        await peer.send(AudioFrame(audio=sound[start : start + rate // 50 * 2], sample_rate=rate))


def converted(rate: int, sound: bytes) -> bytes:
    converter = Converter(AudioFormat(rate), AudioFormat(RATE))
    return converter.process(sound) + converter.flush()


async def test_no_audio_is_lost_at_a_change_of_format(autojump_clock: MockClock) -> None:
    """The tail of each format comes out before the next format's audio, also when that needs no conversion."""
    async with memory_session(params(audio_in_sample_rate=RATE)) as (session, peer):
        for rate in (8000, 24000, RATE, 8000):
            await say(peer, rate, tone(rate))
        await peer.close()
        frames = await everything(session)
    assert joined(frames) == converted(8000, tone(8000)) + converted(24000, tone(24000)) + tone(RATE) + converted(
        8000, tone(8000)
    )


@pytest.mark.parametrize("end", [EndFrame(), UserStoppedSpeakingFrame(at_s=0.2), BotStoppedSpeakingFrame()])
async def test_no_audio_is_lost_at_the_end_of_an_utterance(
    autojump_clock: MockClock, end: EndFrame | UserStoppedSpeakingFrame | BotStoppedSpeakingFrame
) -> None:
    """When the peer says that it has ended, all of its audio was given to the handler before that frame."""
    async with memory_session(params(audio_in_sample_rate=RATE)) as (session, peer):
        for _ in range(2):
            await say(peer, 8000, tone(8000))
            await peer.send(TextFrame(text="goes on"))
            await say(peer, 8000, tone(8000))
            await peer.send(end)
            frames = await everything(session)
            assert kinds(frames) == ["Audio", "Text", "Audio", type(end).__name__.removesuffix("Frame")]
            assert joined(frames) == converted(8000, tone(8000) * 2)


# Long audio


async def test_long_audio_is_worked_on_in_pieces(autojump_clock: MockClock) -> None:
    """A minute in one message is converted, heard and given in pieces, with a turn for other tasks at each."""
    planned = Planned(plan=[(20, SpeechStarted(19)), (40, SpeechStopped(39))])
    sound = pcm(2 * 8000 * 60)
    settings = listening(planned, audio_in_sample_rate=RATE, audio_in_max_queue_secs=100, max_message_bytes=2**21)
    turns, last, most = 0, 0, 0
    async with memory_session(settings) as (session, peer), trio.open_nursery() as nursery:

        @nursery.start_soon
        async def another() -> None:
            nonlocal turns, last, most
            while True:
                turns += 1
                most, last = max(most, len(planned.heard) - last), len(planned.heard)
                await trio.lowlevel.checkpoint()

        await peer.send(AudioFrame(audio=sound, sample_rate=8000, pts=3))
        while len(planned.heard) < len(sound):
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
        await peer.close()
    async with memory_session(settings) as (session, peer):
        await peer.send(AudioFrame(audio=sound, sample_rate=8000, pts=3))
        await peer.send(TextFrame(text="after"))
        frames = await everything(session)
    assert turns >= 60 / PIECE_S
    assert most <= 2 * (2 * 8000 * PIECE_S), "its turn may come first in one round and last in the next"
    assert kinds(frames) == ["Audio", "UserStartedSpeaking", "Audio", "UserStoppedSpeaking", "Audio", "Text"]
    assert joined(frames) == Converter(AudioFormat(8000), AudioFormat(RATE)).process(sound)
    chunks = [frame for frame in frames if isinstance(frame, AudioFrame)]
    assert max(frame.duration_s for frame in chunks) <= PIECE_S
    assert [frame.pts for frame in chunks[:3]] == [3, None, None]


async def test_pieces_are_whole_samples(autojump_clock: MockClock) -> None:
    """Cutting long audio loses nothing, at odd rates and channel counts too."""
    sizes = random.Random(3)
    for rate, channels in ((MIN_RATE, 3), (11025, 2), (44101, 1), (MAX_RATE, MAX_CHANNELS)):
        sound = pcm(2 * channels * sizes.randrange(rate, 3 * rate))
        if len(sound) > 700_000:
            sound = sound[: 699_984 // (2 * channels) * (2 * channels)]
        settings = params(audio_in_filter=Inverting(), audio_in_channels=channels, audio_in_max_queue_secs=100)
        async with memory_session(settings) as (session, peer):
            await peer.send(AudioFrame(audio=sound, sample_rate=rate, num_channels=channels))
            frames = await everything(session)
        assert joined(frames) == bytes(255 - byte for byte in sound)
        assert {frame.format for frame in frames if isinstance(frame, AudioFrame)} == {AudioFormat(rate, channels)}
