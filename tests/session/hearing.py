"""What the tests of the inbound path share: filters and analyzers that write down what they get, and reading it all."""

from collections.abc import Mapping, Sequence

import trio
from attrs import define, field

from trio_transports import AudioFrame, Session
from trio_transports.audio.format import AudioFormat
from trio_transports.frames import Frame
from trio_transports.vad import SpeechEvent


async def everything(session: Session, within_s: float = 1.0) -> list[Frame]:
    """All that the handler can read now or soon."""
    frames: list[Frame] = []
    with trio.move_on_after(within_s):
        async for frame in session.input:
            frames.append(frame)
    return frames


def joined(frames: Sequence[Frame]) -> bytes:
    return b"".join(frame.audio for frame in frames if isinstance(frame, AudioFrame))


def kinds(frames: Sequence[Frame]) -> list[str]:
    """The frames' names without "Frame", runs of audio as one."""
    names: list[str] = []
    for frame in frames:
        name = type(frame).__name__.removesuffix("Frame")
        if name != "Audio" or names[-1:] != ["Audio"]:
            names.append(name)
    return names


@define(eq=False)
class Inverting:
    """A filter that inverts every bit and writes down what it is told."""

    told: list[object] = field(factory=list)
    lowest_rate: int = 1
    slow: bool = False

    def start(self, audio_format: AudioFormat) -> None:
        if audio_format.sample_rate < self.lowest_rate:
            raise ValueError(f"this filter needs at least {self.lowest_rate} Hz")
        self.told.append(audio_format)

    def filter(self, pcm: bytes) -> bytes:
        return bytes(255 - byte for byte in pcm)

    def control(self, settings: Mapping[str, object], enabled: bool | None = None) -> None:
        if "loudness" in settings:
            raise ValueError("no setting loudness")
        self.told.append((dict(settings), enabled))

    def stop(self) -> None:
        self.told.append("stop")

    def fresh(self) -> "Inverting":
        return self


@define(eq=False)
class Planned:
    """An analyzer that tells what was planned, each event once that much audio was heard since its start."""

    plan: Sequence[tuple[float, SpeechEvent]] = ()
    starts: list[int] = field(factory=list)
    heard: bytearray = field(factory=bytearray)
    lowest_rate: int = 1
    is_started: bool = False
    _bytes: int = 0
    _left: list[tuple[float, SpeechEvent]] = field(factory=list)

    def start(self, sample_rate: int) -> None:
        assert not self.is_started, "an analyzer is stopped before it starts again"
        if sample_rate < self.lowest_rate:
            raise ValueError(f"this analyzer needs at least {self.lowest_rate} Hz")
        self.is_started = True
        self.starts.append(sample_rate)
        self._bytes, self._left = 0, list(self.plan)

    def analyze(self, pcm: bytes) -> Sequence[SpeechEvent]:
        self.heard += pcm
        self._bytes += len(pcm)
        events = []
        while self._left and self._bytes >= 2 * self.starts[-1] * self._left[0][0]:
            events.append(self._left.pop(0)[1])
        return events

    def stop(self) -> None:
        assert self.is_started
        self.is_started = False

    def fresh(self) -> "Planned":
        return self
