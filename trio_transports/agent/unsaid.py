"""What an agent has said and nobody was told yet: it waits for room in the output.

Rules
1. Putting never waits. So all that the agent tells is read when it comes, an interruption too, and its connection is
   not held up by a line that is held.
2. Bounded as what waits unread in its inbox is: past ``max_audio_s`` of audio or ``max_bytes`` of text the oldest of
   both goes, and is counted there. The newest of each is kept, whatever it takes and whatever comes behind it.
3. What outlives an interruption stays: it is of the stages before, and how the call ends.
"""

from collections import deque
from sys import getsizeof
from typing import final

from attrs import define, field

from ..frames import AudioFrame, Frame, TextFrame
from ..frames.audio import counted_s
from ..pipeline.turns import outlives_interruption
from ..session.sizes import FRAME_BYTES
from .inbox import AgentInbox


@final
@define(eq=False)
class Unsaid:
    """Of one call joined to an agent."""

    _inbox: AgentInbox
    _frames: deque[Frame] = field(factory=deque, init=False)
    _audio_s: float = field(default=0.0, init=False)
    _text_bytes: int = field(default=0, init=False)
    _newest_audio: AudioFrame | None = field(default=None, init=False)
    _newest_text: TextFrame | None = field(default=None, init=False)

    def __len__(self) -> int:
        return len(self._frames)

    def put(self, frame: Frame) -> bool:
        """Put it behind all that waits; True when older ones had to be dropped for it."""
        self._frames.append(frame)
        self._count(frame, 1)
        waiting = len(self._frames)
        if isinstance(frame, AudioFrame):
            self._newest_audio = frame
            while self._audio_s > self._inbox.max_audio_s and self._drop_oldest():
                pass
        elif isinstance(frame, TextFrame):
            self._newest_text = frame
            while self._text_bytes > self._inbox.max_bytes and self._drop_oldest():
                pass
        return len(self._frames) < waiting

    def take(self) -> Frame:
        frame = self._frames.popleft()
        self._count(frame, -1)
        return frame

    def interrupt(self) -> None:
        """Drop what is said no more."""
        self._frames = deque(frame for frame in self._frames if outlives_interruption(frame))
        self._audio_s, self._text_bytes = 0.0, 0
        for frame in self._frames:
            self._count(frame, 1)

    def _count(self, frame: Frame, sign: int) -> None:
        if isinstance(frame, AudioFrame):
            self._audio_s = self._audio_s + sign * counted_s(frame) if self._frames else 0.0
        elif isinstance(frame, TextFrame):
            self._text_bytes += sign * (getsizeof(frame.text) + FRAME_BYTES)

    def _drop_oldest(self) -> bool:
        for at, oldest in enumerate(self._frames):
            if oldest is self._newest_audio or oldest is self._newest_text:
                continue
            if isinstance(oldest, AudioFrame):
                self._inbox.dropped_audio_s += oldest.duration_s
            elif isinstance(oldest, TextFrame):
                self._inbox.dropped_notes += 1
            else:
                continue
            del self._frames[at]
            self._count(oldest, -1)
            return True
        return False
