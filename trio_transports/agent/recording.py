"""A recording of a conversation as it was heard: the caller on the left, the agent on the right.

Rules
1. Both sides stand on one timeline, that of the adapter's clock; it begins when the adapter dials.
2. A piece is placed when it was sent or came, but never over an earlier one of its side: what comes faster than real
   time is played one after the other. Gaps are silence.
3. Either side may come in any format, also a changing one.
4. What was taken back before it was played (an interruption, a clear) is cut off: it was not heard.
5. It keeps at most ``max_s`` seconds; past that it takes no more and says so (``is_truncated``).
"""

from typing import final

import numpy as np
import numpy.typing as npt
from attrs import define, field
from attrs.validators import gt

from .._documented import documented
from ..audio.convert import Converter
from ..audio.format import SAMPLE_WIDTH, AudioFormat
from ..audio.wav import add_wav_header


@final
@define(eq=False)
class _Track:
    """One side: 16-bit mono samples from the start of the recording, without the silence after the last."""

    pcm: bytearray = field(factory=bytearray, init=False)
    _converter: Converter | None = field(default=None, init=False)

    @property
    def samples(self) -> int:
        return len(self.pcm) // SAMPLE_WIDTH

    def converted(self, pcm: bytes, source: AudioFormat, sample_rate: int) -> bytes:
        if self._converter is None or self._converter.source != source:
            self._converter = Converter(source, AudioFormat(sample_rate))
        return self._converter.process(pcm)

    def place(self, pcm: bytes, at_sample: int) -> None:
        gap = at_sample - self.samples
        if gap > 0:
            self.pcm += bytes(gap * SAMPLE_WIDTH)
        self.pcm += pcm

    def cut(self, at_sample: int) -> None:
        del self.pcm[max(0, at_sample) * SAMPLE_WIDTH :]


@documented
@final
@define(eq=False)
class ConversationRecording:
    """Two mono tracks of one rate. Give it what was sent and what came, each with its format and time."""

    sample_rate: int
    """Samples per second of the recording, in Hz; what is added is brought to it."""
    started_at: float
    """The time at its beginning, by the clock that its other times are of, in seconds."""
    max_s: float = field(default=3600.0, validator=gt(0))
    """How many seconds it keeps; what comes later is left out. An hour at 24 kHz is 345 MB."""
    is_truncated: bool = field(default=False, init=False)
    """Whether something was left out, since ``max_s`` was over."""
    _caller: _Track = field(factory=_Track, init=False)
    _agent: _Track = field(factory=_Track, init=False)

    def caller(self, pcm: bytes, source: AudioFormat, at: float) -> None:
        """Add audio of the caller's, said at that time."""
        self._place(self._caller, pcm, source, at)

    def agent(self, pcm: bytes, source: AudioFormat, at: float) -> None:
        """Add audio of the agent's, which came at that time."""
        self._place(self._agent, pcm, source, at)

    def cut_agent(self, at: float) -> None:
        """Take back what of the agent's audio would be played after ``at``."""
        self._agent.cut(self._sample(at))

    @property
    def duration_s(self) -> float:
        """How long it is so far, in seconds."""
        return max(self._caller.samples, self._agent.samples) / self.sample_rate

    def wav(self) -> bytes:
        """Make a stereo WAV file of what is there so far."""
        frames = max(self._caller.samples, self._agent.samples)
        stereo = np.zeros((frames, 2), "<i2")
        for channel, track in enumerate((self._caller, self._agent)):
            samples: npt.NDArray[np.int16] = np.frombuffer(bytes(track.pcm), "<i2")
            stereo[: len(samples), channel] = samples
        return add_wav_header(stereo.tobytes(), AudioFormat(self.sample_rate, 2))

    def _sample(self, at: float) -> int:
        return round((at - self.started_at) * self.sample_rate)

    def _place(self, track: _Track, pcm: bytes, source: AudioFormat, at: float) -> None:
        pcm = track.converted(pcm, source, self.sample_rate)
        start = max(self._sample(at), track.samples, 0)
        room = int(self.max_s * self.sample_rate) - start
        if len(pcm) > room * SAMPLE_WIDTH:
            self.is_truncated = True
            pcm = pcm[: max(0, room) * SAMPLE_WIDTH]
        if pcm:
            track.place(pcm, start)
