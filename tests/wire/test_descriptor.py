"""A connection's descriptor, with the socket played by the test: how it ends, and who is told."""

import socket
from typing import Any

import pytest
import trio
from attrs import define, field

from trio_transports.wire.descriptor import Descriptor


@define(eq=False)
class Socket:
    done: list[object] = field(factory=list)
    fails_with: Exception | None = None

    def shutdown(self, how: int) -> None:
        self.done.append(("shut", how))
        if self.fails_with is not None:
            raise self.fails_with

    def setsockopt(self, *what: object) -> None:
        self.done.append(("set", *what[:2]))
        if self.fails_with is not None:
            raise self.fails_with

    def close(self) -> None:
        self.done.append("close")


@define(eq=False)
class Seat:
    left: int = 0

    def leave(self) -> None:
        self.left += 1

    def alarm_s(self, due_s: float) -> float:
        return due_s - 1


@define(eq=False)
class Wakes:
    taken: list[int] = field(factory=list)

    def seat(self, number: int) -> Seat:
        self.taken.append(number)
        return Seat()


RESET = ("set", socket.SOL_SOCKET, socket.SO_LINGER)


def made(number: int | None = 7, **given: Any) -> tuple[Descriptor, Any, list[str]]:  # noqa: ANN401
    sock: Any = Socket(**given)
    told: list[str] = []
    descriptor = Descriptor(sock, number)
    descriptor.on_end = lambda: told.append("end")
    return descriptor, sock, told


@pytest.mark.parametrize(("number", "after"), [(7, -1), (None, None)])
def test_closing_is_told_once(number: int | None, after: int | None) -> None:
    """However often it is closed; its number is nobody's then."""
    descriptor, sock, told = made(number)
    for _ in range(2):
        descriptor.close()
        assert (descriptor.is_closed, descriptor.number, told) == (True, after, ["end"])
    descriptor.end()
    assert told == ["end"]
    assert set(sock.done) == {"close"}


def test_an_end_that_nobody_waits_for() -> None:
    descriptor, _, told = made()
    descriptor.on_end = None
    descriptor.end()
    descriptor.on_end = lambda: told.append("end")
    descriptor.close()
    assert told == []


@pytest.mark.parametrize("fails_with", [None, OSError("it has gone")])
@pytest.mark.parametrize(("is_writing", "done"), [(True, [RESET, "close"]), (False, ["close"])])
def test_a_connection_with_a_stuck_write_is_reset(
    is_writing: bool, done: list[object], fails_with: Exception | None
) -> None:
    """What the kernel says to that is not asked."""
    descriptor, sock, told = made(fails_with=fails_with)
    descriptor.is_writing = is_writing
    descriptor.abort()
    assert (sock.done, told, descriptor.is_closed) == (done, ["end"], True)


@pytest.mark.parametrize("fails_with", [None, OSError("not connected"), trio.ClosedResourceError("closed")])
def test_one_direction_is_ended(fails_with: Exception | None) -> None:
    """Where both have ended that is nothing; and it is not the connection's end."""
    descriptor, sock, told = made(fails_with=fails_with)
    descriptor.shut(socket.SHUT_WR)
    assert (sock.done, told, descriptor.is_closed) == ([("shut", socket.SHUT_WR)], [], False)


def test_a_seat_is_taken_and_left() -> None:
    """By a plain connection that is open; its alarms are the seat's then."""
    for number, is_closed, taken in ((7, False, [7]), (None, False, []), (7, True, [])):
        descriptor, _, _ = made(number)
        wakes: Any = Wakes()
        assert descriptor.alarm_s(5) == 5
        if is_closed:
            descriptor.close()
        descriptor.take_seat(wakes)
        assert wakes.taken == taken
        seat: Any = descriptor.seat
        assert (seat is not None) is bool(taken)
        assert descriptor.alarm_s(5) == (4 if taken else 5)
        descriptor.close()
        assert seat is None or seat.left == 1
