"""What a voice activity analyzer is, and what it tells."""

from collections.abc import Sequence
from typing import Protocol, TypeAlias, final, runtime_checkable

from attrs import field, frozen
from attrs.validators import ge, le

from .._documented import documented


@documented
@final
@frozen(kw_only=True)
class VADParams:
    """When to believe that somebody speaks: how sure, for how long, and how loud."""

    confidence: float = field(default=0.7, validator=[ge(0), le(1)])
    """How sure the analyzer must be that a window is speech, from 0 to 1. Higher takes less noise for speech, and
    misses quiet speakers."""
    start_secs: float = field(default=0.2, validator=ge(0))
    """Seconds of speech before it counts. Shorter reacts sooner, and lets a cough interrupt the bot."""
    stop_secs: float = field(default=0.2, validator=ge(0))
    """Seconds of silence before speech counts as ended. Shorter answers sooner, and breaks in on whoever pauses to
    think; 0.5 to 0.8 suits bots without a turn analyzer."""
    min_volume: float = field(default=0.6, validator=[ge(0), le(1)])
    """How loud a window must be to be speech: 0.6 is -40 dBFS, each tenth 10 dB. Higher ignores voices in the
    background, 0 ignores nothing."""


@documented
@final
@frozen
class SpeechStarted:
    """Somebody began to speak."""

    at_s: float
    """Seconds of analyzed audio before speech began."""


@documented
@final
@frozen
class SpeechStopped:
    """Somebody stopped speaking."""

    at_s: float
    """Seconds of analyzed audio before speech ended."""


SpeechEvent: TypeAlias = SpeechStarted | SpeechStopped
"""What an analyzer tells."""


class VADAnalyzer(Protocol):
    """Any object with these members is an analyzer. It is given mono PCM in order, in pieces of any size."""

    def start(self, sample_rate: int) -> None:
        """Prepare for mono PCM of that rate, in Hz. Called once before the first audio, and again after ``stop``."""

    def analyze(self, pcm: bytes) -> Sequence[SpeechEvent]:
        """Take the next audio; return what became certain with it.

        It runs in the path of each message, so it has to be quick.
        """

    def stop(self) -> None:
        """Let go of what ``start`` took; it can be started again."""

    def fresh(self) -> "VADAnalyzer":
        """Make an unstarted analyzer with the same settings, for another session."""


@runtime_checkable
class SlowStart(Protocol):
    """An analyzer whose ``start`` takes long (it may load a model): a session calls it in a worker thread."""

    @property
    def slow_start(self) -> bool:
        """Whether ``start`` takes so long that it belongs in a thread."""
