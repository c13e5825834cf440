"""Any bytes at a server's port: it goes on serving, says nothing of an error, and ends when told to."""

import pytest

from tests.fuzz.catalogue import TARGETS
from tests.fuzz.loop import Search, told
from tests.fuzz.target import Target

INPUTS = 15
PORTS = [target for target in TARGETS.values() if target.is_port]


@pytest.mark.parametrize("target", PORTS, ids=lambda target: target.name)
def test_any_bytes_are_taken(target: Target) -> None:
    """What is kept from longer searches, and what one seed makes of it."""
    search = Search(target)
    search.run(inputs=INPUTS)
    assert not search.found, told(list(search.found.values()))
    assert len(search.coverage.seen) > 300
