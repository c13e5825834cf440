"""What an interruption takes with it, and what outlives it.

Rules
1. Content belongs to the turn in which it was made: audio, text, transcriptions, messages, marks, pictures. An
   interruption ends the turn, and the content goes with it.
2. Facts do not: that somebody spoke or stopped, that the stream began or ends, that a key was pressed, how the mixer or
   the filter is set, what a peer asks for or was answered, figures. They stay true, and every stage hears of them.
3. Content that was made with ``interruptible=False`` is said to its end, and an urgent message has overtaken whatever
   was interrupted.
"""

from collections.abc import Mapping
from typing import Final, Protocol, runtime_checkable

from ..frames import (
    OVERTAKING,
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    CancelFrame,
    ContextFrame,
    DTMFFrame,
    EndFrame,
    FileFrame,
    FilterControlFrame,
    Frame,
    MessageFrame,
    MixerControlFrame,
    Played,
    RequestFrame,
    StartFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    VolumeFrame,
)

FACTS: Final = frozenset(
    {
        UserStartedSpeakingFrame,
        UserStoppedSpeakingFrame,
        BotStartedSpeakingFrame,
        BotStoppedSpeakingFrame,
        StartFrame,
        EndFrame,
        CancelFrame,
        DTMFFrame,
        MixerControlFrame,
        FilterControlFrame,
        VolumeFrame,
        RequestFrame,
        ContextFrame,
        FileFrame,
        *OVERTAKING,
    }
)


def outlives_interruption(frame: Frame) -> bool:
    """Whether an interruption leaves a frame where it is."""
    if type(frame) in FACTS or not getattr(frame, "interruptible", True):
        return True
    return isinstance(frame, MessageFrame) and frame.urgent


def playback_of(output: object) -> Mapping[str, Played] | None:
    """What was heard of what was sent, if this output knows, as a session's does.

    Asked for by its value: from Python 3.12 on, ``isinstance`` of a protocol sees that there is such a property, and
    not that asking it is an AttributeError.
    """
    known: Mapping[str, Played] | None = getattr(output, "playback", None)
    return known


def heard_of(output: object) -> tuple[Played, ...]:
    """What an interruption of this output now would cut off."""
    known = playback_of(output)
    return () if known is None else tuple(played for played in known.values() if not played.is_over)


@runtime_checkable
class CountsDropped(Protocol):
    """An output that wants to know what a pipeline dropped on the way to it, as a session's does."""

    def _count_dropped(self, frame: Frame) -> None: ...
