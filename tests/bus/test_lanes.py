"""One lane of a subscription: what just fits, what is lost for what, and who is told."""

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
from trio_transports.bus import subscription as subscriptions
from trio_transports.bus.subscription import Fanout
from trio_transports.bus.weight import BASE, NODE


def data(number: int) -> BusDataMessage:
    return BusDataMessage(source="s", id=number)


def heavy(number: int, letters: int = 0) -> BusActivateWorkerMessage:
    """It weighs ``BASE + 3 * NODE + 2`` and its letters."""
    return BusActivateWorkerMessage(source="s", id=number, args={"x": "y" * letters})


HEAVY = BASE + 3 * NODE + 2


class Receipts:
    def __init__(self) -> None:
        self.count = self.were_left = self.in_hand = 0

    def handled(self) -> None:
        self.count += 1

    def left(self, *, in_hand: bool = False) -> None:
        self.were_left += 1
        self.in_hand += in_hand


async def ids(subscription: BusSubscription) -> list[int | None]:
    """Read what waits: ids, and in place of a gap how many are missing."""
    read = list[int | None]()
    while subscription.statistics().waiting_data or subscription._data.lost or subscription._data.is_unknown:
        message = await subscription.receive()
        read.append(-(message.missed or 0) if isinstance(message, BusGapMessage) else message.id)
    return read


async def test_as_many_messages_wait_as_there_is_room_for() -> None:
    """None is lost before that, and one for each that is sent after it; it is so again once all were read."""
    bus = LocalBus()
    subscription = bus.subscribe("s", data_buffer=3)
    for round_ in (1, 2):
        for number in range(3):
            await bus.send(data(number))
        assert subscription.statistics().dropped == round_ - 1
        await bus.send(data(3))
        assert subscription.statistics().dropped == round_
        assert await ids(subscription) == [-1, 1, 2, 3]


@pytest.mark.parametrize("size", [1, 3])
async def test_a_reader_that_is_always_slower_has_a_message_for_each_gap(size: int) -> None:
    """Of either lane, where messages come between any two that it reads: each is given or told, in order."""
    bus = LocalBus()
    for kind in (BusDataMessage, BusCancelMessage):
        subscription = bus.subscribe("s", data_buffer=size, system_buffer=size)
        sent, place, gaps, previous = 0, 0, 0, None
        for _ in range(30):
            for _ in range(size + 1):
                await bus.send(kind(source="s", id=sent))
                sent += 1
            message = await subscription.receive()
            if isinstance(message, BusGapMessage):
                assert not isinstance(previous, BusGapMessage)
                assert message.missed is not None
                place, gaps = place + message.missed, gaps + 1
            else:
                assert message.id == place
                place += 1
            previous = message
        assert gaps == 15
        statistics = subscription.statistics()
        assert (
            statistics.waiting_data
            + statistics.waiting_system
            + place
            + subscription._data.lost
            + subscription._system.lost
            == sent
        )
        subscription.close()
        statistics = subscription.statistics()
        assert (statistics.waiting_data, statistics.waiting_system, statistics.waiting_bytes) == (0, 0, 0)


async def test_as_many_bytes_wait_as_there_is_room_for() -> None:
    """The first weighs nothing; those after it fill the room exactly, and one more costs the two oldest."""
    bus = LocalBus()
    subscription = bus.subscribe("s", max_bytes=2 * HEAVY)
    for round_ in (1, 2):
        for number in range(3):
            await bus.send(heavy(number))
        assert subscription.statistics().dropped == 2 * (round_ - 1)
        assert subscription.statistics().waiting_bytes == 2 * HEAVY
        await bus.send(heavy(3))
        assert subscription.statistics().dropped == 2 * round_
        assert subscription.statistics().waiting_bytes == 2 * HEAVY
        assert await ids(subscription) == [-2, 2, 3]
        assert subscription.statistics().waiting_bytes == 0


async def test_the_bytes_of_both_lanes_are_told() -> None:
    bus = LocalBus()
    subscription = bus.subscribe("s")
    for _ in range(2):
        await bus.send(heavy(1))
        await bus.send(BusCancelMessage(source="s", reason="x" * 100))
    assert subscription.statistics().waiting_bytes == HEAVY + BASE + NODE + 101


async def test_what_has_a_receipt_is_not_lost_for_another() -> None:
    """Between such messages the others go, the oldest first; where there is none, it is the new one that is lost."""
    bus = LocalBus()
    subscription = bus.subscribe("s", data_buffer=4)
    receipts = Receipts()
    for number in range(4):
        if number % 2:
            await bus.send(data(number))
        else:
            await subscription.put_with_receipt(data(number), receipts)
    for number in range(4, 7):
        await bus.send(data(number))
    assert subscription.statistics().dropped == 3
    assert await ids(subscription) == [-3, 0, 2, 5, 6]
    for number in range(4):
        await subscription.put_with_receipt(data(number), receipts)
    for number in range(4, 6):
        await bus.send(data(number))
    assert subscription.statistics().dropped == 5
    assert await ids(subscription) == [-2, 0, 1, 2, 3]


async def test_a_receipt_waits_until_there_is_room_in_bytes(autojump_clock: trio.testing.MockClock) -> None:
    """It waits no longer than that, and each that is read makes room for one, in their order."""
    subscription = LocalBus().subscribe("s", max_bytes=2 * HEAVY)
    receipts, put = Receipts(), list[int]()

    async def put_one(number: int) -> None:
        await subscription.put_with_receipt(heavy(number), receipts)
        put.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(put_one, number)
            await trio.testing.wait_all_tasks_blocked()
        for number in range(5):
            assert put == [*range(min(number + 2, 5))]
            assert (await subscription.receive()).id == number
            await trio.testing.wait_all_tasks_blocked()


async def test_who_waits_for_room_when_its_reader_fails_is_let_go(autojump_clock: trio.testing.MockClock) -> None:
    """What it wanted to put is left: nobody will read it here. What waits before the failure can be read."""

    def accepts(message: BusMessage) -> bool:
        return bool(1 // message.id)

    bus = LocalBus()
    subscription = bus.subscribe("s", data_buffer=1, accepts=accepts)
    receipts = Receipts()
    await subscription.put_with_receipt(data(1), receipts)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(subscription.put_with_receipt, data(2), receipts)
        await trio.testing.wait_all_tasks_blocked()
        await bus.send(data(0))
    assert (receipts.count, receipts.were_left) == (0, 1)
    assert await subscription.receive() == data(1)
    with pytest.raises(ZeroDivisionError):
        await subscription.receive()
    assert (receipts.count, receipts.were_left) == (1, 1)


async def test_a_reader_has_its_turn_when_half_its_buffer_is_full(autojump_clock: trio.testing.MockClock) -> None:
    """Whoever sends is told so by the message that fills the half, and not before."""
    bus = LocalBus()
    bus.subscribe("s", data_buffer=8)
    crowded = []
    for number in range(5):
        bus.send_now(data(number))
        crowded.append(bus._is_crowded)
    assert crowded == [False, False, False, True, True]


async def test_a_reader_that_has_no_room_at_all_is_crowded() -> None:
    """All that waits for it has a receipt, so the new message is the one that is lost."""
    bus = LocalBus()
    subscription = bus.subscribe("s", data_buffer=1)
    await subscription.put_with_receipt(data(1), Receipts())
    bus.send_now(data(2))
    assert bus._is_crowded
    assert subscription.statistics().dropped == 1


async def test_one_crowded_reader_is_enough() -> None:
    """Whichever of several readers it is, and though the others have nothing."""
    for crowded in range(3):
        fanout = Fanout()
        for number in range(3):
            fanout.subscribe(str(number), data_buffer=2 if number == crowded else 100)
        assert fanout.deliver(data(1))
    fanout = Fanout()
    fanout.subscribe("s", data_buffer=100)
    assert not fanout.deliver(data(1))


@pytest.mark.parametrize("first", ["data", "system", "both"])
async def test_a_reader_hears_of_a_message_wherever_it_waits(
    first: str, autojump_clock: trio.testing.MockClock
) -> None:
    """In ``receive`` of either kind, and a second reader of the same lane too."""
    bus = LocalBus()
    subscription = bus.subscribe("s")
    receive = {
        "data": subscription.receive_data,
        "system": subscription.receive_system,
        "both": subscription.receive,
    }[first]
    message = BusCancelMessage(source="s") if first == "system" else data(1)
    got = list[BusMessage]()

    async def read() -> None:
        got.append(await receive())

    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(2):
            bus.send_now(message)
            await trio.testing.wait_all_tasks_blocked()
    assert got == [message, message]


async def test_data_is_awaited_when_all_of_it_was_read(autojump_clock: trio.testing.MockClock) -> None:
    """Not while a message or a gap is still to be read, nor while nobody reads."""
    bus = LocalBus()
    subscription = bus.subscribe("s", data_buffer=1)
    awaited = [subscription.awaits_data]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(subscription.receive_data)
        await trio.testing.wait_all_tasks_blocked()
        awaited.append(subscription.awaits_data)
        bus.send_now(data(1))
        awaited.append(subscription.awaits_data)
    for _ in range(2):
        bus.send_now(data(1))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(subscription.receive_system)
        await trio.testing.wait_all_tasks_blocked()
        awaited.append(subscription.awaits_data)
        nursery.cancel_scope.cancel()
    assert awaited == [False, True, False, False]


async def test_a_subscription_says_what_it_is_doing() -> None:
    bus = LocalBus()
    subscription = bus.subscribe("reader")
    await bus.send(data(1))
    assert repr(subscription) == "<BusSubscription 'reader' open, 1 waiting>"
    subscription.end()
    assert repr(subscription) == "<BusSubscription 'reader' ended, 1 waiting>"
    for _ in range(2):
        subscription.close()
        subscription.end()
        assert repr(subscription) == "<BusSubscription 'reader' closed, 0 waiting>"


async def test_whom_a_message_concerns_is_asked_once_for_each_kind_and_target(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that it does not concern are not shown it, a gap concerns all, and past the bound it is asked anew."""
    monkeypatch.setattr(subscriptions, "MAX_ROUTES", 2)
    bus, asked = LocalBus(), list[tuple[str, str | None]]()

    def concerns(kind: type[BusMessage], target: str | None) -> bool:
        asked.append((kind.__name__, target))
        return target != "other"

    subscription = bus.subscribe("s", concerns=concerns)
    for target in ("me", "other", "me", "other"):
        await bus.send(BusDataMessage(source="s", target=target))
    assert asked == [("BusDataMessage", "me"), ("BusDataMessage", "other")]
    await bus.send(BusGapMessage(source="s", target="other", missed=1))
    await bus.send(BusDataMessage(source="s", target="me"))
    assert asked[2:] == [("BusDataMessage", "me")]
    assert subscription.statistics().waiting_data == 4
    other = bus.subscribe("late")
    await bus.send(BusDataMessage(source="s", target="other"))
    assert other.statistics().waiting_data == 1
