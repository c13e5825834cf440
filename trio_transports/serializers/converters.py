"""The one cattrs converter factory: strict between JSON values and attrs classes, every failure with its place.

Rules
1. Nothing is coerced: ``"8000"`` is not an int, 1 is not a bool, 8000.0 is not an int. The one widening is int to
   float, since JSON has a single kind of number.
2. bytes are base64 text, with padding and without line breaks.
3. A class is a JSON object; members not known are ignored, so a peer may add some. A member is named like the attribute
   (less a trailing underscore, for Python's keywords), or as ``rename`` says.
4. Members that hold their default are not written.
5. A union is told apart by one member, the tag. A tag that is not known is not an error of the peer's: it gives None.
6. Every failure is a ``RemoteProtocolError`` whose ``path`` names the place: ``media.payload``, ``images[2].size``.
"""

import re
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import repeat
from operator import eq
from types import NoneType
from typing import Any, Final, Generic, TypeVar, final, get_args, get_origin

import attrs
from cattrs import Converter
from cattrs.gen import make_dict_unstructure_fn, override

from ..errors import RemoteProtocolError
from ..frames import LOCAL, AudioFrame, JSONValue, MessageFrame
from .announced import audio_frame
from .codec import WHOLE

try:
    import pybase64
except ImportError:
    pybase64 = None

Rename = Callable[[str], str]
T = TypeVar("T")

MAX_ITEMS: Final = 500
"""Members of an array that are made objects of, such as the images of a sprite: each takes some microseconds."""

_JSON_NAMES: Final[dict[type, str]] = {
    str: "a string",
    bool: "true or false",
    int: "a whole number",
    float: "a number with a fraction",
    NoneType: "null",
    dict: "an object",
    list: "an array",
}


def json_kind(value: object) -> str:
    """What a JSON value is, for an error message; never the value itself, which may be private or huge."""
    return _JSON_NAMES.get(type(value), type(value).__name__)


def mismatch(wanted: str, value: object, *, path: str = "") -> RemoteProtocolError:
    return RemoteProtocolError(f"{wanted} is wanted, not {json_kind(value)}", path=path)


def within(place: str, error: RemoteProtocolError) -> RemoteProtocolError:
    """The same failure, seen from the value that contains it."""
    reason = error.args[0].removesuffix(f" (at {error.path})")
    inner = "" if error.path == WHOLE else error.path
    dot = "" if not inner or inner.startswith("[") else "."
    return type(error)(reason, path=f"{place}{dot}{inner}")


def own_name(attribute: str) -> str:
    """The name on the wire of an attribute that ends in an underscore for Python's sake."""
    return attribute.rstrip("_")


def camel_case(attribute: str) -> str:
    """``stream_sid`` as ``streamSid``."""
    return re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), own_name(attribute))


def _stdlib_to_base64(data: bytes) -> str:
    return b2a_base64(data, newline=False).decode("ascii")


def _stdlib_quick_base64(text: str) -> bytes:
    return a2b_base64(text, strict_mode=True)


def _pybase64_quick(text: str) -> bytes:
    data: bytes = pybase64.b64decode(text, None, True)
    return data


to_base64: Final[Callable[[bytes], str]] = (
    _stdlib_to_base64 if pybase64 is None else pybase64.b64encode_as_string  # a third of the time, the same text
)

quick_base64: Final[Callable[[str], bytes]] = _stdlib_quick_base64 if pybase64 is None else _pybase64_quick
"""Base64 for a hot path, a ValueError for what is none. What it refuses is asked of ``from_base64`` again: of the two
libraries pybase64 is the stricter one about padding, and their verdicts are not to differ."""


_QUICK_FROM: Final = 16 * 1024


def from_base64(text: object, *, path: str = "") -> bytes:
    """The bytes of a base64 text; RemoteProtocolError for anything else."""
    if type(text) is not str:
        raise mismatch("base64 text", text, path=path)
    try:
        if len(text) > _QUICK_FROM:
            with suppress(ValueError):
                return quick_base64(text)
        return a2b_base64(text, strict_mode=True)
    except (Base64Error, ValueError) as exc:
        raise RemoteProtocolError(f"not base64: {exc}", path=path) from None


def is_local(attribute: "attrs.Attribute[Any]") -> bool:
    """Whether a field is this side's own business, which no message holds."""
    return attribute.metadata.items() >= LOCAL.items()


_FREE_JSON: Final = attrs.fields(attrs.resolve_types(MessageFrame)).message.type
"""What the annotation ``JSONValue`` is at run time: a union that names itself in a string."""


def _exactly(kind: type, wanted: str) -> Callable[[object, object], object]:
    def structure(value: object, _: object) -> object:
        if type(value) is not kind:
            raise mismatch(wanted, value)
        return value

    return structure


def _number(value: object, _: object) -> float:
    if type(value) is int or type(value) is float:
        return float(value)
    raise mismatch("a number", value)


def _refused(cls: Any, given: dict[str, Any], exc: Exception) -> RemoteProtocolError:  # noqa: ANN401 - any attrs class
    """Say which member the class's own validators refuse."""
    for attribute in attrs.fields(cls):
        if attribute.validator is not None and attribute.alias in given:
            try:
                attribute.validator(None, attribute, given[attribute.alias])
            except (TypeError, ValueError):
                return RemoteProtocolError(f"not a valid {cls.__name__}.{attribute.name}", path=attribute.alias)
    return RemoteProtocolError(f"not a valid {cls.__name__}: {str(exc.args[0])[:200]}", path=WHOLE)


def _class_hook(converter: Converter, rename: Rename) -> Callable[[Any], Callable[[object, object], Any]]:
    def make(cls: Any) -> Callable[[object, object], Any]:  # noqa: ANN401 - any attrs class
        build = audio_frame if cls is AudioFrame else cls
        members = [
            (a.alias, rename(a.name), converter.get_structure_hook(a.type), a.type, a.default is attrs.NOTHING)
            for a in attrs.fields(attrs.resolve_types(cls))
            if a.init and not is_local(a)
        ]

        def structure(value: object, _: object) -> Any:  # noqa: ANN401 - an instance of that class
            if type(value) is not dict:
                raise mismatch("an object", value)
            given: dict[str, Any] = {}
            for name, member, hook, kind, required in members:
                if member in value:
                    try:
                        given[name] = hook(value[member], kind)
                    except RemoteProtocolError as exc:
                        raise within(member, exc) from None
                elif required:
                    raise RemoteProtocolError("missing", path=member)
            try:
                return build(**given)
            except (TypeError, ValueError) as exc:
                raise _refused(cls, given, exc) from None

        return structure

    return make


def _items(values: Sequence[object], hooks: Iterable[tuple[Callable[..., Any], Any]]) -> list[Any]:
    structured = []
    for index, (value, (hook, kind)) in enumerate(zip(values, hooks, strict=False)):
        try:
            structured.append(hook(value, kind))
        except RemoteProtocolError as exc:
            raise within(f"[{index}]", exc) from None
    return structured


def _sequence_hook(converter: Converter) -> Callable[[Any], Callable[[object, object], Any]]:
    def make(kind: Any) -> Callable[[object, object], Any]:  # noqa: ANN401 - a generic alias
        make_whole = tuple if get_origin(kind) is tuple else list
        arguments = get_args(kind)
        many = make_whole is list or (len(arguments) == 2 and arguments[1] is ...)
        hooks = [(converter.get_structure_hook(item), item) for item in (arguments[:1] if many else arguments)]
        makes_objects = many and attrs.has(arguments[0])

        def structure(value: object, _: object) -> Any:  # noqa: ANN401 - a list or tuple
            if type(value) is not list:
                raise mismatch("an array", value)
            if makes_objects and len(value) > MAX_ITEMS:
                raise RemoteProtocolError(f"an array of at most {MAX_ITEMS} is wanted, not of {len(value)}", path=WHOLE)
            if not many and len(value) != len(hooks):
                raise RemoteProtocolError(f"an array of {len(hooks)} is wanted, not of {len(value)}", path=WHOLE)
            return make_whole(_items(value, repeat(hooks[0]) if many else hooks))

        return structure

    return make


def _mapping_hook(converter: Converter) -> Callable[[Any], Callable[[object, object], Any]]:
    def make(kind: Any) -> Callable[[object, object], Any]:  # noqa: ANN401 - a generic alias
        _, item_kind = get_args(kind)
        hook = converter.get_structure_hook(item_kind)

        def structure(value: object, _: object) -> Any:  # noqa: ANN401 - a dict
            if type(value) is not dict:
                raise mismatch("an object", value)
            structured = {}
            for key, item in value.items():
                try:
                    structured[key] = hook(item, item_kind)
                except RemoteProtocolError as exc:
                    raise within(ascii(key[:100])[1:-1], exc) from None  # it may hold anything, line breaks too
            return structured

        return structure

    return make


def _unstructure_hook(converter: Converter, rename: Rename) -> Callable[[Any], Callable[[Any], dict[str, Any]]]:
    def make(cls: Any) -> Callable[[Any], dict[str, Any]]:  # noqa: ANN401 - any attrs class
        names: dict[str, Any] = {
            a.name: override(rename=rename(a.name), omit=is_local(a) or None) for a in attrs.fields(cls)
        }
        return make_dict_unstructure_fn(cls, converter, _cattrs_omit_if_default=True, **names)

    return make


def _has_origin(origins: tuple[type, ...], kind: object) -> bool:
    return get_origin(kind) in origins


def make_converter(*, rename: Rename = own_name) -> Converter:
    """A converter of its own for one dialect; ``rename`` gives a member's name on the wire for an attribute's."""
    converter = Converter(detailed_validation=False, prefer_attrib_converters=False, omit_if_default=True)
    for kind, wanted in ((str, "a string"), (bool, "true or false"), (int, "a whole number"), (NoneType, "null")):
        converter.register_structure_hook(kind, _exactly(kind, wanted))
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook(bytes, lambda value, _: from_base64(value))
    converter.register_unstructure_hook(bytes, to_base64)
    for free in (object, Any, _FREE_JSON):
        converter.register_structure_hook_func(partial(eq, free), lambda value, _: value)
        converter.register_unstructure_hook_func(partial(eq, free), lambda value: value)
    converter.register_structure_hook_factory(partial(_has_origin, (tuple, list)), _sequence_hook(converter))
    converter.register_structure_hook_factory(partial(_has_origin, (dict, Mapping)), _mapping_hook(converter))
    converter.register_structure_hook_factory(attrs.has, _class_hook(converter, rename))
    converter.register_unstructure_hook_factory(attrs.has, _unstructure_hook(converter, rename))
    return converter


@final
class TaggedUnion(Generic[T]):
    """Classes that one member of the JSON object tells apart.

    cattrs' own strategy for this keeps every unknown tag it ever meets, writes the tag last, and leaves a tag that is
    missing or not a string to chance; a peer that means harm sends all of these.
    """

    def __init__(self, converter: Converter, *, tag: str, kinds: Mapping[str, type[T]]) -> None:
        self.tag = tag
        self._structure = {name: (converter.get_structure_hook(cls), cls) for name, cls in kinds.items()}
        self._unstructure = {cls: (name, converter.get_unstructure_hook(cls)) for name, cls in kinds.items()}

    def structure(self, value: JSONValue) -> T | None:
        """The object that ``value`` describes; None when its tag is not known."""
        if type(value) is not dict:
            raise mismatch("an object", value, path=WHOLE)
        name = value.get(self.tag)
        if type(name) is not str:
            raise mismatch("a string", name, path=self.tag)
        if name not in self._structure:
            return None
        hook, cls = self._structure[name]
        structured: T = hook(value, cls)
        return structured

    def unstructure(self, value: T) -> dict[str, Any]:
        name, hook = self._unstructure[type(value)]
        return {self.tag: name, **hook(value)}
