"""The audio clock: the only one that decides when audio leaves, and the session's only alarm.

Rules
1. ``tick`` does everything that is due, on every track and every timer, and says when to look again. It never waits.
2. The clock task is the alarm that calls ``tick`` at that time. Whoever queues something that may be due at once calls
   ``tick`` himself: that saves waking a task to decide the same thing. A chunk that passes its track (``lets_pass``)
   says itself when to ``look_again_at`` it.
3. No track is looked at before ``open``: some dialects cannot say anything until the peer has announced its stream.
4. An alarm that comes too early is harmless and cheaper than moving it, so only an earlier time re-arms the alarm.
5. While a peer asks for a pause (``hold``) no audio leaves; afterwards each track goes on from then. A message that no
   audio is ahead of leaves all the same: it may be what ends the pause.
6. Once goodbye is being said nothing is due any more.
7. Each time that the alarm goes off counts as a turn of the loop. A time that is not in the future means the next turn,
   after what has come meanwhile has been read.
"""

from collections.abc import Callable, Sequence
from math import inf
from typing import Protocol, final

import trio
from attrs import define, field

from .._sleeper import Sleeper
from .state import Life
from .track import Track


class Due(Protocol):
    """Something that leaves at its time."""

    def next_time(self, now_s: float) -> float:
        """Hand over what is due; return when to look again."""


@final
@define(eq=False)
class Timer:
    """Something to do once at a time; ``due`` may return a later time to be asked again, or ``inf`` when done."""

    at_s: float
    due: Callable[[float], float]


@final
@define(eq=False)
class Clock:
    """Owned by one session; ``run`` is its clock task."""

    _life: Life
    tracks: Sequence[Track] = field(default=(), init=False)
    screens: Due | None = field(default=None, init=False)
    """What shows pictures, if this session does."""
    timers: list[Timer] = field(factory=list, init=False)
    _turn: int = field(default=0, init=False)
    _alarm_s: float = field(default=inf, init=False)
    _sleeper: Sleeper = field(factory=Sleeper, init=False)
    _ticking: bool = field(default=False, init=False)
    _is_open: bool = field(default=False, init=False)
    _is_held: bool = field(default=False, init=False)
    lets_pass: bool = field(default=False, init=False)
    """Whether a track may speak now, outside of a tick: open, not held, and not in the middle of one."""

    def tick(self) -> None:
        """Do what is due, and set the alarm for what is next. Inside itself, or once it is over, it does nothing."""
        if self._ticking or self._life.state.is_ending:
            return
        self._ticking = True
        self.lets_pass = False
        try:
            next_s = self._do_what_is_due(trio.current_time())
        finally:
            self._ticking = False
            self.lets_pass = self._is_open and not self._is_held
        self.look_again_at(next_s)

    def look_again_at(self, time_s: float) -> None:
        """Tick then at the latest; rule 4."""
        if time_s < self._alarm_s:
            self._alarm_s = time_s
            self._sleeper.wake()

    def open(self) -> None:
        """The tracks may speak from now on."""
        self._is_open = True
        self.tick()

    def shut(self) -> None:
        """They may not, until it is opened again: there is a new connection. Who asked for a pause has gone."""
        self._is_open = self._is_held = self.lets_pass = False

    def hold(self, held: bool) -> None:
        """Begin or end a pause that the peer asked for; rule 5. Said again, it changes nothing."""
        if held is self._is_held:
            return
        self._is_held = held
        self.lets_pass = self._is_open and not held
        if not held:
            now_s = trio.current_time()
            for track in self.tracks:
                if track.schedule.is_running:
                    track.schedule.restart(now_s)
            self.tick()

    async def run(self) -> None:
        """The clock task: it sleeps to the next alarm, and never ends by itself."""
        while True:
            self._alarm_s = inf
            self._turn += 1
            self.tick()
            await self._sleeper.sleep_until(self._alarm_s)

    def _do_what_is_due(self, now_s: float) -> float:
        next_s = inf
        if self._is_open and self._is_held:
            for track in self.tracks:
                track.pass_marks(now_s)
        elif self._is_open:
            for track in self.tracks:
                next_s = min(next_s, track.next_time(now_s, self._turn))
            if self.screens is not None:
                next_s = min(next_s, self.screens.next_time(now_s))
        for timer in self.timers:
            if timer.at_s <= now_s:
                timer.at_s = timer.due(now_s)
            next_s = min(next_s, timer.at_s)
        return next_s
