"""From an address to a connection, with the network played by the test."""

import errno
import os
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
import trustme

from tests.wire.lines import Line, lines
from trio_transports import TransportError
from trio_transports.testing import memory_wire_pair
from trio_transports.wire import Wire
from trio_transports.wire.dialling import Address, Dialler, dial
from trio_transports.wire.settings import WireSettings

PLAIN, SECURE = Address.parse("ws://localhost:8765/call?token=t"), Address.parse("wss://localhost/call")


def answered(monkeypatch: pytest.MonkeyPatch, with_: Line | BaseException) -> list[tuple[str, int]]:
    """Where TCP connects to, from now on, is noted, and answered so."""
    dialled: list[tuple[str, int]] = []

    async def open_tcp_stream(host: str, port: int) -> Line:
        await trio.lowlevel.checkpoint()
        dialled.append((host, port))
        if isinstance(with_, BaseException):
            raise with_
        return with_

    monkeypatch.setattr(trio, "open_tcp_stream", open_tcp_stream)
    return dialled


def failed_by(*causes: Exception) -> OSError:
    """As trio says it: an error for all addresses, with the one of each as its cause."""
    error = OSError("all attempts to connect failed")
    error.__cause__ = ExceptionGroup("attempts", causes) if len(causes) > 1 else causes[0] if causes else None
    return error


REFUSED, UNREACHABLE = OSError(errno.ECONNREFUSED, "refused"), OSError(errno.ENETUNREACH, "unreachable")


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (failed_by(REFUSED), f"{os.strerror(errno.ECONNREFUSED)}: nothing listens on that port"),
        (failed_by(REFUSED, UNREACHABLE), os.strerror(errno.ENETUNREACH)),
        (UNREACHABLE, os.strerror(errno.ENETUNREACH)),
        (OSError(1, "may not"), os.strerror(1)),
        (socket.gaierror(socket.EAI_NONAME, "no such name"), "no such name"),
        (socket.gaierror(socket.EAI_NONAME), str(socket.gaierror(socket.EAI_NONAME))),
        (failed_by(), "all attempts to connect failed"),
        (failed_by(ValueError("no error of the system's")), "all attempts to connect failed"),
    ],
)
async def test_what_kept_it_from_connecting_is_told(error: OSError, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the system's words, of the last address that was tried; and with whom, but without the query."""
    answered(monkeypatch, error)
    with pytest.raises(TransportError) as caught:
        await dial(PLAIN, None)
    assert str(caught.value) == f"cannot connect to ws://localhost:8765/call?...: {why}"


async def test_a_plain_address_is_dialled_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    near, _ = lines()
    dialled = answered(monkeypatch, near)
    stream: Any = await dial(PLAIN, None)
    assert stream is near
    assert dialled == [("localhost", 8765)]


async def answer_tls(far: Line, authority: trustme.CA) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    server: trio.SSLStream[Any] = trio.SSLStream(far, context, server_side=True, https_compatible=True)
    try:
        await server.do_handshake()
        await server.send_all(b"hello")
        await server.receive_some()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return


@pytest.mark.parametrize("is_given", [True, False])
async def test_a_secure_address_is_dialled_with_tls(is_given: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the context that is given, or by one that trusts who the system trusts; and the handshake is done then."""
    authority = trustme.CA()
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    monkeypatch.setattr(ssl, "create_default_context", lambda: pytest.fail("one is given") if is_given else trusting)
    near, far = lines()
    dialled = answered(monkeypatch, near)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer_tls, far, authority)
        stream = await dial(SECURE, trusting if is_given else None)
        assert isinstance(stream, trio.SSLStream)
        assert stream.cipher() is not None
        assert await stream.receive_some() == b"hello"
        await stream.aclose()
    assert dialled == [("localhost", 443)]
    assert near.is_closed


async def test_a_server_that_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Is told of, and left."""
    near, far = lines()
    answered(monkeypatch, near)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer_tls, far, trustme.CA())
        with pytest.raises(TransportError, match=r"cannot agree on TLS with wss://localhost/call: .*CERTIFICATE"):
            await dial(SECURE, ssl.create_default_context())
        assert near.is_closed


async def test_a_server_that_goes_amid_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    near, far = lines()
    answered(monkeypatch, near)
    await far.aclose()
    with pytest.raises(TransportError, match="cannot agree on TLS with wss://localhost/call"):
        await dial(SECURE, ssl.create_default_context())
    assert near.is_closed


async def test_a_dial_that_is_given_up_amid_tls_leaves_nothing_open(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    near, _ = lines()
    answered(monkeypatch, near)
    with trio.move_on_after(3) as limit:
        await dial(SECURE, ssl.create_default_context())
    assert limit.cancelled_caught
    assert near.is_closed


async def stand_still(lag_s: float) -> None:
    """The last is read, and meanwhile so much time has passed: a deadline in it is told, and cuts nothing off."""
    clock: Any = trio.lowlevel.current_clock()
    clock.jump(lag_s)
    await trio.lowlevel.cancel_shielded_checkpoint()


class Engine:
    """Takes so long to upgrade."""

    def __init__(self, takes_s: float, *, lag_s: float = 0.0) -> None:
        self.takes_s, self.lag_s = takes_s, lag_s
        self.asked: dict[str, object] = {}

    @asynccontextmanager
    async def connect(self, stream: object, **asked: object) -> AsyncIterator[Wire]:
        self.asked = {"stream": stream, **asked}
        await trio.sleep(self.takes_s)
        await stand_still(self.lag_s)
        yield memory_wire_pair()[0]


async def test_the_time_limit_is_for_connecting(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """Past it that is an error that names it; a connection that came about in time lasts as long as it is used."""
    near, _ = lines()
    answered(monkeypatch, near)
    settings = WireSettings()

    def dialler(engine: Any) -> Dialler:  # noqa: ANN401 - as much of one as is used
        return Dialler(
            address=PLAIN,
            engine=engine,
            settings=settings,
            connect_timeout_s=5.0,
            headers=(("X-Token", "t"),),
            subprotocols=("a", "b"),
        )

    engine = Engine(takes_s=4.0)
    async with dialler(engine).connect():
        await trio.sleep(100)
    assert engine.asked == {
        "stream": near,
        "url": "ws://localhost:8765/call?...",
        "host": "localhost:8765",
        "resource": "/call?token=t",
        "headers": (("X-Token", "t"),),
        "subprotocols": ("a", "b"),
        "settings": settings,
    }
    for late in (Engine(takes_s=6.0), Engine(takes_s=4.0, lag_s=1.0)):
        began_s = trio.current_time()
        with pytest.raises(TransportError, match=r"no connection to .* within connect_timeout \(5 s\)"):
            async with dialler(late).connect():
                pytest.fail("it must not be in use")
        assert trio.current_time() == began_s + 5
