"""The settings that several providers' serializers have, checked against the provider's table where they are set."""

from typing import Any

from .line import Line


def _line_of(instance: object) -> Line:
    line: Line = type(instance).line  # type: ignore[attr-defined]
    return line


def known_encoding(instance: object, attribute: Any, value: object) -> None:  # noqa: ANN401 - attrs' own
    """One of the line's codes, or None: what is announced."""
    codecs = _line_of(instance).codecs
    if value is not None and value not in codecs:
        where = f"{type(instance).__name__}.{attribute.name}"
        raise ValueError(f"{where} must be one of {', '.join(codecs)}, or None for what is announced, not {value!r}")


def known_sample_rate(instance: object, attribute: Any, value: object) -> None:  # noqa: ANN401 - attrs' own
    """A rate of one of the line's codes, or None: what is announced."""
    rates = sorted({rate for each in _line_of(instance).codecs.values() for rate in each})
    if value is not None and (type(value) is not int or value not in rates):
        where = f"{type(instance).__name__}.{attribute.name}"
        raise ValueError(
            f"{where} must be one of {', '.join(map(str, rates))}, or None for what is announced, not {value!r}"
        )
