"""Stages that everybody writes, ready made: each is given to a ``Pipeline`` and keeps nothing of a call."""

from .mute import mute as mute
from .play import play as play
from .sentences import sentences as sentences
from .turn_analyzer import turn_analyzer as turn_analyzer
from .user_idle import user_idle as user_idle
from .utterances import utterances as utterances

__all__ = [
    "mute",
    "play",
    "sentences",
    "turn_analyzer",
    "user_idle",
    "utterances",
]
