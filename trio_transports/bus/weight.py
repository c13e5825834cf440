"""What a message takes of memory while it waits: a guess that is quick, and never far below the truth.

It counts what a sender can make large: contents, names, and the number of values. What else every message has is one
constant.
"""

from collections.abc import Hashable
from functools import cache
from typing import Any, Final, cast

from attrs import fields_dict, has

from ..frames import AudioFrame, TextFrame
from .messages import BusFrame, BusFrameMessage, BusMessage, Payload
from .names import is_name, names_weight

BASE: Final = 512
"""A message and its frame, but for their letters and bytes."""
_ENVELOPE: Final = frozenset(("id", "status", "direction", "role"))
NODE: Final = 64
"""One value inside a payload: an empty list, or an entry of a dict."""


def frame_weight(frame: BusFrame) -> int:
    """The memory that a frame takes, in bytes, by estimate."""
    if type(frame) is AudioFrame:
        texts = len(frame.name) + len(frame.destination or "") + len(frame.utterance or "")
        return BASE + len(frame.audio) + texts
    if type(frame) is TextFrame:
        return BASE + len(frame.text) + len(frame.name) + len(frame.utterance or "")
    return BASE + _of(frame)


def payload_weight(payload: Payload | None) -> int:
    return NODE if payload is None else _of(payload)


def weight(message: BusMessage) -> int:
    """The memory that a message takes, in bytes, by estimate."""
    if type(message) is BusFrameMessage:
        return frame_weight(message.frame) + names_weight(message)
    size_bytes = BASE + names_weight(message)
    for name in _contents(cast(Hashable, type(message))):
        size_bytes += _of(getattr(message, name))
    return size_bytes


@cache
def _contents(kind: Hashable) -> tuple[str, ...]:
    """The fields that can be large, and that not every message has."""
    names = fields_dict(cast(type[Any], kind))
    return tuple(name for name in names if name not in _ENVELOPE and not is_name(kind, name))


def _of(value: Any) -> int:  # noqa: ANN401 - whatever a payload holds
    # Without recursion: how deep a peer nests is its own choice.
    total = 0
    waiting: list[Any] = [value]
    while waiting:
        value = waiting.pop()
        total += NODE
        kind = type(value)
        if kind is str or kind is bytes:
            total += len(value)
        elif kind is dict:
            waiting += value
            waiting += value.values()
        elif kind is list or kind is tuple:
            waiting += value
        elif has(kind):
            waiting += [getattr(value, name) for name in fields_dict(kind)]
    return total
