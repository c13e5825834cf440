"""The names and ids that a message carries besides its contents, and how long one from elsewhere may be.

What is remembered by name is bounded in number (jobs, calls, workers): that bounds its memory only if names are short.
"""

from collections.abc import Callable, Hashable
from functools import cache
from inspect import get_annotations
from operator import attrgetter
from typing import Any, Final, cast

from attrs import fields_dict

from ..errors import RemoteProtocolError
from .messages import BusMessage

MAX_NAME: Final = 256
NAMES: Final = ("source", "target", "name", "job_id", "job_name", "bridge")

_Names = tuple[str | None, ...]


@cache
def _names_of(kind: Hashable) -> tuple[tuple[str, ...], Callable[[BusMessage], _Names]]:
    """Which of them a kind of message has, and how all are had at once: this is done for every message."""
    names = tuple(name for name in NAMES if is_name(kind, name))
    return names, attrgetter(*names)  # every message has source and target


@cache
def is_name(kind: Hashable, field: str) -> bool:
    """Whether a field is one of them, as the library's own messages have them: in a user's own it may be anything."""
    cls = cast(type[Any], kind)
    if field not in NAMES or field not in fields_dict(cls):
        return False
    declaring = [each for each in cls.__mro__ if field in get_annotations(each)]
    # What a message is called is of no use to the bus, so a user's own may be called anything.
    return any(map(_is_ours, declaring[:1] if field == "name" else declaring))


def _is_ours(cls: type[Any]) -> bool:
    return cls.__module__.partition(".")[0] == __name__.partition(".")[0]


def names_weight(message: BusMessage) -> int:
    """How many letters its names have."""
    return sum([len(value) for value in _names_of(cast(Hashable, type(message)))[1](message) if value])


def check_names(message: BusMessage) -> None:
    """Refuse a message of a peer's with a name that is longer than ``MAX_NAME``."""
    names, values = _names_of(cast(Hashable, type(message)))
    for value in values(message):
        if value is not None and len(value) > MAX_NAME:
            path = next(name for name in names if getattr(message, name) is value)
            raise RemoteProtocolError(f"a name of {len(value)} characters, more than {MAX_NAME}", path=path)
