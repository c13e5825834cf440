"""A proxy over a wire that writes at once what needs no waiting: in order, with what does, and with what is lost."""

from collections import deque
from collections.abc import Sequence
from typing import Any

import pytest
import trio
import trio.testing

from tests.bus.proxies import JSON, client, data, frame_message, received, running, server, wire_pair
from trio_transports.bus import BusJobCancelMessage, BusMessage, LocalBus, ProxySettings
from trio_transports.errors import ConnectionClosed
from trio_transports.frames import TextFrame
from trio_transports.params import ReconnectPolicy
from trio_transports.wire import Peer
from trio_transports.wire.memory import MemoryWire, memory_wire_pair
from trio_transports.wire.protocol import BytesLike


class Now:
    """A memory wire with ``send_now``, whose answers are given: True, False, None (begun), or an end."""

    def __init__(self, wire: MemoryWire, *answers: Any) -> None:  # noqa: ANN401 - a bool, None or an exception
        self.wire = wire
        self.answers = deque(answers)
        self.begun: list[bytes | str] = []
        self.may_flush = trio.Event()
        self.calls: list[str] = []

    @property
    def peer(self) -> Peer:
        return self.wire.peer

    async def receive(self) -> str | bytes:
        return await self.wire.receive()

    async def send(self, message: str | BytesLike) -> None:
        assert not self.begun, "nothing may be sent before what was begun is written"
        self.calls.append("send")
        await self.wire.send(message)

    def send_now(self, message: str | bytes) -> bool | None:
        assert not self.begun, "nothing may be sent before what was begun is written"
        answer = self.answers.popleft() if self.answers else True
        self.calls.append(f"now {answer}")
        if isinstance(answer, Exception):
            raise answer
        if answer:
            self.wire._other._arrived.append(message)
            self.wire._other._readers.unpark_all()
        elif answer is None:
            self.begun.append(message)
        return answer

    async def flushed(self) -> None:
        self.calls.append("flushed")
        await self.may_flush.wait()
        for message in self.begun:
            await self.wire.send(message)
        self.begun.clear()

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        await self.wire.aclose(code, reason)

    def abort(self) -> None:
        self.wire.abort()


def numbered(number: int) -> BusMessage:
    message = data("near", "far")
    return type(message)(source="near", target="far", id=number)


def numbers(messages: list[BusMessage]) -> list[int]:
    return [message.id for message in messages]


async def test_what_can_be_written_at_once_is(autojump_clock: trio.testing.MockClock) -> None:
    """Each message is on the wire when ``send`` returns, and no task had to wake for it."""
    near, far = wire_pair()
    wire = Now(near)
    proxy = server(wire)
    async with running(proxy) as bus:
        for number in range(5):
            await trio.sleep(0.02)
            await bus.send(numbered(number))
            assert len(far._arrived) == number + 1
        assert wire.calls == ["now True"] * 5
        assert numbers(await received(far)) == [*range(5)]
        assert proxy.statistics().sent == 5


class Batching(Now):
    """One that takes several at once too: of each batch as many as it is given, then the connection is lost."""

    def __init__(self, wire: MemoryWire, *taken: int) -> None:
        super().__init__(wire)
        self.taken = deque(taken)
        self.may_flush.set()

    def send_several_now(self, messages: Sequence[str | bytes]) -> int:
        if not self.wire._is_open:
            raise ConnectionClosed(1006, "gone", initiator="error")
        taken = self.taken.popleft() if self.taken else len(messages)
        self.calls.append(f"several {len(messages)}")
        for message in messages[:taken]:
            self.wire._other._arrived.append(message)
        self.wire._other._readers.unpark_all()
        if taken < len(messages):
            self.wire.abort()
        return taken

    async def receive_several(self) -> list[str | bytes]:
        return [await self.wire.receive()]


async def test_a_turn_leaves_together(autojump_clock: trio.testing.MockClock) -> None:
    """What is sent in one go leaves as one message and a batch or two, in order; twice."""
    near, far = wire_pair()
    wire = Batching(near)
    async with running(server(wire)) as bus:
        for round_ in range(2):
            await trio.sleep(0.02)
            wire.calls.clear()
            for number in range(10):
                await bus.send(numbered(number))
            await trio.testing.wait_all_tasks_blocked()
            together = [call for call in wire.calls if call != "flushed"]
            assert together[0] == "now True", round_
            assert 1 <= len(together[1:]) <= 2, together  # the bus may have let others run in between
            assert sum(int(call.removeprefix("several ")) for call in together[1:]) == 9, together
            assert numbers(await received(far)) == [*range(10)], round_


async def test_an_answer_leaves_at_once(autojump_clock: trio.testing.MockClock) -> None:
    """What is said after something was read waits for no turn, however soon it follows."""
    near, far = wire_pair()
    wire = Batching(near)
    async with running(server(wire)) as bus:
        for number in range(5):
            await far.send(JSON.encode(data("far", "near")))
            await trio.testing.wait_all_tasks_blocked()
            await bus.send(numbered(number))
            assert len(far._arrived) == number + 1
    assert wire.calls == ["now True"] * 5


async def test_of_half_a_batch_nothing_is_sent_twice(autojump_clock: trio.testing.MockClock) -> None:
    """A connection that is lost within a batch has taken what it said; the rest goes over the next, in order."""
    (first, first_far), (second, second_far) = wire_pair(), wire_pair()
    wires = Batching(first, 3), Batching(second)
    async with running(client(*wires, reconnect=ReconnectPolicy(initial_delay=0.1))) as bus:
        for number in range(8):
            await bus.send(numbered(number))
        await trio.sleep(1)
        assert [JSON.decode(message).id for message in first_far._arrived] == [0, 1, 2, 3]
        assert numbers(await received(second_far)) == [4, 5, 6, 7]


async def test_what_cannot_be_written_at_once_keeps_its_place(autojump_clock: trio.testing.MockClock) -> None:
    """Refused, begun, and what came behind them: all are written, in order; twice."""
    near, far = wire_pair()
    wire = Now(near)
    proxy = server(wire)
    async with running(proxy) as bus:
        for round_ in range(2):
            wire.answers.extend((False, True, None))
            wire.may_flush = trio.Event()
            for number in range(3):
                await bus.send(numbered(number))
            await trio.testing.wait_all_tasks_blocked()  # the writer has sent these
            await bus.send(numbered(3))
            await bus.send(numbered(4))
            await bus.send(numbered(5))
            await trio.testing.wait_all_tasks_blocked()
            wire.may_flush.set()
            assert numbers(await received(far)) == [*range(6)], round_
        assert proxy.statistics().sent == 12
        assert proxy.statistics().waiting == 0


async def test_a_write_that_was_begun_and_never_ends_aborts(autojump_clock: trio.testing.MockClock) -> None:
    """Past ``send_timeout`` the connection of a peer that does not read is aborted, as with any other write."""
    near, _ = wire_pair()
    proxy = server(Now(near, None))
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            bus = LocalBus()
            began = trio.current_time()
            await nursery.start(proxy.run, bus)
            await trio.testing.wait_all_tasks_blocked()
            await bus.send(numbered(1))
    assert 9.9 < trio.current_time() - began < 13


async def test_what_meets_an_end_goes_over_the_next_connection(autojump_clock: trio.testing.MockClock) -> None:
    """A wire that ends in ``send_now`` has not taken the message: the next one gets it, first."""
    (first, _), (second, far) = wire_pair(), wire_pair()
    lost = ConnectionClosed(1006, "gone", initiator="error")
    proxy = client(Now(first, lost, lost), Now(second), reconnect=ReconnectPolicy(initial_delay=0.1))
    async with running(proxy) as bus:
        await bus.send(numbered(1))
        first.abort()
        await bus.send(numbered(2))
        await trio.sleep(1)
        assert numbers(await received(far)) == [1, 2]


@pytest.mark.parametrize("lean", [False, True], ids=["one at a time", "several"])
async def test_what_is_urgent_overtakes_what_is_not_written_yet(
    lean: bool, autojump_clock: trio.testing.MockClock
) -> None:
    """A cancellation waits for the message under way, and not for the rest of the turn that it is in; twice."""
    peer = Peer(address="memory")
    near, far = memory_wire_pair(near=peer, far=peer, buffer_messages=2, sends_now=lean)
    proxy = server(near)
    async with running(proxy) as bus:
        for round_ in range(2):
            for number in range(12):
                await bus.send(numbered(number))
            await trio.testing.wait_all_tasks_blocked()  # the peer does not read
            await bus.send(BusJobCancelMessage(source="near", target="far", job_id="urgent"))
            got = await received(far)
            at = next(index for index, message in enumerate(got) if isinstance(message, BusJobCancelMessage))
            assert at <= 3, (round_, at)  # two in the peer's buffer, one under way
            del got[at]
            assert numbers(got) == [*range(12)], round_
            await trio.sleep(1)
        assert (proxy.statistics().sent, proxy.statistics().waiting) == (26, 0)


async def test_a_message_too_large_within_a_batch_costs_itself(autojump_clock: trio.testing.MockClock) -> None:
    """The peer ends the connection for it; what was before it came, what is behind it goes over the next, once."""
    peer = Peer(address="memory")
    pairs = [memory_wire_pair(near=peer, far=peer, max_message_bytes=1000, sends_now=True) for _ in range(2)]
    (first, first_far), (second, second_far) = pairs
    proxy = client(first, second, reconnect=ReconnectPolicy(initial_delay=0.1))
    async with running(proxy) as bus:
        for number in range(8):
            large = frame_message("near", "far", TextFrame(text="x" * 2000))
            await bus.send(large if number == 4 else numbered(number))
        await trio.sleep(1)
        assert [JSON.decode(message).id for message in first_far._arrived] == [0, 1, 2, 3]
        assert numbers(await received(second_far)) == [5, 6, 7]
        assert proxy.statistics().sent == 8


async def test_what_is_begun_takes_no_room(autojump_clock: trio.testing.MockClock) -> None:
    """An outbox for one message keeps one, behind the one that the wire writes by itself; twice."""
    near, far = wire_pair()
    wire = Now(near)
    proxy = server(wire, settings=ProxySettings(outbox_messages=1))
    async with running(proxy) as bus:
        for round_ in range(2):
            wire.answers.append(None)
            wire.may_flush = trio.Event()
            await trio.sleep(0.02)
            await bus.send(numbered(0))
            await bus.send(numbered(1))
            assert (proxy.statistics().waiting, proxy.statistics().dropped) == (1, 0), round_
            wire.may_flush.set()
            assert numbers(await received(far)) == [0, 1], round_
