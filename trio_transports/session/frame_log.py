"""A line in the log for each frame of a session, at level DEBUG: its kind, its size, its time; never what it says.

Rules
1. Whether it is wanted is asked once, when a session begins: without it no frame costs anything.
2. A line names the kind, and of audio and pictures the measure. Contents, names and tokens stay out of it.
"""

import logging
from typing import Final, final

from attrs import frozen

from ..audio.format import AudioFormat
from ..frames import AudioFrame, Frame, ImageFrame

logger: Final = logging.getLogger("trio_transports.frames")


@final
@frozen(eq=False)
class FrameLog:
    """One session's; a ``session.taps.Tap``."""

    session_id: str
    started_at_s: float

    def received(self, frame: Frame, now_s: float) -> None:
        self._line("in ", _measured(frame), now_s)

    def sent(self, frame: Frame, now_s: float) -> None:
        self._line("out", _measured(frame), now_s)

    def left(self, pcm: bytes, audio_format: AudioFormat, destination: str | None, now_s: float) -> None:
        self._line("out", f"AudioFrame {1000 * audio_format.duration_s(len(pcm)):.4g} ms of {audio_format}", now_s)

    def taken_back(self, duration_s: float, destination: str | None, now_s: float) -> None:
        self._line("out", f"{1000 * duration_s:.4g} ms taken back", now_s)

    def interrupted(self, now_s: float) -> None:
        self._line("out", "interrupted", now_s)

    def _line(self, way: str, what: str, now_s: float) -> None:
        logger.debug("%s %+10.3f s  %s  %s", self.session_id, now_s - self.started_at_s, way, what)


def _measured(frame: Frame) -> str:
    kind = type(frame).__name__
    match frame:
        case AudioFrame():
            return f"{kind} {1000 * frame.duration_s:.4g} ms of {frame.format}"
        case ImageFrame():
            return f"{kind} {len(frame.image)} bytes"
        case _:
            return kind
