"""From windows of audio that hold speech or do not to speech that has begun or ended: four states, one table.

Rules
1. QUIET: nobody speaks. STARTING: somebody may have begun. SPEAKING: somebody does. STOPPING: somebody may have ended.
2. Windows with speech earn credit, their length; in STARTING those without cost ``DRAIN`` of theirs. Speech has begun
   when ``start_secs`` have passed since its first window and ``SHARE`` of that is credit. It began with that first
   window, not when it was believed.
3. What seemed to begin is forgotten when its credit is used up: soon after a click, later than the gaps in a word.
4. Speech has ended after ``stop_secs`` without any. It ended with the last window that had some.
5. ``due`` in the table says that the time which the state waits for has passed: rule 2 with speech in the window, rule
   3 or 4 without.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final, final

from attrs import define, field

from .analyzer import SpeechEvent, SpeechStarted, SpeechStopped, VADParams

SHARE: Final = 0.6
DRAIN: Final = 0.25
_ROUNDING_S: Final = 1e-9


@final
class SpeechState(Enum):
    QUIET = "quiet"
    STARTING = "starting"
    SPEAKING = "speaking"
    STOPPING = "stopping"


@final
class SpeechEdge(Enum):
    STARTED = "started"
    STOPPED = "stopped"


TRANSITIONS: Final[Mapping[tuple[SpeechState, bool, bool], tuple[SpeechState, SpeechEdge | None]]] = {
    # state, speech in the window, due -> next state, what is told
    (SpeechState.QUIET, False, False): (SpeechState.QUIET, None),
    (SpeechState.QUIET, False, True): (SpeechState.QUIET, None),
    (SpeechState.QUIET, True, False): (SpeechState.STARTING, None),
    (SpeechState.QUIET, True, True): (SpeechState.SPEAKING, SpeechEdge.STARTED),
    (SpeechState.STARTING, False, False): (SpeechState.STARTING, None),
    (SpeechState.STARTING, False, True): (SpeechState.QUIET, None),
    (SpeechState.STARTING, True, False): (SpeechState.STARTING, None),
    (SpeechState.STARTING, True, True): (SpeechState.SPEAKING, SpeechEdge.STARTED),
    (SpeechState.SPEAKING, False, False): (SpeechState.STOPPING, None),
    (SpeechState.SPEAKING, False, True): (SpeechState.QUIET, SpeechEdge.STOPPED),
    (SpeechState.SPEAKING, True, False): (SpeechState.SPEAKING, None),
    (SpeechState.SPEAKING, True, True): (SpeechState.SPEAKING, None),
    (SpeechState.STOPPING, False, False): (SpeechState.STOPPING, None),
    (SpeechState.STOPPING, False, True): (SpeechState.QUIET, SpeechEdge.STOPPED),
    (SpeechState.STOPPING, True, False): (SpeechState.SPEAKING, None),
    (SpeechState.STOPPING, True, True): (SpeechState.SPEAKING, None),
}


@final
@define(eq=False)
class SpeechMachine:
    """The state of one stream. ``step`` is given one window after another."""

    params: VADParams
    state: SpeechState = field(init=False, default=SpeechState.QUIET)
    _began_s: float = field(init=False, default=0.0)
    _last_speech_s: float = field(init=False, default=0.0)  # the end of the last window with speech
    _credit_s: float = field(init=False, default=0.0)

    @property
    def is_speaking(self) -> bool:
        return self.state in (SpeechState.SPEAKING, SpeechState.STOPPING)

    def step(self, has_speech: bool, from_s: float, to_s: float) -> SpeechEvent | None:
        """Take the window between two times; return what it makes certain."""
        state = self.state
        if has_speech:
            if state is SpeechState.QUIET:
                self._began_s = from_s
                self._credit_s = 0.0
            self._credit_s += to_s - from_s
            self._last_speech_s = to_s
            needed_s = self.params.start_secs - _ROUNDING_S
            due = to_s - self._began_s >= needed_s and self._credit_s >= SHARE * needed_s
        elif state is SpeechState.STARTING:
            self._credit_s -= DRAIN * (to_s - from_s)
            due = self._credit_s < _ROUNDING_S
        else:
            due = to_s - self._last_speech_s >= self.params.stop_secs - _ROUNDING_S
        self.state, told = TRANSITIONS[state, has_speech, due]
        if told is None:
            return None
        return SpeechStarted(self._began_s) if told is SpeechEdge.STARTED else SpeechStopped(self._last_speech_s)
