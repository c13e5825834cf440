"""Whether a value is JSON as it stands: a look that is far quicker than writing it, or copying it, to find out."""

from math import isfinite
from typing import Any, Final

TYPE: Final = "__type__"
DATA: Final = "__data__"

MAX_CONTAINERS: Final = 10_000
"""A value that contains itself has no end."""
_LEAVES: Final = frozenset((str, int, bool, type(None)))
_CONTAINERS: Final = frozenset((dict, list, tuple))


def is_plain(value: object, *, typed: bool = False) -> bool:
    """Whether it holds nothing but JSON; ``typed`` says whether typed values may be in it.

    False sends it the long way: there it is converted, or refused with its place. What is left to the writer of JSON
    are keys, integers outside 64 bits and lone surrogates, which both of the libraries refuse by themselves.
    """
    waiting: list[Any] = [(value,)]
    containers = 0
    while waiting:
        container = waiting.pop()
        containers += 1
        if containers > MAX_CONTAINERS:
            return False
        if type(container) is dict:
            if not typed and TYPE in container and DATA in container:
                return False
            container = container.values()
        for item in container:
            kind = type(item)
            if kind in _LEAVES:
                continue
            if kind in _CONTAINERS:
                waiting.append(item)
            elif kind is not float or not isfinite(item):
                return False
    return True


def is_untyped(document: bytes | str) -> bool:
    """Whether there is no typed value in it but the message itself, as far as can be told without reading it."""
    if isinstance(document, str):
        return document.count(TYPE) == 1 and "\\u" not in document
    # An escape may spell anything. Most documents have none, and to look for one character is quickest.
    return document.count(b"__type__") == 1 and (document.find(b"\\") < 0 or document.find(b"\\u") < 0)
