"""Where a connection's bytes leave, one after another; and how it is closed. The socket is played by the test."""

from types import SimpleNamespace
from typing import Any, Final

import pytest
import trio
import trio.testing
from attrs import define, field

from trio_transports.hosting.closing import LINGER_S, Closing
from trio_transports.hosting.writing import Writing

_WRITE_S: Final = 0.25


@define(eq=False)
class Socket:
    """Takes ``room`` bytes at once, and the rest a little later."""

    room: int = 0
    breaks: bool = False
    written: bytes = b""
    aborted: int = 0
    shut: list[float] = field(factory=list)
    """When its writing side was."""
    started: list[Any] = field(factory=list)
    writing: Writing = field(init=False)

    def __attrs_post_init__(self) -> None:
        socket: Any = self
        self.writing = Writing(socket, socket, self.started.append)

    @property
    def writes(self) -> Any:  # noqa: ANN401
        return SimpleNamespace(write_now=self._write_now)

    def _write_now(self, data: bytes) -> int:
        if self.breaks:
            raise trio.BrokenResourceError
        now = data[: self.room]
        self.written += now
        self.room -= len(now)
        return len(now)

    async def send_all(self, data: bytes) -> None:
        await trio.sleep(_WRITE_S)
        if self.breaks:
            raise trio.BrokenResourceError
        self.written += data

    def abort(self) -> None:
        self.aborted += 1

    def shut_writing(self) -> None:
        self.shut.append(trio.current_time())


async def test_what_was_begun_is_finished_first(autojump_clock: trio.testing.MockClock) -> None:
    """By whoever writes next, or by the task that was started for it; nothing is begun meanwhile. Twice."""
    socket = Socket()
    writing = socket.writing
    expected = b""
    for turn in (1, 2):
        socket.room = 6
        assert [writing.write_now(each) for each in (b"one", b"three", b"late")] == [True, None, False]
        assert len(socket.started) == turn
        if turn == 1:
            assert await writing.write(b"next")
            expected += b"onethreenext"
        else:
            assert await socket.started[-1]()
            expected += b"onethree"
        assert (socket.written, socket.aborted) == (expected, 0)
        assert writing.write_now(b"no room") is False
    assert await writing.flushed()
    assert socket.written == expected


async def test_writers_have_their_turn(autojump_clock: trio.testing.MockClock) -> None:
    """Each writes all of its own before the next; and who writes at once does not cut in."""
    socket = Socket()
    async with trio.open_nursery() as nursery:
        for each in (b"one", b"two"):
            nursery.start_soon(socket.writing.write, each)
            await trio.testing.wait_all_tasks_blocked()
        socket.room = 100
        assert socket.writing.write_now(b"first") is False
        socket.room = 0
    assert socket.written == b"onetwo"
    assert trio.current_time() == 2 * _WRITE_S


async def test_over_tls_nothing_is_written_at_once() -> None:
    given: Any = Socket(room=100)
    other: Any = Socket(room=100)
    assert Writing(given, other, given.started.append).write_now(b"data") is False
    assert (given.written, other.written) == (b"", b"")


@pytest.mark.parametrize("is_cancelled", [True, False])
async def test_a_write_that_fails_aborts(is_cancelled: bool, autojump_clock: trio.testing.MockClock) -> None:
    """Also one that is cut off; who waits behind it has its turn, and fails as well."""
    socket = Socket(breaks=not is_cancelled)
    for turn in (1, 2):
        with trio.move_on_after(_WRITE_S / 2 if is_cancelled else 10) as limit:
            assert not await socket.writing.write(b"data")
        assert limit.cancelled_caught is is_cancelled
        assert (socket.aborted, socket.written) == (turn, b"")
    if not is_cancelled:
        assert socket.writing.write_now(b"data") is False
        assert socket.aborted == 2


@define(eq=False)
class Ending:
    """A connection that is about to be closed from this side."""

    is_secure: bool = False
    goodbyes: tuple[bool, ...] = ()
    """Of each WebSocket, whether its peer has said goodbye."""
    socket: Socket = field(factory=Socket)
    lingers: list[float] = field(factory=list)
    phase: Any = field(init=False)
    closing: Closing = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.phase = SimpleNamespace(is_closing=False, is_over=False, linger=self.lingers.append)
        runs: Any = SimpleNamespace(websockets=[SimpleNamespace(peer_said_goodbye=said) for said in self.goodbyes])
        socket: Any = self.socket
        self.closing = Closing(socket, self.is_secure, self.phase, runs, self.socket.writing)


@pytest.mark.parametrize(
    ("is_secure", "goodbyes", "is_shut", "linger_s"),
    [
        (False, (), True, LINGER_S),
        (True, (), False, 0),
        (False, (True,), False, 0),
        (True, (True,), False, 0),
        (False, (False,), True, LINGER_S),
        (True, (False,), False, LINGER_S),
        (False, (True, False), True, LINGER_S),
        (True, (True, False), False, LINGER_S),
    ],
)
async def test_the_peer_is_waited_for_where_it_has_something_to_hear(
    is_secure: bool, goodbyes: tuple[bool, ...], is_shut: bool, linger_s: float
) -> None:
    """Once: who closes again changes nothing."""
    ending = Ending(is_secure, goodbyes)
    for _ in range(2):
        await ending.closing.begin()
        assert ending.phase.is_closing
        assert (len(ending.socket.shut), ending.lingers) == (int(is_shut), [linger_s])


async def test_a_connection_that_is_over_is_not_closed() -> None:
    ending = Ending()
    ending.phase.is_over = True
    await ending.closing.begin()
    assert (ending.phase.is_closing, ending.lingers, ending.socket.shut) == (False, [], [])


@pytest.mark.parametrize(("writes", "shut"), [(1, [_WRITE_S]), (3, [3 * _WRITE_S]), (100, [])])
async def test_the_end_is_told_behind_what_is_being_written(
    writes: int, shut: list[float], autojump_clock: trio.testing.MockClock
) -> None:
    """And not waited for longer than a peer is."""
    ending = Ending()
    async with trio.open_nursery() as nursery:
        for _ in range(writes):
            nursery.start_soon(ending.socket.writing.write, b"data")
            await trio.testing.wait_all_tasks_blocked()
        await ending.closing.begin()
        assert trio.current_time() == (shut[0] if shut else LINGER_S)
        assert (ending.socket.shut, ending.lingers) == (shut, [LINGER_S])
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("breaks", [True, False])
async def test_what_was_begun_is_finished_before_the_end_is_told(
    breaks: bool, autojump_clock: trio.testing.MockClock
) -> None:
    """A connection that breaks meanwhile is lingered on all the same."""
    ending = Ending(socket=Socket(room=3))
    assert ending.socket.writing.write_now(b"begun") is None
    ending.socket.breaks = breaks
    await ending.closing.begin()
    assert ending.socket.written == (b"beg" if breaks else b"begun")
    assert (ending.socket.shut, ending.lingers) == ([] if breaks else [_WRITE_S], [LINGER_S])
