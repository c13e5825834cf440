"""Every path that a message can take between two wires, as pairs of connected ones; see ``test_paths`` for the table.

A path's first wire is the client's, the second the server's.
"""

import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import cache, partial
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeAlias, final

import pytest
import trio
import trustme
from attrs import evolve, frozen

from tests.real.asgi.apps import lifespan
from tests.real.asgi.hosts import quiet_config
from tests.real.wire.engines import wire_pair
from trio_transports.hosting import serve_asgi
from trio_transports.testing import memory_wire_pair
from trio_transports.wire import Wire
from trio_transports.wire.asgi import Receive, Scope, Send, asgi_wire
from trio_transports.wire.engines import engine_named
from trio_transports.wire.settings import WireSettings
from trio_transports.wire.wakes import SharedWakes, shared_wakes

Pairs: TypeAlias = Callable[[], AbstractAsyncContextManager[tuple[Wire, Wire]]]
"""Makes another pair each time, at one server."""


@final
@frozen(kw_only=True)
class Path:
    """``wakes``: the server's reads share them. Its TLS connections are read one by one all the same."""

    name: str
    open: Callable[["Path", int], AbstractAsyncContextManager[Pairs]]
    engine: str = ""
    wakes: bool = False
    is_held_back: bool = False
    tls: bool = False
    looks_at_events: bool = False
    """A middleware stands between the server and the wire."""

    def pairs(self, max_message_bytes: int) -> AbstractAsyncContextManager[Pairs]:
        return self.open(self, max_message_bytes)

    @asynccontextmanager
    async def pair(self, *, max_message_bytes: int) -> AsyncIterator[tuple[Wire, Wire]]:
        """One pair, as ``check_wire`` asks for it."""
        async with self.pairs(max_message_bytes) as make, make() as wires:
            yield wires


@asynccontextmanager
async def in_memory(path: Path, max_message_bytes: int) -> AsyncIterator[Pairs]:
    sends_now = path.engine == "sends now"

    @asynccontextmanager
    async def make() -> AsyncIterator[tuple[Wire, Wire]]:
        yield memory_wire_pair(max_message_bytes=max_message_bytes, sends_now=sends_now)

    yield make


@cache
def authority() -> trustme.CA:
    return trustme.CA()


@contextmanager
def loaded(path: Path) -> Iterator[None]:
    """As under load, all the time, where the path is held back."""
    with pytest.MonkeyPatch.context() as patched:
        if path.is_held_back:
            patched.setattr(SharedWakes, "is_held_back", lambda _self: True)
        yield


@contextmanager
def certificate(path: Path) -> Iterator[dict[str, str]]:
    """Hypercorn's own settings for TLS."""
    if not path.tls:
        yield {}
        return
    issued = authority().issue_cert("localhost")
    with TemporaryDirectory() as folder:
        key, chain = f"{folder}/key.pem", f"{folder}/chain.pem"
        issued.private_key_pem.write_to_path(key)
        for part in issued.cert_chain_pems:
            part.write_to_path(chain, append=True)
        yield {"certfile": chain, "keyfile": key}


def contexts(path: Path) -> tuple[ssl.SSLContext | None, ssl.SSLContext | None]:
    """The server's and the client's."""
    if not path.tls:
        return None, None
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority().issue_cert("localhost").configure_cert(server)
    authority().configure_trust(client)
    return server, client


@asynccontextmanager
async def by_engine(path: Path, max_message_bytes: int) -> AsyncIterator[Pairs]:
    server_ssl, client_ssl = contexts(path)
    engine = engine_named(path.engine)
    tls = {"server_ssl": server_ssl, "client_ssl": client_ssl}
    with loaded(path):
        async with shared_wakes(path.wakes) as wakes:
            assert bool(wakes) is path.wakes
            yield partial(wire_pair, engine, engine, max_message_bytes=max_message_bytes, wakes=wakes, **tls)


@asynccontextmanager
async def by_asgi(path: Path, max_message_bytes: int) -> AsyncIterator[Pairs]:
    """A server with an app that hands out its wires, and trio-websocket's clients."""
    give, take = trio.open_memory_channel[Wire](1)
    done: trio.Event

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        if path.looks_at_events:
            receive, send = _looking(receive), _looking(send)
        wire = asgi_wire((scope, receive, send), max_message_bytes=max_message_bytes)
        await wire.accept()
        await give.send(wire)
        await done.wait()

    @asynccontextmanager
    async def make() -> AsyncIterator[tuple[Wire, Wire]]:
        nonlocal done
        done = trio.Event()
        stream: Any = await trio.open_tcp_stream("127.0.0.1", port)
        socket = stream.socket
        for option in (trio.socket.SO_SNDBUF, trio.socket.SO_RCVBUF):
            socket.setsockopt(trio.socket.SOL_SOCKET, option, 16384)
        if client_ssl is not None:
            stream = trio.SSLStream(stream, client_ssl, server_hostname="localhost", https_compatible=True)
        settings = WireSettings(max_message_bytes=max_message_bytes, ping_interval_s=None)
        client = engine_named("trio-websocket").connect(
            stream, url="ws://test/", host="localhost", resource="/", settings=settings
        )
        try:
            async with client as wire:
                yield wire, await take.receive()
                done.set()
        finally:
            socket.close()

    _, client_ssl = contexts(path)
    with loaded(path), certificate(path) as tls:
        config, _ = quiet_config(**tls)
        async with trio.open_nursery() as nursery:
            serve = partial(serve_asgi, app, config, share_wakes=path.wakes)
            port = int((await nursery.start(serve))[0].rsplit(":", 1)[1])
            yield make
            nursery.cancel_scope.cancel()


def _looking(passed_on: Any) -> Any:  # noqa: ANN401 - either of ASGI's two
    async def look(*event: object) -> object:
        return await passed_on(*event)

    return look


MEMORY: Final = (
    Path(name="memory", open=in_memory),
    Path(name="memory, sends now", open=in_memory, engine="sends now"),
)
ENGINES: Final = (
    Path(name="default", open=by_engine, engine="trio-websocket"),
    Path(name="default, short way", open=by_engine, engine="trio-websocket", wakes=True),
    Path(name="default, held back", open=by_engine, engine="trio-websocket", wakes=True, is_held_back=True),
    Path(name="direct", open=by_engine, engine="direct"),
    Path(name="direct, shared wakes", open=by_engine, engine="direct", wakes=True),
    Path(name="direct, held back", open=by_engine, engine="direct", wakes=True, is_held_back=True),
)
ASGI: Final = (
    Path(name="asgi, events", open=by_asgi, looks_at_events=True),
    Path(name="asgi, short way", open=by_asgi),
    Path(name="asgi, shared wakes", open=by_asgi, wakes=True),
    Path(name="asgi, held back", open=by_asgi, wakes=True, is_held_back=True),
)
TLS: Final = tuple(
    evolve(path, name=f"{path.name}, tls", tls=True)
    for path in (*ENGINES, *ASGI)
    if not path.is_held_back and (path.wakes or path.looks_at_events)
)
PATHS: Final = {path.name: path for path in (*MEMORY, *ENGINES, *ASGI, *TLS)}
