"""Reading a simple message: one whose members are texts, numbers and payloads, none of which has to be converted.

A quick reader only looks whether each member has a type that it may have. When one has not, it gives up, and the reader
that every message has says what is wrong, and where.
"""

from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias, get_args, get_origin

import attrs

from ..messages import BusMessage, Content, Payload

QuickReader: TypeAlias = Callable[[object], BusMessage | None]

_NONE: Final = type(None)
_JSON: Final = (str, int, float, bool, dict, list, _NONE)
_TYPES: Final[tuple[tuple[Any, tuple[type, ...]], ...]] = (
    (str, (str,)),
    (str | None, (str, _NONE)),
    (int, (int,)),
    (bool, (bool,)),
    (Payload, (dict,)),
    (Payload | None, (dict, _NONE)),
    (Content, _JSON),
)


def _allowed(kind: Any) -> tuple[frozenset[type], frozenset[object] | None] | None:  # noqa: ANN401 - a type, of any kind
    """The types that a member may have, and its values where they are few; None where it is not that simple."""
    if get_origin(kind) == Literal:
        return frozenset(map(type, get_args(kind))), frozenset(get_args(kind))
    return next(((frozenset(types), None) for known, types in _TYPES if kind == known), None)


def quick_reader(cls: type[BusMessage]) -> QuickReader | None:
    """A quick reader for ``cls``, if it is simple."""
    members: dict[object, tuple[frozenset[type], frozenset[object] | None]] = {}
    for field in attrs.fields(cls):
        allowed = _allowed(field.type)
        if allowed is None or not field.init or field.alias != field.name or field.name.endswith("_"):
            return None
        members[field.alias] = allowed

    def read(content: object) -> BusMessage | None:
        if type(content) is not dict:
            return None
        for name, value in content.items():
            allowed = members.get(name)
            if allowed is None:
                return None  # a member that is not known here: the other reader leaves it out
            types, values = allowed
            if type(value) not in types or (values is not None and value not in values):
                return None
        try:
            return cls(**content)
        except (TypeError, ValueError):
            return None

    return read
