"""The audio of several destinations in one session, as the two sides of a telephone line: none touches another's."""

from collections.abc import Sequence

import numpy as np
import pytest
from trio.testing import MockClock

from tests.session.hearing import Inverting, everything
from tests.session.helpers import params
from tests.session.test_inbound_speech import scene
from trio_transports import AudioFrame, Frame, UserStartedSpeakingFrame
from trio_transports.session.ears import MAX_DESTINATIONS
from trio_transports.testing import memory_session
from trio_transports.vad import EnergyVADAnalyzer

RATE = 8000
FRAME_S = 0.02
SAMPLES = round(RATE * FRAME_S)


def tone(hertz: float, number: int, destination: str | None, rate: int = RATE) -> AudioFrame:
    samples = round(rate * FRAME_S)
    at_s = (number * samples + np.arange(samples)) / rate
    pcm = np.rint(8000 * np.sin(2 * np.pi * hertz * at_s)).astype("<i2").tobytes()
    return AudioFrame(audio=pcm, sample_rate=rate, destination=destination, pts=round(number * FRAME_S * 1e9))


def sound_of(frames: Sequence[Frame], destination: str | None) -> bytes:
    return b"".join(f.audio for f in frames if isinstance(f, AudioFrame) and f.destination == destination)


async def heard(sent: Sequence[AudioFrame], **settings: object) -> list[Frame]:
    async with memory_session(params(audio_in_max_queue_secs=100, **settings)) as (session, peer):
        for frame in sent:
            await peer.send(frame)
        await peer.close()
        return await everything(session)


@pytest.mark.parametrize("other_rate", [RATE, 24000])
async def test_each_destination_is_converted_by_itself(other_rate: int, autojump_clock: MockClock) -> None:
    """Both sides frame by frame sound as each would alone, at one rate and at two, and the formats cost no changes."""
    caller = [tone(440, n, None) for n in range(50)]
    agent = [tone(1000, n, "agent", other_rate) for n in range(50)]
    together = await heard([f for both in zip(caller, agent, strict=True) for f in both], audio_in_sample_rate=16000)
    for side, name in ((caller, None), (agent, "agent")):
        alone = await heard(side, audio_in_sample_rate=16000)
        assert sound_of(together, name) == sound_of(alone, name)
        assert 2 * 16000 <= len(sound_of(alone, name)) < 2 * 16000 * 1.02


async def test_only_the_callers_own_audio_is_filtered(autojump_clock: MockClock) -> None:
    """What another destination says passes as it came."""
    caller, agent = [tone(440, n, None) for n in range(5)], [tone(1000, n, "agent") for n in range(5)]
    frames = await heard([*caller, *agent, *caller], audio_in_filter=Inverting())
    assert sound_of(frames, "agent") == sound_of(agent, "agent")
    assert sound_of(frames, None) != sound_of([*caller, *caller], None)
    assert len(sound_of(frames, None)) == 2 * len(sound_of(caller, None))


@pytest.mark.parametrize(("speaker", "is_heard"), [(None, True), ("agent", False)])
async def test_only_the_callers_own_audio_is_listened_to(
    speaker: str | None, is_heard: bool, autojump_clock: MockClock
) -> None:
    """The other side's voice is no user that speaks: it would interrupt the bot."""
    pcm = scene()
    step = len(pcm) // 100 // 2 * 2
    sent = [
        AudioFrame(audio=pcm[at : at + step], sample_rate=16000, destination=speaker) for at in range(0, len(pcm), step)
    ]
    frames = await heard(sent, vad_enabled=True, vad_analyzer=EnergyVADAnalyzer())
    assert any(isinstance(f, UserStartedSpeakingFrame) for f in frames) is is_heard
    assert sound_of(frames, speaker) == sound_of(sent, speaker)


async def test_both_sides_have_their_own_order(autojump_clock: MockClock) -> None:
    """With audio_in_jitter_ms two sides that speak at one time are no doubles of each other."""
    sides = [[tone(440, n, None) for n in range(10)], [tone(1000, n, "agent") for n in range(10)]]
    frames = await heard([f for both in zip(*sides, strict=True) for f in both], audio_in_jitter_ms=60)
    for side, name in zip(sides, (None, "agent"), strict=True):
        assert sound_of(frames, name) == sound_of(side, name)


@pytest.mark.parametrize("settings", [{}, {"audio_in_jitter_ms": 20}])
async def test_a_peer_may_not_name_any_number(settings: dict[str, object], autojump_clock: MockClock) -> None:
    """Past the bound audio is malformed, and those that are known go on."""
    many = [tone(440, 0, f"number {n}") for n in range(MAX_DESTINATIONS + 3)]
    async with memory_session(params(audio_in_max_queue_secs=100, **settings)) as (session, peer):
        for frame in [*many, tone(440, 1, "number 0")]:
            await peer.send(frame)
        await peer.close()
        frames = await everything(session)
        assert session.statistics().malformed_messages == 3
    assert len(sound_of(frames, "number 0")) == 4 * SAMPLES
    assert len(frames) == MAX_DESTINATIONS + 1
