"""A WebSocket over HTTP/2 ends its stream, both ways: what is left half open counts against those yet to come."""

import pytest
import trio

from tests.real.asgi.apps import WireApp, echo, until
from tests.real.asgi.h2_peer import H2Peer, Stream, h2_peer
from tests.real.asgi.hosts import H2C, hosted
from tests.real.asgi.raw_peer import TEXT, close_frame, frame
from trio_transports.wire.asgi import Receive, Scope, Send


class Undecided:
    """It never accepts who calls one path, and keeps what it hears after that request; to others it is an echo."""

    def __init__(self, undecided: str = "/ws") -> None:
        self.undecided = undecided
        self.endings: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("path") != self.undecided:
            await WireApp(echo)(scope, receive, send)
        else:
            await receive()
            self.endings.append((await receive())["type"])


ENDS = {
    "the peer's close": (close_frame(4000, "bye"), 4000),
    "a frame that breaks the protocol": (b"\xff\x80\x00\x00\x00\x00", 1002),
    "text that is none": (b"\x81\x82\x00\x00\x00\x00\xff\xff", 1007),
    "a message over the limit": (b"\x82\xff" + (1 << 40).to_bytes(8, "big") + bytes(4), 1009),
}


async def call(peer: H2Peer, says: bytes) -> Stream:
    stream = await peer.open("CONNECT", "/ws", websocket=True)
    await peer.until(lambda: stream.status)
    assert stream.status == 200
    await peer.send(stream, says)
    await peer.until(lambda: stream.is_over)
    return stream


@pytest.mark.parametrize("end", ENDS)
async def test_the_stream_ends_behind_the_close_without_an_answer(end: str) -> None:
    """The peer reads the Close, then the end of the stream, while the connection stays; twice on one connection."""
    says, code = ENDS[end]
    async with hosted(WireApp(echo), limits=H2C) as server:
        with trio.fail_after(20):
            async with h2_peer(server.port) as peer:
                for _ in range(2):
                    stream = await call(peer, says)
                    assert stream.data[:1] == b"\x88"
                    assert stream.data[2:4] == code.to_bytes(2, "big")
                    assert not peer.is_over


async def test_calls_that_have_ended_leave_room_for_others() -> None:
    """More calls one after another than a connection may have streams at a time, each ended by the peer."""
    async with hosted(WireApp(echo), limits=H2C, h2_max_concurrent_streams=5) as server:
        with trio.fail_after(20):
            async with h2_peer(server.port) as peer:
                for _ in range(12):
                    stream = await call(peer, close_frame(1000))
                    await peer.end(stream)


@pytest.mark.parametrize("is_accepted", [True, False])
async def test_a_peer_that_ends_its_stream_without_a_close_has_gone(is_accepted: bool) -> None:
    """The app hears of it at once, and the stream is over, whether the call was open yet or not."""
    app = WireApp(echo) if is_accepted else Undecided()
    async with hosted(app, limits=H2C) as server:
        with trio.fail_after(20):
            async with h2_peer(server.port) as peer:
                for number in (1, 2):
                    stream = await peer.open("CONNECT", "/ws", websocket=True)
                    if is_accepted:
                        await peer.until(lambda stream=stream: stream.status)  # type: ignore[misc]
                    await peer.end(stream)
                    await peer.until(lambda stream=stream: stream.is_over)  # type: ignore[misc]
                    assert not peer.is_over
                    await until(lambda number=number: len(app.endings) == number)  # type: ignore[misc]
    expected = [1006] * 2 if is_accepted else ["websocket.disconnect"] * 2
    assert [getattr(ending, "code", ending) for ending in app.endings] == expected


async def test_who_speaks_before_the_answer_ends_its_own_stream() -> None:
    """It is refused, its app is told, and its neighbour on the same connection goes on; twice."""
    app = Undecided(undecided="/early")
    async with hosted(app, limits=H2C) as server:
        with trio.fail_after(20):
            async with h2_peer(server.port) as peer:
                neighbour = await peer.open("CONNECT", "/ws", websocket=True)
                await peer.until(lambda: neighbour.status)
                for number in (1, 2):
                    early = await peer.open("CONNECT", "/early", websocket=True)
                    await peer.send(early, frame(TEXT, b"too early"))
                    await peer.until(lambda early=early: early.is_over)  # type: ignore[misc]
                    await until(lambda number=number: len(app.endings) == number)  # type: ignore[misc]
                    await peer.send(neighbour, frame(TEXT, b"still here %d" % number))
                    await peer.until(lambda number=number: b"still here %d" % number in neighbour.data)  # type: ignore[misc]
