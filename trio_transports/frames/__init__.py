"""The typed values that travel through a session: one small class for each kind, and ``Frame``, their union.

Rules
1. A frame is a frozen, keyword-only attrs value. Frames do not inherit from each other; ``match`` on the union.
2. Direction is which channel a frame is on, never its type.
3. Audio is whole samples of 16-bit PCM, or it is not a frame: the constructor says what is wrong.
4. ``id`` and ``name`` are carried for peers that number their frames; nothing in the library depends on them.
5. Some fields are this side's own business (``LOCAL``): no dialect writes them, and no peer can set them.
6. The four frames that tell who speaks are told by a session itself (``notice`` is True) or by its peer. What the
   session noticed is no content: passed on to its output, it does not travel back to the peer.
"""

from .application import OVERTAKING as OVERTAKING
from .application import AudioLevelFrame as AudioLevelFrame
from .application import BotThinkingFrame as BotThinkingFrame
from .application import ContextFrame as ContextFrame
from .application import ErrorFrame as ErrorFrame
from .application import FileFrame as FileFrame
from .application import FunctionCallFrame as FunctionCallFrame
from .application import FunctionResultFrame as FunctionResultFrame
from .application import MetricsFrame as MetricsFrame
from .application import RequestFrame as RequestFrame
from .application import ResponseFrame as ResponseFrame
from .application import UIFrame as UIFrame
from .application import UserMutedFrame as UserMutedFrame
from .audio import AudioFrame as AudioFrame
from .audio import checked_audio_frame as checked_audio_frame
from .common import LOCAL as LOCAL
from .common import JSONValue as JSONValue
from .content import DTMF_DIGITS as DTMF_DIGITS
from .content import DTMFFrame as DTMFFrame
from .content import MarkFrame as MarkFrame
from .content import MessageFrame as MessageFrame
from .content import TextFrame as TextFrame
from .content import TranscriptionFrame as TranscriptionFrame
from .control import FilterControlFrame as FilterControlFrame
from .control import MixerControlFrame as MixerControlFrame
from .control import VolumeFrame as VolumeFrame
from .pictures import ImageFrame as ImageFrame
from .pictures import SpriteFrame as SpriteFrame
from .stream import CancelFrame as CancelFrame
from .stream import EndFrame as EndFrame
from .stream import StartFrame as StartFrame
from .turns import BotStartedSpeakingFrame as BotStartedSpeakingFrame
from .turns import BotStoppedSpeakingFrame as BotStoppedSpeakingFrame
from .turns import InterruptionFrame as InterruptionFrame
from .turns import Played as Played
from .turns import UserStartedSpeakingFrame as UserStartedSpeakingFrame
from .turns import UserStoppedSpeakingFrame as UserStoppedSpeakingFrame
from .union import Frame as Frame
from .union import check_frame as check_frame

__all__ = [
    "DTMF_DIGITS",
    "LOCAL",
    "OVERTAKING",
    "AudioFrame",
    "AudioLevelFrame",
    "BotStartedSpeakingFrame",
    "BotStoppedSpeakingFrame",
    "BotThinkingFrame",
    "CancelFrame",
    "ContextFrame",
    "DTMFFrame",
    "EndFrame",
    "ErrorFrame",
    "FileFrame",
    "FilterControlFrame",
    "Frame",
    "FunctionCallFrame",
    "FunctionResultFrame",
    "ImageFrame",
    "InterruptionFrame",
    "JSONValue",
    "MarkFrame",
    "MessageFrame",
    "MetricsFrame",
    "MixerControlFrame",
    "Played",
    "RequestFrame",
    "ResponseFrame",
    "SpriteFrame",
    "StartFrame",
    "TextFrame",
    "TranscriptionFrame",
    "UIFrame",
    "UserMutedFrame",
    "UserStartedSpeakingFrame",
    "UserStoppedSpeakingFrame",
    "VolumeFrame",
    "check_frame",
    "checked_audio_frame",
]
