"""Dialects: how frames are written as WebSocket messages, one module for each."""

from typing import TYPE_CHECKING

from .._lazy import lazily

if TYPE_CHECKING:
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

if not TYPE_CHECKING:  # to a type checker an unknown name is unknown
    __getattr__, __dir__ = lazily(
        __name__,
        {
            ".json": "JSONFrameSerializer",
            ".protocol": "AwaitsStart FixedChunk FrameSerializer Message Notices PlaybackMarks Replies",
        },
    )
