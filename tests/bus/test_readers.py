"""A reader of a bus that waits, leaves, or is left: who is woken, and what counts as handled."""

from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing

from trio_transports.bus import BusCancelMessage, BusDataMessage, BusMessage, BusSubscription, LocalBus

Receive = Callable[[BusSubscription], Awaitable[BusMessage]]
KINDS = pytest.mark.parametrize("kind", [BusDataMessage, BusCancelMessage])
WAYS: list[tuple[type[BusMessage], Receive]] = [
    (BusDataMessage, BusSubscription.receive),
    (BusDataMessage, BusSubscription.receive_data),
    (BusCancelMessage, BusSubscription.receive),
    (BusCancelMessage, BusSubscription.receive_system),
]


class Receipts:
    def __init__(self) -> None:
        self.count = self.were_left = self.in_hand = 0

    def handled(self) -> None:
        self.count += 1

    def left(self, *, in_hand: bool = False) -> None:
        self.were_left += 1
        self.in_hand += in_hand


@pytest.mark.parametrize(("kind", "receive"), WAYS)
async def test_a_reader_that_waits_is_given_what_has_a_receipt(
    kind: type[BusMessage], receive: Receive, autojump_clock: trio.testing.MockClock
) -> None:
    """Each time, and it is handled when it comes back for the next."""
    subscription, receipts, got = LocalBus().subscribe("s"), Receipts(), list[tuple[BusMessage, int]]()

    async def read() -> None:
        for _ in range(3):
            message = await receive(subscription)
            got.append((message, receipts.count))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        for number in range(3):
            await trio.testing.wait_all_tasks_blocked()
            await subscription.put_with_receipt(kind(source="a", id=number), receipts)
    assert got == [(kind(source="a", id=number), number) for number in range(3)]


@KINDS
async def test_who_closes_a_subscription_leaves_all_of_it(kind: type[BusMessage]) -> None:
    """What it has in hand, and what waits, in either lane; once."""
    subscription, receipts = LocalBus().subscribe("s"), Receipts()
    for number in range(3):
        await subscription.put_with_receipt(kind(source="a", id=number), receipts)
    assert await subscription.receive() == kind(source="a", id=0)
    assert receipts.count == 0
    for _ in range(2):
        subscription.close()
        assert (receipts.count, receipts.were_left, receipts.in_hand) == (0, 3, 1)
    statistics = subscription.statistics()
    assert (statistics.waiting_data, statistics.waiting_system, statistics.waiting_bytes) == (0, 0, 0)


@pytest.mark.parametrize(("_kind", "receive"), WAYS)
@pytest.mark.parametrize(
    ("leave", "error"),
    [(BusSubscription.close, trio.ClosedResourceError), (BusSubscription.end, trio.EndOfChannel)],
)
async def test_a_reader_that_waits_hears_that_nothing_more_comes(
    _kind: object,
    receive: Receive,
    leave: Callable[[BusSubscription], None],
    error: type[Exception],
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Whether another task closes its subscription, or the bus ends."""
    subscription = LocalBus().subscribe("s")

    async def read() -> None:
        with pytest.raises(error):
            await receive(subscription)

    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        leave(subscription)


async def test_a_bus_that_has_ended_has_no_readers(autojump_clock: trio.testing.MockClock) -> None:
    """What is sent on it later reaches nobody of before, and whoever comes then."""
    bus = LocalBus()
    before = bus.subscribe("before")
    for _ in range(2):
        async with bus.running():
            pass
        assert repr(bus) == "<LocalBus with 0 subscribers>"
        later = bus.subscribe("later")
        await bus.send(BusDataMessage(source="a"))
        assert (before.statistics().waiting_data, later.statistics().waiting_data) == (0, 1)


async def test_running_a_bus_is_a_checkpoint() -> None:
    """Each time, though there is nothing to wait for."""
    bus = LocalBus()
    for _ in range(2):
        with trio.testing.assert_checkpoints():
            async with bus.running():
                assert bus.is_running


async def test_a_gap_in_what_is_read_stands_before_the_rest(autojump_clock: trio.testing.MockClock) -> None:
    """One of unknown length too, though nothing else was lost; and it is told once."""
    bus = LocalBus()
    subscription = bus.subscribe("s", data_buffer=1)
    lane = subscription._data
    lane.is_unknown = True
    await bus.send(BusDataMessage(source="a", id=1))
    gap, message = await subscription.receive(), await subscription.receive()
    assert getattr(gap, "missed", 0) is None
    assert message == BusDataMessage(source="a", id=1)
    with trio.move_on_after(1) as limit:
        await subscription.receive()
    assert limit.cancelled_caught
