"""Who is told that a write has failed: whoever wrote, or the reader alone."""

import socket
from typing import Any

import pytest
from attrs import define, field

from trio_transports.wire.writes import Writes


@define(eq=False)
class Descriptor:
    number: int | None = 7
    is_closed: bool = False
    shut_down: list[int] = field(factory=list)

    def shut(self, how: int) -> None:
        self.shut_down.append(how)


@pytest.mark.parametrize(
    ("number", "is_closed", "tells_by_reading", "is_left"),
    [(7, False, True, True), (7, False, False, False), (7, True, True, False), (None, False, True, False)],
)
def test_a_failure_is_left_to_the_reader(
    number: int | None, is_closed: bool, tells_by_reading: bool, is_left: bool
) -> None:
    """On an open plain connection that tells it so; the reader then comes to an end, and later writes are silent."""
    descriptor: Any = Descriptor(number, is_closed)
    stream: Any = None
    writes = Writes(descriptor, stream)
    writes.tells_by_reading = tells_by_reading
    assert writes.leaves_it_to_the_reader() is is_left
    assert writes.has_failed is is_left
    assert descriptor.shut_down == ([socket.SHUT_RD] if is_left else [])
