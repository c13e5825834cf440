"""What a server listens on, with the sockets played by the test."""

import errno
import os
import socket
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from attrs import define, field

from trio_transports.wire.accepting import listening
from trio_transports.wire.accepting.listening import cannot_listen, open_listeners


@define(eq=False)
class Listener:
    host: str
    port: int
    number: int
    is_closed: bool = False

    @property
    def socket(self) -> Any:  # noqa: ANN401
        return SimpleNamespace(getsockname=lambda: (self.host, self.port, 0, 0), fileno=lambda: self.number)

    async def aclose(self) -> None:
        self.is_closed = True
        await trio.lowlevel.checkpoint()


@define(eq=False)
class Machine:
    """One with these addresses; ``fails`` says with what opening the n-th socket does."""

    monkeypatch: pytest.MonkeyPatch
    hosts: tuple[str, ...]
    fails: dict[int, OSError] = field(factory=dict)
    opened: list[Listener] = field(factory=list)
    asked: list[tuple[str, int]] = field(factory=list)
    room: list[int] = field(factory=list)
    """The descriptors that room was made by."""

    def __attrs_post_init__(self) -> None:
        self.monkeypatch.setattr(listening, "_addresses", self._addresses)
        self.monkeypatch.setattr(listening, "make_room", self.room.append)
        self.monkeypatch.setattr(trio, "open_tcp_listeners", self._open)

    async def _addresses(self, host: str | None, port: int) -> list[str]:
        await trio.lowlevel.checkpoint()
        return list(self.hosts)

    async def _open(self, port: int, *, host: str) -> list[Listener]:
        await trio.lowlevel.checkpoint()
        self.asked.append((host, port))
        if error := self.fails.get(len(self.asked)):
            raise error
        number = len(self.asked)
        self.opened.append(Listener(host, port or 50_000 + number, number))
        return [self.opened[-1]]

    @property
    def left_open(self) -> int:
        return sum(not each.is_closed for each in self.opened)


def taken() -> OSError:
    return OSError(errno.EADDRINUSE, "taken")


@pytest.mark.parametrize("hosts", [("127.0.0.1",), ("127.0.0.1", "::1")])
@pytest.mark.parametrize("port", [0, 8000])
async def test_all_addresses_have_one_port(hosts: tuple[str, ...], port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that was asked for, or the first one's free one; and room is made once, by the first descriptor."""
    machine = Machine(monkeypatch, hosts)
    listeners = await open_listeners("localhost", port)
    assert [each.socket.getsockname()[:2] for each in listeners] == [(host, port or 50_001) for host in hosts]
    assert machine.room == [1]


@pytest.mark.parametrize("port", [-1, 65536, 8000.0, "8000", True, None])
async def test_a_port_that_cannot_be_is_refused(port: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is opened; the last one that can be is opened."""
    machine = Machine(monkeypatch, ("127.0.0.1",))
    with pytest.raises(ValueError, match="port must be a whole number from 0"):
        await open_listeners("localhost", port)  # type: ignore[arg-type]
    assert machine.asked == []
    await open_listeners("localhost", 65535)
    assert machine.asked == [("127.0.0.1", 65535)]


@pytest.mark.parametrize("hosts", [("0.0.0.0",), ("0.0.0.0", "::")])
async def test_every_interface_is_told(
    hosts: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With the port, however many addresses that is; a host that was named is not."""
    for host, told in ((None, 1), ("localhost", 0)):
        caplog.clear()
        Machine(monkeypatch, hosts)
        await open_listeners(host, 0)
        assert sum("every interface, port 50001:" in record.message for record in caplog.records) == told


@pytest.mark.parametrize("losses", [1, 7])
async def test_a_free_port_is_looked_for_again(losses: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the second address has no room at the first one's port; what was opened is closed meanwhile."""
    machine = Machine(monkeypatch, ("127.0.0.1", "::1"), {2 * turn: taken() for turn in range(1, losses + 1)})
    listeners = await open_listeners("localhost", 0)
    assert len(listeners) == machine.left_open == 2
    assert len(machine.asked) == 2 * losses + 2
    assert len({each.socket.getsockname()[1] for each in listeners}) == 1


async def test_it_is_given_up_at_the_eighth_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the port that was wanted last."""
    machine = Machine(monkeypatch, ("127.0.0.1", "::1"), {2 * turn: taken() for turn in range(1, 20)})
    with pytest.raises(OSError, match=r"\[::1\]:50015 is taken"):
        await open_listeners("localhost", 0)
    assert (len(machine.asked), machine.left_open, machine.room) == (16, 0, [])


@pytest.mark.parametrize(
    ("port", "at", "error"),
    [
        (8000, 2, taken()),  # it was asked for
        (0, 1, taken()),  # not for the port of another
        (0, 2, OSError(errno.EADDRNOTAVAIL, "no such address")),  # would be the same again
    ],
)
async def test_what_would_be_the_same_again_is_told_at_once(
    port: int, at: int, error: OSError, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing is left open."""
    machine = Machine(monkeypatch, ("127.0.0.1", "::1"), {at: error})
    with pytest.raises(OSError, match=r"127\.0\.0\.1|::1") as caught:
        await open_listeners("localhost", port)
    assert caught.value.errno == error.errno
    assert (len(machine.asked), machine.left_open) == (at, 0)


async def test_a_host_without_addresses_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    async def addresses(host: str | None, port: int) -> list[str]:
        await trio.lowlevel.checkpoint()
        raise socket.gaierror(socket.EAI_NONAME, "not known")

    monkeypatch.setattr(listening, "_addresses", addresses)
    with pytest.raises(socket.gaierror, match="the host 'nowhere' is not known: not known") as caught:
        await open_listeners("nowhere", 8000)
    assert caught.value.errno == socket.EAI_NONAME


@pytest.mark.parametrize(
    ("error", "host", "number", "said"),
    [
        (taken(), "127.0.0.1", errno.EADDRINUSE, "127.0.0.1:80 is taken: stop what listens there"),
        (OSError(errno.EACCES, ""), "::1", errno.EACCES, "[::1]:80 is not allowed: choose a port above 1023"),
        (OSError(errno.EIO, ""), "a", errno.EIO, f"a:80 cannot be listened on: {os.strerror(errno.EIO)}"),
        (OSError("no number"), "a", 0, f"a:80 cannot be listened on: {os.strerror(0)}"),
    ],
)
def test_what_keeps_from_listening_is_told(error: OSError, host: str, number: int, said: str) -> None:
    """The address, and what to do."""
    told = cannot_listen(error, host, 80)
    assert told.errno == number
    assert str(told.strerror).startswith(said)


@pytest.mark.parametrize(("has_ipv6", "hosts"), [(True, ["127.0.0.1", "::1"]), (False, ["127.0.0.1"])])
async def test_each_address_of_a_name_once(has_ipv6: bool, hosts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that this machine can have."""

    async def getaddrinfo(host: str | None, port: int, **how: object) -> list[Any]:
        await trio.lowlevel.checkpoint()
        assert (host, port) == ("localhost", 8000)
        assert how == {"type": socket.SOCK_STREAM, "flags": socket.AI_PASSIVE}
        found = ("127.0.0.1", 8000), ("::1", 8000, 0, 0), ("127.0.0.1", 8000)
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", address) for address in found]

    monkeypatch.setattr(trio.socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(socket, "has_ipv6", has_ipv6)
    assert await listening._addresses("localhost", 8000) == hosts
