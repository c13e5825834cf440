"""Parameters from a TOML file, each mistake told with its file and line.

Rules
1. A key is a parameter's own name, with its own unit: ``audio_in_sample_rate = 16000``. Lists stand for sequences.
2. What is an object in Python is named: ``serializer = "json"``, ``vad_analyzer = "silero"``; the tables below list the
   names. One with settings of its own is a table: ``serializer = { name = "packed", encoding = "OPUS" }``. What has no
   name (a hook, a context) is set in code, and a file that tries is told so.
3. A key that is not known is an error that names the nearest one that is. All mistakes of a file are told at once.
"""

import inspect
import re
import tomllib
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import attrs

from ..errors import TransportError
from ..params import ReconnectPolicy, TransportParams
from ..serializers.protocol import Fresh

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
_BY_NAME: Final = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_PLAIN: Final = (bool, int, float, str, list, dict)


class ParamsFileError(TransportError):
    """A parameter file has mistakes; the text has a line for each."""


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
    mistakes = []
    for key, value in given.items():
        try:
            values[key] = _value(key, value, kind)
        except (TypeError, ValueError, ImportError) as exc:
            said = exc.args[0] if exc.args else exc  # attrs' own have more arguments, which are for programs
            mistakes.append(f"{path}, line {_line_of(key, text)}: {said}")
    if not mistakes:
        try:
            kind(**values) if base is None else attrs.evolve(base, **values)
        except (TypeError, ValueError) as exc:  # each is right by itself: they do not go together
            mistakes.append(f"{path}: {exc}")
    if mistakes:
        raise ParamsFileError("\n".join(mistakes))
    return values


def _value(key: str, value: Any, kind: type[TransportParams]) -> Any:  # noqa: ANN401 - whatever TOML holds
    known = attrs.fields_dict(kind)
    if key not in known:
        near = get_close_matches(key, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"{key} is not a parameter of {kind.__name__}{hint}")
    if key in _NAMED:
        return _named(key, value)
    if key == "reconnect":
        return _policy(value)
    attribute = known[key]
    if isinstance(value, str) and not _takes_text(attribute, kind):
        raise ValueError(f"{key} is set in code, not in a file: it takes an object that no text can name")
    made = attribute.converter(value) if callable(attribute.converter) else value
    if attribute.validator is not None:
        attribute.validator(_Named(kind), attribute, made)
    return made


def _takes_text(attribute: "attrs.Attribute[Any]", kind: type[TransportParams]) -> bool:
    types = str(attrs.fields_dict(attrs.resolve_types(kind))[attribute.name].type)
    return (
        "str" in types
        or "Literal" in types
        or not any(word in types for word in ("Callable", "SSLContext", "Protocol"))
    )


def _named(key: str, value: object) -> object:
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
    for member in settings:
        if member not in takes:
            known = ", ".join(takes) or "none"
            raise ValueError(f"{key}: {member} is not a setting of {value}; it has {known}")
        if isinstance(settings[member], dict | list):
            raise TypeError(f"{key}: {member} is set in code, not in a file: it takes an object that no text can name")
    one = made(**settings)  # a setting that cannot be is told here, with its line
    return one if isinstance(one, Fresh) else partial(made, **settings)


def _policy(value: object) -> ReconnectPolicy:
    if not isinstance(value, dict):
        raise TypeError(f"reconnect must be a table ([reconnect]), not {value!r}")
    return ReconnectPolicy(**value)


class _Named:
    """Stands for the parameters in a validator's message, which names their class."""

    def __new__(cls, kind: type) -> Any:  # noqa: ANN401 - an instance of a class of that name
        return object.__new__(type(kind.__name__, (), {}))


def _line_of(key: str, text: str) -> int:
    """The line on which a key is set."""
    wanted = re.compile(rf"""\s*(?:\[\s*)?["']?{re.escape(key)}["']?\s*[=.\]]""")
    return next((number for number, line in enumerate(text.splitlines(), 1) if wanted.match(line)), 1)
