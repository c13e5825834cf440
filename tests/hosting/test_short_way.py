"""The short way from a session to its socket, without a server."""

import socket
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing
from attrs import define, field

from trio_transports.hosting.app_queue import AppQueue
from trio_transports.hosting.short_way import PIECE_BYTES, HostedShortWay
from trio_transports.hosting.writing import Writing
from trio_transports.wire.stream import OwnedStream


class Frames:
    """A WebSocket that this side, or the other, has begun to close."""

    may_send = False
    has_rest = False

    def take_messages(self, data: bytes) -> list[str | bytes]:
        return []


async def nothing() -> None: ...


async def test_nothing_is_sent_behind_a_close() -> None:
    """``send_now`` says that nothing of the message was taken, twice, and the peer sees no byte of it."""
    near, far = (trio.socket.from_stdlib_socket(each) for each in socket.socketpair())
    with far:
        async with OwnedStream(trio.SocketStream(near)) as stream:
            writing = Writing(stream, stream, lambda task: None)
            way = HostedShortWay(stream, writing, AppQueue(1), Frames(), nothing)
            for message in ("text", b"bytes"):
                assert way.send_now(message) is False
        assert await far.recv(100) == b""


@define(eq=False)
class Socket:
    """Gives what the test puts; it shares no wakes."""

    arrived: list[bytes] = field(factory=list)
    news: trio.lowlevel.ParkingLot = field(factory=trio.lowlevel.ParkingLot)
    reads: Any = field(factory=lambda: SimpleNamespace(shares_wakes=False, put_back=b""))

    async def receive_some(self, _max_bytes: int) -> bytes:
        if self.reads.put_back:
            await trio.lowlevel.checkpoint()
            data, self.reads.put_back = self.reads.put_back, b""
            return bytes(data)
        while not self.arrived:
            await self.news.park()
        return self.arrived.pop(0)

    def put(self, data: bytes) -> None:
        self.arrived.append(data)
        self.news.unpark_all()


@define(eq=False)
class Lines:
    """Each line is a message; from an exclamation mark on it is the rest."""

    may_send: bool = True
    has_rest: bool = False

    def take_messages(self, data: bytes) -> list[str | bytes]:
        head, mark, _ = data.partition(b"!")
        self.has_rest = bool(mark)
        return [line for line in head.split(b"\n") if line]


@define(eq=False)
class Lending:
    """A session that takes messages, and a reader that lends the socket."""

    socket: Socket = field(factory=Socket)
    queue: AppQueue = field(factory=lambda: AppQueue(9))
    frames: Lines = field(factory=Lines)
    lent: list[bool] = field(factory=list)
    way: HostedShortWay = field(init=False)

    def __attrs_post_init__(self) -> None:
        socket: Any = self.socket
        writing: Any = None
        self.way = HostedShortWay(socket, writing, self.queue, self.frames, nothing)

    async def lend(self) -> None:
        self.lent.append(await self.way.lend())


async def test_the_socket_is_lent_to_who_waits(autojump_clock: trio.testing.MockClock) -> None:
    """Not before; it stays lent between two messages, and what was read with one is given first."""
    lending = Lending()
    await lending.lend()
    assert lending.lent == [False]
    got: list[object] = []
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def take() -> None:
            got.extend([await lending.way.next_message() for _ in range(3)])

        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(lending.lend)
        await trio.testing.wait_all_tasks_blocked()
        lending.socket.put(b"a\nb\n")
        await trio.testing.wait_all_tasks_blocked()
        assert (got, lending.lent) == ([], [False])
        lending.socket.put(b"c\n")
        await trio.testing.wait_all_tasks_blocked()
        assert (got, lending.lent) == ([b"a", b"b", b"c"], [False])
        lending.way.close()
    assert lending.lent == [False, True]
    await lending.lend()
    assert lending.lent == [False, True, False]


@pytest.mark.parametrize("end", [b"!", b""])
async def test_what_is_no_message_gives_the_socket_back(end: bytes, autojump_clock: trio.testing.MockClock) -> None:
    """What came before it is given first; the end of the stream is the reader's to find, for good."""
    lending = Lending()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lending.way.next_message)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(lending.lend)
        await trio.testing.wait_all_tasks_blocked()
        lending.socket.put(b"a\n" + end)
        if not end:
            lending.socket.put(end)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(lending.way.next_message)
        await trio.testing.wait_all_tasks_blocked()
        assert lending.lent == [True]
        nursery.cancel_scope.cancel()
    assert (lending.way._is_over, lending.way._is_lent) == (not end, False)


async def test_asking_in_the_other_way_takes_the_socket_back(autojump_clock: trio.testing.MockClock) -> None:
    """At once, or when the read that is under way is over; nothing is lost by it, twice."""
    lending = Lending()
    for turn in (1, 2):
        with trio.CancelScope() as reading:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(lending.way.next_message)
                await trio.testing.wait_all_tasks_blocked()
                nursery.start_soon(lending.lend)
                await trio.testing.wait_all_tasks_blocked()
                lending.way.decline()
                await trio.testing.wait_all_tasks_blocked()
                assert len(lending.lent) == turn - 1  # a read is under way
                lending.socket.put(b"a\n")
                await trio.testing.wait_all_tasks_blocked()
                assert len(lending.lent) == turn
        assert not reading.cancelled_caught
        await lending.lend()
        assert lending.lent.pop() is False


async def test_a_read_is_worked_on_in_pieces(autojump_clock: trio.testing.MockClock) -> None:
    """What is over one piece is put back, whole, and read next."""
    lending = Lending()
    line = b"x" * 99 + b"\n"
    much = line * (PIECE_BYTES // 50)
    got: list[object] = []
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def take() -> None:
            while True:
                got.append(await lending.way.next_message())

        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(lending.lend)
        lending.socket.put(much)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert b"".join(each for each in got if isinstance(each, bytes)) == much.replace(b"\n", b"")


async def test_each_is_handed_over_until_it_is_enough(autojump_clock: trio.testing.MockClock) -> None:
    """What is left stays for the next one; what is no message ends it."""
    lending = Lending()
    lending.queue.put_messages([b"a", b"b", b"c"])
    got: list[object] = []

    def take(message: str | bytes) -> bool:
        got.append(message)
        return message == b"b"

    assert await lending.way.receive_each(take)
    assert got == [b"a", b"b"]
    lending.queue.disconnect({"type": "websocket.disconnect"})
    assert not await lending.way.receive_each(take)
    assert got == [b"a", b"b", b"c"]


async def test_taking_what_is_there_is_a_checkpoint() -> None:
    """So that a session with much to read lets others have their turn."""
    lending = Lending()
    lending.queue.put_messages([b"a", b"b"])
    for message in (b"a", b"b"):
        with trio.testing.assert_checkpoints():
            assert await lending.way.next_message() == message


@pytest.mark.parametrize("written", [True, None, False])
@pytest.mark.parametrize(("message", "frame"), [("text", b"\x81\x04text"), (b"bytes", b"\x82\x05bytes")])
async def test_a_message_is_sent_as_one_frame(message: str | bytes, frame: bytes, written: bool | None) -> None:
    """Unmasked; what its writing says of it is said."""
    frames: list[bytes] = []

    def write_now(data: bytes) -> bool | None:
        frames.append(data)
        return written

    lending = Lending()
    writing: Any = SimpleNamespace(write_now=write_now)
    lending.way._writing = writing
    assert lending.way.send_now(message) is written
    assert frames == [frame]
