"""The pictures that a still track shows in turn: one, or a sprite's, prepared as their turns come.

Rules
1. The picture whose turn comes is prepared first, then those after it: the first is shown as soon as it is ready.
2. What was prepared is kept for the next round while all of it takes ``keeps_bytes`` at most. What is beyond that is
   prepared for its turn, one ahead, and let go of when it was shown: a hundred small files are large once they are raw.
3. Once everything is kept, what it was made of is let go of.
4. A picture that turns out to be none is left out.
"""

from collections.abc import Sequence
from typing import final

from attrs import define, field

from ..frames import ImageFrame
from ..serializers.protocol import Message


@final
@define(eq=False)
class Cycle:
    """Owned by one track."""

    images: list[ImageFrame]
    """What is still needed to prepare them; empty once it is not, by rule 3."""
    keeps_bytes: int
    ready_bytes: int = field(default=0, init=False)
    """The memory that prepared pictures take: ``keeps_bytes``, and one picture more."""
    _shots: list[Sequence[Message] | None] = field(init=False)
    _at: int = field(default=0, init=False)
    _seen: int = field(default=0, init=False)
    """How many have had a turn: in the first round that is one after another."""
    _is_full: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._shots = [None] * len(self.images)

    def __len__(self) -> int:
        return len(self._shots)

    @property
    def source_bytes(self) -> int:
        """The memory that unprepared pictures take."""
        return sum(len(image.image) for image in self.images)

    @property
    def unseen(self) -> int:
        """How many have not had a turn yet."""
        return len(self) - self._seen

    @property
    def is_ready(self) -> bool:
        """Whether the picture whose turn comes is prepared."""
        return bool(self._shots) and self._shots[self._at] is not None

    def wanted(self) -> int | None:
        """Which one is to be prepared next; rules 1 and 2."""
        if not self._shots:
            return None
        if self._shots[self._at] is None:
            return self._at
        if self._is_full:
            return None
        return next((number for number, shot in enumerate(self._shots) if shot is None), None)

    def put(self, number: int, shot: Sequence[Message] | None) -> None:
        """Take what a picture has become; None if it was none."""
        if shot is None:
            del self.images[number], self._shots[number]
            self._at = (self._at - (number < self._at)) % max(1, len(self._shots))
            self._seen -= number < self._seen
        else:
            self._shots[number] = shot
            self.ready_bytes += _size_bytes(shot)
        self._is_full = self._is_full or (len(self) > 1 and self.ready_bytes > self.keeps_bytes)
        if not self._is_full and None not in self._shots:
            self.images.clear()

    def take(self) -> Sequence[Message]:
        """The picture whose turn it is, which ``is_ready`` says; the next one's turn comes."""
        number, shot = self._at, self._shots[self._at]
        assert shot is not None
        if self._is_full and self.ready_bytes > self.keeps_bytes:
            self._shots[number] = None
            self.ready_bytes -= _size_bytes(shot)
        self._seen = max(self._seen, number + 1)
        self._at = (number + 1) % len(self)
        return shot


def _size_bytes(shot: Sequence[Message]) -> int:
    return sum(map(len, shot))
