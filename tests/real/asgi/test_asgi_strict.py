"""What ``serve_asgi`` does not take: slowness without end, HTTP/2 nobody asked for, requests with two meanings."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trustme

from tests.real.asgi.apps import WireApp, echo, lifespan, page, until
from tests.real.asgi.h2_peer import h2_peer
from tests.real.asgi.healthy import still_serves
from tests.real.asgi.hosts import H2C, hosted
from tests.real.asgi.raw_peer import KEY, TEXT, RawPeer, frame, raw_peer
from trio_transports.wire.asgi import Receive, Scope, Send

_KEY = b"Sec-WebSocket-Key: %s\r\n" % KEY.encode()
_VERSION = b"Sec-WebSocket-Version: 13\r\n"
_UPGRADE = b"Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
_GET = b"GET /ws HTTP/1.1\r\n"

_FAULTS = {
    "HTTP/1.0": (b"GET /ws HTTP/1.0\r\n" + _UPGRADE + _KEY + _VERSION, 400),
    "no key": (_GET + _UPGRADE + _VERSION, 400),
    "a short key": (_GET + _UPGRADE + b"Sec-WebSocket-Key: c2hvcnQ=\r\n" + _VERSION, 400),
    "a key that is no base64": (_GET + _UPGRADE + b"Sec-WebSocket-Key: $$$\r\n" + _VERSION, 400),
    "two keys": (_GET + _UPGRADE + _KEY + _KEY + _VERSION, 400),
    "two versions": (_GET + _UPGRADE + _KEY + _VERSION + b"Sec-WebSocket-Version: 8\r\n", 400),
    "another version": (_GET + _UPGRADE + _KEY + b"Sec-WebSocket-Version: 8\r\n", 426),
    "no version": (_GET + _UPGRADE + _KEY, 426),
    "a length and an encoding": (
        _GET + _UPGRADE + _KEY + _VERSION + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        400,
    ),
    "a body": (_GET + _UPGRADE + _KEY + _VERSION + b"Content-Length: 4\r\n", 400),
    "a chunked body": (_GET + _UPGRADE + _KEY + _VERSION + b"Transfer-Encoding: chunked\r\n", 400),
    "POST": (b"POST /ws HTTP/1.1\r\n" + _UPGRADE + _KEY + _VERSION, 405),
    "a page with two lengths": (
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        400,
    ),
    "HTTP/2's preface": (b"PRI * HTTP/2.0\r\n", 505),
}


@pytest.mark.parametrize("fault", _FAULTS)
async def test_a_request_with_a_fault_gets_a_status(fault: str) -> None:
    """Never 101 and never the app, but the status that says so, with a sentence; twice, and then somebody else."""
    request, status = _FAULTS[fault]
    app = WireApp(echo)
    async with hosted(app) as server:
        with trio.fail_after(30):
            for _ in range(2):
                async with raw_peer(server.port) as peer:
                    await peer.send(request + b"\r\n")
                    await peer.read_head()
                    assert peer.status == status
                    assert (await peer.read_rest()).endswith(b"\n")
            assert app.scopes == []
            await still_serves(server)
        assert server.log.errors == []


async def test_an_upgrade_to_h2c_is_ignored() -> None:
    """It is asked for beside HTTP/1.1, which the request is answered with."""
    request = (
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n"
        b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
    )
    async with hosted(WireApp(echo)) as server, raw_peer(server.port) as peer:
        with trio.fail_after(30):
            await peer.send(request)
            await peer.read_head()
            assert peer.status == 200
    async with hosted(WireApp(echo), limits=H2C) as server, raw_peer(server.port) as peer:
        with trio.fail_after(30):
            await peer.send(request)
            await peer.read_head()
            assert peer.status == 101


@pytest.fixture
def secure(tmp_path: Path) -> tuple[dict[str, str], ssl.SSLContext]:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    key, chain = tmp_path / "key.pem", tmp_path / "chain.pem"
    issued.private_key_pem.write_to_path(str(key))
    for part in issued.cert_chain_pems:
        part.write_to_path(str(chain), append=True)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return {"certfile": str(chain), "keyfile": str(key)}, client


@pytest.mark.parametrize("h2", [True, False])
async def test_h2_over_tls_has_a_switch(secure: tuple[dict[str, str], ssl.SSLContext], *, h2: bool) -> None:
    """A client that can do both gets HTTP/2, unless that is switched off."""
    tls, client_ssl = secure
    client_ssl.set_alpn_protocols(["h2", "http/1.1"])
    async with hosted(WireApp(echo), tls=tls, limits={"h2": h2}) as server:
        tcp = await trio.open_tcp_stream("127.0.0.1", server.port)
        async with trio.SSLStream(tcp, client_ssl, server_hostname="localhost", https_compatible=True) as stream:
            await stream.do_handshake()
            assert stream.selected_alpn_protocol() == ("h2" if h2 else "http/1.1")


async def test_a_silent_handshake_ends(secure: tuple[dict[str, str], ssl.SSLContext]) -> None:
    """Who opens a connection with TLS and says nothing is gone within header_timeout."""
    async with (
        hosted(WireApp(echo), tls=secure[0], limits={"header_timeout": 0.4}) as server,
        raw_peer(server.port) as peer,
    ):
        with trio.fail_after(30):
            await peer.wait_eof()


@asynccontextmanager
async def trickling(peer: RawPeer, data: bytes, every_s: float) -> AsyncIterator[None]:
    async def trickle() -> None:
        try:
            while True:
                await peer.send(data)
                await trio.sleep(every_s)
        except trio.BrokenResourceError:
            return

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trickle)
        yield
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("first", [True, False], ids=["at first", "after another request"])
async def test_slow_headers_end(*, first: bool) -> None:
    """A head that comes byte by byte is cut off after header_timeout, however long idle connections are kept."""
    limits = {"header_timeout": 2}
    began = trio.current_time()
    async with hosted(WireApp(echo), limits=limits, keep_alive_timeout=60) as server, raw_peer(server.port) as peer:
        with trio.fail_after(30):
            if not first:
                await peer.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                await peer.read_head()
                await trio.sleep(2.5)  # it may be idle for longer than that
                began = trio.current_time()
            await peer.send(b"GET / HTTP/1.1\r\nX-Slow: ")
            async with trickling(peer, b"x", 0.05):
                await peer.wait_eof()
            assert trio.current_time() - began > 1.9


class _Upload:
    """Takes what is posted, after a while."""

    def __init__(self, after_s: float = 0) -> None:
        self.got = 0
        self.heard = ""
        self._after_s = after_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await lifespan(receive, send)
        await trio.sleep(self._after_s)
        more = True
        while more:
            event = await receive()
            self.heard = event["type"]
            if self.heard == "http.disconnect":
                return
            self.got += len(event["body"])
            more = event["more_body"]
        await page(send, b"%d" % self.got)


_BODY = {"body_timeout": 0.5}


async def test_a_slow_body_ends() -> None:
    """A body that trickles is cut off, and the app hears of it."""
    app = _Upload()
    async with hosted(app, limits=_BODY) as server, raw_peer(server.port) as peer:
        with trio.fail_after(30):
            await peer.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
            async with trickling(peer, b"x", 0.05):
                await peer.wait_eof()
            await until(lambda: app.heard == "http.disconnect")


async def test_a_slow_body_on_http2_ends() -> None:
    """On HTTP/2 too."""
    app = _Upload()
    async with hosted(app, limits={**_BODY, **H2C}) as server, h2_peer(server.port) as peer:
        with trio.fail_after(30):
            slow = await peer.open("POST", "/", has_body=True)
            while not slow.is_over:
                await peer.send(slow, b"x")
                await trio.sleep(0.05)
                if peer.is_over:
                    break
            await until(lambda: app.heard == "http.disconnect")


async def test_a_long_upload_is_taken() -> None:
    """One that keeps coming takes as long as it takes."""
    app = _Upload()
    pieces, piece = 20, bytes(5000)
    async with hosted(app, limits=_BODY) as server, raw_peer(server.port) as peer:
        with trio.fail_after(20):
            head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (pieces * len(piece))
            for number in range(pieces):
                await peer.send(piece if number else head + piece)
                await trio.sleep(0.1)
            await peer.read_head()
            assert peer.status == 200
    assert app.got == pieces * len(piece)


async def test_an_app_that_takes_its_time_is_not_the_peers_fault() -> None:
    """While the app does not take what has come, the peer's time stands still."""
    app = _Upload(after_s=1.2)
    async with hosted(app, limits=_BODY) as server, raw_peer(server.port) as peer:
        with trio.fail_after(20):
            await peer.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n" + bytes(3_000_000))
            await peer.read_head()
            assert peer.status == 200


async def test_a_silent_websocket_is_left_alone() -> None:
    """These limits are for requests: a WebSocket may be silent."""
    limits = {"header_timeout": 2, "body_timeout": 0.2}
    async with hosted(WireApp(echo), limits=limits) as server, raw_peer(server.port) as peer:
        with trio.fail_after(30):
            await peer.upgrade()
            await trio.sleep(2.5)
            await peer.send(frame(TEXT, b"still here"))
            answer = await peer.read_frame()
            assert answer is not None
            assert answer.payload == b"still here"


async def test_an_address_has_so_many_connections() -> None:
    """A further one gets 429 before anything is read, twice; when one of the others has gone, the next is let in."""
    limits = {"max_connections_per_address": 2}
    async with hosted(WireApp(echo), limits=limits) as server, raw_peer(server.port) as one:
        with trio.fail_after(30):
            await one.upgrade()
            async with raw_peer(server.port) as other:
                await other.upgrade()
                for _ in range(2):
                    async with raw_peer(server.port) as third:
                        await third.upgrade()
                        assert third.status == 429
                        assert b"retry-after" in third.head.lower()
                await other.send(frame(TEXT, b"still here"))
                assert await other.read_frame() is not None
            while True:
                async with raw_peer(server.port) as next_one:
                    await next_one.upgrade()
                    if next_one.status == 101:
                        break
                await trio.sleep(0.05)
    with pytest.raises(BaseExceptionGroup) as refused:
        async with hosted(WireApp(echo), limits={"max_connections_per_address": 0}):
            pytest.fail("it was served")
    assert refused.group_contains(ValueError, match="max_connections_per_address must be 1 or more")


async def test_an_address_opens_so_many_connections_a_second() -> None:
    """A further one gets 429 and is told when to come again; it is let in then, and so it goes a second time."""
    async with hosted(WireApp(echo), limits={"max_handshakes_per_second": 2}) as server:
        with trio.fail_after(20):
            for _ in range(2):
                statuses: list[int] = []
                began = trio.current_time()
                while 429 not in statuses:
                    async with raw_peer(server.port) as peer:
                        await peer.upgrade()
                        statuses.append(peer.status)
                assert statuses[0] == 101
                assert 2 <= statuses.count(101) <= 2 + 2 * (trio.current_time() - began)
                await trio.sleep(1.1)
    for wrong in (0, -1, float("nan"), float("inf")):
        with pytest.raises(BaseExceptionGroup) as refused:
            async with hosted(WireApp(echo), limits={"max_handshakes_per_second": wrong}):
                pytest.fail("it was served")
        assert refused.group_contains(ValueError, match="max_handshakes_per_second must be above 0")


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_who_is_turned_away_takes_few_descriptors() -> None:
    """Of three hundred too many, no more than a hundred are answered at a time, and the others are closed at once."""
    async with (
        hosted(WireApp(echo), limits={"max_connections_per_address": 1}, backlog=1000) as server,
        raw_peer(server.port) as one,
    ):
        with trio.fail_after(60):
            await one.upgrade()
            before = open_descriptors()
            many = [await trio.open_tcp_stream("127.0.0.1", server.port) for _ in range(300)]
            await trio.sleep(0.3)
            held = open_descriptors() - before - len(many)
            assert held <= 110
            for each in many:
                await each.aclose()
            await one.send(frame(TEXT, b"still here"))
            assert await one.read_frame() is not None


@pytest.mark.parametrize("name", ["write_timeout", "header_timeout", "body_timeout"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
async def test_a_limit_of_nothing_is_refused(name: str, value: float) -> None:
    """The error names the parameter."""
    with pytest.raises(BaseExceptionGroup) as refused:
        async with hosted(WireApp(echo), limits={name: value}):
            pytest.fail("it was served")
    assert refused.group_contains(ValueError, match=f"{name} must be above 0")
