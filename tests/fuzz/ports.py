"""The servers' ports as targets: a whole server on loopback, and a peer that sends it the bytes.

Rules
1. The first byte of an input says how: bit 0 after a good handshake, else instead of one; bit 1 in two pieces.
2. Whatever comes, the server goes on serving: a well-behaved caller behind it is answered; nothing is logged as an
   error, and when told to the server ends.
"""

import logging
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from typing import Final

import trio
from attrs import frozen

from tests.fuzz.target import Finding, Target
from tests.real.asgi.apps import SessionApp, session_params
from tests.real.asgi.hosts import LogLines, hosted
from trio_transports import Session, WebsocketServerParams, WebsocketServerTransport
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.wire.engines import ENGINES
from trio_transports.wire.rfc6455 import encode_close, encode_frame

UPGRADED: Final = 1
IN_PIECES: Final = 2
PATIENCE_S: Final = 0.05
REQUEST: Final = (
    b"GET /call HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + b64encode(bytes(16)) + b"\r\n\r\n"
)
_GONE: Final = (OSError, trio.BrokenResourceError)


@frozen
class Serving:
    port: int
    log: LogLines


Serve = Callable[[], AbstractAsyncContextManager[Serving]]


def targets() -> Iterator[Target]:
    for engine in ENGINES:
        yield _port(f"port-{engine}", partial(standalone, engine))
    yield _port("port-serve-asgi", under_asgi)


def _port(name: str, serve: Serve) -> Target:
    return Target(name=name, feed=partial(feed, serve), seeds=_conversations, max_lines=100_000, is_port=True)


async def echo(session: Session) -> None:
    async for frame in session.input:
        await session.output.send(frame)


@asynccontextmanager
async def standalone(engine: str) -> AsyncIterator[Serving]:
    params = WebsocketServerParams(
        serializer=JSONFrameSerializer(),
        audio_in_enabled=True,
        audio_out_enabled=True,
        audio_out_end_silence_secs=0,
        connect_timeout=1,
        close_timeout=0.2,
        send_timeout=0.5,
    )
    log = LogLines()
    logger = logging.getLogger("trio_transports")
    logger.addHandler(log)
    server = WebsocketServerTransport(params, host="127.0.0.1", port=0, engine=engine)
    try:
        async with trio.open_nursery() as nursery:
            ready = await nursery.start(server.serve, echo)
            yield Serving(ready.port, log)
            server.shutdown()
    finally:
        logger.removeHandler(log)


@asynccontextmanager
async def under_asgi() -> AsyncIterator[Serving]:
    app = SessionApp(echo, session_params(audio_in_enabled=True, close_timeout=0.2, send_timeout=0.5))
    async with hosted(app, write_timeout=0.5, h11_max_incomplete_size=4096) as server:
        yield Serving(server.port, server.log)


def feed(serve: Serve, data: bytes) -> None:
    trio.run(_feed, serve, data)


async def _feed(serve: Serve, data: bytes) -> None:
    with trio.move_on_after(10) as patience:
        async with serve() as serving:
            await _attack(serving.port, data)
            if not (await _answer(serving.port)).startswith(b"HTTP/1.1 101"):
                raise Finding("the next caller was not let in")
        if serving.log.errors:
            raise Finding(f"logged as an error: {serving.log.errors[0].getMessage()}")
    if patience.cancelled_caught:
        raise Finding("the server did not end within 10 s")


async def _attack(port: int, data: bytes) -> None:
    flags, data = (data[0], data[1:]) if data else (0, b"")
    half = len(data) // 2 if flags & IN_PIECES else len(data)
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        with suppress(*_GONE), trio.move_on_after(PATIENCE_S):
            if flags & UPGRADED:
                await stream.send_all(REQUEST)
                await stream.receive_some()
            await stream.send_all(data[:half])
            await trio.lowlevel.checkpoint()
            await stream.send_all(data[half:])
            await stream.send_eof()
            async for _ in stream:
                pass


async def _answer(port: int) -> bytes:
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(REQUEST)
        answer = bytes(await stream.receive_some())
        await stream.send_all(encode_close(1000, "", masked=True))
    return answer


def _conversations() -> Sequence[bytes]:
    text = b'{"type":"text","text":"said"}'
    frames = [encode_frame(opcode, data, masked=True) for opcode, data in ((1, text), (9, b"ping"))]
    frames.append(encode_close(1000, "", masked=True))
    return [
        b"\x00" + REQUEST,
        b"\x02" + REQUEST + frames[0],
        b"\x00" + REQUEST.replace(b"Upgrade: websocket", b"Content-Length: 4") + b"body",
        b"\x00GET / HTTP/1.0\r\n\r\n",
        b"\x00PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
        b"\x01" + b"".join(frames),
        b"\x03" + b"".join(frames),
        b"\x01" + frames[1] * 3,
        b"\x01" + frames[0][:-3],
    ]
