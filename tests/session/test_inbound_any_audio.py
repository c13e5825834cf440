"""Whatever audio a peer sends, and whatever goes wrong on this side of it."""

from random import Random

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from tests.session.hearing import Inverting, Planned
from tests.session.helpers import CHUNK_BYTES, audio, params
from trio_transports import (
    AudioFormat,
    AudioFrame,
    Frame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from trio_transports.audio.filters import FilterChain, HighPass, NoiseGate
from trio_transports.audio.wav import add_wav_header
from trio_transports.serializers.protocol import Message
from trio_transports.testing import memory_session
from trio_transports.vad import EnergyVADAnalyzer, SpeechEvent, VADParams

rates = st.sampled_from([8000, 16000, 24000, 44100, 48000]) | st.integers(4000, 192_000) | st.integers(1, 1_000_000)
formats = st.builds(AudioFormat, rates, st.sampled_from([1, 1, 1, 1, 1, 2, 2, 3, 64, 1000]))
sounds = st.builds(lambda seed, size: Random(seed).randbytes(size), st.integers(0, 2**32 - 1), st.integers(0, 6000))


class Passing:
    """Gives frames as the test has them, also those that no serializer of the library's lets through."""

    audio_format = None

    def __init__(self) -> None:
        self.frames: list[Frame] = []

    def encode(self, frame: Frame) -> list[Message]:
        self.frames.append(frame)
        return ["next"]

    def decode(self, message: Message) -> list[Frame]:
        return [self.frames.pop(0)] if self.frames else []


@st.composite
def frames(draw: st.DrawFn) -> AudioFrame:
    """Audio of any format, some with a header, some with a header cut short or wrong."""
    audio_format, sound = draw(formats), draw(sounds)
    sound = sound[: len(sound) // audio_format.bytes_per_sample * audio_format.bytes_per_sample]
    if draw(st.integers(0, 3)) == 0:
        stated = draw(formats.filter(lambda stated: stated.num_channels < 65536))
        headed = bytearray(add_wav_header(b"", stated) + sound)
        for _ in range(draw(st.integers(0, 2))):
            headed[draw(st.integers(4, 43))] = draw(st.integers(0, 255))
        sound = bytes(headed[: draw(st.integers(12, len(headed)))])
        sound = sound[: len(sound) // audio_format.bytes_per_sample * audio_format.bytes_per_sample]
    return AudioFrame(audio=sound, sample_rate=audio_format.sample_rate, num_channels=audio_format.num_channels)


@settings(max_examples=60)
@given(st.lists(frames(), min_size=4, max_size=25))
def test_any_audio(sent: list[AudioFrame]) -> None:
    """The call goes on, the handler gets the format it asked for and nothing else, and times only grow."""

    async def main() -> None:
        dialect = Passing()
        chosen = params(
            serializer=lambda: dialect,
            audio_in_sample_rate=16000,
            audio_in_filter=FilterChain(hum=HighPass(), gate=NoiseGate()),
            vad_enabled=True,
            vad_analyzer=EnergyVADAnalyzer(VADParams(confidence=0.0, min_volume=0.0, start_secs=0, stop_secs=0)),
            audio_in_max_queue_secs=1e6,
        )
        async with memory_session(chosen) as (session, peer):
            for frame in sent:
                await peer.send(frame)
                await trio.sleep(0.3)
            assert session.is_connected
            statistics = session.statistics()
            assert statistics.malformed_messages <= len(sent)
            await peer.close()
            got = [frame async for frame in session.input]
        heard = [frame for frame in got if isinstance(frame, AudioFrame)]
        assert {frame.format for frame in heard} <= {AudioFormat(16000)}
        times = [frame.at_s for frame in got if isinstance(frame, UserStartedSpeakingFrame | UserStoppedSpeakingFrame)]
        assert times == sorted(times)  # type: ignore[type-var]
        starts = [isinstance(f, UserStartedSpeakingFrame) for f in got if not isinstance(f, AudioFrame)]
        assert starts == [place % 2 == 0 for place in range(len(starts))], "starts and stops take turns"
        assert not times or times[-1] <= statistics.audio_received_s + 1e-6  # type: ignore[operator]
        heard_s = sum(frame.duration_s for frame in heard)
        assert heard_s >= statistics.audio_received_s - 1e-3

    trio.run(main, clock=MockClock(autojump_threshold=0))


class Crashing(Inverting):
    """A filter with a bug."""

    def filter(self, pcm: bytes) -> bytes:
        raise ZeroDivisionError("a bug in the filter")


class Failing(Planned):
    """An analyzer with a bug."""

    def analyze(self, pcm: bytes) -> list[SpeechEvent]:
        raise ValueError("a bug in the analyzer")


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"audio_in_filter": Crashing()}, ZeroDivisionError),
        ({"audio_in_filter": Crashing(slow=True)}, ZeroDivisionError),
        ({"vad_enabled": True, "vad_analyzer": Failing()}, ValueError),
    ],
)
async def test_a_bug_in_what_the_session_was_given(settings: dict[str, object], kind: type[Exception]) -> None:
    """It is not the peer's fault: the session ends with it, as it was raised, and the peer is told 1011."""
    peer = None
    with pytest.raises(kind, match="a bug in the"):  # noqa: PT012
        async with memory_session(params(**settings)) as (session, peer):
            await peer.send(audio(CHUNK_BYTES))
            with trio.fail_after(5):
                async for _ in session.input:
                    pass
                await trio.sleep_forever()
    assert peer is not None
    assert peer.closed is not None
    assert peer.closed.code == 1011
