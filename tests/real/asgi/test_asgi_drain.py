"""``serve_asgi`` leaves: calls under way may finish, nobody begins another, and a health check can tell."""

import trio

from tests.real.asgi.apps import SessionApp, lifespan, page, session_params, until
from tests.real.asgi.hosts import hosted
from tests.real.asgi.raw_peer import TEXT, RawPeer, close_frame, frame, raw_peer
from trio_transports import Session
from trio_transports.hosting import is_leaving
from trio_transports.wire.asgi import Receive, Scope, Send

_HELLO = b'{"type": "text", "text": "hello"}'


async def echo(session: Session) -> None:
    async for each in session.input:
        await session.output.send(each)


async def answers(peer: RawPeer) -> None:
    await peer.send(frame(TEXT, _HELLO))
    answer = await peer.read_frame()
    assert answer is not None
    assert b"hello" in answer.payload


class _WithHealth:
    def __init__(self) -> None:
        self.calls = SessionApp(echo, session_params(close_timeout=0.5))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
        elif scope["type"] == "http":
            await page(send, b"leaving" if is_leaving(scope) else b"healthy")
        else:
            await self.calls(scope, receive, send)


async def health(port: int) -> bytes:
    async with raw_peer(port) as peer:
        await peer.send(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return (await peer.read_rest())[-7:]


async def test_calls_may_finish_and_nobody_begins_another() -> None:
    """While it drains: the call goes on, a new one gets 503 twice over, the health check can tell; then it is over."""
    async with hosted(_WithHealth(), limits={"drain": 60}) as server, raw_peer(server.port) as under_way:
        with trio.fail_after(30):
            await under_way.upgrade()
            assert await health(server.port) == b"healthy"
            server.shutdown.set()
            await answers(under_way)
            for _ in range(2):
                async with raw_peer(server.port) as late:
                    await late.upgrade()
                    assert late.status == 503
                    assert b"retry-after" in late.head.lower()
                assert await health(server.port) == b"leaving"
                await answers(under_way)
            assert not server.ended.is_set()
            await under_way.send(close_frame(4000))
            assert (await under_way.read_to_close()).close_code == 4000
            await server.ended.wait()


async def test_a_call_that_goes_on_hears_1001_when_the_time_is_over() -> None:
    """A call that is not over when the time is hears 1001 then, and not before."""
    async with hosted(_WithHealth(), limits={"drain": 0.6}) as server, raw_peer(server.port) as peer:
        with trio.fail_after(30):
            await peer.upgrade()
            began = trio.current_time()
            server.shutdown.set()
            await peer.send(frame(TEXT, _HELLO))  # on a busy machine the time may be over before it is answered
            assert (await peer.read_to_close()).close_code == 1001
            assert trio.current_time() - began >= 0.6
            await peer.send(close_frame(1001))
            await server.ended.wait()


async def test_without_calls_it_does_not_wait() -> None:
    """With nobody there the time is not waited out: connections without a call hold nothing."""
    async with (
        hosted(_WithHealth(), limits={"drain": 60}, keep_alive_timeout=60) as server,
        raw_peer(server.port) as idle,
    ):
        await idle.send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        await idle.read_head()
        assert await server.stop() < 30


async def test_the_last_of_several_ends_it() -> None:
    """Each call ends by itself; the server with the last."""
    async with (
        hosted(_WithHealth(), limits={"drain": 60}) as server,
        raw_peer(server.port) as one,
        raw_peer(server.port) as other,
    ):
        with trio.fail_after(30):
            for peer in (one, other):
                await peer.upgrade()
            server.shutdown.set()
            await one.send(close_frame(1000))
            await one.wait_eof()
            await answers(other)
            assert not server.ended.is_set()
            await other.send(close_frame(1000))
            await other.wait_eof()
            await until(server.ended.is_set)
