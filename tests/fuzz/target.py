"""What can be fuzzed: something that takes any bytes, and says by an exception when it took them wrongly."""

from collections.abc import Callable, Sequence

from attrs import frozen


class Finding(AssertionError):
    """An input was not taken as it must be."""


@frozen(kw_only=True)
class Target:
    """``feed`` returns for any bytes at all; whatever it raises is a finding."""

    name: str
    feed: Callable[[bytes], None]
    seeds: Callable[[], Sequence[bytes]]
    """Inputs that get far, to begin with."""
    max_bytes: int = 2048
    """How long an input is at most."""
    max_lines: int = 30_000
    """How many lines of the library an input may take: a bound of time that does not depend on the machine."""
    is_port: bool = False
    """It opens sockets."""
