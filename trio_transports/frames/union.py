"""``Frame``, the union of all kinds, and the check for what is none."""

from typing import TypeAlias, get_args

from .application import (
    AudioLevelFrame,
    BotThinkingFrame,
    ContextFrame,
    ErrorFrame,
    FileFrame,
    FunctionCallFrame,
    FunctionResultFrame,
    MetricsFrame,
    RequestFrame,
    ResponseFrame,
    UIFrame,
    UserMutedFrame,
)
from .audio import AudioFrame
from .content import DTMFFrame, MarkFrame, MessageFrame, TextFrame, TranscriptionFrame
from .control import FilterControlFrame, MixerControlFrame, VolumeFrame
from .pictures import ImageFrame, SpriteFrame
from .stream import CancelFrame, EndFrame, StartFrame
from .turns import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    InterruptionFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)

Frame: TypeAlias = (
    AudioFrame
    | TextFrame
    | TranscriptionFrame
    | MessageFrame
    | DTMFFrame
    | ImageFrame
    | SpriteFrame
    | StartFrame
    | EndFrame
    | CancelFrame
    | InterruptionFrame
    | MarkFrame
    | UserStartedSpeakingFrame
    | UserStoppedSpeakingFrame
    | BotStartedSpeakingFrame
    | BotStoppedSpeakingFrame
    | MixerControlFrame
    | FilterControlFrame
    | VolumeFrame
    | RequestFrame
    | ResponseFrame
    | FunctionCallFrame
    | FunctionResultFrame
    | ContextFrame
    | FileFrame
    | UIFrame
    | ErrorFrame
    | MetricsFrame
    | AudioLevelFrame
    | UserMutedFrame
    | BotThinkingFrame
)
"""Everything that travels through a session: a union, made for ``match``."""


_FRAMES: frozenset[type] = frozenset(get_args(Frame))


def check_frame(value: object) -> None:
    """Raise TypeError for what is no frame, with what to send instead."""
    if type(value) not in _FRAMES:
        raise TypeError(f"{_shown(value)} is not a frame: {_instead(value)}")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _instead(value: object) -> str:
    match value:
        case str():
            return "send TextFrame(text=...), or MessageFrame(message=...) for a message of your own"
        case bytes() | bytearray() | memoryview():
            return "send AudioFrame(audio=..., sample_rate=...) for 16-bit PCM"
        case dict() | list() | int() | float() | None:
            return "send MessageFrame(message=...) for a JSON document of your own"
        case type() if value in _FRAMES:
            return f"make one, {value.__name__}(...)"
        case _:
            return "the kinds of frames are listed in trio_transports.frames.Frame"
