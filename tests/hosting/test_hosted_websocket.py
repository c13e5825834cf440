"""One WebSocket of the app, as the guard sees it: how it ended, and who is told, in virtual time."""

from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing
from attrs import define, field
from hypercorn.protocol.ws_stream import ASGIWebsocketState
from wsproto.connection import ConnectionState
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.utilities import LocalProtocolError

from trio_transports.errors import Ending, Initiator
from trio_transports.hosting.app_queue import AppQueue
from trio_transports.hosting.short_way import HostedShortWay
from trio_transports.hosting.watched import WatchedConnection
from trio_transports.hosting.ways import Ways
from trio_transports.hosting.websocket import HostedWebsocket
from trio_transports.wire.rfc6455 import MAX_EMPTY_FRAGMENTS, Opcode, encode_frame

REMOTE = Ending(1000, "bye", "remote")


@define(eq=False)
class Stream:
    """As much of hypercorn's stream as is looked at."""

    scope: dict[str, Any] = field(factory=lambda: {"headers": [], "http_version": "1.1"})
    state: ASGIWebsocketState = ASGIWebsocketState.CONNECTED
    closed: bool = False
    stream_id: int = 1
    buffer: Any = field(factory=lambda: SimpleNamespace(max_length=100))
    connection: Any = None
    handshake: Any = None
    takes_s: float = 0.0
    """How long a write does."""
    sent: list[object] = field(factory=list)
    wrote_s: list[float] = field(factory=list)
    """When each write was over, or cut off."""

    async def send(self, event: object) -> None:
        self.sent.append(event)
        try:
            await trio.sleep(self.takes_s)
        finally:
            self.wrote_s.append(trio.current_time())


@define(eq=False)
class Hosting:
    """A WebSocket, and what it asks of the connection."""

    nursery: trio.Nursery
    stream: Stream = field(factory=Stream)
    aborted: int = 0
    websocket: HostedWebsocket = field(init=False)
    queue: AppQueue = field(factory=lambda: AppQueue(9))

    async def send(self, event: object) -> None: ...

    def __attrs_post_init__(self) -> None:
        def abort() -> None:
            self.aborted += 1

        stream: Any = self.stream
        self.stream.connection = SimpleNamespace(send=lambda event: b"ping")
        self.websocket = HostedWebsocket(
            stream, self.queue, abort, lambda task: self.nursery.start_soon(task), Ways(self.queue, self.send)
        )


async def test_an_abort_is_an_end_of_this_side(nursery: trio.Nursery) -> None:
    """It is told as such, also when it is repeated, and the first end that was told stays."""
    hosting = Hosting(nursery)
    for times in (1, 2):
        hosting.websocket.abort()
        assert hosting.websocket.ending == Ending(1006, "aborted", "local")
        assert hosting.aborted == times
    hosting.websocket.end(REMOTE)
    assert hosting.websocket.ending == Ending(1006, "aborted", "local")
    assert await hosting.queue.receive() == {"type": "websocket.disconnect", "code": 1006, "reason": "aborted"}


async def test_what_is_open(nursery: trio.Nursery) -> None:
    """Neither before it was accepted, nor once it has ended."""
    hosting = Hosting(nursery)
    websocket = hosting.websocket
    assert (websocket.is_open, websocket.is_accepted, websocket.has_ended_well) == (True, True, False)
    hosting.stream.state = ASGIWebsocketState.HANDSHAKE
    assert (websocket.is_open, websocket.is_accepted, websocket.has_ended_well) == (False, False, True)
    hosting.stream.state = ASGIWebsocketState.CONNECTED
    websocket.end(REMOTE)
    assert (websocket.is_open, websocket.is_accepted, websocket.has_ended_well) == (False, True, True)


async def test_who_has_failed_has_not_ended_well(nursery: trio.Nursery) -> None:
    websocket = Hosting(nursery).websocket
    websocket.failed()
    websocket.end(Ending(1011, "", "local"))
    assert not websocket.has_ended_well


async def test_what_was_refused(nursery: trio.Nursery) -> None:
    """The server has closed it, and nobody was told of an end."""
    hosting = Hosting(nursery)
    seen = [hosting.websocket.is_refused]
    hosting.stream.closed = True
    seen.append(hosting.websocket.is_refused)
    hosting.websocket.end(REMOTE)
    seen.append(hosting.websocket.is_refused)
    assert seen == [False, True, False]


@pytest.mark.parametrize(("is_answer", "initiator"), [(True, "local"), (False, "remote")])
async def test_who_began_the_close(nursery: trio.Nursery, is_answer: bool, initiator: Initiator) -> None:
    websocket = Hosting(nursery).websocket
    seen = [websocket.peer_said_goodbye]
    websocket.close_received(1000, "bye", is_answer=is_answer)
    assert [*seen, websocket.peer_said_goodbye] == [False, True]
    assert websocket.ending == Ending(1000, "bye", initiator)


async def test_each_is_told_once_that_the_server_stops(nursery: trio.Nursery) -> None:
    """Who asks afterwards is told at once; who has withdrawn is not told."""
    told: list[str] = []
    websocket = Hosting(nursery).websocket

    def tell(name: str) -> Any:  # noqa: ANN401
        async def called() -> None:
            told.append(name)

        return called

    websocket.on_shutdown(tell("first"))
    withdraw = websocket.on_shutdown(tell("withdrawn"))
    withdraw()
    withdraw()
    for _ in range(2):
        websocket.shut_down()
        await trio.testing.wait_all_tasks_blocked()
        assert told == ["first"]
    websocket.on_shutdown(tell("late"))
    await trio.testing.wait_all_tasks_blocked()
    assert told == ["first", "late"]


async def test_the_peer_is_pinged_until_the_end(nursery: trio.Nursery, autojump_clock: trio.testing.MockClock) -> None:
    """A pong in time keeps the connection; after its end nothing is sent, and nothing aborted."""
    hosting = Hosting(nursery)
    hosting.websocket.keep_alive(10, 5)
    for pings in (1, 2):
        await trio.sleep(10.5)
        assert len(hosting.stream.sent) == pings
        hosting.websocket.pong_received()
    hosting.websocket.end(REMOTE)
    await trio.sleep(100)
    assert (len(hosting.stream.sent), hosting.aborted) == (2, 0)


async def test_a_ping_that_is_being_written_is_not_cut_short(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """By the end of the connection: what waits behind it would be lost. It has no longer than an answer has."""
    hosting = Hosting(nursery, Stream(takes_s=3))
    hosting.websocket.keep_alive(10, 5)
    await trio.sleep(11)
    hosting.websocket.end(REMOTE)
    await trio.sleep(100)
    assert (hosting.stream.wrote_s, hosting.aborted) == ([13], 0)


async def test_a_ping_has_no_longer_than_its_answer(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """Both have to be there in time."""
    hosting = Hosting(nursery, Stream(takes_s=100))
    hosting.websocket.keep_alive(10, 5)
    await trio.sleep(100)
    assert (hosting.stream.wrote_s, hosting.aborted) == ([15], 1)


async def test_a_ping_left_unanswered(nursery: trio.Nursery, autojump_clock: trio.testing.MockClock) -> None:
    hosting = Hosting(nursery)
    hosting.websocket.keep_alive(10, 5)
    await trio.sleep(14.9)
    assert hosting.aborted == 0
    await trio.sleep(0.2)
    assert hosting.websocket.ending == Ending(1006, "the peer left a ping unanswered for 5 s", "error")
    assert hosting.aborted == 1


async def test_nobody_is_pinged_once_this_side_is_closing(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """No ping is left unanswered that was never sent: whoever began the close bounds it."""
    hosting = Hosting(nursery)

    def closing(event: object) -> bytes:
        raise LocalProtocolError("closing")

    hosting.stream.connection.send = closing
    hosting.websocket.keep_alive(10, 5)
    await trio.sleep(100)
    assert (hosting.stream.sent, hosting.aborted, hosting.websocket.ending) == ([], 0, None)


async def test_limits_only_become_narrower(nursery: trio.Nursery) -> None:
    """The app's wire and the server both have one: the smaller holds, in the buffer and in the queue."""
    hosting = Hosting(nursery)
    for asked, limit in ((50, 50), (80, 50)):
        hosting.websocket.limit_messages(asked)
        assert (hosting.stream.buffer.max_length, hosting.queue.max_message_bytes) == (limit, limit)


@pytest.mark.parametrize("limits", [(50, 80), (80, 50)])
async def test_a_limit_holds_for_what_comes_later(nursery: trio.Nursery, limits: tuple[int, int]) -> None:
    """Asked for before the app accepts, or after it: the smallest of all holds, in the frames too."""
    hosting = Hosting(nursery)
    told: list[str] = []
    hosting.websocket.on_accepted = lambda: told.append("accepted")
    hosting.websocket.limit_messages(limits[0])
    seen = [hosting.websocket.was_accepted]
    connection = hosting.websocket._connect()
    assert isinstance(connection, WatchedConnection)
    hosting.websocket.limit_messages(limits[1])
    assert [*seen, hosting.websocket.was_accepted] == [False, True]
    assert told == ["accepted"]
    for size, is_taken in ((50, True), (51, False)):
        assert bool(connection.take_messages(masked(Opcode.BINARY, bytes(size)))) is is_taken


async def test_a_socket_is_not_lent_once_its_call_has_ended(nursery: trio.Nursery) -> None:
    """Neither to a session that waits for it, nor to one that asks for it then."""
    no_writing: Any = None
    for asks_late in (False, True):
        hosting = Hosting(nursery)
        websocket, receive = hosting.websocket, hosting.queue.receive
        given: Any = websocket
        way = HostedShortWay(given, no_writing, hosting.queue, given, websocket.handle_rest)
        websocket.ways.open_short = lambda *_, way=way: way
        assert websocket.short_way(receive, hosting.send) is None  # it has not been accepted
        websocket._connect()
        if asks_late:
            websocket.end(REMOTE)
            assert websocket.short_way(receive, hosting.send) is None
        else:
            assert websocket.short_way(receive, hosting.send) is way
            nursery.start_soon(way.next_message)
            await trio.testing.wait_all_tasks_blocked()
            websocket.end(REMOTE)
            assert await way.lend() is False


@define(eq=False)
class Watching:
    """Who is told of what passes."""

    told: list[object] = field(factory=list)

    def pong_received(self) -> None:
        self.told.append("pong")

    def close_received(self, code: int, reason: str, *, is_answer: bool) -> None:
        self.told.append((code, reason, is_answer))

    def failed(self) -> None:
        self.told.append("failed")

    def end(self, ending: Ending) -> None:
        self.told.append(ending)


def masked(opcode: Opcode, payload: bytes) -> bytes:
    return encode_frame(opcode, payload, masked=True)


def test_a_breach_is_told_and_answered() -> None:
    """The peer is told the code it broke the rules by, and then the connection closes; nothing after it is read."""
    watching = Watching()
    connection = WatchedConnection(watching, 100)
    connection.receive_data(encode_frame(Opcode.TEXT, b"not masked", masked=False))
    farewell, close = connection.events()
    assert isinstance(farewell, Ping)
    answer = farewell.response()
    assert isinstance(answer, CloseConnection)
    assert answer.code == 1002
    assert isinstance(close, CloseConnection)
    assert close.code == 1002
    assert [(told.code, told.initiator) for told in watching.told if isinstance(told, Ending)] == [(1002, "error")]
    assert connection.has_rest
    connection.receive_data(masked(Opcode.TEXT, b"more"))
    assert not connection.take_messages(b"")


def test_empty_fragments_without_end_are_a_breach() -> None:
    """Past as many as every engine takes the peer is told 1008, and so is the app."""
    watching = Watching()
    connection = WatchedConnection(watching, 100)
    first, *rest = masked(Opcode.TEXT, b"")
    connection.receive_data(bytes((first & 0x7F, *rest)))
    more = bytes((Opcode.CONTINUATION, *rest))
    connection.receive_data(more * (MAX_EMPTY_FRAGMENTS - 1))
    assert not list(connection.events())
    connection.receive_data(more)
    farewell, close = connection.events()
    assert isinstance(farewell, Ping)
    assert isinstance(close, CloseConnection)
    assert close.code == 1008
    assert [(told.code, told.initiator) for told in watching.told if isinstance(told, Ending)] == [(1008, "error")]


def test_too_much_is_told_where_it_is_answered() -> None:
    """Once: with the close that is sent, not with what was read."""
    watching = Watching()
    connection = WatchedConnection(watching, 10)
    connection.receive_data(masked(Opcode.TEXT, b"x" * 11))
    assert [event.code for event in connection.events() if isinstance(event, CloseConnection)] == [1009]
    assert watching.told == []
    connection.send(CloseConnection(code=1009))
    assert watching.told == [Ending(1009, "a message is over the server's limit", "local")]


def test_messages_behind_a_close_are_thrown_away() -> None:
    """Both ways of reading; the peer's answer is told as one."""
    watching = Watching()
    connection = WatchedConnection(watching, 100)
    assert connection.take_messages(masked(Opcode.TEXT, b"one")) == ["one"]
    connection.receive_data(masked(Opcode.TEXT, b"two") + masked(Opcode.BINARY, b"2"))
    assert [getattr(event, "data", None) for event in connection.events()] == ["two", b"2"]
    may_send = [connection.may_send]
    connection.send(CloseConnection(code=1000))
    assert [*may_send, connection.may_send] == [True, False]
    assert connection.take_messages(masked(Opcode.TEXT, b"three")) == []
    connection.receive_data(masked(Opcode.TEXT, b"four") + masked(Opcode.BINARY, b"4"))
    assert list(connection.events()) == []
    connection.receive_data(masked(Opcode.CLOSE, (1000).to_bytes(2, "big") + b"bye"))
    assert [type(event) for event in connection.events()] == [CloseConnection]
    assert watching.told == [(1000, "bye", True)]
    assert connection.state is ConnectionState.CLOSED


@pytest.mark.parametrize(("code", "told"), [(1011, ["failed"]), (1000, [])])
def test_a_failure_of_the_app_is_told(code: int, told: list[str]) -> None:
    """That is a close of its own; the answer to a peer's, whatever its code, is none."""
    watching = Watching()
    connection = WatchedConnection(watching, 100)
    connection.send(TextMessage(data="x"))
    connection.send(CloseConnection(code=code))
    assert watching.told == told
    answering = WatchedConnection(answered := Watching(), 100)
    answering.receive_data(masked(Opcode.CLOSE, (1011).to_bytes(2, "big")))
    assert len(list(answering.events())) == 1
    answering.send(CloseConnection(code=1011))
    assert answered.told == [(1011, "", False)]


def test_pongs_are_told_and_pings_are_given() -> None:
    """A pong asks for no answer; what came with a ping goes back with it."""
    watching = Watching()
    connection = WatchedConnection(watching, 100)
    connection.receive_data(masked(Opcode.PONG, b"here") + masked(Opcode.PING, b"there?"))
    assert list(connection.events()) == [Ping(payload=b"there?")]
    assert watching.told == ["pong"]


def test_what_is_sent_is_one_frame() -> None:
    """Unmasked, and final; once this side has closed nothing more can be sent."""
    connection = WatchedConnection(Watching(), 100)
    assert connection.send(TextMessage(data="text")) == b"\x81\x04text"
    assert connection.send(BytesMessage(data=bytearray(b"bytes"))) == b"\x82\x05bytes"
    connection.send(CloseConnection(code=1000))
    with pytest.raises(LocalProtocolError):
        connection.send(TextMessage(data="late"))
