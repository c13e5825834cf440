"""Dialects: how frames are written as WebSocket messages, one module for each."""

from .json import JSONFrameSerializer as JSONFrameSerializer
from .protocol import AwaitsStart as AwaitsStart
from .protocol import FixedChunk as FixedChunk
from .protocol import FrameSerializer as FrameSerializer
from .protocol import Message as Message
from .protocol import Notices as Notices
from .protocol import PlaybackMarks as PlaybackMarks
from .protocol import Replies as Replies

__all__ = [
    "AwaitsStart",
    "FixedChunk",
    "FrameSerializer",
    "JSONFrameSerializer",
    "Message",
    "Notices",
    "PlaybackMarks",
    "Replies",
]
