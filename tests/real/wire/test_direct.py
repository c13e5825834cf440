"""What the direct engine does where the contract of all wires says nothing, at the socket."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
import trio.testing

from tests.real.wire.engines import everybody, stream_pair
from tests.real.wire.test_engines import tls_contexts
from trio_transports import ConnectionClosed
from trio_transports.wire import Peer
from trio_transports.wire.direct import DirectWire, accept_wire, connect_wire
from trio_transports.wire.rfc6455 import Opcode, Parser, Ping, Received, encode_close, encode_frame
from trio_transports.wire.settings import WireSettings
from trio_transports.wire.stream import OwnedStream, TCPStream

REQUEST = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
QUIET = WireSettings(max_message_bytes=4096, ping_interval_s=None)


def said(text: str) -> bytes:
    return encode_frame(Opcode.TEXT, text.encode(), masked=True)


@asynccontextmanager
async def server_wire(
    settings: WireSettings = QUIET, *, tls: bool = False, trailing: bytes = b""
) -> AsyncIterator[tuple[DirectWire, TCPStream]]:
    """A server's wire, and the bare stream of its client, which has asked and been let in."""
    server_ssl, client_ssl = tls_contexts() if tls else (None, None)
    async with stream_pair(server_ssl, client_ssl) as (near, far), trio.open_nursery() as nursery:
        done = trio.Event()
        wires: list[DirectWire] = []

        async def serve(task_status: trio.TaskStatus[None]) -> None:
            async with accept_wire(far, admit=everybody, settings=settings) as wire:
                assert isinstance(wire, DirectWire)
                wires.append(wire)
                task_status.started()
                await done.wait()

        async with trio.open_nursery() as opening:
            opening.start_soon(nursery.start, serve)
            await near.send_all(REQUEST + trailing)
            answer = b""
            while not answer.endswith(b"\r\n\r\n"):
                answer += await near.receive_some(1)
        yield wires[0], near
        done.set()


async def to_the_end(wire: DirectWire) -> tuple[list[str | bytes], ConnectionClosed]:
    messages: list[str | bytes] = []
    with trio.fail_after(30):
        while True:
            try:
                messages.append(await wire.receive())
            except ConnectionClosed as closed:
                return messages, closed


async def read_all(stream: TCPStream) -> bytes:
    got = b""
    with trio.fail_after(30):
        while data := await stream.receive_some():
            got += data
    return got


def parsed(data: bytes) -> list[Received]:
    return Parser(from_client=False, max_message_bytes=1 << 20).feed(data)


# Keepalive


@pytest.mark.parametrize("tls", [False, True])
async def test_an_idle_connection_lives(tls: bool) -> None:
    """Two ends that say nothing ping each other, with TLS too, and stay connected."""
    often = WireSettings(ping_interval_s=0.05, ping_timeout_s=3)
    server_ssl, client_ssl = tls_contexts() if tls else (None, None)
    async with stream_pair(server_ssl, client_ssl) as (near, far), trio.open_nursery() as nursery:

        async def serve() -> None:
            async with accept_wire(far, admit=everybody, settings=often) as wire:
                with pytest.raises(ConnectionClosed) as caught:
                    await wire.receive()
                assert (caught.value.code, caught.value.initiator) == (1000, "remote")

        nursery.start_soon(serve)
        async with connect_wire(near, url="ws://x/", host="localhost", resource="/", settings=often) as wire:
            with trio.move_on_after(3.5) as limit:
                await wire.receive()
            assert limit.cancelled_caught
            await wire.aclose()


@pytest.mark.parametrize("tls", [False, True])
async def test_a_silent_peer_is_let_go(tls: bool) -> None:
    """A peer that reads and never answers a ping ends the connection, with an error that says so."""
    async with server_wire(WireSettings(ping_interval_s=0.05, ping_timeout_s=0.1), tls=tls) as (wire, peer):
        _, closed = await to_the_end(wire)
        assert (closed.code, closed.initiator, closed.reason) == (1006, "error", "no pong within 0.1 s of a ping")
        assert parsed(await read_all(peer))


async def test_a_stall_shorter_than_the_limit_is_survived() -> None:
    """A ping for which the kernel has no room at all is written when it has, and the wait for its pong begins then."""
    ends = socket.socketpair()
    near, far = (trio.SocketStream(trio.socket.from_stdlib_socket(end)) for end in ends)
    owned = OwnedStream(near)
    owned.opened()
    wire = DirectWire(Peer(), owned, Parser(from_client=True, max_message_bytes=4096), False)
    parser = Parser(from_client=False, max_message_bytes=1 << 20)
    pings = 0
    async with near, far, trio.open_nursery() as nursery:
        nursery.start_soon(wire.keep, WireSettings(ping_interval_s=0.05, ping_timeout_s=3))
        # Such a socket takes a small frame whole or not at all, so the ping is the first that has to wait.
        while wire.send_now(bytes(1000)):
            pass
        assert not wire._backlog

        @nursery.start_soon
        async def stall_and_answer() -> None:
            nonlocal pings
            await trio.sleep(0.25)
            while True:
                for event in parser.feed(bytes(await far.receive_some())):
                    if isinstance(event, Ping):
                        pings += 1
                        await far.send_all(encode_frame(Opcode.PONG, event.payload, masked=True))
                if pings > 1:
                    limit.cancel()

        with trio.move_on_after(30) as limit:
            await wire.receive()
        assert limit.cancelled_caught
        nursery.cancel_scope.cancel()
    assert pings > 1


async def test_a_peer_that_takes_nothing_is_an_error() -> None:
    """What the keeper gives up writing is not told as this side's abort."""
    async with server_wire(WireSettings(ping_interval_s=None, ping_timeout_s=0.1)) as (wire, _):
        assert wire.send_now(bytes(1_000_000)) is None
        _, closed = await to_the_end(wire)
        assert (closed.code, closed.initiator) == (1006, "error")
        assert closed.reason == "the peer took nothing for 0.1 s"


async def test_a_slow_peer_is_not_one_that_takes_nothing() -> None:
    """Each piece that the peer takes renews the keeper's patience."""
    async with server_wire(WireSettings(ping_interval_s=None, ping_timeout_s=3)) as (wire, peer):
        message, got = bytes(600_000), b""
        assert wire.send_now(message) is None
        begun_s = trio.current_time()
        while not parsed(got):
            got += await peer.receive_some(16384)
            await trio.sleep(0.1)
        assert trio.current_time() - begun_s > 3
        await wire.flushed()
        assert parsed(got) == [message]


# Reading


BEFORE = said("one") + said("two")


@pytest.mark.parametrize(
    ("rest", "code", "initiator"),
    [
        (encode_frame(Opcode.BINARY, bytes(4097), masked=True), 1009, "local"),
        (b"\x83\x80abcd", 1002, "error"),
        (encode_frame(Opcode.TEXT, b"\xff", masked=True), 1007, "error"),
        (encode_close(4000, "bye", masked=True) + b"\x00\x00garbage", 4000, "remote"),
        (encode_close(4000, "bye", masked=True) + said("late"), 4000, "remote"),
    ],
    ids=["too big", "opcode", "not UTF-8", "close and junk", "close and a message"],
)
@pytest.mark.parametrize("tls", [False, True])
async def test_what_came_before_the_end_is_delivered(rest: bytes, code: int, initiator: str, tls: bool) -> None:
    """Messages in one read with a violation or a Close are received, those after it are not; the peer is answered."""
    async with server_wire(tls=tls) as (wire, peer), trio.open_nursery() as nursery:
        await peer.send_all(BEFORE + rest)

        @nursery.start_soon
        async def read_peer() -> None:
            (answer,) = parsed(await read_all(peer))
            assert getattr(answer, "code", None) == code
            await trio.aclose_forcefully(peer)

        messages, closed = await to_the_end(wire)
        assert messages == ["one", "two"]
        assert (closed.code, closed.initiator) == (code, initiator)
        wire.abort()


async def test_a_close_with_the_handshake() -> None:
    """What came in one packet with the request counts, up to its Close, which is answered."""
    async with server_wire(trailing=BEFORE + encode_close(1001, "", masked=True)) as (wire, peer):
        messages, closed = await to_the_end(wire)
        assert (messages, closed.code) == (["one", "two"], 1001)
        assert await read_all(peer) == encode_close(1001, "", masked=False)


async def test_goodbye_keeps_nothing_that_arrives() -> None:
    """A peer that floods a side which has said goodbye fills no memory."""
    async with server_wire() as (wire, peer), trio.open_nursery() as nursery:
        nursery.start_soon(partial(wire.aclose, 1013, "full"))
        for _ in range(50):
            await peer.send_all(said("x" * 4000) * 4)
        assert not wire._arrived
        await peer.send_all(encode_close(1013, "", masked=True))


# Writing


async def test_a_message_that_was_begun() -> None:
    """Writing at once tells all, nothing and begun apart; flushed waits for the rest, and its end is told."""
    async with server_wire() as (wire, peer), trio.open_nursery() as nursery:
        assert wire.send_now("whole") is True
        big = bytes(1_000_000)
        assert wire.send_now(big) is None
        assert wire.send_now("later") is False
        got = b""

        @nursery.start_soon
        async def read_peer() -> None:
            nonlocal got
            while len(got) < len(big):
                got += await peer.receive_some()

        await wire.flushed()
        assert not wire._backlog
        await wire.send("done")
    assert parsed(got)[:2] == ["whole", big]


async def test_flushed_after_the_end() -> None:
    """Who waits for a begun message that will never be whole is told the end."""
    async with server_wire() as (wire, _), trio.open_nursery() as nursery:
        assert wire.send_now(bytes(1_000_000)) is None

        @nursery.start_soon
        async def wait() -> None:
            with pytest.raises(ConnectionClosed):
                await wire.flushed()

        await trio.testing.wait_all_tasks_blocked(0.05)
        wire.abort()


@pytest.mark.parametrize("verb", ["send", "flushed"])
async def test_a_cancelled_wait_for_another_writer_aborts(verb: str) -> None:
    """A send cancelled while the keeper writes what was begun ends the connection; its message never arrives."""
    async with server_wire() as (wire, peer):
        assert wire.send_now(bytes(1_000_000)) is None
        await trio.testing.wait_all_tasks_blocked(0.05)
        with trio.move_on_after(0.05) as limit:
            await (wire.send("never") if verb == "send" else wire.flushed())
        assert limit.cancelled_caught
        with pytest.raises(ConnectionClosed, match="aborted"):
            await wire.receive()
        with pytest.raises(trio.BrokenResourceError):
            await read_all(peer)
