"""JSON text to values and back, with one result whether orjson (the extra ``fast``) or the standard library does it.

Rules
1. Read: UTF-8 only, no byte order mark, no NaN or Infinity, no number beyond a double, no lone surrogate, at most
   ``MAX_DEPTH`` levels of nesting. Anything else is a ``RemoteProtocolError``.
2. Read: at most ``MAX_PARTS`` values, commas and colons, of which text inside strings is none: what a document costs in
   time and memory goes by these, not by its length. A megabyte of empty lists takes 22 of memory and 0.3 s.
3. Read: an integer outside 64 bits becomes a float, as in every JavaScript peer; of duplicate keys the last one counts.
4. Written: compact, keys in their own order, characters as themselves rather than escaped. Where the two libraries
   would write different bytes (floats with an exponent, subclasses of the JSON types) the standard library writes.
5. Written: only what reads back as it was. A key that is not a str, an integer outside 64 bits, NaN, bytes and other
   objects are a ``LocalProtocolError`` that names the place.
"""

import json
import math
import re
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias

from ..errors import LocalProtocolError, RemoteProtocolError
from ..frames import JSONValue
from .protocol import Message

try:
    import orjson
except ImportError:
    orjson = None  # type: ignore[assignment]

MAX_DEPTH: Final = 128
"""Levels of nesting; both libraries can do that many from any depth of Python's own stack that is likely."""

MAX_PARTS: Final = 10_000
"""Brackets, braces, commas and colons that are not inside a string."""

INT_MIN: Final = -(2**63)
INT_MAX: Final = 2**64 - 1

WHOLE: Final = "$"
"""The path of an error that is about the message as a whole."""

_CONTAINERS: Final = (dict, list)
_TOO_DEEP: Final = f"JSON nested deeper than {MAX_DEPTH} levels"
_TOO_MANY: Final = f"JSON of more than {MAX_PARTS} values, commas and colons: send it in several messages"
_SURROGATE_ESCAPE: Final = re.compile(r"\\u[dD][89a-fA-F]")


def _parse_int(digits: str) -> int | float:
    if len(digits) <= 20:
        number = int(digits)
        if INT_MIN <= number <= INT_MAX:
            return number
    return _parse_float(digits)


def _parse_float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError("a number is too large for a double")
    return number


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_decoder: Final = json.JSONDecoder(parse_int=_parse_int, parse_float=_parse_float, parse_constant=_refuse_constant)
_encoder: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _parse_stdlib(message: Message) -> JSONValue:
    if isinstance(message, str):
        message.encode()  # a lone surrogate in the text itself
        text = message
    else:
        text = str(message, "utf-8")
    if text.startswith("\ufeff"):
        raise ValueError("a byte order mark is not JSON")
    value: JSONValue = _decoder.decode(text)
    if _SURROGATE_ESCAPE.search(text):
        _encoder.encode(value).encode()  # what the escapes left unpaired
    return value


def _write_stdlib(value: object) -> str:
    text = _encoder.encode(value)
    text.encode()
    return text


def _write_orjson(value: object) -> str:
    return orjson.dumps(value).decode()


Engine: TypeAlias = tuple[Callable[[Message], JSONValue], Callable[[object], str]]

STDLIB: Final[Engine] = (_parse_stdlib, _write_stdlib)
ORJSON: Final[Engine | None] = None if orjson is None else (orjson.loads, _write_orjson)

parse, write = ORJSON or STDLIB

write_quickly: Final[Callable[[object], bytes] | None] = None if orjson is None else orjson.dumps
"""For a caller that has looked at the value itself."""


def _is_too_deep(value: JSONValue) -> bool:
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        level = [
            item
            for node in level
            if type(node) in _CONTAINERS
            for item in (node.values() if type(node) is dict else node)
            if type(item) in _CONTAINERS
        ]
        if not level:
            return False
    return True


def _has_too_many_parts(message: Message) -> bool:
    """Rule 2, without reading the document: a few searches for single characters, in what is outside its strings."""
    text = message if isinstance(message, str) else str(message, "latin-1")  # in UTF-8 these bytes are nothing else
    most_quotes = 2 * MAX_PARTS + 2  # a string stands beside a part of its own
    if text.count('"') > most_quotes and text.count('"') - text.count('\\"') > most_quotes:
        return True
    if "\\" in text:
        text = text.replace("\\\\", "").replace('\\"', "")
    outside = "".join(text.split('"')[::2])
    parts = 0
    for part in ",:[{":
        parts += outside.count(part)
        if parts > MAX_PARTS:
            return True
    return False


def loads_of_any_depth(message: Message, *, path: str = WHOLE) -> JSONValue:
    """Read one JSON document for a caller that looks at its depth itself: ``check_depth``, or a cheaper way."""
    if len(message) > MAX_PARTS and _has_too_many_parts(message):
        raise RemoteProtocolError(_TOO_MANY, path=path)
    try:
        return parse(message)
    except RecursionError:
        raise RemoteProtocolError(_TOO_DEEP, path=path) from None
    except ValueError as exc:
        raise RemoteProtocolError(f"not JSON: {exc}", path=path) from None


def check_depth(value: JSONValue, *, path: str = WHOLE) -> None:
    """RemoteProtocolError for what is nested too deeply to be worked on."""
    if type(value) in _CONTAINERS and _is_too_deep(value):
        raise RemoteProtocolError(_TOO_DEEP, path=path)


def loads(message: Message, *, path: str = WHOLE) -> JSONValue:
    """Read one JSON document; ``path`` is where in the peer's message it stands."""
    value = loads_of_any_depth(message, path=path)
    check_depth(value, path=path)
    return value


class _UnwritableError(Exception):
    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path: list[str] = []


def _check(value: object, room: int) -> bool:
    """Refuse what JSON cannot hold; True when both libraries write ``value`` with the same bytes."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return True
    if isinstance(value, int):
        if not INT_MIN <= value <= INT_MAX:
            raise _UnwritableError(f"the integer {value} does not fit in 64 bits: send it as a string")
        return kind is int
    if isinstance(value, float):
        if not math.isfinite(value):
            raise _UnwritableError(f"{value} is not JSON: send None or a string")
        return kind is float and (value == 0 or 1e-4 <= abs(value) < 1e16)
    if isinstance(value, str):
        return False
    if isinstance(value, dict):
        return _check_all(value.items(), room, keyed=True) and kind is dict
    if isinstance(value, list | tuple):
        return _check_all(enumerate(value), room, keyed=False) and kind in (list, tuple)
    raise _UnwritableError(f"a {kind.__name__} is not JSON: use str, int, float, bool, None, list or dict")


def _check_all(items: Iterable[tuple[object, object]], room: int, *, keyed: bool) -> bool:
    if room == 0:
        raise _UnwritableError(f"nested deeper than {MAX_DEPTH} levels")
    agree = True
    for key, item in items:
        if keyed and not isinstance(key, str):
            raise _UnwritableError(f"the key {key!r} is not a str")
        try:
            agree = _check(item, room - 1) and agree and (not keyed or type(key) is str)
        except _UnwritableError as exc:
            exc.path.append(f".{key}" if keyed else f"[{key}]")
            raise
    return agree


def check_writable(value: object, *, path: str = WHOLE) -> bool:
    """Refuse what no JSON document can hold, whatever it is written as; True when both libraries write it alike."""
    try:
        return _check(value, MAX_DEPTH)
    except _UnwritableError as exc:
        where = path + "".join(reversed(exc.path))
        raise LocalProtocolError(f"cannot be written as JSON: {exc.reason} (at {where})") from None


def dumps(value: object, *, path: str = WHOLE) -> str:
    """Write one JSON document; ``path`` names ``value`` in the error when it cannot be one."""
    try:
        return write(value) if check_writable(value, path=path) else _write_stdlib(value)
    except (UnicodeEncodeError, TypeError):
        raise LocalProtocolError(f"cannot be written as JSON: a str holds a lone surrogate (at {path})") from None
