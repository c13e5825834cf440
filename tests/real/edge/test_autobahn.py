"""What Autobahn's fuzzing client found when it was run last, and what the documents say of that.

The client itself is for Python 2.7 and is run by hand: ``python -m tests.real.edge.autobahn WSTEST``.
"""

import re

import pytest

from tests.readme import GUIDES, README
from tests.real.edge.autobahn import FAILED, GOOD, HEAD, PRINTED, row
from tests.real.edge.matrix import columns_in
from tests.real.hosting import WAYS_IN

_SAID = {
    "README.md": r"of (\d+) of Autobahn's cases [^|]{,100}, (\w+) failed",
    "deploying.md": r"(\d+) cases on each of trio-websocket, [^|]{,100}, and (\w+) failed \(`",
}


def numbers() -> dict[str, dict[str, int]]:
    """Each column of the table, by server."""
    columns = columns_in(PRINTED.read_text(encoding="utf-8"))
    return {name: {server: int(cell) for server, cell in column.items()} for name, column in columns.items()}


def test_what_was_printed_is_of_every_way_in() -> None:
    """All of them had the same cases, and each case is counted once."""
    lines = PRINTED.read_text(encoding="utf-8").splitlines()
    assert tuple(lines[:2]) == HEAD
    columns = numbers()
    assert tuple(columns["cases"]) == WAYS_IN
    assert len(set(columns["cases"].values())) == 1
    for server, count in columns["cases"].items():
        assert sum(columns[name][server] for name in (*GOOD, FAILED)) == count


@pytest.mark.parametrize("name", _SAID)
def test_the_documents_say_what_was_printed(name: str) -> None:
    """How many cases there were, and how many failed."""
    (text,) = (path.read_text(encoding="utf-8") for path in (README, *GUIDES) if path.name == name)
    columns = numbers()
    (count,) = set(columns["cases"].values())
    failed = sum(columns[FAILED].values())
    assert re.findall(_SAID[name], text) == [(str(count), str(failed or "none"))]


def test_a_row_counts_each_case_once() -> None:
    """By what came of it; as failed where its closing went wrong, or where it is of no kind that is good."""
    kinds = [
        ("OK", "OK"),
        ("OK", "OK"),
        ("NON-STRICT", "INFORMATIONAL"),
        ("INFORMATIONAL", "OK"),
        ("OK", "FAILED"),
        ("FAILED", "OK"),
        ("UNIMPLEMENTED", "OK"),
    ]
    report = {f"1.{at}": {"behavior": kind, "behaviorClose": close} for at, (kind, close) in enumerate(kinds)}
    assert row("one", report, 4) == "| one | 7 | 2 | 1 | 1 | 3 | 4 |"
    assert row("none", {}, 0) == "| none | 0 | 0 | 0 | 0 | 0 | 0 |"
