"""The short way where connections share their wakes: messages are handed over where they are read."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing
from attrs import define, field

from tests.hosting.test_short_way import Lending, Socket


@define(eq=False)
class Wakes(SimpleNamespace):
    """Calls whoever hears at each wake; None is a wake with nothing to read."""

    shares_wakes: bool = True
    put_back: bytes = b""
    arrived: list[bytes | None] = field(factory=list)
    news: trio.lowlevel.ParkingLot = field(factory=trio.lowlevel.ParkingLot)
    heard: list[bool] = field(factory=list)
    """What was answered at each wake."""
    breaks: bool = False

    async def hear(self, take: Callable[[], bool]) -> None:
        while True:
            await self.news.park()
            if self.breaks:
                raise trio.BrokenResourceError
            while self.arrived:
                self.heard.append(take())
                if self.heard[-1]:
                    return

    def read_at_wake(self) -> bytes | None:
        return self.arrived.pop(0)

    def put(self, *reads: bytes | None) -> None:
        self.arrived += reads
        self.news.unpark_all()


@define(eq=False)
class Hearing:
    """A session that has the socket, and hears at shared wakes."""

    nursery: trio.Nursery
    wakes: Wakes = field(factory=Wakes)
    got: list[object] = field(factory=list)
    answers: list[bool] = field(factory=list)
    """Of ``receive_each``, one for each call that has ended."""
    lending: Lending = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.lending = Lending(Socket(reads=self.wakes))

    def take(self, message: str | bytes) -> bool:
        self.got.append(message)
        return message == b"enough"

    async def receive(self) -> None:
        self.answers.append(await self.lending.way.receive_each(self.take))

    @property
    def is_lent(self) -> bool:
        return self.lending.way._is_lent


async def settled() -> None:
    await trio.testing.wait_all_tasks_blocked()


async def heard(hearing: Hearing, *reads: bytes | None) -> None:
    hearing.wakes.put(*reads)
    await settled()


async def begun(nursery: trio.Nursery) -> Hearing:
    """One that hears, once its socket was lent: it waits for its first message in the ordinary way."""
    hearing = Hearing(nursery)
    nursery.start_soon(hearing.receive)
    await settled()
    nursery.start_soon(hearing.lending.lend)
    await settled()
    hearing.lending.socket.put(b"first\n")
    await settled()
    assert (hearing.got, hearing.is_lent) == ([b"first"], True)
    return hearing


async def test_each_message_is_taken_at_the_wake_that_brings_it(nursery: trio.Nursery) -> None:
    """A wake may bring none, or a part; hearing ends with what is enough, and what came behind that is kept. Twice."""
    hearing = await begun(nursery)
    for turn in (1, 2):
        hearing.got.clear()
        await heard(hearing, None, b"a\n")
        await heard(hearing, b"b\nc\n")
        assert hearing.got == [b"a", b"b", b"c"]
        await heard(hearing, b"enough\nnext\n")
        assert hearing.got == [b"a", b"b", b"c", b"enough"]
        assert hearing.wakes.heard == [False, False, False, True] * turn
        assert hearing.answers == [True] * turn
        nursery.start_soon(hearing.receive)
        await settled()
        assert hearing.got[4:] == [b"next"]
        assert hearing.is_lent
    nursery.cancel_scope.cancel()


async def test_so_many_are_taken_at_one_wake(nursery: trio.Nursery) -> None:
    """The others wait for their reader, who lets others have their turn; then it hears again."""
    hearing = await begun(nursery)
    hearing.wakes.put(b"".join(b"%d\n" % number for number in range(9)))
    assert hearing.got == [b"first"]
    await trio.testing.wait_all_tasks_blocked()
    assert hearing.got[1:] == [b"%d" % number for number in range(9)]
    assert hearing.wakes.heard == [True]
    await heard(hearing, b"a\nb\nc\nd\n")
    assert hearing.wakes.heard == [True, False]
    nursery.cancel_scope.cancel()


async def test_what_cannot_share_wakes_is_read_in_the_ordinary_way(nursery: trio.Nursery) -> None:
    """As long as that is so: a read that was filled whole is followed by another at once."""
    hearing = await begun(nursery)
    hearing.wakes.shares_wakes = False
    await heard(hearing, b"a\n")
    assert hearing.wakes.heard == [True]
    hearing.lending.socket.put(b"b\n")
    await settled()
    hearing.wakes.shares_wakes = True
    hearing.lending.socket.put(b"c\n")
    await settled()
    await heard(hearing, b"d\n")
    assert hearing.got[1:] == [b"a", b"b", b"c", b"d"]
    assert hearing.wakes.heard == [True, False]
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("failure", [ValueError, trio.BrokenResourceError, trio.ClosedResourceError])
async def test_a_failure_of_the_sessions_own_is_the_sessions(
    failure: type[Exception], autojump_clock: trio.testing.MockClock
) -> None:
    """Also where it looks like the stream's: the socket stays lent, and may be heard again."""
    async with trio.open_nursery() as nursery:
        hearing = await begun(nursery)

        def take(message: str | bytes) -> bool:
            raise failure("mine")

        await heard(hearing, b"enough\n")
        for _ in range(2):
            async with trio.open_nursery() as inner:

                @inner.start_soon
                async def fail() -> None:
                    with pytest.raises(failure, match="mine"):
                        await hearing.lending.way.receive_each(take)

                await settled()
                await heard(hearing, b"a\n")
            assert (hearing.is_lent, hearing.lending.way._is_over) == (True, False)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("breaks", [True, False])
async def test_the_end_is_the_readers_to_find(breaks: bool, nursery: trio.Nursery) -> None:
    """However it comes: the socket is given back for good, and the session waits to be told."""
    hearing = await begun(nursery)
    hearing.wakes.breaks = breaks
    await heard(hearing, b"")
    assert (hearing.lending.lent, hearing.lending.way._is_over) == ([True], True)
    assert hearing.answers == []
    hearing.lending.queue.disconnect({"type": "websocket.disconnect"})
    await settled()
    assert hearing.answers == [False]


@pytest.mark.parametrize("is_mark", [True, False])
async def test_the_socket_is_given_back_at_the_next_wake(is_mark: bool, nursery: trio.Nursery) -> None:
    """Because of what is no message, or of somebody who asks in the other way; no message is lost by it."""
    hearing = await begun(nursery)
    if not is_mark:
        hearing.lending.way.decline()
        assert hearing.is_lent
    await heard(hearing, b"a\nb\n" + b"!" * is_mark)
    assert hearing.got[1:] == [b"a", b"b"]
    assert (hearing.lending.lent, hearing.is_lent, hearing.wakes.heard) == ([True], False, [True])
    nursery.cancel_scope.cancel()


async def test_hearing_can_be_cancelled(nursery: trio.Nursery) -> None:
    """The socket stays lent to whoever asks next, and can be taken back meanwhile."""
    hearing = await begun(nursery)
    await heard(hearing, b"enough\n")
    for _ in range(2):
        async with trio.open_nursery() as asking:
            asking.start_soon(hearing.receive)
            await settled()
            asking.cancel_scope.cancel()
        assert (hearing.is_lent, hearing.answers) == (True, [True])
    hearing.lending.way.decline()
    await settled()
    assert not hearing.is_lent


async def test_what_was_begun_is_waited_for(autojump_clock: trio.testing.MockClock) -> None:
    """As its writing tells it."""
    lending = Lending()
    told: list[bool] = [True, False]

    async def flushed() -> bool:
        await trio.lowlevel.checkpoint()
        return told.pop(0)

    writing: Any = SimpleNamespace(flushed=flushed)
    lending.way._writing = writing
    assert [await lending.way.flushed() for _ in range(2)] == [True, False]
