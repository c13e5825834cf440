"""Served on another event loop than trio: one error, the same everywhere, that says what to do."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from subprocess import PIPE, STDOUT
from typing import Final

import pytest
import trio
from starlette.testclient import TestClient

from tests.ports import free_port
from tests.real.asgi.loop_apps import app
from tests.real.asgi.raw_peer import TEXT, frame, raw_peer
from tests.tools import requires_module
from trio_transports import (
    LocalProtocolError,
    WebsocketClientParams,
    WebsocketClientTransport,
    WebsocketServerParams,
    WebsocketServerTransport,
)
from trio_transports.serializers import JSONFrameSerializer

_APP: Final = "tests.real.asgi.loop_apps"
PATIENCE_S: Final = 60
"""Some of the servers listen before they have imported the app, which takes long on a busy machine."""
_TOLD_OF: Final = (
    ("/session", "AsgiWebsocketTransport"),
    ("/bot/ws", "bot_app"),
    ("/serve", "AsgiWebsocketTransport"),
)
"""Paths, and whose name the log says; no two neighbours' are the same, so that neither is taken for the other."""
_WAYS_OUT: Final = ("serve_asgi", "hypercorn -k trio", "anycorn", 'TestClient(app, backend="trio")')


class _Output:
    def __init__(self) -> None:
        self.text = ""
        self._more = trio.Condition()

    async def gather(self, stream: trio.abc.ReceiveStream) -> None:
        async with stream:
            async for chunk in stream:
                async with self._more:
                    self.text += bytes(chunk).decode(errors="replace")
                    self._more.notify_all()

    async def until(self, words: str, since: int) -> None:
        async with self._more:
            while words not in self.text[since:]:
                await self._more.wait()


@asynccontextmanager
async def program(*command: str, port: int) -> AsyncIterator[_Output]:
    """Run a server as a program while the body runs; it answers on ``port``."""
    output = _Output()
    async with trio.open_nursery() as nursery:
        process = await trio.lowlevel.open_process([sys.executable, "-m", *command], stdout=PIPE, stderr=STDOUT)
        try:
            assert process.stdout is not None
            nursery.start_soon(output.gather, process.stdout)
            with trio.fail_after(PATIENCE_S):
                while True:
                    try:
                        async with await trio.open_tcp_stream("127.0.0.1", port):
                            break
                    except OSError:
                        assert process.poll() is None, output.text
                        await trio.sleep(0.05)
            yield output
        finally:
            nursery.cancel_scope.cancel()
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()


def command(server: str, port: int, target: str = "app") -> tuple[str, ...]:
    where = f"{_APP}:{target}"
    return {
        "uvicorn": ("uvicorn", where, "--port", str(port)),
        "hypercorn, asyncio": ("hypercorn", where, "--bind", f"127.0.0.1:{port}", "--workers", "0"),
        "daphne": ("daphne", "-b", "127.0.0.1", "-p", str(port), where),
        "anycorn, asyncio": ("anycorn", where, "--bind", f"127.0.0.1:{port}", "--workers", "0"),
        "hypercorn, trio": ("hypercorn", "-k", "trio", where, "--bind", f"127.0.0.1:{port}", "--workers", "0"),
        "anycorn, trio": ("anycorn", "-k", "trio", where, "--bind", f"127.0.0.1:{port}", "--workers", "0"),
    }[server]


@pytest.mark.parametrize("server", ["uvicorn", "hypercorn, asyncio", "daphne", "anycorn, asyncio"])
async def test_an_asyncio_server_is_told_of(server: str) -> None:
    """The first run of everybody who knows FastAPI: at each path the log says what to serve it with."""
    requires_module(server.split(",")[0], extra="dev")
    port = free_port()
    async with program(*command(server, port), port=port) as output:
        for path, name in _TOLD_OF:
            since = len(output.text)
            for _ in range(2):
                async with raw_peer(port) as peer:
                    with trio.fail_after(PATIENCE_S):
                        await peer.upgrade(path)
                        await peer.wait_eof()
            with trio.fail_after(PATIENCE_S):
                for words in (f"LocalProtocolError: {name} runs on trio, and this is asyncio", *_WAYS_OUT):
                    await output.until(words, since)
    assert "must be called from async context" not in output.text


@pytest.mark.parametrize("server", ["hypercorn, trio", "anycorn, trio"])
async def test_the_ways_out_are_ways_out(server: str) -> None:
    """What the error says to serve it with serves it."""
    requires_module(server.split(",")[0], extra="dev")
    port = free_port()
    async with program(*command(server, port), port=port) as output:
        for path in ("/session", "/serve"):
            async with raw_peer(port) as peer:
                with trio.fail_after(PATIENCE_S):
                    await peer.upgrade(path)
                    assert peer.status == 101, output.text
                    await peer.send(frame(TEXT, b'{"type": "text", "text": "hello"}'))
                    answer = await peer.read_frame()
                    assert answer is not None, output.text
                    assert b"hello" in answer.payload


@pytest.mark.parametrize("path", ["/session", "/serve", "/bot/ws"])
def test_a_test_client_on_asyncio_is_told_of(path: str) -> None:
    """Starlette's TestClient runs the app on asyncio unless it is told otherwise."""
    with (
        pytest.raises(LocalProtocolError, match=r"asyncio.*TestClient\(app, backend=\"trio\"\)"),
        TestClient(app).websocket_connect(path, headers={"Host": "localhost"}) as websocket,
    ):
        websocket.receive_text()


@pytest.mark.parametrize("path", ["/session", "/serve"])
def test_a_test_client_on_trio_works(path: str) -> None:
    """And told otherwise, it holds a session."""
    with TestClient(app, backend="trio").websocket_connect(path) as websocket:
        websocket.send_text('{"type": "text", "text": "hello"}')
        assert "hello" in websocket.receive_text()


def test_an_asyncio_program_is_told_of() -> None:
    """A client's session, or a server, in a program that runs on asyncio."""

    async def connect() -> None:
        params = WebsocketClientParams(serializer=JSONFrameSerializer())
        async with WebsocketClientTransport("ws://127.0.0.1:9", params).session():
            pytest.fail("connected")

    async def serve() -> None:
        params = WebsocketServerParams(serializer=JSONFrameSerializer())
        await WebsocketServerTransport(params, host="127.0.0.1", port=0).serve(_never)

    for main, name in ((connect, "WebsocketClientTransport"), (serve, "WebsocketServerTransport")):
        with pytest.raises(LocalProtocolError, match=rf"^{name} runs on trio, and this is asyncio.*trio\.run\(main\)"):
            asyncio.run(main())


async def _never(_session: object) -> None:
    pytest.fail("served")
