"""Messages written as they look on the wire, with holes: to be filled when they are said, and matched when heard.

Rules
1. ``"{name}"`` is a hole for text, ``"{name:n}"`` for anything else that JSON can hold: a number, a flag, an object.
   Text around a hole is text.
2. A template matches whatever has its members; more may be there. What is in a hole that fills a whole value is given.
"""

import re
from collections.abc import Mapping
from typing import Final

from ...frames import JSONValue

_HOLE: Final = re.compile(r"\{(\w+)(:n)?\}")


def filled(template: JSONValue, values: Mapping[str, JSONValue]) -> JSONValue:
    """Make the message."""
    if isinstance(template, dict):
        return {name: filled(inner, values) for name, inner in template.items()}
    if isinstance(template, list | tuple):
        return [filled(inner, values) for inner in template]
    if not isinstance(template, str):
        return template
    whole = _HOLE.fullmatch(template)
    if whole is not None and whole[2]:
        return values[whole[1]]
    return _HOLE.sub(lambda hole: str(values[hole[1]]), template)


def matched(template: JSONValue, message: JSONValue) -> dict[str, JSONValue] | None:
    """Give what is in the holes; None for another message."""
    held: dict[str, JSONValue] = {}
    return held if _fits(template, message, held) else None


def _fits(template: JSONValue, message: JSONValue, held: dict[str, JSONValue]) -> bool:
    if isinstance(template, dict):
        return isinstance(message, dict) and all(
            name in message and _fits(inner, message[name], held) for name, inner in template.items()
        )
    if isinstance(template, list | tuple):
        return (
            isinstance(message, list)
            and len(message) == len(template)
            and all(_fits(inner, each, held) for inner, each in zip(template, message, strict=True))
        )
    hole = _HOLE.fullmatch(template) if isinstance(template, str) else None
    if hole is None:
        return template == message
    held[hole[1]] = message
    return bool(hole[2]) or isinstance(message, str)
