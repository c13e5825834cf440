"""What a voice activity analyzer is, and what it tells."""

from collections.abc import Sequence
from typing import Protocol, TypeAlias, final, runtime_checkable

from attrs import field, frozen
from attrs.validators import ge, le


@final
@frozen(kw_only=True)
class VADParams:
    """When to believe that somebody speaks: how sure, for how long, and how loud."""

    confidence: float = field(default=0.7, validator=[ge(0), le(1)])
    start_secs: float = field(default=0.2, validator=ge(0))
    stop_secs: float = field(default=0.2, validator=ge(0))
    min_volume: float = field(default=0.6, validator=[ge(0), le(1)])


@final
@frozen
class SpeechStarted:
    """``at_s``: seconds of analyzed audio before speech began."""

    at_s: float


@final
@frozen
class SpeechStopped:
    """``at_s``: seconds of analyzed audio before speech ended."""

    at_s: float


SpeechEvent: TypeAlias = SpeechStarted | SpeechStopped


class VADAnalyzer(Protocol):
    """Any object with these members is an analyzer. It is given mono PCM in order, in pieces of any size."""

    def start(self, sample_rate: int) -> None: ...

    def analyze(self, pcm: bytes) -> Sequence[SpeechEvent]: ...

    def stop(self) -> None: ...

    def fresh(self) -> "VADAnalyzer":
        """Make an unstarted analyzer with the same settings, for another session."""


@runtime_checkable
class SlowStart(Protocol):
    """An analyzer whose ``start`` takes long (it may load a model): a session calls it in a worker thread."""

    @property
    def slow_start(self) -> bool: ...
