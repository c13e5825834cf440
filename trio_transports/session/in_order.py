"""The frames of the peer as they are due, where ``audio_in_jitter_ms`` has its audio wait for its order and time.

Rules: 6 of ``session.inbound``; how long what waits is ``session.jitter``'s.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias, final

import trio
from attrs import frozen

from .._offers import offers
from ..frames import AudioFrame, EndFrame, Frame
from ..params import TransportParams
from ..serializers.coded import CodedAudio
from ..serializers.protocol import FrameSerializer, KeepsCoded
from .ears import Ears
from .jitter import JitterBuffers
from .statistics import Counters

Due: TypeAlias = tuple[Sequence[Frame], str]
"""The frames that are due, and what was wrong with audio that is; "" for nothing."""


@final
@frozen(eq=False)
class InOrder:
    """Of one session, if it is asked for."""

    _ears: Ears
    _jitter: JitterBuffers
    coded: Callable[[], Sequence[CodedAudio]]
    """Gives the packets that the dialect left undecoded since the last call."""

    @classmethod
    def wanted(
        cls, params: TransportParams, serializer: FrameSerializer, ears: Ears, counters: Counters
    ) -> "InOrder | None":
        """One for a session, or None where audio is taken as it comes."""
        if not params.audio_in_jitter_ms:
            return None
        coded: Callable[[], Sequence[CodedAudio]] = _nothing
        if offers(serializer, KeepsCoded):
            serializer.keep_coded()
            coded = serializer.coded
        return cls(ears, JitterBuffers(params.audio_in_jitter_ms / 1000, counters), coded)

    @property
    def due_s(self) -> float:
        """When there may be something to give on."""
        return self._jitter.due_s

    def put(self, frames: Sequence[Frame | CodedAudio]) -> Due:
        """Take what came, and give what is due now in its place."""
        due: list[Frame] = []
        jitter, now_s = self._jitter, trio.current_time()
        for frame in frames:
            if isinstance(frame, AudioFrame | CodedAudio):
                if not self._ears.are_open:
                    continue
                if self._ears.may_hear(frame.destination):
                    due += jitter.put(frame, now_s)
                elif isinstance(frame, AudioFrame):  # a line with a code has two tracks
                    due.append(frame)
            else:
                due += jitter.flush() if isinstance(frame, EndFrame) else ()
                due.append(frame)
        due += jitter.ready(now_s, conceals=False)  # the next may lie unread behind this one
        return due, jitter.take_fault()

    def ready(self, *, conceals: bool) -> Due:
        """Give what is due by now, and with ``conceals`` what takes the place of what is missing."""
        return self._jitter.ready(trio.current_time(), conceals=conceals), self._jitter.take_fault()

    def rest(self) -> Due:
        """Give all that waits: no more comes on this connection."""
        return self._jitter.flush(), self._jitter.take_fault()


def _nothing() -> Sequence[CodedAudio]:
    return ()
