"""Listening in on a session: what its peer sent and what left for it, for recorders and logs.

Rules
1. A tap is called where it happens, in the session's own tasks: it notes and returns. What takes time is for others.
2. Audio is told as it came, before filter and conversion, and as it leaves: volume and mixer's bed included.
3. Without taps there is nothing to call, and nothing is made for them.
4. What left and will not be heard after all is taken back: what no wire has taken when it is dropped, and, where the
   peer is told to drop what it has, what it has not played, by its marks or else by the clock.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, final

from attrs import define, field

from ..audio.format import AudioFormat
from ..frames import Frame


class Tap(Protocol):
    """Somebody who listens in; times are ``trio.current_time()``."""

    def received(self, frame: Frame, now_s: float) -> None:
        """The peer sent this, or this side noticed it of the peer (speech)."""

    def sent(self, frame: Frame, now_s: float) -> None:
        """The handler sent this; audio is told by ``left``."""

    def left(self, pcm: bytes, audio_format: AudioFormat, destination: str | None, now_s: float) -> None:
        """A chunk of audio leaves for the peer."""

    def taken_back(self, duration_s: float, destination: str | None, now_s: float) -> None:
        """So much of what ``left`` last nobody will hear: it was interrupted, or its connection was lost."""

    def interrupted(self, now_s: float) -> None:
        """What was queued has been dropped, and the peer told to drop what it has."""


@final
@define(eq=False)
class Taps:
    """Those of one session."""

    each: list[Tap] = field(factory=list, init=False)

    @contextmanager
    def open(self, tap: Tap) -> Iterator[None]:
        """Let somebody listen in while the block runs."""
        self.each.append(tap)
        try:
            yield
        finally:
            self.each.remove(tap)
