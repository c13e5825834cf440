"""Writes that are left behind: the socket that one is stuck in is found, and reset."""

import socket
import struct
from collections.abc import Iterator
from typing import Any

import pytest
import trio
import trio.testing
from attrs import define, field

from trio_transports.wire import asgi_writer
from trio_transports.wire.asgi_writer import Writer, leave_behind, sweep
from trio_transports.wire.sockets import reset_socket

EVENT, LAST_WORDS = {"type": "websocket.send"}, {"type": "websocket.close"}


@define(eq=False)
class Server:
    """Writes each event into a socket that nobody reads, and is not cancelled meanwhile."""

    sock: trio.socket.SocketType
    events: list[object] = field(factory=list)

    async def send(self, event: object) -> None:
        self.events.append(event)
        try:
            with trio.CancelScope(shield=True):
                while True:
                    await self.sock.send(bytes(1 << 16))
        except trio.ClosedResourceError:
            return


@pytest.fixture
def stuck() -> Iterator[trio.socket.SocketType]:
    near, far = socket.socketpair()
    near.setblocking(False)
    yield trio.socket.from_stdlib_socket(near)
    near.close()
    far.close()


async def under_way(writer: Writer, nursery: trio.Nursery) -> None:
    nursery.start_soon(writer.write, EVENT)
    await trio.testing.wait_all_tasks_blocked()


def resets(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Which sockets are."""
    done: list[object] = []

    def reset(sock: Any) -> None:  # noqa: ANN401
        done.append(sock)
        sock.close()

    monkeypatch.setattr(asgi_writer, "reset_socket", reset)
    return done


async def test_a_write_that_is_stuck_is_ended_with_its_socket(
    stuck: trio.socket.SocketType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waited for it goes on; nothing is said after it."""
    done = resets(monkeypatch)
    server = Server(stuck)
    writer = Writer(server.send)
    async with trio.open_nursery() as nursery:
        await under_way(writer, nursery)
        writer.abandon(LAST_WORDS)
    assert done == [stuck]
    await writer.stopped()
    await trio.testing.wait_all_tasks_blocked()
    assert server.events == [EVENT]


async def test_one_that_waits_for_anothers_is_ended_with_that(
    stuck: trio.socket.SocketType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by the lock that the other holds."""
    done = resets(monkeypatch)
    other, lock = Server(stuck), trio.Lock()

    async def hold() -> None:
        async with lock:
            await other.send(EVENT)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(hold)
        await trio.testing.wait_all_tasks_blocked()

        async def send(_event: object) -> None:
            async with lock:
                pass

        writer = Writer(send)
        await under_way(writer, nursery)
        writer.abandon(None)
    assert done == [stuck]
    await trio.testing.wait_all_tasks_blocked()


async def test_one_that_is_stuck_in_no_socket_stays(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """Until the server lets go of it; nothing is reset."""
    done, let_go = resets(monkeypatch), trio.Event()

    async def send(_event: object) -> None:
        with trio.CancelScope(shield=True):
            await let_go.wait()

    writer = Writer(send)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.write, EVENT)
        await trio.testing.wait_all_tasks_blocked()
        writer.abandon(LAST_WORDS)
    await writer.end()
    assert done == []
    assert trio.current_time() == 5
    let_go.set()
    await trio.testing.wait_all_tasks_blocked()
    await writer.end()
    assert trio.current_time() == 5


async def test_last_words_are_waited_for_a_while_and_then_cut_off(
    stuck: trio.socket.SocketType, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    done = resets(monkeypatch)
    server = Server(stuck)
    writer = Writer(server.send)
    writer.abandon(LAST_WORDS)
    await writer.end()
    assert (server.events, done, trio.current_time()) == ([LAST_WORDS], [stuck], 5)
    await trio.testing.wait_all_tasks_blocked()


async def test_last_words_that_can_be_cancelled_are(autojump_clock: trio.testing.MockClock) -> None:
    """Where there is no socket to be found."""
    ended: list[float] = []

    async def send(_event: object) -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.append(trio.current_time())

    writer = Writer(send)
    writer.abandon(LAST_WORDS)
    await writer.end()
    await trio.testing.wait_all_tasks_blocked()
    assert ended == [5]


async def test_what_is_left_behind_is_read_and_written_to_its_end(autojump_clock: trio.testing.MockClock) -> None:
    """The last words are waited for, too, and cut off when their time is over."""
    written: list[object] = []

    async def send(event: object) -> None:
        written.append(event)
        await trio.sleep_forever()

    async def receive() -> dict[str, Any]:
        await trio.sleep(1)
        return {"type": "websocket.disconnect"}

    writer = Writer(send)
    writer.abandon(LAST_WORDS)
    leave_behind(receive, trio.sleep_forever, writer)
    await trio.sleep(4.9)
    assert (written, writer._ended.is_set()) == ([LAST_WORDS], False)
    await trio.sleep(0.2)
    assert writer._ended.is_set()


@pytest.mark.parametrize("rounds", [0, 1, 4, 6])
async def test_what_the_server_puts_soon_is_swept_up(rounds: int) -> None:
    """And after each that came as many rounds are waited for as before."""
    left = ["a", "b", "c"]

    async def receive() -> dict[str, Any]:
        for _ in range(rounds):
            await trio.lowlevel.checkpoint()
        if not left:
            await trio.sleep_forever()
        await trio.lowlevel.checkpoint()
        left.pop()
        return {"type": "websocket.receive"}

    await sweep(receive)
    assert left == []


async def test_what_comes_much_later_is_not_waited_for() -> None:
    left = ["late"]

    async def receive() -> dict[str, Any]:
        for _ in range(12):
            await trio.lowlevel.checkpoint()
        left.pop()
        return {"type": "websocket.receive"}

    await sweep(receive)
    assert left == ["late"]


@define(eq=False)
class Socket:
    done: list[object] = field(factory=list)
    fails: bool = False

    def setsockopt(self, *what: object) -> None:
        self.done.append(what)
        if self.fails:
            raise OSError("closed already")

    def close(self) -> None:
        self.done.append("close")


@pytest.mark.parametrize("fails", [False, True])
def test_a_socket_is_reset_as_it_is_closed(fails: bool) -> None:
    """The kernel keeps nothing for its peer; where it is closed already nothing is an error."""
    sock: Any = Socket(fails=fails)
    reset_socket(sock)
    assert sock.done == [(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)), "close"]
