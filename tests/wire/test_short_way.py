"""The short way between an engine and its stream, with the stream played by the test."""

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from attrs import define, field

from trio_transports.wire.incoming import Incoming
from trio_transports.wire.rfc6455 import Opcode, Parser, encode_close, encode_frame
from trio_transports.wire.short_way import ShortWay


def said(*texts: str) -> bytes:
    return b"".join(encode_frame(Opcode.TEXT, text.encode(), masked=True) for text in texts)


A, PING, CLOSE = said("a"), encode_frame(Opcode.PING, b"?", masked=True), encode_close(1000, "", masked=True)


@define(eq=False)
class Reads:
    """What comes is read piece by piece: at a wake, or, after a piece that filled its read, at once."""

    pieces: deque[bytes | None] = field(factory=deque)
    """None: it woke for nothing."""
    has_more: bool = False
    fills: int = 1 << 20
    hears: int = 0
    """How often somebody began to."""
    _woken: trio.Event = field(factory=trio.Event, init=False)
    _is_stopped: bool = field(default=False, init=False)

    @property
    def shares_wakes(self) -> bool:
        return not self.has_more

    def come(self, *pieces: bytes | None) -> None:
        self.pieces.extend(pieces)
        self._woken.set()

    def read_at_wake(self) -> bytes | None:
        piece = self.pieces.popleft() if self.pieces else None
        self.has_more = piece is not None and len(piece) >= self.fills
        return piece

    async def next_piece(self) -> bytes:
        while not self.pieces:
            self._woken = trio.Event()
            await self._woken.wait()
        return self.pieces.popleft() or b""

    async def hear(self, take: Callable[[], bool]) -> None:
        self.hears += 1
        self._is_stopped = False
        while not self._is_stopped:
            if self.pieces:
                if take():
                    return
            else:
                self._woken = trio.Event()
                await self._woken.wait()

    def stop_hearing(self) -> None:
        self._is_stopped = True
        self._woken.set()


@define(eq=False)
class Writes:
    """Takes so many bytes of each write."""

    takes: int = 1 << 20
    written: bytearray = field(factory=bytearray)

    def write_now(self, data: bytes) -> int:
        self.written += data[: self.takes]
        return min(self.takes, len(data))


@define(eq=False)
class Descriptor:
    is_writing: bool = False
    on_end: Callable[[], None] | None = None


@define(eq=False)
class Stream:
    reads: Reads = field(factory=Reads)
    writes: Writes = field(factory=Writes)
    descriptor: Descriptor = field(factory=Descriptor)
    fails_with: Exception | None = None

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        return await self.reads.next_piece()

    async def send_all(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        if self.fails_with is not None:
            raise self.fails_with
        self.writes.written += data


@define(eq=False)
class Way:
    """A short way, an engine that takes what it is given, and a receiver that may be there."""

    stream: Stream = field(factory=Stream)
    short: ShortWay = field(init=False)
    engine: bytearray = field(factory=bytearray)
    got: list[str | bytes] = field(factory=list)
    stops_at: str | None = None

    def __attrs_post_init__(self) -> None:
        stream: Any = self.stream
        self.short = ShortWay(stream, Incoming(1000, bytearray()))

    async def run_engine(self) -> None:
        while data := await self.short.receive_some(1000):
            self.engine += data

    def take(self, message: str | bytes) -> bool:
        self.got.append(message)
        return message == self.stops_at

    async def receive(self) -> None:
        while True:
            await self.short.receive_each(self.take)
            while self.short.incoming.arrived:
                self.take(self.short.next_arrived())


@asynccontextmanager
async def way(first: bytes = b"", **given: Any) -> AsyncIterator[Way]:  # noqa: ANN401
    made = Way(**given)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.run_engine)
        await trio.testing.wait_all_tasks_blocked()
        made.short.begin(first)
        await trio.testing.wait_all_tasks_blocked()
        yield made
        nursery.cancel_scope.cancel()


async def test_nothing_is_read_until_it_is_begun() -> None:
    """What the engine is to be shown first it is given at once."""
    made = Way()
    made.stream.reads.come(said("early"))
    made.short.incoming.for_engine += b"a request"
    with trio.testing.assert_checkpoints():
        assert await made.short.receive_some() == b"a request"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.short.receive_some)
        await trio.testing.wait_all_tasks_blocked()
        assert (len(made.stream.reads.pieces), list(made.short.incoming.arrived)) == (1, [])
        made.short.begin(said("first"))
        assert list(made.short.incoming.arrived) == ["first"]
        nursery.cancel_scope.cancel()


async def test_messages_go_to_the_receiver_and_the_rest_to_the_engine() -> None:
    """As they come, one after another, also where it woke for nothing."""
    async with way() as made, trio.open_nursery() as nursery:
        nursery.start_soon(made.receive)
        await trio.testing.wait_all_tasks_blocked()
        for turn in (1, 2):
            made.stream.reads.come(None, said("b"), said("c", "d") + PING, None, A[:3], A[3:])
            await trio.testing.wait_all_tasks_blocked()
            assert made.got == ["b", "c", "d", "a"] * turn
            assert made.stream.reads.hears == 1 + turn  # the engine wakes for its ping alone
            assert made.engine == PING * turn
        nursery.cancel_scope.cancel()


async def test_what_came_with_the_handshake_is_first() -> None:
    """For whoever receives, when it does."""
    async with way(said("first")) as made, trio.open_nursery() as nursery:
        made.stream.reads.come(said("second"))
        await trio.testing.wait_all_tasks_blocked()
        assert len(made.stream.reads.pieces) == 1
        nursery.start_soon(made.receive)
        await trio.testing.wait_all_tasks_blocked()
        assert made.got == ["first", "second"]
        nursery.cancel_scope.cancel()


async def test_a_peer_that_is_not_listened_to_is_not_read() -> None:
    """While a message waits; with the last of them taken, its pings are answered again. Twice."""
    async with way() as made:
        reads = made.stream.reads
        for turn in (1, 2):
            reads.come(said("a", "b"), PING)
            await trio.testing.wait_all_tasks_blocked()
            assert (len(reads.pieces), len(made.engine)) == (1, len(PING) * (turn - 1))
            for left in ("a", "b"):
                assert len(reads.pieces) == 1
                assert made.short.next_arrived() == left
                await trio.testing.wait_all_tasks_blocked()
            assert (len(reads.pieces), len(made.engine)) == (0, len(PING) * turn)


async def test_what_fills_a_read_is_followed_by_another_at_once() -> None:
    """Others have their turn between them."""
    async with way(stream=Stream(reads=Reads(fills=10))) as made, trio.open_nursery() as nursery:
        nursery.start_soon(made.receive)
        await trio.testing.wait_all_tasks_blocked()
        made.stream.reads.come(*(said("0123456789") for _ in range(20)))
        for _ in range(5):
            await trio.lowlevel.checkpoint()
        assert 0 < len(made.got) < 20
        await trio.testing.wait_all_tasks_blocked()
        assert made.got == ["0123456789"] * 20
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("how", ["with the handshake", "later", "by this side", "at its end"])
async def test_it_is_left_for_good(how: str) -> None:
    """From then on all bytes are the engine's, who waits is woken, and what had arrived may be taken yet."""
    async with way(CLOSE[:3] if how == "with the handshake" else b"") as made, trio.open_nursery() as nursery:
        ends: list[bool] = []

        async def receive() -> None:
            ends.append(await made.short.receive_each(made.take))

        if how == "with the handshake":
            assert not made.short.is_open
        else:
            nursery.start_soon(receive)
            await trio.testing.wait_all_tasks_blocked()
            assert made.short.is_open
            match how:
                case "later":
                    made.stream.reads.come(A + CLOSE[:3])
                case "by this side":
                    made.stream.reads.come(A[:3])
                    await trio.testing.wait_all_tasks_blocked()
                    made.short.leave()
                case _:
                    made.stream.reads.come(A, b"")
            await trio.testing.wait_all_tasks_blocked()
            assert (made.short.is_open, ends) == (False, [False])
        arrived = {"later": ([], ["a"]), "at its end": (["a"], [])}.get(how, ([], []))
        assert (made.got, list(made.short.incoming.arrived)) == arrived
        made.stream.reads.come(b"all else")
        await trio.testing.wait_all_tasks_blocked()
        begun = {"by this side": A[:3], "at its end": b""}.get(how, CLOSE[:3])
        assert made.engine == begun + b"all else"


async def test_a_peer_that_is_not_listened_to_is_the_engines_when_it_is_left() -> None:
    """The engine, which waited for somebody to listen, goes on."""
    async with way() as made:
        made.stream.reads.come(A)
        await trio.testing.wait_all_tasks_blocked()
        made.stream.reads.come(b"all else")
        await trio.testing.wait_all_tasks_blocked()
        assert made.engine == b""
        made.short.leave()
        await trio.testing.wait_all_tasks_blocked()
        assert made.engine == b"all else"
        assert made.short.next_arrived() == "a"


async def test_it_ends_with_the_stream() -> None:
    """Whatever ends that."""
    async with way() as made:
        assert made.stream.descriptor.on_end is not None
        made.stream.descriptor.on_end()
        assert not made.short.is_open


# Writing


def heard(made: Way) -> list[object]:
    return list(Parser(from_client=False, max_message_bytes=1000).feed(bytes(made.stream.writes.written)))


@pytest.mark.parametrize("message", ["text", b"bytes", "ä"])
async def test_a_message_is_written_as_a_frame_of_its_own(message: str | bytes) -> None:
    made = Way()
    assert [made.short.send_now(message) for _ in range(2)] == [True, True]
    assert heard(made) == [message] * 2


async def test_a_message_that_was_begun_goes_first() -> None:
    """Somebody is told that there is a rest; nothing is written between, by the engine neither. Twice."""
    made = Way()
    told: list[str] = []
    made.short.on_begun = lambda: told.append("begun")
    for turn in (1, 2):
        made.stream.writes.takes = 3
        assert made.short.send_now("begun") is None
        assert told == ["begun"] * turn
        made.stream.writes.takes = 1 << 20
        assert made.short.send_now("not yet") is False
        if turn == 1:
            await made.short.write_rest()
            assert not made.short.backlog
        await made.short.send_all(encode_frame(Opcode.PONG, b"", masked=False))
        assert made.short.send_now("then") is True
        assert [each for each in heard(made) if isinstance(each, str)] == ["begun", "then"] * turn


async def test_what_is_not_begun_is_told_so() -> None:
    """Where the kernel takes nothing, or the engine is amid a write; and nobody is told of a rest."""
    made = Way()
    made.short.on_begun = lambda: pytest.fail("nothing was begun")
    made.stream.descriptor.is_writing = True
    assert made.short.send_now("amid") is False
    made.stream.descriptor.is_writing = False
    made.stream.writes.takes = 0
    assert made.short.send_now("full") is False
    assert not made.short.backlog
    assert made.stream.writes.written == b""


@pytest.mark.parametrize("error", [trio.BrokenResourceError("broken"), trio.ClosedResourceError("closed")])
async def test_an_end_amid_the_rest_is_the_readers_to_tell(error: Exception) -> None:
    made = Way()
    made.stream.writes.takes = 3
    assert made.short.send_now("begun") is None
    made.stream.fails_with = error
    await made.short.write_rest()
    assert made.short.backlog
