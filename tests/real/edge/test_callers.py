"""Whom a server counts, and by which address: TLS, HTTP/2, IPv6, Unix sockets, and callers that lie about theirs."""

import socket
import ssl
import struct
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest
import trio
import trustme
from h2.exceptions import ProtocolError

from tests.real.asgi.apps import AUDIO_MESSAGE, until
from tests.real.asgi.h2_peer import h2_peer
from tests.real.asgi.hosts import H2C, Hosted, hosted
from tests.real.asgi.raw_peer import TEXT, frame, raw_peer
from tests.real.edge.attacks import GOOD, Request, asking
from tests.real.edge.hosts import app, echo
from tests.real.session.places import server_params
from trio_transports import AsgiWebsocketParams, WebsocketServerTransport
from trio_transports.observe import ServerCounters
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.serve import bot_app
from trio_transports.wire.accepting.callers import Callers
from trio_transports.wire.accepting.callers import asking as asks
from trio_transports.wire.asgi import Receive, Scope, Send
from trio_transports.wire.engines import ENGINES

NOISE = bytes.fromhex("0fffff") + b"x" * 20_000
"""The first of a frame of a megabyte."""
FORGED = b"X-Forwarded-For: 203.0.113.%d\r\nForwarded: for=203.0.113.%d\r\nX-Real-IP: 203.0.113.%d\r\n"


class Counted:
    """An app, and what the server of it has counted."""

    def __init__(self) -> None:
        self._scope: Scope = {}
        self.let_go = trio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            self._scope = scope
        if scope.get("path") == "/stubborn":
            await self.let_go.wait()
        elif scope.get("path") == "/slow":
            while (await receive())["type"] != "http.disconnect":
                pass
        await app(scope, receive, send)

    @property
    def now(self) -> Callers:
        ask = asks(self._scope)
        assert ask is not None
        return ask()

    async def turned_away(self, expected: dict[str, int]) -> None:
        """Wait until that is what was counted: a server counts when it sees an end, not when the peer does."""
        await until(lambda: dict(self.now.turned_away) == expected)


async def statuses(address: str, asked: Sequence[bytes]) -> list[bytes]:
    """What each is answered, all connections being kept until the last one is."""
    got = []
    async with AsyncExitStack() as stack:
        for each in asked:
            if address.startswith("/"):
                stream = await stack.enter_async_context(await trio.open_unix_socket(address))
            else:
                host, _, port = address.rpartition(":")
                stream = await stack.enter_async_context(await trio.open_tcp_stream(host.strip("[]"), int(port)))
            await stream.send_all(each)
            got.append((await stream.receive_some(4000))[9:12])
    return got


def has_ipv6() -> bool:
    with suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False


IPV6 = pytest.param("::1", marks=pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1"))
ASKED: list[Request] = [asking(FORGED % (number, number, number)) for number in range(4)]


@pytest.mark.parametrize("host", ["127.0.0.1", IPV6])
@pytest.mark.parametrize("engine", ENGINES)
async def test_an_address_is_that_of_the_socket(engine: str, host: str) -> None:
    """Two connections from one address, whatever the headers claim; twice, and then it has places again."""
    transport = WebsocketServerTransport(server_params(max_connections_per_address=2), host=host, port=0, engine=engine)
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            ready = await nursery.start(transport.serve, echo)
            counters = ServerCounters(transport.callers)
            for turn in (1, 2):
                got = await statuses(f"{host}:{ready.port}", [each(b"/call") for each in ASKED])
                assert got == [b"101", b"101", b"429", b"429"]
                assert transport.callers().turned_away["limit"] == 2 * turn
                await until(lambda: not transport.callers().connections)
                figures = counters.figures()
                assert (figures.connections, figures.let_in, figures.turned_away["limit"]) == (0, 2 * turn, 2 * turn)
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("host", ["127.0.0.1", IPV6, "unix"])
async def test_an_address_is_that_of_the_socket_under_serve_asgi(host: str, tmp_path: Path) -> None:
    """The same; all callers on a Unix socket have one address, and are no trouble for having none."""
    counted = Counted()
    where = {"127.0.0.1": "127.0.0.1:0", "::1": "[::1]:0", "unix": f"unix:{tmp_path}/socket"}[host]
    with trio.fail_after(20):
        async with hosted(counted, limits={"max_connections_per_address": 2}, bind=[where]) as server:
            address = f"{tmp_path}/socket" if host == "unix" else f"{host}:{server.port}"
            for turn in (1, 2):
                got = await statuses(address, [each(b"/call") for each in ASKED])
                assert got == [b"101", b"101", b"429", b"429"]
                await counted.turned_away({"limit": 2 * turn})
                await until(lambda: not counted.now.connections)


@pytest.fixture
def secure(tmp_path: Path) -> dict[str, str]:
    issued = trustme.CA().issue_cert("localhost")
    both = tmp_path / "both.pem"
    issued.private_key_and_cert_chain_pem.write_to_path(str(both))
    return {"certfile": str(both), "keyfile": str(both)}


async def noise_and_silence(port: int) -> None:
    """One caller whose TLS is none, and one that says nothing; until both are gone."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as noisy:
        await noisy.send_all(b"GET / HTTP/1.1\r\n\r\n")  # at once: what comes late is silence too
        async with await trio.open_tcp_stream("127.0.0.1", port) as silent:
            for stream in (noisy, silent):
                with suppress(trio.BrokenResourceError):
                    while await stream.receive_some():
                        pass


async def test_tls_that_does_not_come_about_is_counted(secure: dict[str, str]) -> None:
    """Noise, and silence, twice."""
    counted = Counted()
    with trio.fail_after(20):
        async with hosted(counted, tls=secure, limits={"header_timeout": 1.0}) as server:
            for turn in (1, 2):
                await noise_and_silence(server.port)
                await counted.turned_away({"tls": turn, "time": turn})


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_standalone_server_counts_that_too(engine: str, secure: dict[str, str]) -> None:
    """Noise, and silence, twice."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(secure["certfile"])
    params = server_params(ssl_context=context, connect_timeout=1.0)
    transport = WebsocketServerTransport(params, host="127.0.0.1", port=0, engine=engine)
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            ready = await nursery.start(transport.serve, echo)
            for turn in (1, 2):
                await noise_and_silence(ready.port)
                await until(lambda: not transport.callers().connections)
                assert transport.callers().turned_away == {"tls": turn, "time": turn}
            nursery.cancel_scope.cancel()


NONSENSE = b"\0\1\2 this is no HTTP\r\n\r\n"
HALF = b"GET /call HTTP/1.1\r\nHost: local"
ENDINGS: list[tuple[bytes, str, str]] = [
    (NONSENSE, "waits", "request"),
    (NONSENSE, "ends", "request"),
    (HALF, "ends", "cut off"),
    (HALF, "resets", "cut off"),
    (b"", "ends", "cut off"),
    (b"", "resets", "cut off"),
]


async def comes_and_goes(port: int, said: bytes, how: str) -> None:
    """Say it, and then wait for the server to close, say that nothing more comes, or be gone."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(said)
        await trio.sleep(0.1)  # a reset takes back what was not read
        if how == "resets":
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return
        with suppress(trio.BrokenResourceError):
            if how == "ends":
                await stream.send_eof()
            while await stream.receive_some():
                pass


@pytest.mark.parametrize(("said", "how", "cause"), ENDINGS)
async def test_every_server_counts_alike(said: bytes, how: str, cause: str) -> None:
    """What is no HTTP is a wrong request, and who goes in the middle of one is cut off. Twice."""
    counted = Counted()
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery, hosted(counted) as server:
            standalone = [WebsocketServerTransport(server_params(), port=0, engine=engine) for engine in ENGINES]
            places: list[tuple[int, Callable[[], Callers]]] = [(server.port, lambda: counted.now)]
            for transport in standalone:
                ready = await nursery.start(transport.serve, echo)
                places.append((ready.port, transport.callers))
            for port, now in places:
                for turn in (1, 2):
                    await comes_and_goes(port, said, how)
                    await until(lambda: dict(now().turned_away) == {cause: turn})  # noqa: B023
            nursery.cancel_scope.cancel()


async def test_what_http2_refuses_is_counted() -> None:
    """A stream past the limit, a flood of resets, and what is no HTTP/2 at all; twice."""
    counted = Counted()
    with trio.fail_after(30):
        async with hosted(counted, limits=H2C, h2_max_concurrent_streams=2) as server:
            for turn in (1, 2):
                before = dict(counted.now.turned_away)
                async with h2_peer(server.port) as peer:
                    for _ in range(2):
                        await peer.reset(await peer.open("GET", "/stubborn"))
                        await trio.sleep(0.05)
                    refused = await peer.open("GET", "/stubborn")
                    await peer.until(lambda: refused.is_over)  # noqa: B023
                assert counted.now.turned_away == {**before, "stream": before.get("stream", 0) + 1}
                counted.let_go.set()
                async with h2_peer(server.port) as peer:
                    with suppress(ProtocolError):
                        for _ in range(2000):  # until it is sent away; a slow machine is longer within its allowance
                            await peer.reset(await peer.open("GET", "/slow"))
                    await peer.until(lambda: peer.is_over)
                async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
                    await stream.send_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + NOISE)
                    with suppress(trio.BrokenResourceError):
                        while await stream.receive_some():
                            pass
                assert counted.now.turned_away["flood"] == turn
                assert counted.now.turned_away["request"] == turn
                counted.let_go = trio.Event()


async def test_metrics_show_who_was_turned_away() -> None:
    """By its cause, also of what came before anybody asked the app for anything."""
    bot = bot_app(echo)
    with trio.fail_after(20):
        async with hosted(bot) as server:
            for turn in (1, 2):
                async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
                    await stream.send_all(GOOD(b"/ws").replace(b"Version: 13", b"Version: 7"))
                    assert (await stream.receive_some(4000))[9:12] == b"426"
                text = await _page(server, b"/metrics")
                assert f'trio_transports_turned_away_total{{cause="request"}} {turn}.0\n' in text
                assert "trio_transports_let_in_total 0.0\n" in text
                assert "trio_transports_connections " in text


async def test_metrics_show_who_sent_too_fast() -> None:
    """Under serve_asgi, as one of the causes; twice."""
    params = AsgiWebsocketParams(serializer=JSONFrameSerializer(), max_messages_per_second=1)
    with trio.fail_after(20):
        async with hosted(bot_app(echo, params)) as server:
            for turn in (1, 2):
                async with raw_peer(server.port) as peer:
                    await peer.upgrade("/ws")
                    await peer.send(frame(TEXT, AUDIO_MESSAGE) * 20)
                    assert (await peer.read_to_close()).close_code == 1008
                text = await _page(server, b"/metrics")
                assert f'trio_transports_turned_away_total{{cause="rate"}} {turn}.0\n' in text
                assert f"trio_transports_let_in_total {turn}.0\n" in text


async def _page(server: Hosted, path: bytes) -> str:
    got = b""
    async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
        await stream.send_all(b"GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % path)
        async for data in stream:
            got += data
    return got.decode()


@pytest.mark.parametrize("target", [b"http://voice.localhost:80/health", b"HTTPS://me@voice.localhost/health?a=b"])
async def test_a_target_in_absolute_form_is_its_path(target: bytes) -> None:
    """As proxies write it: the page is found, the host is the target's, whatever ``Host`` says; twice, and a call."""
    with trio.fail_after(20):
        async with hosted(bot_app(echo)) as server:
            for _ in range(2):
                ask = b"GET %s HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n" % target
                assert await statuses(f"127.0.0.1:{server.port}", [ask]) == [b"200"]
                swapped = {b"Host: evil.example": b"Host: localhost", b"voice.localhost": b"evil.example"}
                elsewhere = ask
                for old, new in swapped.items():
                    elsewhere = elsewhere.replace(old, new)
                assert await statuses(f"127.0.0.1:{server.port}", [elsewhere]) == [b"421"]
            call = GOOD(b"/ws").replace(b"GET /ws", b"GET ws://localhost/ws")
            assert await statuses(f"127.0.0.1:{server.port}", [call]) == [b"101"]
