"""Parameters from a TOML file, each mistake told with its file and line.

Rules
1. A key is a parameter's own name, with its own unit: ``audio_in_sample_rate = 16000``. Lists stand for sequences.
2. What is an object in Python is named: ``serializer = "json"``, ``vad_analyzer = "silero"``; the tables below list the
   names. One with settings of its own is a table: ``serializer = { name = "packed", encoding = "OPUS" }``. What has no
   name (a hook, a context) is set in code, and a file that tries is told so.
3. A key that is not known is an error that names the nearest one that is. All mistakes of a file are told at once.
4. Values that are right by themselves and do not go together are told with the lines of all that the mistake names.
5. Where a file turns off what others need (``vad_enabled = false``), what it does not say itself goes along: the usual
   analyzer is not in its way.
"""

import inspect
import re
import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import attrs

from ..errors import TransportError
from ..params import ReconnectPolicy, TransportParams
from ..serializers.protocol import Fresh
from .toml_lines import Key, Lines

_NAMED: Final[Mapping[str, Mapping[str, tuple[str, str]]]] = {
    "serializer": {
        "json": ("..serializers.json", "JSONFrameSerializer"),
        "protobuf": ("..serializers.protobuf", "ProtobufFrameSerializer"),
        "packed": ("..serializers.packed", "PackedFrameSerializer"),
        "detect": ("..serializers.detect", "DetectingFrameSerializer"),
    },
    "vad_analyzer": {
        "energy": ("..vad.energy", "EnergyVADAnalyzer"),
        "silero": ("..vad.silero", "SileroVADAnalyzer"),
    },
    "turn_analyzer": {"prosody": ("..vad.turns", "ProsodyTurnAnalyzer")},
}
_IN_CODE: Final[Mapping[str, str]] = {
    "audio_in_filter": "an object that filters",
    "audio_out_filter": "an object that filters",
    "audio_out_mixer": "an object that mixes",
    "authorize": "an async function",
    "hang_up": "an async function",
    "ssl_context": "an ssl.SSLContext",
}
"""What no text can name."""
_NEEDS: Final[Mapping[str, tuple[str, object]]] = {
    "vad_enabled": ("audio_in_enabled", False),
    "vad_analyzer": ("vad_enabled", None),
    "turn_analyzer": ("vad_enabled", None),
    "allow_interruptions": ("vad_enabled", False),
    "audio_out_mixer": ("audio_out_enabled", None),
    "audio_out_filter": ("audio_out_enabled", None),
    "video_in_color_format": ("video_in_enabled", None),
    "video_out_destinations": ("video_out_enabled", ()),
}
"""What each of these cannot be without, and what it is then; in the order in which one goes along with another."""
_BOTH_WAYS: Final = ("audio_in_enabled", "audio_out_enabled")
_BY_NAME: Final = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class ParamsFileError(TransportError):
    """A parameter file has mistakes; the text has a line for each."""


class _Mistakes(Exception):
    """Those of one value, each with the keys of a table that it is about."""

    def __init__(self, *told: tuple[str, Key]) -> None:
        super().__init__(*told)
        self.told = told


def load_params(path: Path, kind: type[TransportParams], base: TransportParams | None = None) -> dict[str, Any]:
    """Read the keyword arguments for parameters of this kind; ParamsFileError tells every mistake with its line.

    ``base`` has what the file does not say: the two have to go together.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise ParamsFileError(f"{path}: cannot be read: {exc}") from exc
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise ParamsFileError(f"{path}: not TOML: {exc}") from exc
    values: dict[str, Any] = {}
    mistakes: list[str] = []
    lines = Lines(text)
    for key, value in given.items():
        try:
            values[key] = _value(key, value, kind)
        except _Mistakes as exc:
            mistakes += [f"{path}{lines.of([(key, *members)])}: {said}" for said, members in exc.told]
        except (TypeError, ValueError, ImportError) as exc:
            said = _said(exc)
            inside = _named_in(said, value) if isinstance(value, dict) else []
            mistakes.append(f"{path}{lines.of([(key, member) for member in inside] or [(key,)])}: {said}")
    if not mistakes:
        if base is not None:
            values |= _going_along(values, base)
        try:
            kind(**values) if base is None else attrs.evolve(base, **values)
        except (TypeError, ValueError) as exc:  # rule 4
            said = _said(exc)
            mistakes.append(f"{path}{lines.of([(key,) for key in _named_in(said, given)])}: {said}")
    if mistakes:
        raise ParamsFileError("\n".join(mistakes))
    return values


def _said(exc: Exception) -> str:
    return str(exc.args[0] if exc.args else exc)  # attrs' own have more arguments, which are for programs


def _named_in(said: str, keys: Iterable[str]) -> list[str]:
    """Those of the keys that a mistake names."""
    return [key for key in keys if key != "name" and re.search(rf"\b{re.escape(key)}\b", said)]


def _going_along(values: Mapping[str, Any], base: TransportParams) -> dict[str, Any]:
    """What the file does not say and what follows from it all the same; rule 5."""
    both = dict.fromkeys(_BOTH_WAYS, values["audio_enabled"]) if "audio_enabled" in values else {}
    follows = {name: value for name, value in both.items() if name not in values}
    for name, (needed, without) in _NEEDS.items():
        if name not in values and not (follows | dict(values)).get(needed, getattr(base, needed)):
            follows[name] = without
    return follows


def _value(key: str, value: Any, kind: type[TransportParams]) -> Any:  # noqa: ANN401 - whatever TOML holds
    known = attrs.fields_dict(kind)
    if key not in known:
        raise ValueError(f"{key} is not a parameter of {kind.__name__}{_meant(key, known)}")
    if key in _IN_CODE:
        raise ValueError(f"{key} is set in code, not in a file: it takes {_IN_CODE[key]}, which no text can name")
    if key in _NAMED:
        return _named(key, value, known)
    if key == "reconnect":
        return _policy(value, known)
    return _checked(known[key], value, kind)


def _meant(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _checked(attribute: "attrs.Attribute[Any]", value: Any, kind: type) -> Any:  # noqa: ANN401 - whatever TOML holds
    made = attribute.converter(value) if callable(attribute.converter) else value
    if attribute.validator is not None:
        attribute.validator(_Named(kind), attribute, made)
    return made


def _named(key: str, value: object, known: Collection[str]) -> object:
    names, settings = _NAMED[key], dict[str, object]()
    if isinstance(value, dict) and "name" in value:
        settings = {member: given for member, given in value.items() if member != "name"}
        value = value["name"]
    if not isinstance(value, str) or value not in names:
        raise ValueError(f"{key} must be one of {', '.join(names)}, not {value!r}")
    module, name = names[value]
    made: Callable[..., object] = getattr(import_module(module, __package__), name)
    if not settings:
        return made
    takes = [each.name for each in inspect.signature(made).parameters.values() if each.kind in _BY_NAME]
    told: list[tuple[str, Key]] = []
    for member, given in settings.items():
        if member not in takes:
            has = f"it has {', '.join(takes) or 'none'}{_outside(member, key, known)}"
            told.append((f"{key}: {member} is not a setting of {value}; {has}", (member,)))
        elif isinstance(given, dict | list):
            why = "it takes an object that no text can name"
            told.append((f"{key}: {member} is set in code, not in a file: {why}", (member,)))
    if told:
        raise _Mistakes(*told)
    one = made(**settings)  # a setting that cannot be is told here, with its line
    return one if isinstance(one, Fresh) else partial(made, **settings)


def _policy(value: object, known: Collection[str]) -> ReconnectPolicy:
    if not isinstance(value, dict):
        raise TypeError(f"reconnect must be a table ([reconnect]), not {value!r}")
    members = attrs.fields_dict(ReconnectPolicy)
    told: list[tuple[str, Key]] = []
    for member, given in value.items():
        if member not in members:
            hint = _outside(member, "reconnect", known) or _meant(member, members)
            told.append((f"reconnect: {member} is not a setting of ReconnectPolicy{hint}", (member,)))
            continue
        try:
            _checked(members[member], given, ReconnectPolicy)
        except (TypeError, ValueError) as exc:
            told.append((_said(exc), (member,)))
    if told:
        raise _Mistakes(*told)
    return ReconnectPolicy(**value)


def _outside(member: str, table: str, known: Collection[str]) -> str:
    """What follows the head of a table is in it, whoever meant otherwise."""
    return f"; as a parameter it stands above [{table}]" if member in known else ""


class _Named:
    """Stands for the parameters in a validator's message, which names their class."""

    def __new__(cls, kind: type) -> Any:  # noqa: ANN401 - an instance of a class of that name
        return object.__new__(type(kind.__name__, (), {}))
