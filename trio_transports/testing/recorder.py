"""Writing down frames with the times at which they came."""

from collections.abc import Callable
from typing import TypeVar, final

import trio
from attrs import define, field, frozen

from .._documented import documented
from ..frames import AudioFrame, Frame

F = TypeVar("F")


@documented
@final
@frozen
class Heard:
    """A frame, and when it arrived."""

    at_s: float
    """When it arrived, in seconds of trio's clock."""
    frame: Frame
    """The frame."""


@documented
@final
@define(eq=False)
class FrameRecorder:
    """Collects frames; ``record`` empties a channel into it until that ends."""

    heard: list[Heard] = field(factory=list, init=False)
    """All that was recorded, in order."""
    _more: trio.Condition = field(factory=trio.Condition, init=False)

    async def record(self, channel: trio.abc.ReceiveChannel[Frame]) -> None:
        """Empty a channel until it ends."""
        async for frame in channel:
            await self.add(frame)

    async def add(self, frame: Frame) -> None:
        """Write one frame down."""
        self.heard.append(Heard(trio.current_time(), frame))
        async with self._more:
            self._more.notify_all()

    def of(self, kind: type[F]) -> list[F]:
        """The frames of one kind, in order."""
        return [heard.frame for heard in self.heard if isinstance(heard.frame, kind)]

    @property
    def audio(self) -> bytes:
        """All audio, joined."""
        return b"".join(frame.audio for frame in self.of(AudioFrame))

    @property
    def audio_times_s(self) -> list[float]:
        """When each audio frame arrived, in seconds of trio's clock."""
        return [heard.at_s for heard in self.heard if isinstance(heard.frame, AudioFrame)]

    async def until(self, condition: Callable[["FrameRecorder"], object]) -> None:
        """Wait until the condition holds of what was recorded. The caller sets the time limit."""
        async with self._more:
            while not condition(self):
                await self._more.wait()

    async def wait_for(self, kind: type[F], count: int = 1) -> F:
        """Wait for the ``count``-th frame of a kind, and return it."""
        await self.until(lambda recorder: len(recorder.of(kind)) >= count)
        return self.of(kind)[count - 1]
