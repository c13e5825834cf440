"""What a bot lets its callers set on the page: the page draws it, and sends ``{"type": "settings", ...}`` messages."""

from collections.abc import Sequence
from typing import Literal, TypeAlias, final

from attrs import asdict, field, frozen
from attrs.validators import ge, instance_of, min_len

from .._documented import documented
from ..frames import JSONValue


@documented
@final
@frozen(kw_only=True)
class Choice:
    """One of a few; ``options`` are pairs of a value and the words for it, the first is chosen at the start."""

    kind: Literal["choice"] = field(default="choice", init=False)
    """What the page draws; fixed."""
    name: str = field(validator=instance_of(str))
    """What the bot knows it by, in the ``settings`` message."""
    label: str = field(validator=instance_of(str))
    """The words beside it on the page."""
    options: Sequence[tuple[str, str]] = field(validator=min_len(1))
    """Pairs of a value and the words for it; the first is chosen at the start."""


@documented
@final
@frozen(kw_only=True)
class Slider:
    """A number between two others."""

    kind: Literal["slider"] = field(default="slider", init=False)
    """What the page draws; fixed."""
    name: str = field(validator=instance_of(str))
    """What the bot knows it by, in the ``settings`` message."""
    label: str = field(validator=instance_of(str))
    """The words beside it on the page."""
    value: int
    """Where it stands at the start."""
    least: int = 0
    """Its left end."""
    most: int = 100
    """Its right end."""
    step: int = field(default=1, validator=ge(1))
    """The distance between two places."""
    unit: str = ""
    """The words behind the number, such as ``ms``."""


@documented
@final
@frozen(kw_only=True)
class Switch:
    """On or off."""

    kind: Literal["switch"] = field(default="switch", init=False)
    """What the page draws; fixed."""
    name: str = field(validator=instance_of(str))
    """What the bot knows it by, in the ``settings`` message."""
    label: str = field(validator=instance_of(str))
    """The words beside it on the page."""
    value: bool = False
    """Whether it is on at the start."""


Control: TypeAlias = Choice | Slider | Switch


def described(controls: Sequence[Control]) -> list[JSONValue]:
    """The controls as the page reads them."""
    return [asdict(control) for control in controls]
