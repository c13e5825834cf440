"""When the bot speaks: told at its first audio, and when it has ended.

Rules
1. It begins with the first chunk of queued audio; the silence at the end of a call is no speech, nor is what the
   dialect's code needs behind the last audio to give it out.
2. It ends when the handler says so, with an interruption, or after ``ENDS_AFTER_S`` without queued audio.
"""

from collections.abc import Callable
from math import inf
from typing import Final, final

from attrs import define, field

from ..frames import BotStartedSpeakingFrame, BotStoppedSpeakingFrame

ENDS_AFTER_S: Final = 0.35


@final
@define(eq=False)
class Speech:
    """Owned by one track. ``tell`` is called with what there is to tell the handler."""

    destination: str | None
    _tell: Callable[[BotStartedSpeakingFrame | BotStoppedSpeakingFrame], None]
    ends_at: float = field(default=inf, init=False)
    """The place in the queue after which nothing is speech."""
    followed: tuple[int, int] = field(default=(0, 0), init=False)
    """From where to where in the queue there is the silence that the code needs after the last audio."""
    place: int = field(default=0, init=False)
    """Where the last chunk began."""
    is_on: bool = field(default=False, init=False)
    stops_at_s: float = field(default=inf, init=False)
    """When it has ended, if nothing more comes."""

    def heard(self, place: int, now_s: float) -> None:
        """A chunk that begins at this place leaves now."""
        if self.followed[0] <= place < self.followed[1]:
            return
        self.place = place
        if not self.is_on and place < self.ends_at:
            self.is_on = True
            self._tell(BotStartedSpeakingFrame(destination=self.destination, notice=True))
        if self.is_on:
            self.stops_at_s = now_s + ENDS_AFTER_S

    def silence_goes_on(self, begin: int, end: int) -> None:
        """There is more silence, between these places: if it is right behind the other, it is part of that."""
        if self.followed[1] == begin:
            self.followed = (self.followed[0], end)

    def stop(self) -> None:
        if self.is_on:
            self.is_on, self.stops_at_s = False, inf
            self._tell(BotStoppedSpeakingFrame(destination=self.destination, notice=True))
