"""The bus in one process: lanes, bounds, and subscribers that misbehave."""

from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing

from trio_transports.bus import (
    BusActivateWorkerMessage,
    BusCancelMessage,
    BusDataMessage,
    BusGapMessage,
    BusMessage,
    BusSubscription,
    LocalBus,
)
from trio_transports.errors import LocalProtocolError


def data(number: int) -> BusDataMessage:
    return BusDataMessage(source="s", id=number)


def cancel(number: int) -> BusCancelMessage:
    return BusCancelMessage(source="s", id=number)


async def drain(subscription: BusSubscription) -> list[BusMessage]:
    """Read what waits now."""
    messages = []
    waiting = subscription.statistics()
    for _ in range(waiting.waiting_data + waiting.waiting_system):
        messages.append(await subscription.receive())
    return messages


async def test_every_subscriber_gets_everything_in_order() -> None:
    """Each of several subscribers receives every message of a sender, in the order it was sent."""
    bus = LocalBus()
    subscriptions = [bus.subscribe(f"s{n}") for n in range(3)]
    messages = [data(n) for n in range(50)]
    for message in messages:
        await bus.send(message)
    for subscription in subscriptions:
        assert await drain(subscription) == messages


async def test_system_messages_overtake_data() -> None:
    """System messages are received ahead of data that was sent before them, each kind in its own order."""
    bus = LocalBus()
    subscription = bus.subscribe("s")
    for number in range(3):
        await bus.send(data(number))
        await bus.send(cancel(number))
    assert await drain(subscription) == [*map(cancel, range(3)), *map(data, range(3))]


async def test_two_tasks_may_read_one_lane_each(autojump_clock: trio.testing.MockClock) -> None:
    """``receive_system`` and ``receive_data`` read their own lane only, and both wait at once."""
    bus = LocalBus()
    subscription = bus.subscribe("s")
    got: list[tuple[str, BusMessage]] = []

    async def read_system() -> None:
        got.append(("system", await subscription.receive_system()))

    async def read_data() -> None:
        got.append(("data", await subscription.receive_data()))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read_system)
        nursery.start_soon(read_data)
        await trio.testing.wait_all_tasks_blocked()
        await bus.send(data(1))
        await trio.testing.wait_all_tasks_blocked()
        assert got == [("data", data(1))]
        await bus.send(cancel(2))
    assert got[1:] == [("system", cancel(2))]


async def test_a_slow_subscriber_loses_its_oldest_and_is_told(autojump_clock: trio.testing.MockClock) -> None:
    """Past its buffer a subscriber loses the oldest data, finds the count in its place, and nobody else notices."""
    bus = LocalBus()
    slow = bus.subscribe("slow", data_buffer=4, system_buffer=2)
    quick = bus.subscribe("quick")
    for number in range(10):
        await bus.send(data(number))
    for number in range(3):
        await bus.send(cancel(number))
    assert slow.statistics().dropped == 7
    gap = await slow.receive()
    assert gap == BusGapMessage(source="bus", missed=1, reason="this subscriber did not read them in time")
    assert [await slow.receive() for _ in range(2)] == [cancel(1), cancel(2)]
    gap = await slow.receive()
    assert isinstance(gap, BusGapMessage)
    assert gap.missed == 6
    assert await drain(slow) == [data(n) for n in range(6, 10)]
    assert len(await drain(quick)) == 13
    assert quick.statistics().dropped == 0


async def test_a_gap_that_is_lost_widens_the_next(autojump_clock: trio.testing.MockClock) -> None:
    """A gap message that overflows is added to the count of the gap told in its place; unknown stays unknown."""
    bus = LocalBus()
    subscription = bus.subscribe("s", data_buffer=1)
    for gap in (BusGapMessage(source="b", missed=5), BusGapMessage(source="b", missed=2), data(1)):
        await bus.send(gap)
    told = await subscription.receive()
    assert isinstance(told, BusGapMessage)
    assert told.missed == 7
    await bus.send(BusGapMessage(source="b", missed=None))
    await bus.send(data(2))
    assert await subscription.receive() == data(1)
    told = await subscription.receive()
    assert isinstance(told, BusGapMessage)
    assert told.missed is None
    assert await subscription.receive() == data(2)


async def test_a_filter_decides_what_is_queued() -> None:
    """Messages that ``accepts`` refuses take no room; a gap is told whatever it says."""
    bus = LocalBus()
    subscription = bus.subscribe("s", accepts=lambda message: message.id == 3, data_buffer=2)
    for number in range(100):
        await bus.send(data(number))
    await bus.send(BusGapMessage(source="b", missed=1))
    assert await drain(subscription) == [data(3), BusGapMessage(source="b", missed=1)]


async def test_a_filter_that_raises_ends_only_its_own_subscription() -> None:
    """The sender and the others notice nothing; the failure comes out where the broken subscriber reads."""

    def broken(message: BusMessage) -> bool:
        return 1 // message.id > 0

    bus = LocalBus()
    bad, good = bus.subscribe("bad", accepts=broken), bus.subscribe("good")
    await bus.send(data(1))
    await bus.send(data(0))
    await bus.send(data(1))
    assert await bad.receive() == data(1)
    with pytest.raises(ZeroDivisionError):
        await bad.receive()
    assert await drain(good) == [data(1), data(0), data(1)]
    await bad.aclose()
    await good.aclose()
    assert repr(bus) == "<LocalBus with 0 subscribers>"


async def test_cancelling_a_receive_loses_nothing(autojump_clock: trio.testing.MockClock) -> None:
    """A message that arrives as its reader is cancelled stays for the next read."""
    bus = LocalBus()
    subscription = bus.subscribe("s")
    for number in range(20):
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(subscription.receive)
                await trio.testing.wait_all_tasks_blocked()
                scope.cancel()
        await bus.send(data(number))
        with trio.CancelScope() as scope:
            scope.cancel()
            await subscription.receive()
        assert await subscription.receive() == data(number)


async def test_subscriptions_end_with_the_bus(autojump_clock: trio.testing.MockClock) -> None:
    """When ``running`` ends, what waits can be read, then a subscription ends; a closed one says so."""
    bus = LocalBus()
    closed = bus.subscribe("closed")
    assert [bus.is_running] == [False]
    async with bus.running():
        assert [bus.is_running] == [True]
        with pytest.raises(LocalProtocolError, match="already running"):
            async with bus.running():
                pass
        ended = bus.subscribe("ended")
        await bus.send(data(1))
        await closed.aclose()
    assert [bus.is_running] == [False]
    assert [message async for message in ended] == [data(1)]
    with pytest.raises(trio.ClosedResourceError):
        await closed.receive()


async def test_others_have_their_turn() -> None:
    """Who sends or reads without end notices a cancellation each time, and lets others run at each 16th message."""
    bus = LocalBus()
    subscription = bus.subscribe("s")

    async def sixteen(once: Callable[[], Awaitable[object]]) -> None:
        for _ in range(3):
            with trio.testing.assert_checkpoints():
                for _ in range(16):
                    await once()
        with trio.CancelScope() as scope:
            scope.cancel()
            await once()
        assert scope.cancelled_caught

    await sixteen(lambda: bus.send(data(1)))
    await sixteen(subscription.receive)
    assert subscription.statistics().waiting_data == 0
    with trio.testing.assert_checkpoints():
        await subscription.aclose()


class Steps(trio.abc.Instrument):
    """Counts how often the task that makes it goes on after others had their turn."""

    def __init__(self) -> None:
        self.count = 0
        self._task = trio.lowlevel.current_task()

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += task is self._task


async def test_others_have_their_turn_no_more_often() -> None:
    """In between nobody else runs, whether it sends or reads."""
    bus = LocalBus()
    subscription = bus.subscribe("s")
    steps = Steps()
    trio.lowlevel.add_instrument(steps)
    for once in (lambda: bus.send(data(1)), subscription.receive):
        went_on = list[int]()
        for number in range(1, 50):
            before = steps.count
            await once()
            if steps.count > before:
                went_on.append(number)
        assert went_on == [16, 32, 48]


@pytest.mark.parametrize("name", [5, b"x", ["x"], None])
def test_a_message_is_from_somebody_and_for_somebody_or_all(name: object) -> None:
    """Both by their names."""
    with pytest.raises(TypeError, match=r"BusDataMessage\.source must be the name of a worker, not"):
        BusDataMessage(source=name)  # type: ignore[arg-type]
    if name is not None:
        with pytest.raises(TypeError, match=r"BusDataMessage\.target must be a worker's name or None, not"):
            BusDataMessage(source="s", target=name)  # type: ignore[arg-type]

    class Name(str):
        __slots__ = ()

    message = BusDataMessage(source=Name("s"), target=Name("t"))
    assert (message.source, message.target) == ("s", "t")


async def test_a_small_buffer_is_read_in_time(autojump_clock: trio.testing.MockClock) -> None:
    """A reader that is awake loses nothing to a sender that is, however little may wait for it."""
    bus = LocalBus()
    got: list[int] = []

    async def read(buffer: int, task_status: trio.TaskStatus[None]) -> None:
        async with bus.subscribe("s", data_buffer=buffer) as subscription:
            task_status.started()
            async for message in subscription:
                got.append(message.id)

    for buffer in (2, 3, 20):
        got.clear()
        async with trio.open_nursery() as nursery:
            await nursery.start(read, buffer)
            for number in range(100):
                await bus.send(BusDataMessage(source="a", id=number))
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert got == [*range(100)], buffer


async def test_a_buffer_holds_at_least_one() -> None:
    """A buffer of no messages is refused by its name."""
    with pytest.raises(ValueError, match="'data_buffer' must be >= 1"):
        LocalBus().subscribe("s", data_buffer=0)
    with pytest.raises(ValueError, match="'system_buffer' must be >= 1"):
        LocalBus().subscribe("s", system_buffer=-1)


class Receipts:
    """Counts what was handled, and what was left."""

    def __init__(self) -> None:
        self.count = self.were_left = self.in_hand = 0

    def handled(self) -> None:
        self.count += 1

    def left(self, *, in_hand: bool = False) -> None:
        self.were_left += 1
        self.in_hand += in_hand


async def test_a_message_with_a_receipt_is_never_dropped(autojump_clock: trio.testing.MockClock) -> None:
    """It waits for room, others are dropped for want of it, and it is handled when its reader comes back for more."""
    bus = LocalBus()
    subscription = bus.subscribe("s", data_buffer=2)
    receipts = Receipts()

    async def put_all() -> None:
        for number in range(4):
            await subscription.put_with_receipt(data(number), receipts)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(put_all)
        await trio.testing.wait_all_tasks_blocked()
        await bus.send(data(100))
        await bus.send(cancel(200))
        assert subscription.statistics().dropped == 1
        assert await subscription.receive() == cancel(200)
        gap = await subscription.receive()
        assert isinstance(gap, BusGapMessage)
        assert gap.missed == 1
        handled = []
        for number in range(4):
            assert await subscription.receive() == data(number)
            await trio.testing.wait_all_tasks_blocked()
            handled.append(receipts.count)
        assert handled == [0, 1, 2, 3]
        with trio.move_on_after(1):
            await subscription.receive()
        assert receipts.count == 4


async def test_a_reader_that_ends_leaves_what_it_had_not_begun_on(autojump_clock: trio.testing.MockClock) -> None:
    """Closing a subscription leaves what waits and what is still put; the end of the bus says nothing of it."""
    for leave, were_left in (("close", 3), ("end", 0)):
        bus = LocalBus()
        subscription = bus.subscribe("s", data_buffer=2)
        receipts = Receipts()
        async with trio.open_nursery() as nursery:
            for number in range(2):
                await subscription.put_with_receipt(data(number), receipts)
            nursery.start_soon(subscription.put_with_receipt, data(2), receipts)
            await trio.testing.wait_all_tasks_blocked()
            if leave == "close":
                subscription.close()
            else:
                subscription.end()
        assert (receipts.count, receipts.were_left) == (0, were_left)


async def test_a_slow_subscriber_holds_so_many_bytes_and_no_more() -> None:
    """Past ``max_bytes`` the oldest go and are told; a message over the bound is kept alone. It is so twice."""
    bus = LocalBus()
    slow = bus.subscribe("slow", max_bytes=50_000)

    def heavy(number: int, size: int = 10_000) -> BusActivateWorkerMessage:
        return BusActivateWorkerMessage(source="s", id=number, args={"x": "y" * size})

    for _ in range(2):
        for number in range(20):
            await bus.send(heavy(number))
        assert slow.statistics().waiting_bytes <= 50_000
        first, *rest = await drain(slow)
        assert isinstance(first, BusGapMessage)
        assert first.missed == 16
        assert [message.id for message in (*rest, await slow.receive())] == [16, 17, 18, 19]
        await bus.send(heavy(1))
        await bus.send(heavy(2, 60_000))
        assert isinstance(await slow.receive(), BusGapMessage)
        assert await slow.receive() == heavy(2, 60_000)
        assert slow.statistics().waiting_bytes == 0


async def test_many_small_values_weigh_what_they_take() -> None:
    """A payload of empty lists, 3 bytes each on the wire, fills a lane as the memory it takes would."""
    bus = LocalBus()
    slow = bus.subscribe("slow")
    lists: dict[str, object] = {"x": [[] for _ in range(100_000)]}
    for number in range(10):
        await bus.send(BusActivateWorkerMessage(source="s", id=number, args=lists))
    assert slow.statistics().dropped == 8


async def test_a_tap_takes_messages_before_they_are_queued() -> None:
    """What the tap takes is not asked of ``accepts`` and takes no room; the rest is as without a tap."""
    bus = LocalBus()
    taken: list[int] = []
    asked: list[int] = []

    def tap(message: BusMessage) -> bool:
        if message.id % 2:
            taken.append(message.id)
        return bool(message.id % 2)

    def accepts(message: BusMessage) -> bool:
        asked.append(message.id)
        return True

    subscription = bus.subscribe("tapped", tap=tap, accepts=accepts)
    for number in range(6):
        await bus.send(data(number))
    assert (taken, asked) == ([1, 3, 5], [0, 2, 4])
    assert [message.id for message in await drain(subscription)] == [0, 2, 4]


async def test_a_tap_that_fails_ends_its_own_subscription_only() -> None:
    """The exception of a tap comes out of its own subscription; the sender and the others notice nothing."""
    bus = LocalBus()

    def tap(message: BusMessage) -> bool:
        raise ZeroDivisionError

    broken, other = bus.subscribe("broken", tap=tap), bus.subscribe("other")
    await bus.send(data(1))
    await bus.send(data(2))
    assert await drain(other) == [data(1), data(2)]
    with pytest.raises(ZeroDivisionError):
        await broken.receive()


async def test_what_was_received_is_counted() -> None:
    """Each message that was read, once; what only waits is not."""
    bus = LocalBus()
    subscription = bus.subscribe("s")
    for round_ in range(1, 4):
        for message in (data(1), cancel(2)):
            await bus.send(message)
        assert subscription.statistics().received == 2 * (round_ - 1)
        await drain(subscription)
        assert subscription.statistics().received == 2 * round_
