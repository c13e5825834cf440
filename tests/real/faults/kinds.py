"""Every kind of fault, drawn by chance: which way, after how many bytes, how bad."""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Final, TypeAlias

from trio_transports.testing.faults import (
    Bandwidth,
    Coalesce,
    Corrupt,
    Delay,
    Direction,
    Fault,
    HalfClose,
    Reset,
    Split,
    Stall,
)

Draw: TypeAlias = Callable[[Random], Sequence[Fault]]

DROP: Final = "drop and come back"
CORRUPT: Final = "corrupt"
HARMLESS: Final = frozenset({"none", "delay", "jitter", "bandwidth", "split at every byte", "coalesce"})
"""What loses nothing: a call comes through it whole."""
SLOW: Final = frozenset({"bandwidth", "split at every byte"})
"""Of those: what may pass less than is said, so that who does not wait for ever leaves before all has come."""


def _way(random: Random) -> Direction:
    return random.choice(("up", "down", "both"))


def _place(random: Random) -> int:
    """In the handshake, in the first messages, or in the middle of the call."""
    return random.choice((random.randrange(200), random.randrange(2000), random.randrange(6000)))


KINDS: Final[Mapping[str, Draw]] = {
    "delay": lambda random: [Delay(delay_s=random.uniform(0.01, 0.1), direction=_way(random))],
    "jitter": lambda random: [Delay(delay_s=0.01, jitter_s=random.uniform(0.01, 0.08), direction=_way(random))],
    "bandwidth": lambda random: [Bandwidth(bytes_per_s=random.uniform(40_000, 200_000), direction=_way(random))],
    "split at every byte": lambda random: [Split(direction=random.choice(("up", "down")))],
    "coalesce": lambda random: [Coalesce(for_s=random.uniform(0.02, 0.1), direction=_way(random))],
    "one-way stall": lambda random: [Stall(after_bytes=_place(random), direction=random.choice(("up", "down")))],
    "passing stall": lambda random: [
        Stall(after_bytes=_place(random), for_s=random.uniform(0.05, 0.4), direction=_way(random))
    ],
    "reset": lambda random: [Reset(after_bytes=_place(random), direction=random.choice(("up", "down")))],
    "half-close": lambda random: [HalfClose(after_bytes=_place(random), direction=random.choice(("up", "down")))],
    CORRUPT: lambda random: [
        Corrupt(every_bytes=random.uniform(100, 3000), after_bytes=_place(random), direction=_way(random))
    ],
    DROP: lambda random: [],
}
