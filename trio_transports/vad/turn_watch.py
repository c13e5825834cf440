"""Waiting for the end of a turn: a pause is held back until a turn analyzer, or the clock, says that it was the end.

The session's ``turn_analyzer`` parameter and the pipeline's stage of that name both work by this machine.

Rules
1. Before speech ``PRE_ROLL_S`` of audio is kept; from its start on the whole turn, ``max_turn_secs`` of it at most.
   A piece counts as ``LEAST_S`` at least, so that those with next to nothing in them are bounded too.
2. When speech has stopped the news is held, and the analyzer asked: at once, and then each ``ask_every_secs``.
3. The turn is over when it says so, or ``max_pause_secs`` after the speech ended without another question.
4. Speech that starts again while the news is held goes on with the turn: neither the stop nor the start is news.
   What the analyzer says then of the pause before is too late, and ignored.
"""

import inspect
from collections import deque
from math import inf
from typing import Final, final

import numpy as np
from attrs import define, field, frozen
from attrs.validators import gt

from ..audio.channels import mix_channels
from ..audio.format import AudioFormat, counted_s
from .turns import TurnAnalyzer

PRE_ROLL_S: Final = 0.5
_FALLBACK_RATE: Final = 16_000
_ROUNDING_S: Final = 1e-6


@final
@frozen
class TurnQuestion:
    """What the analyzer is to be asked; ``ask`` takes its time, and belongs in a worker thread."""

    pause: int
    pieces: tuple[tuple[bytes, AudioFormat], ...]
    silence_secs: float
    overruled_at: float
    """When the turn is over whatever the answer: rule 3."""

    def ask(self, analyzer: TurnAnalyzer) -> bool:
        """Ask the analyzer, in a worker thread; TypeError where it gives no bool."""
        rate = self.pieces[-1][1].sample_rate if self.pieces else _FALLBACK_RATE
        turn = b"".join(
            mix_channels(pcm, heard.num_channels, 1) for pcm, heard in self.pieces if heard.sample_rate == rate
        )
        answer: object = analyzer.is_complete(turn, rate, self.silence_secs)
        if isinstance(answer, bool | np.bool_):
            return bool(answer)
        if inspect.iscoroutine(answer):
            answer.close()
        raise TypeError(
            f"{type(analyzer).__name__}.is_complete gave {answer!r}: it gives True or False, and is called in a worker "
            "thread, so it is written `def`, not `async def`"
        )


@final
@define(eq=False)
class TurnWatch:
    """One caller's turns. It knows no clock: times are given to it."""

    ask_every_secs: float = field(default=0.2, validator=gt(0))
    max_pause_secs: float = field(default=2.0, validator=gt(0))
    max_turn_secs: float = field(default=8.0, validator=gt(0))
    asks_at: float = field(default=inf, init=False)
    """When there is something to ask or to decide; infinite while no stop is held."""
    _pieces: deque[tuple[bytes, AudioFormat]] = field(factory=deque, init=False)
    _kept_s: float = field(default=0.0, init=False)
    _heard_s: float = field(default=0.0, init=False)
    _ended_s: float = field(default=0.0, init=False)
    """Where in what was heard speech ended, and when that was noticed."""
    _noticed_at: float = field(default=0.0, init=False)
    _over_at: float = field(default=inf, init=False)
    """When rule 3 ends the turn, as far as is known: what is heard meanwhile may wait until a question is answered."""
    _is_turn: bool = field(default=False, init=False)
    _pauses: int = field(default=0, init=False)

    @property
    def is_holding(self) -> bool:
        """Whether a stop is held back."""
        return self.asks_at < inf

    def hear(self, pcm: bytes, audio_format: AudioFormat) -> None:
        self._pieces.append((pcm, audio_format))
        self._heard_s += audio_format.duration_s(len(pcm))
        self._kept_s += counted_s(len(pcm), audio_format.sample_rate, audio_format.num_channels)
        self._forget()

    def started(self) -> bool:
        """Speech starts: say whether that is a new turn."""
        goes_on = self.is_holding
        self.asks_at, self._is_turn = inf, True
        return not goes_on

    def stopped(self, at_s: float | None, now_s: float) -> None:
        """Speech has stopped, at a place in what was heard: hold that."""
        self._ended_s = self._heard_s if at_s is None else at_s
        self._noticed_at = self.asks_at = now_s
        self._over_at = inf
        self._pauses += 1

    def question(self, now_s: float) -> TurnQuestion | None:
        """Say what to ask when ``asks_at`` has come; None: nothing more, the turn is over by rule 3."""
        silence_s = max(self._heard_s - self._ended_s, now_s - self._noticed_at)
        left_s = min(self.max_pause_secs - silence_s, self._over_at - now_s)
        if left_s <= _ROUNDING_S:
            self.over()
            return None
        self.asks_at, self._over_at = now_s + min(self.ask_every_secs, left_s), now_s + left_s
        return TurnQuestion(self._pauses, tuple(self._pieces), silence_s, self._over_at)

    def answered(self, question: TurnQuestion, is_complete: bool) -> bool:
        """Say whether the turn is over now."""
        if not is_complete or not self.is_holding or question.pause != self._pauses:
            return False
        self.over()
        return True

    def over(self) -> None:
        """Hold nothing any more: the turn is over."""
        self.asks_at, self._is_turn = inf, False
        self._forget()

    def _forget(self) -> None:
        limit_s = self.max_turn_secs if self._is_turn else PRE_ROLL_S
        while len(self._pieces) > 1:
            pcm, audio_format = self._pieces[0]
            without_s = self._kept_s - counted_s(len(pcm), audio_format.sample_rate, audio_format.num_channels)
            if without_s < limit_s:
                return
            self._pieces.popleft()
            self._kept_s = without_s
