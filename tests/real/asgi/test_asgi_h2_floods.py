"""HTTP/2 used against ``serve_asgi``: what one connection can have it do, and what the other calls notice.

How long a healthy call waits is told in the time that this thread has worked meanwhile: on a machine that others keep
busy too, the clock on the wall says how busy they are.
"""

import gc
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
import trio
from fastapi import FastAPI, WebSocket
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError

from tests.real.asgi.apps import WireApp, page, session_params, until
from tests.real.asgi.h2_peer import h2_peer
from tests.real.asgi.healthy import healthy_call
from tests.real.asgi.hosts import H2C, App, Hosted, hosted
from tests.real.asgi.raw_peer import raw_peer
from trio_transports import AsgiWebsocketTransport, Session
from trio_transports.wire.asgi import Receive, Scope, Send

_STREAMS: Final = 990
_ROUND_TRIP_S: Final = 0.15
_GROWTH_BYTES: Final = 32 * 1024 * 1024
_TRIES: Final = 5
_QUIET_S: Final = 0.5
"""How long a round trip takes without bursts is told beside what it takes with them, and not compared."""

GET: Final = ((":method", "GET"), (":scheme", "http"), (":authority", "x"), (":path", "/"))
WEBSOCKET: Final = (
    (":method", "CONNECT"),
    (":protocol", "websocket"),
    (":scheme", "http"),
    (":authority", "x"),
    (":path", "/ws"),
    ("sec-websocket-version", "13"),
)


def opened_and_reset(headers: tuple[tuple[str, str], ...], *, at_once: int) -> bytes:
    """``_STREAMS`` streams, opened and reset ``at_once`` by ``at_once``."""
    peer = H2Connection(H2Configuration(client_side=True, header_encoding=None))
    peer.initiate_connection()
    for _ in range(0, _STREAMS, at_once):
        ids = []
        for _ in range(at_once):
            ids.append(peer.get_next_available_stream_id())
            peer.send_headers(ids[-1], headers, end_stream=headers is GET)
        for stream_id in ids:
            peer.reset_stream(stream_id, ErrorCodes.CANCEL)
    return peer.data_to_send()


def fastapi_echo() -> FastAPI:
    app = FastAPI()

    @app.get("/")
    async def root() -> str:
        return "here"

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket) -> None:
        async def echo(session: Session) -> None:
            async for each in session.input:
                await session.output.send(each)

        await AsgiWebsocketTransport(websocket, session_params()).serve(echo)

    return app


async def _attack(server: Hosted, data: bytes) -> None:
    async with raw_peer(server.port) as peer:
        try:
            await peer.send(data)
        except trio.BrokenResourceError:
            return
        with trio.move_on_after(1):
            await peer.wait_eof()


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def _stalls(data: bytes, bursts: int) -> tuple[float, float, int]:
    """The longest round trips without and with these bursts, and what the process has grown by."""
    async with hosted(fastapi_echo(), limits=H2C) as server, healthy_call(server.port) as call:
        await trio.sleep(_QUIET_S)
        quiet_s = call.worst_s
        gc.collect()
        gc.freeze()  # what other tests have left in memory is not looked through while this one measures
        await trio.sleep(0.05)
        before = _resident_bytes()
        call.forget()
        for _ in range(bursts):
            await _attack(server, data)
        await trio.sleep(0.1)
        return quiet_s, call.worst_s, _resident_bytes() - before


@pytest.mark.parametrize("bursts", [1, 10])
@pytest.mark.parametrize(
    ("headers", "at_once"),
    [(GET, 1), (WEBSOCKET, 1), (GET, 90), (WEBSOCKET, 90)],
    ids=["requests", "WebSockets", "requests by the ninety", "WebSockets by the ninety"],
)
async def test_opened_and_reset_streams_stall_nobody(
    headers: tuple[tuple[str, str], ...], at_once: int, bursts: int
) -> None:
    """990 streams opened and reset in one write, once or ten times, and a healthy call is answered as before."""
    data = opened_and_reset(headers, at_once=at_once)
    assert len(data) < 80_000
    for _ in range(_TRIES):
        quiet_s, worst_s, growth = await _stalls(data, bursts)
        assert growth < _GROWTH_BYTES
        if worst_s < _ROUND_TRIP_S:
            return
    pytest.fail(f"a healthy call waited {worst_s:.3f} s during the bursts, {quiet_s:.3f} s without")


@pytest.mark.parametrize("times", [1, 2])
async def test_too_many_resets_are_sent_away(times: int) -> None:
    """Past the limit the peer is told to calm down, and its connection ends; another peer is served as before."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/":
            return await page(send)
        while (await receive())["type"] != "http.disconnect":
            pass

    async with hosted(_without_lifespan(app), limits=H2C) as server:
        for _ in range(times):
            with trio.fail_after(100):
                async with h2_peer(server.port) as peer:
                    with suppress(ProtocolError):  # the peer's own library knows that it was sent away
                        # So many a second are allowed, which a busy machine may take a while to pass.
                        while not peer.is_over:
                            await peer.reset(await peer.open("GET", "/slow"))
                    await peer.until(lambda: peer.is_over)
                    assert peer.sent_away_with == ErrorCodes.ENHANCE_YOUR_CALM
        async with h2_peer(server.port) as peer:
            answered = await peer.open("GET", "/")
            with trio.fail_after(30):
                await peer.until(lambda: answered.is_over)
            assert answered.status == 200


async def test_some_resets_are_no_offence() -> None:
    """A browser that leaves a page resets what it had asked for, and goes on with the connection."""
    async with hosted(fastapi_echo(), limits=H2C) as server, h2_peer(server.port) as peer:
        with trio.fail_after(60):
            for _ in range(3):
                for _ in range(40):
                    await peer.reset(await peer.open("GET", "/"))
                    await trio.sleep(0.005)
                answered = await peer.open("GET", "/")
                await peer.until(lambda: answered.is_over)  # noqa: B023
                assert answered.status == 200
            assert peer.sent_away_with is None


async def test_living_runs_are_bounded() -> None:
    """An app that goes on when its stream is reset has no more runs than the connection may have streams."""
    alive: list[int] = []
    most = 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal most
        if scope["path"] != "/slow":
            return await page(send)
        alive.append(1)
        most = max(most, len(alive))
        try:
            await let_go.wait()
        finally:
            alive.pop()

    let_go = trio.Event()
    async with (
        hosted(_without_lifespan(app), h2_max_concurrent_streams=20, limits=H2C) as server,
        h2_peer(server.port) as peer,
    ):
        with trio.fail_after(30):
            for number in range(1, 21):
                slow = await peer.open("GET", "/slow")
                await until(lambda: len(alive) == number)  # noqa: B023 - reset sooner, it would start nothing
                await peer.reset(slow)
            for _ in range(2):
                refused = await peer.open("GET", "/slow")
                await peer.until(lambda: refused.is_over)  # noqa: B023
                assert refused.reset_code == ErrorCodes.REFUSED_STREAM
            let_go.set()
            await until(lambda: not alive)
            again = await peer.open("GET", "/")
            await peer.until(lambda: again.is_over)
            assert again.status == 200
    assert most == 20


async def test_a_stream_reset_at_once_starts_nothing() -> None:
    """What was opened and reset in the same read never reaches the app."""
    app = WireApp(_never)
    async with hosted(app, limits=H2C) as server:
        peer = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        peer.initiate_connection()
        for _ in range(50):
            stream_id = peer.get_next_available_stream_id()
            peer.send_headers(stream_id, WEBSOCKET)
            peer.reset_stream(stream_id, ErrorCodes.CANCEL)
        async with raw_peer(server.port) as raw:
            await raw.send(peer.data_to_send())
            await trio.sleep(0.3)
        assert len(app.scopes) <= 1  # one where the write was split in two reads between them
        assert server.log.errors == []


@pytest.mark.parametrize(
    "flood",
    [
        pytest.param(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00", id="settings"),
        pytest.param(b"\x00\x00\x08\x06\x00\x00\x00\x00\x00" + bytes(8), id="pings"),
        pytest.param(b"\x00\x00\x05\x02\x00\x00\x00\x00\x03" + bytes(4) + b"\x10", id="priorities"),
    ],
)
async def test_a_flood_of_notices_is_sent_away(flood: bytes) -> None:
    """A peer that keeps the server busy with what brings nothing is sent away, and nothing is logged as a fault."""
    async with hosted(fastapi_echo(), limits=H2C) as server, healthy_call(server.port):
        with trio.fail_after(20):
            async with raw_peer(server.port) as peer:
                await peer.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")
                await peer.send(flood * 5000)
                rest = await peer.read_rest()
                assert rest[-17:-12] == b"\x00\x00\x08\x07\x00"  # GOAWAY
                assert int.from_bytes(rest[-4:], "big") == ErrorCodes.ENHANCE_YOUR_CALM
        await trio.sleep(0.05)
        assert server.log.errors == []


def _without_lifespan(app: App) -> App:
    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await app(scope, receive, send)

    return wrapped


async def _never(wire: object) -> None:
    pytest.fail(f"{wire!r} was started")
