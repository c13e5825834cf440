"""What there is to document: every public module, the names a user may import from it, and their members.

Rules
1. A name is public if it stands in ``__all__`` of one of ``MODULES``, and a member if no underscore leads its name.
   Everything else, in whatever module, is this library's own business.
2. A name is told once, in the module that stands first in ``MODULES``; elsewhere it is only listed.
3. What is made by the library alone (``MADE_HERE``) is told without what it is made of.
4. A module whose extra is not installed is listed with the reason.
"""

import inspect
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Final, final

import attrs
from attrs import field, frozen

from .._documented import default_of, field_docs, own_text, value_doc

ROOT: Final = "trio_transports"
MODULES: Final = (
    "",
    "errors",
    "frames",
    "params",
    "session",
    "serializers",
    "serializers.protobuf",
    "serializers.packed",
    "serializers.rtvi",
    "serializers.detect",
    "serializers.twilio",
    "serializers.telnyx",
    "serializers.plivo",
    "serializers.exotel",
    "serializers.vonage",
    "serializers.signalwire",
    "serializers.wavix",
    "serializers.sinch",
    "serializers.genesys",
    "serializers.asterisk",
    "serializers.relay",
    "serializers.azure",
    "serializers.jambonz",
    "pipeline",
    "pipeline.stages",
    "vad",
    "vad.silero",
    "vad.smart_turn",
    "audio.format",
    "audio.wav",
    "audio.dtmf",
    "audio.g711",
    "audio.resample",
    "audio.convert",
    "audio.chunking",
    "audio.pacing",
    "audio.sound",
    "audio.mixer",
    "audio.filters",
    "audio.gain",
    "audio.highpass",
    "audio.gate",
    "audio.noise",
    "video",
    "telephony",
    "hosting",
    "bus",
    "bus.redis",
    "agent",
    "agent.protocols",
    "agent.protocols.pipecat",
    "observe",
    "observe.prometheus",
    "observe.tracing",
    "serve",
    "playground",
    "testing",
    "testing.phones",
    "testing.faults",
    "wire",
)
"""The modules that users import from, in the order in which the reference tells of them."""

MADE_HERE: Final = frozenset(
    {
        "BusSubscription",
        "ChunkChannel",
        "Control",
        "FaultProxy",
        "Inbox",
        "JobContext",
        "JobGroupContext",
        "JobRequest",
        "Output",
        "Session",
        "Subscription",
    }
)
"""Classes that a user gets and never makes."""


@final
@frozen(kw_only=True)
class Member:
    """A field, method or property of a class."""

    name: str
    kind: str
    signature: str
    text: str


@final
@frozen(kw_only=True)
class Entry:
    """One public name."""

    module: str
    name: str
    kind: str
    signature: str
    text: str
    members: tuple[Member, ...] = ()

    @property
    def anchor(self) -> str:
        """Its place on the page."""
        return f"{self.module}.{self.name}"


@final
@frozen(kw_only=True)
class Room:
    """One module that users import from."""

    name: str
    text: str
    entries: tuple[Entry, ...]
    elsewhere: tuple[tuple[str, str], ...] = ()
    """Names that can be imported from here too, and the anchor where they are told."""
    missing: str = field(default="")
    """Why it could not be looked at: the extra that is not installed."""


def rooms() -> Iterator[Room]:
    """Every module with its public names."""
    told: dict[int, str] = {}
    for short in MODULES:
        name = f"{ROOT}.{short}" if short else ROOT
        try:
            module = import_module(name)
        except ImportError as exc:
            yield Room(name=name, text="", entries=(), missing=str(exc))
            continue
        entries, elsewhere = [], []
        for public, value in public_names(module):
            if id(value) in told and (inspect.isclass(value) or inspect.isroutine(value)):
                elsewhere.append((public, told[id(value)]))
                continue
            entry = _entry(name, public, value)
            told[id(value)] = entry.anchor
            entries.append(entry)
        yield Room(name=name, text=inspect.getdoc(module) or "", entries=tuple(entries), elsewhere=tuple(elsewhere))


def public_names(module: ModuleType) -> Iterator[tuple[str, object]]:
    """What a user may import from a module, by name."""
    for name in sorted(module.__all__):
        yield name, getattr(module, name)


def _entry(module: str, name: str, value: object) -> Entry:
    if inspect.isclass(value):
        return Entry(
            module=module,
            name=name,
            kind=_kind_of_class(value),
            signature=_signature(value),
            text=own_text(value),
            members=tuple(members(value)),
        )
    if inspect.isroutine(value):
        kind = "async function" if inspect.iscoroutinefunction(value) else "function"
        return Entry(module=module, name=name, kind=kind, signature=_signature(value), text=inspect.getdoc(value) or "")
    text = value_doc(module, name)
    return Entry(module=module, name=name, kind="value", signature=f" = {_type_name(value)}"[:200], text=text)


def _kind_of_class(cls: type) -> str:
    if issubclass(cls, BaseException):
        return "error"
    return "protocol" if getattr(cls, "_is_protocol", False) else "class"


def members(cls: type) -> Iterator[Member]:
    """Fields first, then properties and methods, each kind in the order of the source."""
    texts = field_docs(cls)
    told = set()
    for name, annotation in _fields(cls):
        told.add(name)
        signature = f"{_typed(annotation)}{default_of(cls, name)}"
        yield Member(name=name, kind="field", signature=signature, text=texts.get(name, ""))
    for name, value in _methods(cls):
        if name in told:
            continue
        if isinstance(value, property):
            annotation = inspect.signature(value.fget).return_annotation if value.fget else inspect.Signature.empty
            yield Member(name=name, kind="property", signature=_typed(annotation), text=inspect.getdoc(value) or "")
            continue
        function = value.__func__ if isinstance(value, classmethod | staticmethod) else value
        kind = "async method" if inspect.iscoroutinefunction(function) else "method"
        yield Member(name=name, kind=kind, signature=_signature(function), text=inspect.getdoc(function) or "")


def _fields(cls: type) -> Iterator[tuple[str, object]]:
    """What is given when a value is made, by the name under which it is given, and what can be read from it."""
    of_attrs = attrs.fields(cls) if attrs.has(cls) else ()
    for one in of_attrs:
        if not one.name.startswith("_") or (one.init and cls.__name__ not in MADE_HERE):
            yield one.alias or one.name, one.type
    known = {one.name for one in of_attrs}
    for ancestor in reversed(cls.__mro__):
        if ancestor.__module__.startswith(ROOT):
            for name, annotation in vars(ancestor).get("__annotations__", {}).items():
                if not name.startswith("_") and name not in known:
                    known.add(name)
                    yield name, annotation


def _methods(cls: type) -> Iterator[tuple[str, object]]:
    seen = set()
    for ancestor in cls.__mro__:
        if not ancestor.__module__.startswith(ROOT):
            continue
        for name, value in vars(ancestor).items():
            is_method = inspect.isfunction(value) or isinstance(value, property | classmethod | staticmethod)
            if not name.startswith("_") and name not in seen and is_method:
                seen.add(name)
                yield name, value


def _signature(value: object) -> str:
    if not callable(value):
        return ""
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return ""
    kept = [
        parameter.replace(annotation=_named(parameter.annotation))
        for name, parameter in signature.parameters.items()
        if name not in ("self", "cls")
    ]
    told = str(inspect.Signature(kept, return_annotation=_named(signature.return_annotation)))
    return told.replace("'", "") if "'" in told else told


class _Plain:
    """An annotation that is written as it stands."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def _named(annotation: object) -> object:
    empty = inspect.Signature.empty
    return annotation if annotation is empty or annotation is None else _Plain(_type_name(annotation))


def _typed(annotation: object) -> str:
    return "" if annotation in (None, inspect.Signature.empty) else f": {_type_name(annotation)}"


def _type_name(annotation: object) -> str:
    """A type as one would write it: without the modules in front of its names."""
    if isinstance(annotation, str):
        return annotation
    text = (
        annotation.__name__ if isinstance(annotation, type) and not hasattr(annotation, "__args__") else str(annotation)
    )
    return _without_modules(text)


def _without_modules(text: str) -> str:
    out, word = [], ""
    for character in text + " ":
        if character.isalnum() or character in "._":
            word += character
            continue
        out.append(
            word.rsplit(".", 1)[-1] if word.count(".") and not word.startswith(".") and "..." not in word else word
        )
        out.append(character)
        word = ""
    return "".join(out)[:-1]
