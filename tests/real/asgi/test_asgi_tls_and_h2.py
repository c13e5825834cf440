"""``serve_asgi`` over TLS and over HTTP/2."""

import ssl
from contextlib import suppress
from pathlib import Path

import pytest
import trio
import trustme
from h2.exceptions import ProtocolError

from tests.real.asgi.apps import SessionApp, WireApp, echo, read, session_params, until
from tests.real.asgi.h2_peer import h2_peer
from tests.real.asgi.hosts import H2C, LATE_S, hosted
from tests.real.asgi.raw_peer import BINARY, CLOSE, TEXT, close_frame, frame, raw_peer
from trio_transports import Session
from trio_transports.wire.asgi import AsgiWire


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secure(authority: trustme.CA, tmp_path: Path) -> dict[str, str]:
    """Hypercorn's own settings for TLS."""
    issued = authority.issue_cert("localhost")
    key, chain = tmp_path / "key.pem", tmp_path / "chain.pem"
    issued.private_key_pem.write_to_path(str(key))
    for part in issued.cert_chain_pems:
        part.write_to_path(str(chain), append=True)
    return {"certfile": str(chain), "keyfile": str(key)}


@pytest.fixture
def client_ssl(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def listen(session: Session) -> None:
    async for _ in session.input:
        pass


async def test_a_session_over_tls(
    secure: dict[str, str], client_ssl: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TLS by hypercorn's settings: messages, the peer's close code, and 1001 on shutdown."""
    monkeypatch.setattr("trio_transports.hosting.closing.LINGER_S", 60)  # who has said goodbye is not waited for
    app = SessionApp(listen, session_params())
    async with hosted(app, tls=secure) as server:
        assert server.address.startswith("https://")
        with trio.fail_after(50):
            async with raw_peer(server.port, client_ssl=client_ssl) as peer:
                await peer.upgrade()
                await peer.send(close_frame(4000, "bye"))
                assert (await peer.read_to_close()).close_code == 4000
                await peer.wait_eof()
            async with raw_peer(server.port, client_ssl=client_ssl) as peer:
                await peer.upgrade()
                server.shutdown.set()
                assert (await peer.read_to_close()).close_code == 1001
                await peer.send(close_frame(1001))
                await peer.wait_eof()
    assert [(event.code, event.initiator) for event in app.disconnected] == [(4000, "remote"), (1001, "local")]


async def test_a_stalled_peer_over_tls(secure: dict[str, str], client_ssl: ssl.SSLContext) -> None:
    """A TLS peer that never reads ends within the write timeout."""

    async def flood(wire: AsgiWire) -> None:
        while True:
            await wire.send(bytes(60_000))

    app = WireApp(flood)
    async with hosted(app, write_timeout=0.5, graceful_timeout=60, tls=secure) as server:
        async with raw_peer(server.port, small_buffers=True, client_ssl=client_ssl) as peer:
            await peer.upgrade()
            with trio.fail_after(8):  # and not after the 10 s that a server has by itself
                await app.returned.wait()
        assert await server.stop() < 1.0 + LATE_S
    assert [closed.code for closed in app.endings] == [1006]


async def test_what_is_no_handshake_ends_one_connection(secure: dict[str, str], client_ssl: ssl.SSLContext) -> None:
    """Noise instead of a TLS handshake, and silence instead of one, neither end the server nor hold its shutdown."""
    async with hosted(WireApp(echo), graceful_timeout=60, tls=secure) as server, raw_peer(server.port):
        async with raw_peer(server.port) as noisy:
            await noisy.send(b"GET / HTTP/1.1\r\n\r\n" * 100)
            await noisy.wait_eof()
        async with raw_peer(server.port, client_ssl=client_ssl) as peer:
            await peer.upgrade()
            assert peer.status == 101
            await peer.send(close_frame())
            await peer.wait_eof()
        assert await server.stop() < 1.0 + LATE_S
        assert server.log.errors == []


async def test_http2_by_alpn(secure: dict[str, str], client_ssl: ssl.SSLContext) -> None:
    """HTTP/2 is agreed on over TLS, and serves pages and WebSockets on one connection."""
    client_ssl.set_alpn_protocols(["h2"])
    app = WireApp(echo)
    async with hosted(app, graceful_timeout=60, tls=secure) as server:
        with trio.fail_after(30):
            async with h2_peer(server.port, client_ssl=client_ssl) as peer:
                page = await peer.open("GET", "/")
                await peer.until(lambda: page.is_over)
                assert (page.status, page.data) == (200, b"still here")
                socket = await peer.open("CONNECT", "/ws", websocket=True)
                await peer.until(lambda: socket.status)
                assert socket.status == 200
                await peer.send(socket, frame(TEXT, b"hello"))
                await peer.until(lambda: b"hello" in socket.data)
                await peer.send(socket, close_frame(4000, "bye"))
                await peer.until(lambda: socket.data[-5:-3] == (4000).to_bytes(2, "big"))
                await until(lambda: app.endings)
        assert await server.stop() < 1.0 + LATE_S
    assert [(closed.code, closed.reason, closed.initiator) for closed in app.endings] == [(4000, "bye", "remote")]


async def test_a_stalled_stream_costs_its_own_session() -> None:
    """On HTTP/2 a WebSocket whose peer gives it no room ends by itself, and its neighbour goes on."""

    async def talk_or_echo(session: Session) -> None:
        if session.peer.path == "/echo":
            async for frame in session.input:
                await session.output.send(frame)
        while True:
            await session.output.send_message({"noise": "x" * 50_000})

    app = SessionApp(talk_or_echo, session_params(send_timeout=0.4, close_timeout=0.4))
    async with hosted(app, write_timeout=60, limits=H2C) as server:
        with trio.fail_after(30):
            async with h2_peer(server.port) as peer:
                stalled = await peer.open("CONNECT", "/talk", websocket=True)
                stalled.reads = False
                neighbour = await peer.open("CONNECT", "/echo", websocket=True)
                await app.returned.wait()
                await peer.until(lambda: stalled.is_over)
                assert stalled.was_reset
                assert not neighbour.is_over
                await peer.send(neighbour, frame(TEXT, b'{"type": "text", "text": "still there?"}'))
                await peer.until(lambda: b"still there?" in neighbour.data)
        assert await server.stop() < 1.5 + LATE_S
    assert app.lasted_s[0] < 0.4 + 0.4 + 1.0 + LATE_S


async def test_shutdown_over_http2() -> None:
    """Sessions over HTTP/2 are told of the shutdown as others are."""
    app = SessionApp(listen, session_params(close_timeout=0.5))
    async with hosted(app, graceful_timeout=3.0, limits=H2C) as server:
        with trio.fail_after(30):
            async with h2_peer(server.port) as peer:
                sockets = [await peer.open("CONNECT", "/ws", websocket=True) for _ in range(3)]
                await peer.until(lambda: all(socket.status for socket in sockets))
                server.shutdown.set()
                for socket in sockets:
                    await peer.until(lambda socket=socket: (1001).to_bytes(2, "big") in socket.data)  # type: ignore[misc]
                    with suppress(ProtocolError):  # with its last stream answered, the connection may be over
                        await peer.send(socket, close_frame(1001))
                await server.ended.wait()
    assert [event.code for event in app.disconnected] == [1001] * 3


async def test_noise_on_http2_ends_one_connection() -> None:
    """Frames for streams that are not there, and noise after the preface, end their connection only."""
    app = WireApp(read)
    async with hosted(app, limits=H2C) as server:
        with trio.fail_after(30):
            for noise in (
                b"\x00" * 200,
                b"\xff" * 200,
                b"\x00\x00\x01\x00\x00\x00\x00\x00\x07x",
                b"\x00\x00\x04\x03" * 50,
            ):
                async with raw_peer(server.port) as peer:
                    await peer.send(
                        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00" + noise
                    )
                    with trio.move_on_after(0.2):
                        await peer.wait_eof()
            async with h2_peer(server.port) as other:
                early = await other.open("CONNECT", "/ws", websocket=True)
                await other.send(early, frame(BINARY, b"too early") * 3 + frame(CLOSE))
                await other.until(lambda: early.is_over or early.status)
            async with raw_peer(server.port) as peer:
                await peer.upgrade()
                assert peer.status == 101
        assert await server.stop() < 1.5 + LATE_S
    assert app.running == 0
