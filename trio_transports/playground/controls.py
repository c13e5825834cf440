"""What a bot lets its callers set on the page: the page draws it, and sends ``{"type": "settings", ...}`` messages."""

from collections.abc import Sequence
from typing import Literal, TypeAlias, final

from attrs import asdict, field, frozen
from attrs.validators import ge, instance_of, min_len

from ..frames import JSONValue


@final
@frozen(kw_only=True)
class Choice:
    """One of a few; ``options`` are pairs of a value and the words for it, the first is chosen at the start."""

    kind: Literal["choice"] = field(default="choice", init=False)
    name: str = field(validator=instance_of(str))
    label: str = field(validator=instance_of(str))
    options: Sequence[tuple[str, str]] = field(validator=min_len(1))


@final
@frozen(kw_only=True)
class Slider:
    """A number between two others."""

    kind: Literal["slider"] = field(default="slider", init=False)
    name: str = field(validator=instance_of(str))
    label: str = field(validator=instance_of(str))
    value: int
    least: int = 0
    most: int = 100
    step: int = field(default=1, validator=ge(1))
    unit: str = ""


@final
@frozen(kw_only=True)
class Switch:
    """On or off."""

    kind: Literal["switch"] = field(default="switch", init=False)
    name: str = field(validator=instance_of(str))
    label: str = field(validator=instance_of(str))
    value: bool = False


Control: TypeAlias = Choice | Slider | Switch


def described(controls: Sequence[Control]) -> list[JSONValue]:
    """The controls as the page reads them."""
    return [asdict(control) for control in controls]
