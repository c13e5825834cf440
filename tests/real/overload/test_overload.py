"""Twice the calls that a server can carry: audio is dropped and counted, and control and close still work."""

from xml.etree import ElementTree

from tests.real.overload.__main__ import plot
from tests.real.overload.loading import measure
from tests.real.overload.server import CAPACITY


async def test_twice_the_capacity() -> None:
    """Every call is closed in good order and every one's messages are answered; what is lost is the oldest audio."""
    at = await measure(2.0, 4.0)
    assert (at.closed_well, at.calls) == (2 * CAPACITY, 2 * CAPACITY)
    assert at.lost > 0.05, "more came than it could work on, and it is counted"
    assert at.control_ms > 0, "messages were answered"
    assert ElementTree.fromstring(plot([at, at])) is not None
