"""The default engine's wire, with the engine under it played by the test: its ends and its writes."""

from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing
import trio_websocket
from attrs import define, field
from wsproto.connection import ConnectionState
from wsproto.utilities import LocalProtocolError

from trio_transports.errors import ConnectionClosed, Initiator
from trio_transports.wire import Peer
from trio_transports.wire.closing import LINGER_S
from trio_transports.wire.trio_websocket import TrioWebsocketWire


@define(eq=False)
class Connection:
    """An engine's connection: it gives these messages, and then ``ends_with`` is raised."""

    messages: list[str | bytes] = field(factory=list)
    ends_with: BaseException | None = None
    closed: Any = None
    state: ConnectionState = ConnectionState.OPEN
    sent: list[str | bytes] = field(factory=list)
    is_client: bool = False

    @property
    def _wsproto(self) -> Any:  # noqa: ANN401 - as much of it as is used
        return SimpleNamespace(state=self.state)

    def end(self, code: int, reason: str | None = None, *, from_within: bool = False) -> None:
        """End; ``from_within``: by the engine's own doing."""
        self.closed = SimpleNamespace(code=code, reason=reason)
        self.ends_with = trio_websocket.ConnectionClosed(self.closed)
        if from_within:
            self.ends_with.__context__ = trio.ClosedResourceError()

    async def get_message(self) -> str | bytes:
        await trio.lowlevel.checkpoint()
        if self.messages:
            return self.messages.pop(0)
        assert self.ends_with is not None
        raise self.ends_with

    async def aclose(self, _code: int, _reason: str) -> None:
        await trio.lowlevel.checkpoint()

    async def send_message(self, message: str | bytes) -> None:
        await trio.lowlevel.checkpoint()
        if self.ends_with is not None:
            raise self.ends_with
        self.sent.append(message)


@define(eq=False)
class Backlog:
    fails_with: BaseException | None = None
    flushed: int = 0
    takes_s: float = 0.0

    async def flush(self) -> None:
        await trio.sleep(self.takes_s)
        self.flushed += 1
        if self.fails_with is not None:
            raise self.fails_with

    def __bool__(self) -> bool:
        return False


@define(eq=False)
class Stream:
    """The stream under it."""

    has_failed: bool = False
    """A write failed in silence."""
    done: list[str] = field(factory=list)

    @property
    def writes(self) -> Any:  # noqa: ANN401
        return SimpleNamespace(has_failed=self.has_failed)

    @property
    def descriptor(self) -> Any:  # noqa: ANN401
        return SimpleNamespace(is_writing=False, alarm_s=lambda due_s: due_s - 1)

    def abort(self) -> None:
        self.done.append("abort")

    async def send_all(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        self.done.append(f"said {int.from_bytes(data[2:4], 'big')}")

    def shut_writing(self) -> None: ...

    def close(self) -> None:
        self.done.append("close")

    async def receive_some(self, _max_bytes: int) -> bytes:
        await trio.lowlevel.checkpoint()
        return b""


def made(short: Any = None) -> tuple[TrioWebsocketWire, Connection, Stream]:  # noqa: ANN401
    connection, stream = Connection(), Stream()
    played: Any = connection
    under: Any = stream
    wire = TrioWebsocketWire(Peer(), played, under, short)
    wire.engine_has_ended.set()
    return wire, connection, stream


@pytest.mark.parametrize(
    ("code", "reason", "state", "from_within", "told"),
    [
        (4000, "bye", ConnectionState.CLOSED, False, (4000, "bye", "remote")),
        (1000, None, ConnectionState.CLOSED, False, (1000, "", "remote")),
        (1009, "too big for you", ConnectionState.CLOSED, False, (1009, "too big for you", "remote")),
        (1006, None, ConnectionState.OPEN, False, (1006, "the connection was lost", "error")),
        (1002, "bad frame", ConnectionState.OPEN, False, (1002, "bad frame", "error")),
        (1009, "over 100 bytes", ConnectionState.OPEN, True, (1009, "over 100 bytes", "local")),
        (1009, None, ConnectionState.OPEN, True, (1009, "a message over the limit", "local")),
        (1002, "found in what it had read", ConnectionState.OPEN, True, (1009, "a message over the limit", "local")),
    ],
)
async def test_how_it_ended(
    code: int, reason: str | None, state: ConnectionState, from_within: bool, told: tuple[int, str, Initiator]
) -> None:
    """A real Close is the peer's; one of the engine's making is a violation; over the limit it is this side's."""
    wire, connection, _ = made()
    connection.messages = ["last words"]
    assert await wire.receive() == "last words"
    connection.end(code, reason, from_within=from_within)
    connection.state = state
    for _ in range(2):
        with pytest.raises(ConnectionClosed) as closed:
            await wire.receive()
        assert (closed.value.code, closed.value.reason, closed.value.initiator) == told
        with pytest.raises(ConnectionClosed) as closed:
            wire.send_now("late")
        assert closed.value.code == told[0]


@pytest.mark.parametrize("by_writing", [False, True])
async def test_a_violation_is_told_by_whoever_hears_of_it(by_writing: bool) -> None:
    """Once."""
    wire, connection, stream = made()
    connection.end(1002, "bad frame")
    for _ in range(2):
        with pytest.raises(ConnectionClosed):
            await (wire.send("late") if by_writing else wire.receive())
        assert stream.done == ["said 1002", "abort"]


@pytest.mark.parametrize(("code", "state"), [(1006, ConnectionState.OPEN), (4000, ConnectionState.CLOSED)])
async def test_what_is_no_violation_is_not_told(code: int, state: ConnectionState) -> None:
    wire, connection, stream = made()
    connection.end(code)
    connection.state = state
    with pytest.raises(ConnectionClosed):
        await wire.receive()
    assert stream.done == []


async def test_a_connection_that_ended_before_it_was_asked() -> None:
    """Nobody has read its end yet: a writer that needs no waiting has it from the engine."""
    wire, connection, _ = made()
    connection.end(4000, "bye")
    connection.state = ConnectionState.CLOSED
    with pytest.raises(ConnectionClosed) as closed:
        wire.send_now("late")
    assert (closed.value.code, closed.value.reason, closed.value.initiator) == (4000, "bye", "remote")


@pytest.mark.parametrize("message", ["text", b"bytes", bytearray(b"bytes"), memoryview(b"bytes")])
async def test_it_sends_what_is_text_or_bytes(message: Any) -> None:  # noqa: ANN401
    """And the engine is given no more than it takes."""
    wire, connection, _ = made()
    await wire.send(message)
    assert connection.sent == ["text" if message == "text" else b"bytes"]
    assert type(connection.sent[0]) in (str, bytes)


@pytest.mark.parametrize("verb", ["send", "flushed"])
async def test_a_write_that_failed_in_silence_ends_as_the_reader_finds(
    verb: str, autojump_clock: trio.testing.MockClock
) -> None:
    """Which has a moment for it; after that, or where it finds nothing, the connection was lost."""
    for found_s, code, until_s in ((LINGER_S / 4, 4000, LINGER_S / 4), (10.0, 1006, LINGER_S)):
        wire, connection, stream = made()
        stream.has_failed = True
        connection.state = ConnectionState.CLOSED
        began_s = trio.current_time()
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def read(found_s: float = found_s, connection: Connection = connection) -> None:
                await trio.sleep(found_s)
                connection.end(4000)

            with pytest.raises(ConnectionClosed) as closed:
                await (wire.send("lost") if verb == "send" else wire.flushed())
            assert closed.value.code == code
            assert until_s <= trio.current_time() - began_s < until_s + LINGER_S / 25
            assert stream.done == ["abort"]
            nursery.cancel_scope.cancel()


@define(eq=False)
class Short:
    """A short way that takes what ``takes`` says."""

    takes: bool | BaseException | None = True
    backlog: Backlog = field(factory=Backlog)
    sent: list[str | bytes] = field(factory=list)

    def send_now(self, message: str | bytes) -> bool | None:
        if isinstance(self.takes, BaseException):
            raise self.takes
        self.sent.append(message)
        return self.takes


@pytest.mark.parametrize(
    ("takes", "said"),
    [
        (True, True),
        (None, None),
        (False, False),
        (trio.BrokenResourceError("broken"), False),
        (trio.ClosedResourceError("closed"), False),
    ],
)
async def test_what_needs_no_waiting_goes_the_short_way(takes: bool | BaseException | None, said: bool | None) -> None:
    """A stream that fails there is told of by ``send``, which waits for what the reader finds."""
    wire, *_ = made(Short(takes))
    assert wire.send_now("text") is said


@pytest.mark.parametrize("state", [ConnectionState.LOCAL_CLOSING, ConnectionState.REMOTE_CLOSING])
async def test_amid_a_goodbye_nothing_is_written_without_the_engine(state: ConnectionState) -> None:
    short = Short()
    wire, connection, _ = made(short)
    connection.state = state
    assert wire.send_now("text") is False
    assert short.sent == []
    wire, *_ = made()
    assert wire.send_now("text") is False


async def test_what_was_begun_is_waited_for(autojump_clock: trio.testing.MockClock) -> None:
    """Cancelled amid it, half of it may be there: that aborts. A stream that fails is a lost connection."""
    short = Short(backlog=Backlog(takes_s=2.0))
    wire, _, stream = made(short)
    await wire.flushed()
    assert (trio.current_time(), short.backlog.flushed, stream.done) == (2, 1, [])
    with trio.move_on_after(1):
        await wire.flushed()
    assert stream.done[-1] == "abort"
    with pytest.raises(ConnectionClosed) as closed:
        wire.send_now("late")
    assert (closed.value.code, closed.value.initiator) == (1006, "local")
    for error in (trio.BrokenResourceError("broken"), trio.ClosedResourceError("closed")):
        wire, connection, _ = made(Short(backlog=Backlog(fails_with=error)))
        connection.closed = SimpleNamespace(code=4000, reason="bye")
        connection.state = ConnectionState.CLOSED
        with pytest.raises(ConnectionClosed) as closed:
            await wire.flushed()
        assert (closed.value.code, closed.value.reason) == (4000, "bye")


async def test_a_flush_that_is_cancelled_before_it_begins_loses_nothing() -> None:
    wire, _, stream = made(Short())
    with trio.CancelScope() as scope:
        scope.cancel()
        await wire.flushed()
    assert scope.cancelled_caught
    assert stream.done == []


async def test_a_send_that_is_cancelled_aborts() -> None:
    """Nothing may follow it; and how it ended is known."""
    wire, connection, stream = made()
    with trio.CancelScope() as scope:
        scope.cancel()
        await wire.send("never")
    assert (connection.sent, stream.done[-1]) == ([], "abort")
    with pytest.raises(ConnectionClosed) as closed:
        wire.send_now("late")
    assert (closed.value.code, closed.value.reason, closed.value.initiator) == (1006, "aborted", "local")


async def test_why_this_side_ended_it_does_not_change(autojump_clock: trio.testing.MockClock) -> None:
    """The first reason is the one; and it is told at once."""
    wire, connection, stream = made()
    wire.engine_has_ended = trio.Event()
    wire.fail("no pong")
    wire.abort()
    connection.end(4000)
    with pytest.raises(ConnectionClosed) as closed:
        await wire.receive()
    assert (closed.value.code, closed.value.reason, closed.value.initiator) == (1006, "no pong", "error")
    assert set(stream.done) == {"abort"}
    assert trio.current_time() == 0


async def test_after_its_end_an_abort_only_closes_the_stream() -> None:
    wire, connection, stream = made()
    connection.end(4000)
    connection.state = ConnectionState.CLOSED
    wire.abort()
    assert stream.done == ["abort"]
    with pytest.raises(ConnectionClosed) as closed:
        await wire.receive()
    assert closed.value.code == 4000


def test_its_alarms_are_its_sockets() -> None:
    wire, *_ = made()
    assert wire.alarm_s(5) == 4


async def test_it_fails_over_what_crosses_its_goodbye(autojump_clock: trio.testing.MockClock) -> None:
    """By its own word that it may not answer; before a goodbye, or by another word, that is a failure."""
    may_not, other = LocalProtocolError("may not answer"), ValueError("another")
    wire, connection, _ = made()
    connection.end(4000)
    assert [wire.is_crossed(each) for each in (may_not, other)] == [False, False]
    with trio.move_on_after(1):
        await wire.aclose()
    assert [wire.is_crossed(each) for each in (may_not, other)] == [True, False]


async def test_a_goodbye_leaves_the_short_way() -> None:
    """What had arrived by it is dropped, and the engine has the rest."""
    left: list[str] = []
    short: Any = SimpleNamespace(
        leave=lambda: left.append("left"), incoming=SimpleNamespace(arrived=["unread"]), is_open=False
    )
    wire, connection, stream = made(short)
    connection.end(1000)
    connection.closed = None
    await wire.aclose()
    assert (left, short.incoming.arrived, stream.done) == (["left"], [], ["close"])
