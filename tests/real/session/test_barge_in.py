"""A caller who speaks into what the bot says, over real sockets: what is heard is counted in chunks, not in time."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import trio

from tests.real.session.places import RATE, server_params, serving
from tests.real.starved import STARVED, fail_or_warn, watch_core
from tests.tools import requires
from tests.vad.scenes import Floats, level, pcm, vowel, white
from trio_transports import (
    AudioFrame,
    InterruptionFrame,
    Session,
    TextFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from trio_transports.audio.convert import Converter
from trio_transports.audio.format import AudioFormat
from trio_transports.audio.wav import read_wav
from trio_transports.testing import FrameRecorder
from trio_transports.vad import EnergyVADAnalyzer, VADParams
from trio_transports.wire.engines import ENGINES

pytestmark = pytest.mark.alone

CHUNK_S = 0.02
CHUNK_BYTES = 640
LEAD_CHUNKS = 40
START_S = 0.2
TOLERANCE_CHUNKS = 6
"""Two windows of the analyzer, the caller's own chunk, and what a busy machine delays between two counts."""
MOST_CHUNKS = round(START_S / CHUNK_S) + 1 + TOLERANCE_CHUNKS
TRIES = 4


def vowel_sound(_folder: Path) -> Floats:
    return vowel(RATE, 0.6, -20)


def voice(folder: Path) -> Floats:
    path = folder / "stop.wav"
    text = "Excuse me, I have a question"
    subprocess.run([requires("espeak-ng"), "-v", "en-us", "-w", path, text], check=True, timeout=60)
    audio_format, audio = read_wav(path)
    converter = Converter(audio_format, AudioFormat(RATE))
    values = np.frombuffer(converter.process(audio) + converter.flush(), "<i2").astype(np.float64)
    loud = np.flatnonzero(np.abs(values) > np.abs(values).max() / 20)
    return level(values[loud[0] : loud[-1]], -20)


def scene(speech: Floats) -> bytes:
    """Faint noise, and the speech in it from chunk ``LEAD_CHUNKS`` on."""
    lead = LEAD_CHUNKS * CHUNK_BYTES // 2
    sound = white(lead + len(speech) + RATE // 2, -60)
    sound[lead : lead + len(speech)] += speech
    return pcm(sound)


def numbered(first: int, count: int) -> AudioFrame:
    """Audio whose every sample is the number of its chunk."""
    samples = np.repeat(np.arange(first, first + count, dtype="<i2"), CHUNK_BYTES // 2)
    return AudioFrame(audio=samples.tobytes(), sample_rate=RATE)


def numbers(frames: list[AudioFrame]) -> list[int]:
    return [int(frame.audio[0] + 256 * frame.audio[1]) for frame in frames]


@pytest.mark.parametrize("make", [vowel_sound, voice])
@pytest.mark.parametrize("engine", list(ENGINES))
async def test_speech_stops_the_bot(engine: str, make: Callable[[Path], Floats], tmp_path: Path) -> None:
    """The bot says start_secs and one chunk more, the caller is told to clear, and nothing older arrives."""
    sound = scene(make(tmp_path))
    heard: list[int] = []
    waited: list[float] = []
    while not heard or (heard[-1] > MOST_CHUNKS and waited[-1] >= STARVED and len(heard) < TRIES):
        no_core = watch_core()
        heard.append(await heard_after_the_caller_began(sound, engine))
        waited.append(no_core())
    if heard[-1] > MOST_CHUNKS:
        fail_or_warn(f"chunks that were heard after the caller began, of at most {MOST_CHUNKS}: {heard}", waited)


async def heard_after_the_caller_began(sound: bytes, engine: str) -> int:
    """In chunks; all that does not go by time is looked at here."""
    ends: list[float | None] = []

    async def bot(session: Session) -> None:
        await session.output.send(numbered(1, 2000))
        async for frame in session.input:
            if isinstance(frame, UserStartedSpeakingFrame):
                await session.output.send(TextFrame(text=f"{frame.at_s}"))
            elif isinstance(frame, UserStoppedSpeakingFrame):
                ends.append(frame.at_s)
                await session.output.send(numbered(5001, 5))
                await session.output.send(TextFrame(text="answered"))

    settings = server_params(
        vad_enabled=True,
        vad_analyzer=EnergyVADAnalyzer(VADParams(start_secs=START_S, stop_secs=0.3)),
        allow_interruptions=True,
        audio_out_auto_silence=False,
    )
    recorder = FrameRecorder()
    heard_before = 0
    async with (
        serving(bot, settings, engine=engine) as place,
        place.client(audio_out_auto_silence=False).session() as session,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(recorder.record, session.input)
        with trio.fail_after(30):
            await recorder.wait_for(AudioFrame, 5)
            for number, start in enumerate(range(0, len(sound), CHUNK_BYTES)):
                if number == LEAD_CHUNKS:
                    heard_before = len(recorder.of(AudioFrame))
                # Paced by its own output clock: one chunk in each 20 ms.
                await session.output.write_audio(AudioFrame(audio=sound[start : start + CHUNK_BYTES], sample_rate=RATE))
            await recorder.until(lambda recorder: any(f.text == "answered" for f in recorder.of(TextFrame)))
        nursery.cancel_scope.cancel()
    frames = [item.frame for item in recorder.heard]
    clear = next(place for place, frame in enumerate(frames) if isinstance(frame, InterruptionFrame))
    before = numbers([frame for frame in frames[:clear] if isinstance(frame, AudioFrame)])
    after = numbers([frame for frame in frames[clear:] if isinstance(frame, AudioFrame)])
    assert before == list(range(1, len(before) + 1))
    assert after[-5:] == list(range(5001, 5006))
    assert all(number > 5000 for number in after)
    began_s = float(next(frame.text for frame in frames if isinstance(frame, TextFrame)))
    assert began_s == pytest.approx(LEAD_CHUNKS * CHUNK_S, abs=0.06)
    assert ends[-1] == pytest.approx(len(sound) / (2 * RATE) - 0.5, abs=0.1)
    return len(before) - heard_before
