"""Wakes that several sockets share: the contract of wires holds on them, and what they spare is counted."""

import contextvars
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import final

import pytest
import trio
from attrs import define

from tests.real.wire.engines import wire_pair
from tests.real.wire.steps import steps_of
from trio_transports import ConnectionClosed
from trio_transports.testing import check_wire
from trio_transports.wire import Peer, Wire
from trio_transports.wire.direct import DirectWire
from trio_transports.wire.engines import ENGINES, engine_named
from trio_transports.wire.protocol import BytesLike, HandsOver
from trio_transports.wire.reads import READ_BYTES
from trio_transports.wire.rfc6455 import Opcode, encode_frame
from trio_transports.wire.stream import OwnedStream
from trio_transports.wire.wakes import SharedWakes, shared_wakes

DIRECT = engine_named("direct")
LIMIT = 1 << 22


@asynccontextmanager
async def sharing(
    engine: str = "direct", max_message_bytes: int = 4096
) -> AsyncIterator[tuple[Wire, Wire, SharedWakes]]:
    async with shared_wakes() as wakes:
        assert wakes is not None
        chosen = engine_named(engine)
        async with wire_pair(chosen, chosen, max_message_bytes=max_message_bytes, wakes=wakes) as (client, server):
            yield client, server, wakes


@final
@define(eq=False)
class Each:
    """A wire that is received from by ``receive_each`` alone."""

    wire: DirectWire

    @property
    def peer(self) -> Peer:
        return self.wire.peer

    async def receive(self) -> str | bytes:
        box: list[str | bytes] = []

        def take(message: str | bytes) -> bool:
            box.append(message)
            return True

        await self.wire.receive_each(take)
        [message] = box
        return message

    async def send(self, message: str | BytesLike) -> None:
        await self.wire.send(message)

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        await self.wire.aclose(code, reason)

    def abort(self) -> None:
        self.wire.abort()


@pytest.mark.usefixtures("load")
@pytest.mark.parametrize("engine", list(ENGINES))
async def test_the_contract_of_wires(engine: str) -> None:
    """A wire whose reads share wakes keeps the contract."""

    @asynccontextmanager
    async def pair(*, max_message_bytes: int) -> AsyncIterator[tuple[Wire, Wire]]:
        async with sharing(engine, max_message_bytes) as (client, server, _):
            yield client, server

    await check_wire(pair)


@pytest.mark.usefixtures("load")
async def test_the_contract_of_wires_that_hand_over() -> None:
    """So does one whose messages are all handed over where they are read."""

    @asynccontextmanager
    async def pair(*, max_message_bytes: int) -> AsyncIterator[tuple[Wire, Wire]]:
        async with sharing("direct", max_message_bytes) as (client, server, _):
            assert isinstance(server, DirectWire)
            yield client, Each(server)

    await check_wire(pair)


@pytest.mark.usefixtures("load")
@pytest.mark.parametrize("hands_over", [False, True])
async def test_cancelled_at_every_step(hands_over: bool) -> None:
    """A reader that is cancelled after any number of steps loses nothing, and none of it comes twice."""
    async with sharing() as (client, server, _):
        assert isinstance(server, DirectWire)
        wire: Wire = Each(server) if hands_over else server
        got: list[str | bytes] = []
        for number in range(40):
            await client.send(str(number))
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:

                    @nursery.start_soon
                    async def cancel(steps: int = number % 20, scope: trio.CancelScope = scope) -> None:
                        for _ in range(steps):
                            await trio.lowlevel.checkpoint()
                        scope.cancel()

                    while True:
                        got.append(await wire.receive())
        with trio.fail_after(30):
            while len(got) < 40:
                got.append(await wire.receive())
        assert got == [str(number) for number in range(40)]


@pytest.mark.usefixtures("load")
async def test_who_is_not_read_is_not_watched() -> None:
    """Nothing is read for a wire that nobody receives from, its peer feels it, and no task goes round for it."""
    async with sharing() as (client, server, wakes):
        await client.send("first")
        assert await server.receive() == "first"
        with trio.move_on_after(0.3) as limit, steps_of("shared wakes") as steps:
            while True:
                await client.send(bytes(4096))
        assert limit.cancelled_caught
        assert steps["shared wakes"] < 12
        assert wakes.watched <= 1
        with pytest.raises(ConnectionClosed):  # noqa: PT012 - of a send that was cut off
            for _ in range(10_000):
                assert await server.receive() == bytes(4096)


@pytest.mark.usefixtures("load")
async def test_a_reader_wakes_when_the_sharing_ends() -> None:
    """Whoever still reads when it ends goes on by himself."""
    near, far = socket.socketpair()
    with near, far:
        got: list[bytes] = []
        first = trio.Event()

        def take() -> bool:
            got.append(near.recv(100))
            first.set()
            return len(got) == 2

        async with trio.open_nursery() as nursery:
            async with shared_wakes() as wakes:
                assert wakes is not None
                seat = wakes.seat(near.fileno())

                @nursery.start_soon
                async def read() -> None:
                    while len(got) < 2:
                        await seat.readable(take)

                far.send(b"one")
                with trio.fail_after(30):
                    await first.wait()
            far.send(b"two")
        assert got == [b"one", b"two"]
        seat.leave()


@pytest.mark.usefixtures("load")
async def test_what_is_handed_over_is_in_its_readers_context() -> None:
    """``take`` sees the context of the task that receives, and what it raises reaches that task alone."""
    variable = contextvars.ContextVar("variable", default="nobody's")
    async with (
        shared_wakes() as wakes,
        wire_pair(DIRECT, DIRECT, max_message_bytes=LIMIT, wakes=wakes) as (near, far),
        wire_pair(DIRECT, DIRECT, max_message_bytes=LIMIT, wakes=wakes) as (other, another),
    ):
        seen: list[str] = []

        def take(_message: str | bytes) -> bool:
            seen.append(variable.get())
            if len(seen) == 2:
                raise LookupError("of one of them")
            return False

        assert isinstance(far, HandsOver)
        variable.set("the reader's")
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def send() -> None:
                for _ in range(2):
                    await near.send("x")
                    await trio.sleep(0.01)

            with pytest.raises(LookupError), trio.fail_after(30):
                await far.receive_each(take)
        assert seen == ["the reader's"] * 2
        await other.send("still there")
        with trio.fail_after(30):
            assert await another.receive() == "still there"


@pytest.mark.usefixtures("load")
@pytest.mark.parametrize("engine", list(ENGINES))
@pytest.mark.parametrize("error", [trio.BrokenResourceError, trio.ClosedResourceError])
async def test_what_receiving_raises_is_not_taken_for_the_streams_end(engine: str, error: type[Exception]) -> None:
    """An error of whoever receives comes out as it is, also where a stream could have raised it; the call goes on."""

    def fail(_message: str | bytes) -> bool:
        raise error("of a channel that the receiver writes to")

    async with sharing(engine) as (client, server, _), trio.open_nursery() as nursery:
        assert isinstance(server, HandsOver)
        for _ in range(2):

            @nursery.start_soon
            async def send_once_it_is_read() -> None:
                await trio.testing.wait_all_tasks_blocked(0.01)
                await client.send("x")

            with pytest.raises(error, match="of a channel"), trio.fail_after(30):
                await server.receive_each(fail)
        await client.send("still there")
        with trio.fail_after(30):
            assert await server.receive() == "still there"


@pytest.mark.usefixtures("held_back")
async def test_who_has_much_to_say_is_not_held_back() -> None:
    """What fills a read whole is read on at once, not after another wake that is held back."""
    near, far = socket.socketpair()
    far.setblocking(False)
    async with shared_wakes() as wakes:
        assert wakes is not None
        stream = OwnedStream(trio.SocketStream(trio.socket.from_stdlib_socket(near)))
        stream.opened(wakes)
        try:
            sent = far.send(bytes(8 * READ_BYTES))
            assert sent > 4 * READ_BYTES
            while sent:
                sent -= len(await stream.receive_some())
            assert wakes.held <= 2
        finally:
            stream.close()
            far.close()


@pytest.mark.usefixtures("held_back")
async def test_many_at_once_are_handed_over_in_their_readers_steps() -> None:
    """Of thousands of messages in one read only a few are handed over where they are read: others get their turn."""
    async with sharing() as (client, server, _):
        done: list[str] = []

        def take(_message: str | bytes) -> bool:
            done.append(trio.lowlevel.current_task().name)
            return len(done) == 1500

        await as_direct(client)._stream.send_all(
            b"".join(encode_frame(Opcode.TEXT, b"x", masked=True) for _ in range(1500))
        )
        with trio.fail_after(30):
            await as_direct(server).receive_each(take)
        assert Counter(done)["shared wakes"] <= 4 * 2


async def test_one_peer_alone_is_never_held_back() -> None:
    """Asking and waiting for the answer, one after another, is as quick as ever: one socket is no load."""
    async with sharing() as (client, server, wakes):
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def answer() -> None:
                for _ in range(500):
                    await server.send(await Each(as_direct(server)).receive())

            for number in range(500):
                await client.send(str(number))
                assert await client.receive() == str(number)
        assert wakes.held == 0


@pytest.mark.usefixtures("load")
async def test_a_crowd_leaves_others_their_turn() -> None:
    """Hundreds of sockets that are readable at once are not heard in one step: other tasks run between them."""
    pairs = [socket.socketpair() for _ in range(200)]
    heard = 0
    async with shared_wakes() as wakes:
        assert wakes is not None
        seats = [wakes.seat(near.fileno()) for near, _ in pairs]
        try:
            async with trio.open_nursery() as nursery:
                for seat, (near, _) in zip(seats, pairs, strict=True):

                    def take(near: socket.socket = near) -> bool:
                        nonlocal heard
                        heard += len(near.recv(1))
                        return False

                    nursery.start_soon(seat.readable, take)
                await trio.testing.wait_all_tasks_blocked()
                for times in (1, 2):
                    for _, far in pairs:
                        far.send(b"x")
                    before, most = heard, 0
                    with trio.fail_after(30):
                        while heard < times * len(pairs):
                            await trio.lowlevel.checkpoint()
                            before, most = heard, max(most, heard - before)
                    assert most <= 2 * 64  # two steps of one task may follow each other
                nursery.cancel_scope.cancel()
        finally:
            for seat in seats:
                seat.leave()
            for pair in pairs:
                for end in pair:
                    end.close()


def as_direct(wire: Wire) -> DirectWire:
    assert isinstance(wire, DirectWire)
    return wire
