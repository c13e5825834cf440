"""Room for descriptors, with the system's calls played by the test."""

import errno
import fcntl
import os
import resource
import sys

import pytest

from trio_transports.wire.accepting.descriptors import MAX_ROOM, make_room


def calls(monkeypatch: pytest.MonkeyPatch, limit: int, error: OSError | None = None) -> list[object]:
    done: list[object] = []

    def duplicate(descriptor: int, what: int, least: int) -> int:
        assert what == fcntl.F_DUPFD_CLOEXEC
        done.append((descriptor, least))
        if error is not None:
            raise error
        return 4711

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    monkeypatch.setattr(fcntl, "fcntl", duplicate)
    monkeypatch.setattr(os, "close", done.append)
    return done


@pytest.mark.parametrize(
    ("limit", "last"), [(1024, 1023), (MAX_ROOM, MAX_ROOM - 1), (MAX_ROOM + 1, MAX_ROOM - 1), (1 << 20, MAX_ROOM - 1)]
)
def test_the_last_one_that_may_be_is_opened_once(limit: int, last: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """And closed again: the table has grown."""
    done = calls(monkeypatch, limit)
    make_room(7)
    assert done == [(7, last), 4711]


def test_without_memory_for_it_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    done = calls(monkeypatch, 1024, OSError(errno.EMFILE, "in use"))
    make_room(7)
    assert done == [(7, 1023)]


def test_other_systems_have_no_such_table(monkeypatch: pytest.MonkeyPatch) -> None:
    done = calls(monkeypatch, 1024)
    monkeypatch.setattr(sys, "platform", "darwin")
    make_room(7)
    assert done == []
