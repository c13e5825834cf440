"""What can go wrong on the way: one small value for each fault.

``direction`` says which way it strikes: ``"up"`` is from the client to the server, ``"down"`` back, ``"both"`` each way
by itself. A fault ``after_bytes`` strikes when that many bytes have passed in its direction, not before. Where they are
counted in bytes, faults strike at the same place of the stream each time, however the kernel cuts it.
"""

from collections.abc import Iterable
from math import inf
from typing import Final, Literal, TypeAlias, final, get_args

from attrs import Attribute, field, frozen

from ..._documented import documented
from ...params import checks

Direction: TypeAlias = Literal["up", "down", "both"]
"""Which way a fault works."""

_direction = checks.one_of("up", "down", "both")
_seconds = checks.number(least=0)
_bytes = checks.number(least=0, whole=True)


def _lasting(instance: object, attribute: "Attribute[float]", value: float) -> None:
    if value != inf:  # for ever
        checks.number(above=0)(instance, attribute, value)


@documented
@final
@frozen(kw_only=True)
class Delay:
    """Every byte arrives ``delay_s`` later, and up to ``jitter_s`` more; order is kept, as TCP keeps it."""

    delay_s: float = field(validator=_seconds)
    """Seconds by which every byte is late."""
    jitter_s: float = field(default=0.0, validator=_seconds)
    """Seconds that chance adds at most."""
    direction: Direction = field(default="both", validator=_direction)
    """Which way it works: ``up`` to the server, ``down`` to the client, or ``both``."""


@documented
@final
@frozen(kw_only=True)
class Bandwidth:
    """No more than ``bytes_per_s`` pass."""

    bytes_per_s: float = field(validator=checks.number(above=0))
    """How many bytes pass each second."""
    direction: Direction = field(default="both", validator=_direction)
    """Which way it works: ``up`` to the server, ``down`` to the client, or ``both``."""


@documented
@final
@frozen(kw_only=True)
class Split:
    """What was written at once arrives in pieces of 1 to ``max_bytes`` bytes, each in a segment of its own."""

    max_bytes: int = field(default=1, validator=checks.number(least=1, whole=True))
    """How long a piece is at most, in bytes."""
    direction: Direction = field(default="both", validator=_direction)
    """Which way it works: ``up`` to the server, ``down`` to the client, or ``both``."""


@documented
@final
@frozen(kw_only=True)
class Coalesce:
    """What was written over ``for_s`` seconds arrives at once."""

    for_s: float = field(validator=checks.number(above=0))
    """Seconds for which bytes are gathered."""
    direction: Direction = field(default="both", validator=_direction)
    """Which way it works: ``up`` to the server, ``down`` to the client, or ``both``."""


@documented
@final
@frozen(kw_only=True)
class Corrupt:
    """About one bit in each ``every_bytes`` bytes arrives flipped, none before ``after_bytes``."""

    every_bytes: float = field(validator=checks.number(above=0))
    """In how many bytes one bit is flipped, on average."""
    after_bytes: int = field(default=0, validator=_bytes)
    """How many bytes arrive whole before: the handshake, for one."""
    direction: Direction = field(default="both", validator=_direction)
    """Which way it works: ``up`` to the server, ``down`` to the client, or ``both``."""


@documented
@final
@frozen(kw_only=True)
class Stall:
    """Nothing passes for ``for_s`` seconds, for ever by default; the other direction goes on."""

    after_bytes: int = field(default=0, validator=_bytes)
    """How many bytes pass before."""
    for_s: float = field(default=inf, validator=_lasting)
    """How many seconds it lasts."""
    direction: Direction = field(default="both", validator=_direction)
    """Which way it works: ``up`` to the server, ``down`` to the client, or ``both``."""


@documented
@final
@frozen(kw_only=True)
class Reset:
    """Both sides see the connection reset."""

    after_bytes: int = field(default=0, validator=_bytes)
    """How many bytes pass before."""
    direction: Direction = field(default="both", validator=_direction)
    """Which way it works: ``up`` to the server, ``down`` to the client, or ``both``."""


@documented
@final
@frozen(kw_only=True)
class HalfClose:
    """This direction ends, with a FIN; the other goes on."""

    after_bytes: int = field(default=0, validator=_bytes)
    """How many bytes pass before."""
    direction: Direction = field(default="both", validator=_direction)
    """Which way it works: ``up`` to the server, ``down`` to the client, or ``both``."""


Fault: TypeAlias = Delay | Bandwidth | Split | Coalesce | Corrupt | Stall | Reset | HalfClose
"""One thing that a network does to a connection."""

KINDS: Final = get_args(Fault)


def checked(faults: object) -> tuple[Fault, ...]:
    """Give those faults, or TypeError: what else was given, and what to give."""
    if not isinstance(faults, Iterable) or isinstance(faults, str | bytes):
        raise TypeError(f"faults must be a list of faults, or a function that gives one, not {faults!r}")
    found = tuple(faults)
    for each in found:
        if not isinstance(each, KINDS):
            names = ", ".join(kind.__name__ for kind in KINDS)
            raise TypeError(f"{each!r} is no fault: make one of {names}, as in Delay(delay_s=0.05)")
    return found
