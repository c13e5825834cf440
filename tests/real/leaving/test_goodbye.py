"""A caller who goes on talking hears the goodbye: the connection is there until it has answered, or had its time."""

import re
import socket
from base64 import b64encode
from hashlib import sha1
from threading import Thread
from time import sleep

import pytest
import trio

from tests.real.edge.attacks import GOOD, frame
from tests.real.hosting import WAYS_IN, hosted
from trio_transports import Session
from trio_transports.errors import ConnectionClosed
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.wire import Wire
from trio_transports.wire.engines import ENGINES, engine_named
from trio_transports.wire.settings import WireSettings

PARAMS = {"serializer": JSONFrameSerializer(), "close_timeout": 30}
SPEECH = frame(0x81, b'{"type": "text", "text": "and another thing"}')
ANSWER = frame(0x88, (1001).to_bytes(2, "big"))


async def until_closing(stream: trio.SocketStream) -> bytes:
    got = b""
    while b"\x88" not in got:
        got += await stream.receive_some(1000)
    return got


async def leaves(session: Session) -> None:
    """Say goodbye as soon as the caller has said a word."""
    await session.input.receive()
    await session.aclose(1001, "that is all")


@pytest.mark.parametrize("way_in", WAYS_IN)
async def test_who_talks_on_is_not_cut_off_before_it_has_answered(way_in: str) -> None:
    """It talks for another second after the Close has been sent, three times over; nothing is reset meanwhile."""
    async with hosted(way_in, leaves, **PARAMS) as host:
        port = int(host.url.rsplit(":", 1)[1].partition("/")[0])
        for _ in range(3):
            with trio.fail_after(30):
                async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                    await stream.send_all(GOOD(b"/call"))
                    assert (await stream.receive_some(4000)).startswith(b"HTTP/1.1 101")
                    await stream.send_all(SPEECH)
                    with trio.move_on_after(10) as early:
                        await until_closing(stream)
                    assert not early.cancelled_caught
                    for _ in range(20):
                        await stream.send_all(SPEECH)
                        await trio.sleep(0.05)
                    await stream.send_all(ANSWER)
                    assert not await stream.receive_some(1000)


LAST_WORDS = 20
"""More than an engine reads at a time."""


def say_goodbye_and_go(listening: socket.socket) -> None:
    """A server that leaves what its client said unread, and so resets the connection behind its goodbye."""
    accepted, _ = listening.accept()
    with accepted:
        asked = accepted.recv(4000)
        (key,) = re.findall(rb"Sec-WebSocket-Key: (\S+)", asked)
        proof = b64encode(sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False).digest())
        head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        accepted.sendall(head + b"Sec-WebSocket-Accept: " + proof + b"\r\n\r\n")
        assert accepted.recv(1)
        sleep(0.05)
        accepted.sendall(
            LAST_WORDS * frame(0x81, b"x" * 1000, masked=False)
            + frame(0x88, (1001).to_bytes(2, "big") + b"bye", masked=False)
        )


async def read_all(wire: Wire, endings: list[ConnectionClosed]) -> None:
    for _ in range(LAST_WORDS):
        await wire.receive()
    with pytest.raises(ConnectionClosed) as closed:
        await wire.receive()
    endings.append(closed.value)


async def write_on(wire: Wire, size: int, endings: list[ConnectionClosed]) -> None:
    try:
        while True:
            await wire.send("x" * size)
    except ConnectionClosed as closed:
        endings.append(closed)


@pytest.mark.parametrize("size", [10, 1_000_000], ids=["a small write", "a stuck write"])
@pytest.mark.parametrize("engine", ENGINES)
async def test_a_client_that_writes_meanwhile_reads_the_goodbye_before_the_reset(engine: str, size: int) -> None:
    """It is busy while the server goes; then its writer and its reader wake at once. Both say 1001, six times over."""
    endings: list[ConnectionClosed] = []
    for _ in range(6):
        with socket.create_server(("127.0.0.1", 0)) as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 10_000)
            server = Thread(target=say_goodbye_and_go, args=(listening,))
            server.start()
            stream = await trio.open_tcp_stream("127.0.0.1", listening.getsockname()[1])
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 10_000)
            settings = WireSettings(ping_interval_s=None)
            with trio.fail_after(20):
                async with (
                    engine_named(engine).connect(
                        stream, url="ws://x/", host="x", resource="/", settings=settings
                    ) as wire,
                    trio.open_nursery() as nursery,
                ):
                    await wire.send("a word")  # the server waits for one, and this side will wait for the server
                    nursery.start_soon(read_all, wire, endings)
                    nursery.start_soon(write_on, wire, size, endings)
                    await trio.sleep(0.02)
                    server.join()
    assert {(each.code, each.reason, each.initiator) for each in endings} == {(1001, "bye", "remote")}
    assert len(endings) == 12
