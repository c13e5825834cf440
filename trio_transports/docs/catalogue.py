"""What there is to document: every public module, the names a user may import from it, and their members.

Rules
1. A name is public if it stands in ``__all__`` of one of ``MODULES``, and a member if no underscore leads its name.
   Everything else, in whatever module, is this library's own business.
2. A name is told once, in the module that stands first in ``MODULES``; elsewhere it is only listed.
3. What a class has of another public one is told there.
4. What is made by the library alone (``MADE_HERE``) is told without what it is made of.
5. A module whose extra is not installed is listed with the reason.
"""

import inspect
from collections.abc import Collection, Iterator, Mapping
from importlib import import_module
from types import ModuleType
from typing import Final, final

import attrs
from attrs import field, frozen

from .._documented import default_of, field_docs, own_text, value_doc
from . import signatures

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
        "BridgedCall",
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
    bases: tuple[tuple[str, str], ...] = ()
    """The public classes whose members it has too, and the anchors where those are told."""

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
    modules = {name: _imported(name) for name in (f"{ROOT}.{short}" if short else ROOT for short in MODULES)}
    places: dict[int, str] = {}
    for name, module in modules.items():
        for public, value in () if isinstance(module, str) else public_names(module):
            if inspect.isclass(value) or inspect.isroutine(value):
                places.setdefault(id(value), f"{name}.{public}")
    for name, module in modules.items():
        if isinstance(module, str):
            yield Room(name=name, text="", entries=(), missing=module)
            continue
        entries, elsewhere = [], []
        for public, value in public_names(module):
            place = places.get(id(value), f"{name}.{public}")
            if place == f"{name}.{public}":
                entries.append(_entry(name, public, value, places))
            else:
                elsewhere.append((public, place))
        yield Room(name=name, text=inspect.getdoc(module) or "", entries=tuple(entries), elsewhere=tuple(elsewhere))


def _imported(name: str) -> ModuleType | str:
    """The module, or why it cannot be looked at."""
    try:
        return import_module(name)
    except ImportError as exc:
        return str(exc)


def public_names(module: ModuleType) -> Iterator[tuple[str, object]]:
    """What a user may import from a module, by name."""
    for name in sorted(module.__all__):
        yield name, getattr(module, name)


def _entry(module: str, name: str, value: object, places: Mapping[int, str]) -> Entry:
    if inspect.isclass(value):
        bases = [base for base in value.__mro__[1:] if id(base) in places]
        return Entry(
            module=module,
            name=name,
            kind=_kind_of_class(value),
            signature=signatures.of_callable(value),
            text=own_text(value),
            members=tuple(members(value, without=bases)),
            bases=tuple((base.__name__, places[id(base)]) for base in bases),
        )
    if inspect.isroutine(value):
        kind, signature = f"{signatures.kind_of(value)} function".lstrip(), signatures.of_callable(value)
        return Entry(module=module, name=name, kind=kind, signature=signature, text=inspect.getdoc(value) or "")
    text, source = value_doc(module, name)
    return Entry(module=module, name=name, kind="value", signature=f" = {source}"[:200], text=text)


def _kind_of_class(cls: type) -> str:
    if issubclass(cls, BaseException):
        return "error"
    return "protocol" if getattr(cls, "_is_protocol", False) else "class"


def members(cls: type, *, without: Collection[type] = ()) -> Iterator[Member]:
    """Fields first, then properties and methods, each kind in the order of the source.

    What it has of one of the classes ``without`` is left out.
    """
    texts = field_docs(cls)
    told = set()
    for name, annotation, owner in _fields(cls):
        told.add(name)
        if owner in without:
            continue
        signature = f"{annotation}{default_of(cls, name)}"
        yield Member(name=name, kind="field", signature=signature, text=texts.get(name, ""))
    for name, value, owner in _methods(cls):
        if name in told or owner in without:
            continue
        if isinstance(value, property):
            signature, kind = signatures.of_result(value.fget), "property"
        else:
            value = value.__func__ if isinstance(value, classmethod | staticmethod) else value
            signature, kind = signatures.of_callable(value), f"{signatures.kind_of(value)} method".lstrip()
        yield Member(name=name, kind=kind, signature=signature, text=inspect.getdoc(value) or "")


def _fields(cls: type) -> Iterator[tuple[str, str, type]]:
    """What is given when a value is made, by the name under which it is given, and what can be read from it.

    With each its type as it is written, and the class that has it first.
    """
    owners = {
        name: ancestor
        for ancestor in reversed(cls.__mro__)
        if ancestor.__module__.startswith(ROOT)
        for name in vars(ancestor).get("__annotations__", {})
    }
    of_attrs = {one.name: one for one in attrs.fields(cls)} if attrs.has(cls) else {}
    for name in [*of_attrs, *(name for name in owners if name not in of_attrs)]:
        one, owner = of_attrs.get(name), owners.get(name, cls)
        is_given = one is not None and one.init and cls.__name__ not in MADE_HERE
        if is_given or not name.startswith("_"):
            alias = one.alias if one is not None and one.alias else name
            yield alias, signatures.of_field(owner, name), owner


def _methods(cls: type) -> Iterator[tuple[str, object, type]]:
    seen = set()
    for ancestor in cls.__mro__:
        if not ancestor.__module__.startswith(ROOT):
            continue
        for name, value in vars(ancestor).items():
            is_method = inspect.isfunction(value) or isinstance(value, property | classmethod | staticmethod)
            if not name.startswith("_") and name not in seen and is_method:
                seen.add(name)
                yield name, value, ancestor
