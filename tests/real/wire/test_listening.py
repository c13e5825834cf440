"""Listening sockets, and what keeps a server from having one."""

import errno
import os
import resource
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import trio

from trio_transports.wire.accepting.listening import accept_from, listener_address, open_listeners


async def test_a_port_that_is_taken_is_named() -> None:
    """The error says which address and what to do, each time, and leaves nothing open."""
    (listener,) = await open_listeners("127.0.0.1", 0)
    async with listener:
        _, port = listener_address(listener)
        for _ in range(2):
            with pytest.raises(OSError, match=rf"127\.0\.0\.1:{port} is taken: .*another port") as caught:
                await open_listeners("127.0.0.1", port)
            assert caught.value.errno == errno.EADDRINUSE


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("192.0.2.1", r"192\.0\.2\.1:0 is not an address of this machine"),
        ("no.such.host.invalid", r"the host 'no\.such\.host\.invalid' is not known"),
    ],
)
async def test_a_host_that_cannot_be(host: str, why: str) -> None:
    """It is named, with what to do."""
    with pytest.raises(OSError, match=why):
        await open_listeners(host, 0)


@pytest.mark.parametrize("port", [-1, 65536, 8765.0, "8765", True])
async def test_a_port_that_cannot_be(port: object) -> None:
    """It is refused before anything is opened."""
    with pytest.raises(ValueError, match=r"port must be a whole number from 0 .* to 65535"):
        await open_listeners("127.0.0.1", port)  # type: ignore[arg-type]


async def test_every_interface_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """Host None listens everywhere, and the log says what that means; a host does not."""
    for host, told in ((None, 1), ("127.0.0.1", 0)):
        caplog.clear()
        listeners = await open_listeners(host, 0)
        for listener in listeners:
            await listener.aclose()
        assert sum("every interface" in record.message for record in caplog.records) == told


@contextmanager
def few_descriptors(spare: int) -> Iterator[None]:
    """So few that ``spare`` more can be opened."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    probe = os.dup(0)
    os.close(probe)
    resource.setrlimit(resource.RLIMIT_NOFILE, (probe + spare, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def until(holds: Callable[[], bool]) -> None:
    for _ in range(200):
        if holds():
            return
        await trio.sleep(0.05)
    raise AssertionError("it did not come about in 10 s")


async def test_a_shortage_of_descriptors_is_outlived(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged once each time it happens, and whoever waits gets in when there are some again."""
    (listener,) = await open_listeners("127.0.0.1", 0)
    _, port = listener_address(listener)
    taken: list[trio.SocketStream] = []

    def shortages() -> int:
        return sum("no new caller" in record.message for record in caplog.records)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(accept_from, listener, taken.append)
        for round_number in range(1, 3):
            callers = [socket.socket() for _ in range(6)]
            with few_descriptors(3):
                for caller in callers:
                    caller.setblocking(False)
                    caller.connect_ex(("127.0.0.1", port))
                await until(lambda least=round_number: shortages() >= least)  # type: ignore[misc]
                await trio.sleep(0.35)
                assert len(taken) < 6
                assert shortages() == round_number
            await until(lambda: len(taken) == 6)
            for caller in callers:
                caller.close()
            for stream in taken:
                await stream.aclose()
            taken.clear()
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("taken", [1, 7, 8])
async def test_a_free_port_is_looked_for_a_few_times(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the second address has no room at the port of the first: eight tries, and nothing is left open of any."""
    open_tcp_listeners, seconds = trio.open_tcp_listeners, list[int]()

    async def addresses(host: str | None, port: int) -> list[str]:
        await trio.lowlevel.checkpoint()
        return ["127.0.0.1", "127.0.0.2"]

    async def crowded(port: int, *, host: str) -> list[trio.SocketListener]:
        if host == "127.0.0.2":
            seconds.append(port)
            if len(seconds) <= taken:
                raise OSError(errno.EADDRINUSE, "taken")
        return await open_tcp_listeners(port, host=host)

    monkeypatch.setattr("trio_transports.wire.accepting.listening._addresses", addresses)
    monkeypatch.setattr(trio, "open_tcp_listeners", crowded)
    if taken == 8:
        with pytest.raises(OSError, match="is taken"):
            await open_listeners("localhost", 0)
        assert len(seconds) == 8
        return
    first, second = await open_listeners("localhost", 0)
    async with first, second:
        assert listener_address(first)[1] == listener_address(second)[1] == seconds[-1]
    assert len(seconds) == taken + 1
