"""The lean engine's wire on a stream that the test plays: what it reads where it is woken, and what it writes."""

from collections import deque
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing
from attrs import define, field

from trio_transports.errors import ConnectionClosed
from trio_transports.wire import Peer
from trio_transports.wire.direct import DirectWire
from trio_transports.wire.rfc6455 import Close, Opcode, Parser, Ping, Pong, Received, encode_close, encode_frame
from trio_transports.wire.settings import WireSettings


def said(*texts: str) -> bytes:
    return b"".join(encode_frame(Opcode.TEXT, text.encode(), masked=True) for text in texts)


CLOSE = encode_close(4000, "bye", masked=True)


@define(eq=False)
class Stream:
    """Is its own reads, writes and descriptor. It takes so many bytes at once, and the rest after so long."""

    pieces: deque[bytes | None] = field(factory=deque)
    shares_wakes: bool = True
    has_more: bool = False
    takes: int = 1 << 20
    takes_s: float = 0.0
    fails_with: Exception | None = None
    """What each write raises."""
    written: bytearray = field(factory=bytearray)
    done: list[str] = field(factory=list)
    left: bytes = b""
    """What lies in the kernel's buffer when a write has failed."""
    hears: int = 0
    _woken: trio.Event = field(factory=trio.Event, init=False)

    @property
    def reads(self) -> "Stream":
        return self

    @property
    def writes(self) -> "Stream":
        return self

    @property
    def descriptor(self) -> "Stream":
        return self

    def alarm_s(self, due_s: float) -> float:
        return due_s - 1

    def come(self, *pieces: bytes | None) -> None:
        self.pieces.extend(pieces)
        self._woken.set()

    async def hear(self, take: Callable[[], bool]) -> None:
        self.hears += 1
        while True:
            while not self.pieces:
                self._woken = trio.Event()
                await self._woken.wait()
            if take():
                await trio.lowlevel.checkpoint()
                return

    def read_at_wake(self) -> bytes | None:
        return self.pieces.popleft() if self.pieces else None

    def read_now(self) -> bytes:
        data, self.left = self.left, b""
        return data

    async def receive_some(self) -> bytes:
        await trio.lowlevel.checkpoint()
        while not self.pieces and "abort" not in self.done:
            self._woken = trio.Event()
            await self._woken.wait()
        if "abort" in self.done:
            raise trio.ClosedResourceError("closed by this side")
        return self.pieces.popleft() or b""

    def write_now(self, data: bytes) -> int:
        if self.fails_with is not None:
            raise self.fails_with
        self.written += data[: self.takes]
        return min(self.takes, len(data))

    async def send_all(self, data: bytes) -> None:
        await trio.sleep(self.takes_s)
        if self.fails_with is not None:
            raise self.fails_with
        self.written += data

    def opened(self) -> None: ...

    def shut_writing(self) -> None:
        self.done.append("shut")

    def abort(self) -> None:
        self.done.append("abort")
        self._woken.set()

    def heard(self) -> list[Received]:
        """What its peer has read."""
        return Parser(from_client=False, max_message_bytes=1 << 20).feed(bytes(self.written))


def made(**given: Any) -> tuple[DirectWire, Stream]:  # noqa: ANN401
    stream = Stream(**given)
    under: Any = stream
    return DirectWire(Peer(), under, Parser(from_client=True, max_message_bytes=1000), False), stream


@define(eq=False)
class Receiving:
    """A task in ``receive_each`` that stops at ``wanted``."""

    wire: DirectWire
    wanted: str = "wanted"
    got: list[str | bytes] = field(factory=list)
    ends: list[object] = field(factory=list)

    def take(self, message: str | bytes) -> bool:
        if message == "bad":
            raise LookupError("a bad message")
        self.got.append(message)
        return message == self.wanted

    async def receive(self) -> None:
        try:
            await self.wire.receive_each(self.take)
            self.ends.append("done")
        except (ConnectionClosed, LookupError) as exc:
            self.ends.append(exc)


async def test_messages_are_handed_over_where_they_are_read() -> None:
    """Until one that is wanted; what came behind it is there for the next call. Twice."""
    wire, stream = made()
    for _ in range(2):
        receiving = Receiving(wire)
        whole = said("b", "wanted", "later")
        stream.come(None, said("a"), whole[:5], None, whole[5:])
        await receiving.receive()
        assert (receiving.got, receiving.ends) == (["a", "b", "wanted"], ["done"])
        assert await wire.receive() == "later"


async def test_many_at_once_are_left_to_their_reader() -> None:
    """A few are handed over where they are read; the rest in its own task, in order."""
    wire, stream = made()
    texts = [str(number) for number in range(20)]
    stream.come(said(*texts, "wanted", "later"))
    receiving = Receiving(wire)
    await receiving.receive()
    assert receiving.got == [*texts, "wanted"]
    assert await wire.receive() == "later"


async def test_what_taking_raises_is_the_receivers() -> None:
    """What came behind it is there yet, and the connection is as it was."""
    wire, stream = made()
    stream.come(said("a", "bad", "b"))
    receiving = Receiving(wire)
    await receiving.receive()
    assert receiving.got == ["a"]
    assert isinstance(receiving.ends[0], LookupError)
    assert [await wire.receive()] == ["b"]
    await wire.send("still here")
    assert stream.heard() == ["still here"]


@pytest.mark.parametrize("shares_wakes", [True, False])
@pytest.mark.parametrize(
    ("last", "code", "initiator", "answered"),
    [
        (CLOSE, 4000, "remote", [Close(4000, "")]),
        (b"\xff\x80\x00\x00\x00\x00", 1002, "error", [Close(1002, "a reserved bit is set")]),
        (b"", 1006, "error", []),
    ],
    ids=["goodbye", "violation", "loss"],  # the masks of frames differ each time
)
async def test_what_came_before_the_end_is_taken_first(
    last: bytes,
    code: int,
    initiator: str,
    answered: list[Received],
    shares_wakes: bool,
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Then the end is told, and what is to be said to the peer has been."""
    wire, stream = made(shares_wakes=shares_wakes)
    stream.come(said("a"), said("b") + last, b"")
    receiving = Receiving(wire)
    await receiving.receive()
    (closed,) = receiving.ends
    assert isinstance(closed, ConnectionClosed)
    assert (receiving.got, closed.code, closed.initiator) == (["a", "b"], code, initiator)
    assert stream.heard() == answered
    assert stream.done == ([] if not last else ["shut", "abort"] if code == 1002 else ["abort"])


async def test_pings_are_answered_where_they_are_read() -> None:
    """In order; and one that cannot be written yet is replaced by the next."""
    wire, stream = made()
    receiving = Receiving(wire)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(receiving.receive)
        for turn in (1, 2):
            stream.come(encode_frame(Opcode.PING, bytes((turn,)), masked=True))
            await trio.testing.wait_all_tasks_blocked()
            assert stream.heard() == [Pong(bytes((each,))) for each in range(1, turn + 1)]
        stream.takes = 3
        assert wire.send_now("begun") is None
        for number in (7, 8, 9):
            stream.come(encode_frame(Opcode.PING, bytes((number,)), masked=True))
        await trio.testing.wait_all_tasks_blocked()
        await wire.flushed()
        assert stream.heard()[2:] == ["begun", Pong(b"\x09")]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("goodbye", [CLOSE, b"\xff\x80\x00\x00\x00\x00"], ids=["goodbye", "violation"])
async def test_no_pong_follows_the_end(goodbye: bytes, autojump_clock: trio.testing.MockClock) -> None:
    """Not even one that waits for its turn."""
    wire, stream = made(takes=3)
    assert wire.send_now("begun") is None
    stream.come(encode_frame(Opcode.PING, b"?", masked=True), goodbye, b"")
    with pytest.raises(ConnectionClosed):
        await wire.receive()
    begun, close = stream.heard()
    assert begun == "begun"
    assert isinstance(close, Close)
    assert stream.written.endswith(encode_close(close.code, close.reason, masked=False))


@pytest.mark.parametrize(("said_code", "told"), [(b"", 1005), (b"\x03\xe9", 1001)])
async def test_a_goodbye_without_a_code_is_answered_by_an_ordinary_one(said_code: bytes, told: int) -> None:
    """1005 is never sent."""
    wire, stream = made(shares_wakes=False)
    stream.come(encode_frame(Opcode.CLOSE, said_code, masked=True))
    with pytest.raises(ConnectionClosed) as closed:
        await wire.receive()
    assert closed.value.code == told
    assert stream.heard() == [Close(1000 if told == 1005 else told, "")]


async def test_a_wake_for_nothing_is_none() -> None:
    """Whoever hears goes on hearing, and so it does after a message that is not wanted."""
    wire, stream = made()
    stream.come(None, said("a"), None, said("wanted"))
    await Receiving(wire).receive()
    assert stream.hears == 1


# Writing


async def test_who_is_cancelled_before_sends_nothing() -> None:
    """And the connection is as it was: nothing of it was written."""
    wire, stream = made()
    with trio.CancelScope() as scope:
        scope.cancel()
        await wire.send("never")
    assert scope.cancelled_caught
    assert not stream.written
    await wire.send("still here")
    assert stream.heard() == ["still here"]


@pytest.mark.parametrize(("takes", "told"), [(1 << 20, True), (3, None), (0, False)])
def test_how_much_is_written_is_told(takes: int, told: bool | None) -> None:
    """All, a beginning, or nothing; and behind a beginning nothing is written."""
    wire, stream = made(takes=takes)
    assert wire.send_now("text") is told
    stream.takes = 1 << 20
    assert wire.send_now("next") is (told is not None)
    assert wire.send_several_now(["x"]) == (told is not None)


@pytest.mark.parametrize(
    ("takes", "taken"), [(1 << 20, 3), (0, 0), (1, 1), (5, 1), (6, 1), (7, 2), (12, 2), (13, 3), (17, 3), (18, 3)]
)
async def test_how_many_of_several_are_taken(takes: int, taken: int) -> None:
    """One that is begun is one of them; those behind it are not, and what was taken arrives."""
    wire, stream = made(takes=takes)
    assert wire.send_several_now(["aaaa", b"bbbb", "cccc"]) == taken
    stream.takes = 1 << 20
    await wire.flushed()
    assert stream.heard() == ["aaaa", b"bbbb", "cccc"][:taken]


async def test_what_was_begun_is_written_by_the_keeper(autojump_clock: trio.testing.MockClock) -> None:
    """If nobody flushes it: there and then. One that the peer does not take in time ends the connection."""
    wire, stream = made(takes=3, takes_s=2.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wire.keep, WireSettings(ping_interval_s=None, ping_timeout_s=5.0))
        await trio.testing.wait_all_tasks_blocked()
        assert wire.send_now("begun") is None
        await trio.sleep(2.5)
        assert stream.heard() == ["begun"]
        assert wire.send_several_now(["more", "not"]) == 1
        await trio.sleep(2.5)
        assert stream.heard() == ["begun", "more"]
        stream.takes_s, began_s = 9.0, trio.current_time()
        assert wire.send_now("late") is None
    assert trio.current_time() == began_s + 5
    assert stream.done[-1] == "abort"
    with pytest.raises(ConnectionClosed) as closed:
        await wire.receive()
    assert (closed.value.code, closed.value.reason) == (1006, "the peer took nothing for 5 s")


@pytest.mark.parametrize("error", [trio.BrokenResourceError("broken"), trio.ClosedResourceError("closed")])
@pytest.mark.parametrize("verb", ["send", "send_now", "send_several_now"])
@pytest.mark.parametrize("left", [b"", said("last words") + CLOSE], ids=["nothing", "last words"])
async def test_a_writer_that_finds_the_end_reads_what_is_left(verb: str, left: bytes, error: Exception) -> None:
    """The peer's Close may lie there; what it said before is there to be received."""
    wire, _ = made(fails_with=error, left=left)

    async def write() -> None:
        match verb:
            case "send":
                await wire.send("lost")
            case "send_now":
                wire.send_now("lost")
            case _:
                wire.send_several_now(["lost"])

    with pytest.raises(ConnectionClosed) as closed:
        await write()
    assert (closed.value.code, closed.value.initiator) == ((4000, "remote") if left else (1006, "error"))
    if left:
        assert await wire.receive() == "last words"
    with pytest.raises(ConnectionClosed) as again:
        await wire.receive()
    assert again.value.code == closed.value.code


@pytest.mark.parametrize("verb", ["send", "flushed", "aclose"])
async def test_one_that_is_cancelled_amid_a_write_aborts(verb: str, autojump_clock: trio.testing.MockClock) -> None:
    """Half of it may be there; the peer is told no more."""
    wire, stream = made(takes=3, takes_s=10.0)
    if verb == "flushed":
        assert wire.send_now("begun") is None
    with trio.move_on_after(1) as limit:
        await {"send": lambda: wire.send("begun"), "flushed": wire.flushed, "aclose": wire.aclose}[verb]()
    assert limit.cancelled_caught
    assert stream.done[-1] == "abort"
    with pytest.raises(ConnectionClosed) as closed:
        await wire.send("late")
    assert closed.value.code == (1000 if verb == "aclose" else 1006)


async def test_a_goodbye_that_nobody_answers_is_cut_off_with_its_limit(autojump_clock: trio.testing.MockClock) -> None:
    """The stream is closed then."""
    wire, stream = made()
    with trio.move_on_after(3) as limit:
        await wire.aclose(4001, "enough")
    assert limit.cancelled_caught
    assert (stream.heard(), stream.done) == ([Close(4001, "enough")], ["abort"])


async def test_receiving_lets_others_have_their_turn() -> None:
    """With a message there, and at the end, each time."""
    wire, stream = made(shares_wakes=False)
    stream.come(said("a", "b", "c"), b"")
    assert await wire.receive() == "a"
    for text in ("b", "c"):
        with trio.testing.assert_checkpoints():
            assert await wire.receive() == text
    for _ in range(2):
        with trio.testing.assert_checkpoints(), pytest.raises(ConnectionClosed):
            await wire.receive()


async def test_all_that_has_arrived_is_received_at_once() -> None:
    wire, stream = made(shares_wakes=False)
    for _ in range(2):
        stream.come(said("a", "b", "c"))
        assert await wire.receive_several() == ["a", "b", "c"]


def test_its_alarms_are_its_sockets() -> None:
    wire, _ = made()
    assert wire.alarm_s(5) == 4


# The keeper


@pytest.mark.parametrize(("stalls", "asked_s"), [(False, 20), (True, 23)])
async def test_the_pong_is_waited_for_from_the_writing_of_its_ping(
    stalls: bool, asked_s: float, autojump_clock: trio.testing.MockClock
) -> None:
    """A peer that takes nothing for a while is asked when it does, and has its time from then on."""
    wire, stream = made()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wire.keep, WireSettings(ping_interval_s=20.0, ping_timeout_s=5.0))
        await trio.sleep(19)
        if stalls:
            stream.takes, stream.takes_s = 3, 4.0
            assert wire.send_now("begun") is None
            stream.takes = 1 << 20
        await trio.sleep_until(asked_s - 0.1)
        assert Ping(b"alive?") not in stream.heard()
        await trio.sleep_until(asked_s + 0.1)
        assert Ping(b"alive?") in stream.heard()
    assert trio.current_time() == asked_s + 5
    with pytest.raises(ConnectionClosed, match="no pong within 5 s of a ping"):
        await wire.receive()


@pytest.mark.parametrize("shares_wakes", [True, False])
async def test_a_goodbye_is_over_when_another_task_has_heard_the_answer(
    shares_wakes: bool, autojump_clock: trio.testing.MockClock
) -> None:
    """Messages that come meanwhile are dropped; both are told when it is over."""
    wire, stream = made(shares_wakes=shares_wakes)
    receiving, closed_s = Receiving(wire), list[float]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(receiving.receive)
        await trio.testing.wait_all_tasks_blocked()

        @nursery.start_soon
        async def close() -> None:
            with trio.fail_after(10):
                await wire.aclose(4001, "enough")
            closed_s.append(trio.current_time())

        await trio.sleep(2)
        stream.come(said("late"))
        await trio.sleep(2)
        assert (receiving.ends, closed_s) == ([], [])
        stream.come(encode_close(4001, "", masked=True))
    (closed,) = receiving.ends
    assert isinstance(closed, ConnectionClosed)
    assert (receiving.got, closed.code, closed.initiator, closed_s) == ([], 4001, "local", [4])


async def test_a_goodbye_lets_others_have_their_turn() -> None:
    """Also where it has ended already."""
    wire, _ = made()
    wire.abort()
    for _ in range(2):
        with trio.testing.assert_checkpoints():
            await wire.aclose()
