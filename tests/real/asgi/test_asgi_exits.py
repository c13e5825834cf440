"""What leaves one run of the app ends that run, and no other caller notices."""

from collections.abc import Callable

import pytest
import trio

from tests.real.asgi.apps import SessionApp, session_params, until
from tests.real.asgi.h2_peer import h2_peer
from tests.real.asgi.hosts import H2C, LATE_S, hosted
from tests.real.asgi.raw_peer import TEXT, RawPeer, close_frame, frame, raw_peer
from trio_transports import Session

_HELLO = b'{"type": "text", "text": "hello"}'


class Odd(BaseException):
    """Neither an error nor an exit."""


def _in_a_group() -> BaseException:
    return BaseExceptionGroup("several", [SystemExit(3), ValueError("and this")])


_EXITS = pytest.mark.parametrize(
    "leaves",
    [lambda: SystemExit(3), Odd, _in_a_group],
    ids=["SystemExit", "a BaseException", "a group"],
)


def _raises(exc: Callable[[], BaseException]) -> Callable[[Session], object]:
    async def handle(session: Session) -> None:
        if session.peer.path == "/leave":
            raise exc()
        async for each in session.input:
            await session.output.send(each)

    return handle


async def _answers(peer: RawPeer) -> None:
    await peer.send(frame(TEXT, _HELLO))
    answer = await peer.read_frame()
    assert answer is not None
    assert b"hello" in answer.payload


@_EXITS
@pytest.mark.parametrize("times", [1, 3])
async def test_what_leaves_a_handler_ends_that_call(leaves: Callable[[], BaseException], times: int) -> None:
    """A handler that raises SystemExit, or anything else, closes its own call with 1011; the others go on."""
    app = SessionApp(_raises(leaves), session_params())  # type: ignore[arg-type]
    async with hosted(app) as server, raw_peer(server.port) as other:
        with trio.fail_after(30):
            await other.upgrade("/stay")
            for _ in range(times):
                async with raw_peer(server.port) as peer:
                    await peer.upgrade("/leave")
                    assert (await peer.read_to_close()).close_code == 1011
                    await peer.send(close_frame(1011))
                    await peer.wait_eof()
                await _answers(other)
            await until(lambda: len(server.log.errors) == times)  # a caller may be told before the log is
            assert not server.ended.is_set()


@_EXITS
async def test_what_leaves_a_run_ends_one_stream(leaves: Callable[[], BaseException]) -> None:
    """On HTTP/2 the streams of the same connection do not notice."""
    app = SessionApp(_raises(leaves), session_params())  # type: ignore[arg-type]
    async with hosted(app, limits=H2C) as server, h2_peer(server.port) as peer:
        with trio.fail_after(30):
            other = await peer.open("CONNECT", "/stay", websocket=True)
            leaving = await peer.open("CONNECT", "/leave", websocket=True)
            await peer.until(lambda: (1011).to_bytes(2, "big") in leaving.data)
            await peer.send(other, frame(TEXT, _HELLO))
            await peer.until(lambda: b"hello" in other.data)


async def test_ctrl_c_inside_a_handler_is_a_shutdown() -> None:
    """Python raises KeyboardInterrupt in whichever task runs: in a handler it stops the server as anywhere else."""
    app = SessionApp(_raises(KeyboardInterrupt), session_params())  # type: ignore[arg-type]
    async with hosted(app, graceful_timeout=3.0) as server, raw_peer(server.port) as other:
        with trio.fail_after(30):
            await other.upgrade("/stay")
            async with raw_peer(server.port) as peer:
                await peer.upgrade("/leave")
                assert (await other.read_to_close()).close_code == 1001
                await other.send(close_frame(1001))
                await peer.read_to_close()
                await peer.send(close_frame(1001))
                await server.ended.wait()
    assert server.log.errors == []


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_handler_in_a_shield_keeps_nobody_from_hearing_1001(*, cancelled: bool) -> None:
    """While one handler shields itself for seconds, every client, its own too, hears 1001 within close_timeout."""
    let_go = trio.Event()
    under_way: list[Session] = []

    async def handle(session: Session) -> None:
        under_way.append(session)
        if session.peer.path == "/shielded":
            with trio.CancelScope(shield=True):
                await let_go.wait()
        async for _ in session.input:
            pass

    app = SessionApp(handle, session_params(close_timeout=0.5))
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def serve() -> None:
            async with hosted(app, graceful_timeout=20.0) as server:
                servers.append(server)
                await trio.sleep_forever()

        servers: list = []  # type: ignore[type-arg]
        await until(lambda: servers)
        port = servers[0].port
        with trio.CancelScope(shield=True):
            async with raw_peer(port) as shielded, raw_peer(port) as other:
                await shielded.upgrade("/shielded")
                await other.upgrade("/other")
                await until(lambda: len(under_way) == 2)
                if cancelled:
                    nursery.cancel_scope.cancel()
                else:
                    servers[0].shutdown.set()
                began = trio.current_time()
                with trio.fail_after(30):
                    for peer in (shielded, other):
                        assert (await peer.read_to_close()).close_code == 1001
                        await peer.send(close_frame(1001))
                assert trio.current_time() - began < 0.5 + 1.0 + LATE_S
                let_go.set()
                nursery.cancel_scope.cancel()
