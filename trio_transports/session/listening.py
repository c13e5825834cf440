"""Voice activity over a whole call: what an analyzer tells, timed from the call's first audio.

Rules
1. An analyzer knows one rate. At another one it starts anew, and the times go on: they count the audio that was heard.
2. Speech that a new start or the end cuts off has ended there: each start that was told has its stop.
"""

from collections.abc import Callable
from typing import final

from attrs import define, field

from .._offers import offers
from ..audio.channels import mix_channels
from ..audio.format import AudioFormat
from ..vad.analyzer import SlowStart, SpeechEvent, SpeechStarted, SpeechStopped, VADAnalyzer
from .every_step import take_every_step
from .turn_end import TurnEnd


@final
@define(eq=False)
class Listening:
    """``tell`` is called with what becomes certain, its ``at_s`` in seconds of audio since the first."""

    _analyzer: VADAnalyzer
    _tell: Callable[[SpeechEvent], None]
    _turn_end: TurnEnd | None = None
    """Hears along, where it is what is told."""
    _format: AudioFormat | None = field(default=None, init=False)
    _before_s: float = field(default=0.0, init=False)
    """What was heard before the analyzer was started for this format."""
    _heard_bytes: int = field(default=0, init=False)
    _somebody_speaks: bool = field(default=False, init=False)

    @property
    def starts_slowly(self) -> bool:
        return offers(self._analyzer, SlowStart) and self._analyzer.slow_start

    @property
    def heard_s(self) -> float:
        """Where in the call's audio this is."""
        return self._before_s + (0.0 if self._format is None else self._format.duration_s(self._heard_bytes))

    def start(self, audio_format: AudioFormat) -> None:
        """Listen to this format from now on, after ``stop`` if there was another; ValueError if that cannot be."""
        self._analyzer.start(audio_format.sample_rate)
        self._format = audio_format

    def hear(self, pcm: bytes) -> None:
        assert self._format is not None
        self._heard_bytes += len(pcm)
        if self._turn_end is not None:
            self._turn_end.hear(pcm, self._format)
        for event in self._analyzer.analyze(mix_channels(pcm, self._format.num_channels, 1)):
            self._somebody_speaks = isinstance(event, SpeechStarted)
            self._tell(type(event)(self._before_s + event.at_s))

    def stop(self) -> None:
        """Nobody is heard any more; who was speaking has stopped."""
        if self._format is None:
            return
        self._before_s += self._format.duration_s(self._heard_bytes)
        self._heard_bytes, self._format = 0, None
        take_every_step(self._analyzer.stop, self._end_speech)

    def _end_speech(self) -> None:
        if self._somebody_speaks:
            self._somebody_speaks = False
            self._tell(SpeechStopped(self._before_s))
