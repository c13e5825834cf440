"""Whatever framework hands over the WebSocket: a session on it, accepted by the app or not, and clear errors."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import pytest
import trio

from tests.real.asgi import loop_apps
from tests.real.asgi.apps import lifespan, session_params
from tests.real.asgi.hosts import hosted
from tests.real.asgi.raw_peer import TEXT, RawPeer, close_frame, frame, raw_peer
from tests.tools import requires_module
from trio_transports import AsgiWebsocketTransport, LocalProtocolError, Session
from trio_transports.wire.asgi import Receive, Scope, Send, asgi_wire

_FRAMEWORKS: Final = {"litestar": loop_apps.litestar, "quart_trio": loop_apps.quart}
_GUARDED: Final = pytest.mark.parametrize("guarded", [True, False], ids=["serve_asgi", "bare hypercorn"])


async def talks(peer: RawPeer, words: str) -> None:
    await peer.send(frame(TEXT, b'{"type": "text", "text": "%s"}' % words.encode()))
    answer = await peer.read_frame()
    assert answer is not None
    assert words.encode() in answer.payload


@_GUARDED
@pytest.mark.parametrize("path", ["/accepted", "/new"])
@pytest.mark.parametrize("framework", _FRAMEWORKS)
async def test_a_frameworks_socket_holds_a_session(framework: str, path: str, *, guarded: bool) -> None:
    """Litestar's and Quart-Trio's WebSocket, accepted by the endpoint or not; and again for the next caller."""
    requires_module(framework, extra="test")
    async with hosted(_FRAMEWORKS[framework](), guarded=guarded) as server:
        with trio.fail_after(30):
            for _ in range(2):
                async with raw_peer(server.port) as peer:
                    await peer.upgrade(path)
                    assert peer.status == 101
                    await talks(peer, "hello")
                    await talks(peer, "and again")
                    await peer.send(close_frame(1000))
                    await peer.wait_eof()
        assert server.log.errors == []


@_GUARDED
async def test_quart_refuses_with_403(*, guarded: bool) -> None:
    """Quart has no way to another status: who is not let in gets 403."""
    requires_module("quart_trio", extra="test")
    async with hosted(loop_apps.quart(), guarded=guarded) as server, raw_peer(server.port) as peer:
        with trio.fail_after(30):
            await peer.upgrade("/refused")
            assert peer.status == 403
    await trio.sleep(0.1)  # what was left behind under a bare hypercorn goes by itself


class _RawApp:
    """Accepts by itself, then hands its three over without saying so."""

    def __init__(self, *, speaks_first: bool, connect_timeout: float = 10, accepts: bool = True) -> None:
        self.errors: list[Exception] = []
        self.ended = trio.Event()
        self._speaks_first = speaks_first
        self._accepts = accepts
        self._params = session_params(connect_timeout=connect_timeout)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await lifespan(receive, send)
        await receive()
        if self._accepts:
            await send({"type": "websocket.accept"})
        try:
            await AsgiWebsocketTransport((scope, receive, send), self._params).serve(self._talk)
        except Exception as exc:
            self.errors.append(exc)
            raise
        finally:
            self.ended.set()

    async def _talk(self, session: Session) -> None:
        if self._speaks_first:
            await session.output.send_message({"greeting": "welcome"})
        async for each in session.input:
            await session.output.send(each)


@pytest.mark.parametrize("times", [1, 2])
async def test_serve_asgi_knows_that_the_app_has_accepted(times: int) -> None:
    """Under serve_asgi nothing needs be said: the session begins, also where the caller waits to be spoken to."""
    app = _RawApp(speaks_first=True)
    async with hosted(app) as server:
        with trio.fail_after(30):
            for _ in range(times):
                async with raw_peer(server.port) as peer:
                    await peer.upgrade()
                    greeting = await peer.read_frame()
                    assert greeting is not None
                    assert b"welcome" in greeting.payload
                    await talks(peer, "hello")
    assert app.errors == []


async def test_a_bare_server_is_told_what_to_say() -> None:
    """Elsewhere the first message shows that the app has accepted: the error says what to say."""
    app = _RawApp(speaks_first=False)
    async with hosted(app, guarded=False) as server, raw_peer(server.port) as peer:
        with trio.fail_after(30):
            await peer.upgrade()
            await peer.send(frame(TEXT, b"hello"))
            await app.ended.wait()
    await trio.sleep(0.1)  # as above
    (error,) = app.errors
    assert isinstance(error, LocalProtocolError)
    assert "is_accepted=True" in str(error)


async def test_a_caller_that_waits_shows_it_too() -> None:
    """A caller that says nothing does not make it a silent end: past connect_timeout the error says what to say."""
    app = _RawApp(speaks_first=True, connect_timeout=0.3)
    async with hosted(app, guarded=False) as server, raw_peer(server.port) as peer:
        with trio.fail_after(30):
            await peer.upgrade()
            await app.ended.wait()
    await trio.sleep(0.1)  # as above
    (error,) = app.errors
    assert isinstance(error, LocalProtocolError)
    assert "is_accepted=True" in str(error)


@_GUARDED
async def test_an_app_that_has_read_connect_hears_of_it(*, guarded: bool) -> None:
    """An app that reads the connect event and does not accept is told to hand its WebSocket over before that."""
    app = _RawApp(speaks_first=True, accepts=False, connect_timeout=0.3)
    async with hosted(app, guarded=guarded) as server, raw_peer(server.port) as peer:
        with trio.fail_after(30):
            with suppress(EOFError):
                await peer.upgrade()
                assert peer.status == 500
            await app.ended.wait()
    await trio.sleep(0.1)  # as above
    assert "before reading from it" in str(app.errors[0])


@pytest.mark.parametrize("given", [object(), 7, ("scope", "receive"), None, "websocket"])
def test_what_is_no_websocket_is_refused(given: Any) -> None:  # noqa: ANN401 - anything at all
    """Anything else is an error that names what would do."""
    with pytest.raises(LocalProtocolError, match="is not a WebSocket that can be used here: pass"):
        asgi_wire(given)


async def _nothing(*_args: object) -> None: ...


_ASGI: Final[tuple[Callable[..., Awaitable[Any]], ...]] = (_nothing, _nothing)


def test_another_scope_is_refused() -> None:
    """A request is no WebSocket."""
    with pytest.raises(LocalProtocolError, match="not one of type 'http'"):
        asgi_wire(({"type": "http"}, *_ASGI))  # type: ignore[arg-type]
