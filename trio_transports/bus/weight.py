"""What a message takes of memory while it waits: a guess that is quick, and never far below the truth.

It counts what a sender can make large, contents and the number of values; what every message has is one constant.
"""

from collections.abc import Mapping
from typing import Final

from ..frames import AudioFrame, TextFrame
from .messages import BusFrameMessage, BusMessage

BASE: Final = 512
"""A message and its frame, with their names."""
NODE: Final = 64
"""One value inside a payload: an empty list, or an entry of a dict."""


def weight(message: BusMessage) -> int:
    if type(message) is BusFrameMessage:
        frame = message.frame
        if type(frame) is AudioFrame:
            return BASE + len(frame.audio)
        if type(frame) is TextFrame:
            return BASE + len(frame.text)
    return BASE + _of(message)


def _names(value: object) -> tuple[str, ...]:
    return tuple(field.name for field in getattr(type(value), "__attrs_attrs__", ()))


def _of(value: object) -> int:
    # Without recursion: how deep a peer nests is its own choice.
    total, waiting = 0, [value]
    while waiting:
        value = waiting.pop()
        total += NODE
        if isinstance(value, str | bytes):
            total += len(value)
        elif isinstance(value, Mapping):
            waiting += value
            waiting += value.values()
        elif isinstance(value, list | tuple):
            waiting += value
        elif hasattr(type(value), "__attrs_attrs__"):
            waiting += [getattr(value, name) for name in _names(value)]
    return total
