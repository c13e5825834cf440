"""The checks of parameters: each error names the class and the field, and says what would be right."""

import inspect
import math
import ssl
from collections.abc import Callable, Collection, Iterable, Mapping
from importlib.util import find_spec
from types import FunctionType
from typing import Any, cast
from urllib.parse import urlsplit

from attrs import Attribute

from ..audio.loudness import MAX_VOLUME
from ..audio.resample import MAX_RATE, MIN_RATE
from ..video.codec import codec_named


def named(instance: object, attribute: "Attribute[Any]") -> str:
    return f"{type(instance).__name__}.{attribute.name}"


def flag(instance: object, attribute: "Attribute[Any]", value: object) -> None:
    if type(value) is not bool:
        raise TypeError(f"{named(instance, attribute)} must be True or False, not {value!r}")


def number(
    *,
    above: float | None = None,
    least: float | None = None,
    most: float | None = None,
    optional: bool = False,
    whole: bool = False,
) -> Callable[[object, "Attribute[Any]", Any], None]:
    """Check for a finite number; ``above`` is an exclusive lower bound, ``least`` and ``most`` are inclusive."""
    kind = "a whole number" if whole else "a number"
    bound = f" above {above:g}" if above is not None else f" of at least {least:g}" if least is not None else ""
    bound += "" if most is None else f" and at most {most:g}"
    wanted = f"{kind}{bound}" + (" or None" if optional else "")

    def check(instance: object, attribute: "Attribute[Any]", value: object) -> None:
        if value is None and optional:
            return
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
            raise TypeError(f"{named(instance, attribute)} must be {wanted}, not {value!r}")
        is_below = (above is not None and value <= above) or (least is not None and value < least)
        if not math.isfinite(value) or is_below or (most is not None and value > most):
            raise ValueError(f"{named(instance, attribute)} must be {wanted}, not {value!r}")

    return check


def volume(instance: object, attribute: "Attribute[Any]", value: float) -> None:
    number(least=0)(instance, attribute, value)
    if value > MAX_VOLUME:
        raise ValueError(f"{named(instance, attribute)} must be {MAX_VOLUME:g} at most, not {value!r}: 1 is as it is")


def sample_rate(instance: object, attribute: "Attribute[Any]", value: object) -> None:
    if value is None:
        return
    wanted = f"a whole number of Hz between {MIN_RATE} and {MAX_RATE}, or None"
    if type(value) is not int:
        raise TypeError(f"{named(instance, attribute)} must be {wanted}, not {value!r}")
    if not MIN_RATE <= value <= MAX_RATE:
        raise ValueError(f"{named(instance, attribute)} must be {wanted}, not {value!r}")


def one_of(*allowed: str, optional: bool = False) -> Callable[[object, "Attribute[Any]", Any], None]:
    wanted = ", ".join(allowed) + (" or None" if optional else "")

    def check(instance: object, attribute: "Attribute[Any]", value: object) -> None:
        if value not in allowed and not (value is None and optional):
            raise ValueError(f"{named(instance, attribute)} must be one of {wanted}, not {value!r}")

    return check


def members(*names: str) -> Callable[[object, "Attribute[Any]", Any], None]:
    """Check for an object with these members, or something to call that makes one. None passes."""

    def check(instance: object, attribute: "Attribute[Any]", value: object) -> None:
        if value is None:
            return
        missing = [name for name in names if not hasattr(value, name)]
        if missing and not callable(value):
            raise TypeError(
                f"{named(instance, attribute)} must have {', '.join(names)} or be a factory of such an object; "
                f"{value!r} lacks {', '.join(missing)}"
            )

    return check


def as_tuple(value: Iterable[str]) -> tuple[str, ...]:
    """Take a list as well; what is neither is left to ``names``, which says so."""
    return tuple(value) if isinstance(value, list) else cast("tuple[str, ...]", value)


def names(instance: object, attribute: "Attribute[Any]", value: object) -> None:
    if not isinstance(value, tuple) or not all(isinstance(name, str) and name for name in value):
        raise TypeError(f"{named(instance, attribute)} must be a sequence of non-empty names, not {value!r}")
    if len(set(value)) != len(value):
        raise ValueError(f"{named(instance, attribute)} names a destination twice: {value!r}")


def tls_context(instance: object, attribute: "Attribute[Any]", value: object) -> None:
    if value is not None and not isinstance(value, ssl.SSLContext):
        raise TypeError(f"{named(instance, attribute)} must be an ssl.SSLContext or None, not {value!r}")


def async_callable(instance: object, attribute: "Attribute[Any]", value: object) -> None:
    where = named(instance, attribute)
    if isinstance(value, type):
        raise TypeError(f"{where} is the class {value.__name__} itself: make one, {value.__name__}(...)")
    if isinstance(value, FunctionType) and not _may_be_awaited(value):
        raise TypeError(f"{where} is a plain function: write `async def {value.__name__}`")
    if value is not None and not callable(value):
        raise TypeError(f"{where} must be an async callable or None, not {value!r}")


def _may_be_awaited(function: FunctionType) -> bool:
    """A plain function may still give what an async one did; where it says what it gives, it is believed."""
    inner: object = inspect.unwrap(function, stop=inspect.iscoroutinefunction)
    if inspect.iscoroutinefunction(inner) or not isinstance(inner, FunctionType):
        return True
    if inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner):
        return False
    return inner.__annotations__.get("return", object) not in (None, bool, int, "None", "bool", "int")


_MIXER = members("start", "mix", "control", "stop")


def mixers(instance: object, attribute: "Attribute[Any]", value: object) -> None:
    for mixer in value.values() if isinstance(value, Mapping) else (value,):
        _MIXER(instance, attribute, mixer)


def string_mapping(instance: object, attribute: "Attribute[Any]", value: object) -> None:
    if value is None:
        return
    if not isinstance(value, Mapping) or not all(isinstance(k, str) and isinstance(v, str) for k, v in value.items()):
        raise TypeError(f"{named(instance, attribute)} must be a mapping of str to str, not {value!r}")


def text(instance: object, attribute: "Attribute[Any]", value: object) -> None:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{named(instance, attribute)} must be a str or None, not {value!r}")


def path(instance: object, attribute: "Attribute[Any]", value: object) -> None:
    wanted = f"{named(instance, attribute)} must be a path that begins with a slash, or None, not {value!r}"
    if value is not None and not isinstance(value, str):
        raise TypeError(wanted)
    if value is not None and not value.startswith("/"):
        raise ValueError(wanted)


def picture_codec(instance: object, attribute: "Attribute[Any]", value: object) -> None:
    text(instance, attribute, value)
    if isinstance(value, str):
        try:
            codec_named(value)
        except ValueError as exc:
            raise ValueError(f"{named(instance, attribute)}: {exc}") from None
        if find_spec("PIL") is None:
            raise ValueError(
                f"{named(instance, attribute)} needs the 'video' extra: pip install 'trio-transports[video]'"
            )


def _strings(instance: object, attribute: "Attribute[Any]", value: object) -> None:
    if value is None:
        return
    if isinstance(value, str) or not isinstance(value, Collection) or not all(isinstance(v, str) for v in value):
        raise TypeError(f"{named(instance, attribute)} must be a collection of strings, not {value!r}")


def origins(instance: object, attribute: "Attribute[Any]", value: object) -> None:
    _strings(instance, attribute, value)
    for origin in cast("Collection[str] | None", value) or ():
        if origin not in ("*", "null") and not _is_origin(origin):
            raise ValueError(
                f"{named(instance, attribute)} has {origin!r}, which no browser ever names and so nothing matches: "
                "write scheme and host, and the port if it is not the scheme's own ('https://app.example', "
                "'http://localhost:3000'), or '*' for every origin"
            )


def _is_origin(text: str) -> bool:
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError:  # a port that is no number, a bracket left open
        return False
    host = parts.hostname or ""
    is_host = bool(host) and host.isascii() and "*" not in host and "@" not in parts.netloc
    is_all = not (parts.path.strip("/") or parts.query or parts.fragment)
    return bool(parts.scheme) and is_host and is_all and port != 0


def check_quick(out_filter: object, where: str) -> None:
    """Raise ValueError for a filter of outgoing audio that is too slow to keep time."""
    if getattr(out_filter, "slow", False) is True:
        raise ValueError(
            f"{where}.audio_out_filter is slow: it would work in a thread, and what it makes would be late. "
            "Filter the audio before it is sent instead"
        )
