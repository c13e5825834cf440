"""What a stream's readers leave when they end: whether it is acknowledged, and what the next life is told of it."""

from typing import Any

import pytest
import trio
import trio.testing
from coredis import exceptions

from tests.bus.test_redis_reading import JSON, THEIRS, Reading, Stream, batch, data, entry, read
from trio_transports.bus import (
    BusActivateWorkerMessage,
    BusCancelMessage,
    BusCancelWorkerMessage,
    BusDeactivateWorkerMessage,
    BusEndMessage,
    BusEndWorkerMessage,
    BusMessage,
    BusWorkerReadyMessage,
)
from trio_transports.bus.redis import left
from trio_transports.bus.redis.group import Group
from trio_transports.bus.redis.sequence import stamp
from trio_transports.bus.subscription import MAX_GONE, Fanout


def targeted(number: int, target: str) -> bytes:
    return stamp(JSON.encode(data(number, target)), THEIRS, number)


async def test_what_a_reader_leaves_is_kept_for_a_while(autojump_clock: trio.testing.MockClock) -> None:
    """What it had in hand counts as handled; what waited, and what comes for it yet, only if the bus goes on."""
    reading = Reading()
    reading.released.set()
    for life in range(2):
        base = 6 * life
        stream = Stream(
            batch(*(entry(base + number) for number in (1, 2, 3))),
            group=exceptions.StreamDuplicateConsumerGroupError("BUSYGROUP"),
        )
        async with reading.on(stream.server, reading.stream):
            assert (await reading.subscription.receive()).id == base + 1
            reading.subscription.close()
            assert await reading.entries_acknowledged() == [b"%d-0" % (base + 1)]
            stream.new.append(batch(entry(base + 4, targeted(base + 4, "s")), entry(base + 5)))
            stream.new.append(batch(entry(base + 6, targeted(base + 6, "x"))))
            stream.has_something.set()
            await trio.testing.wait_all_tasks_blocked()
            assert await reading.entries_acknowledged() == [b"%d-0" % (base + 6)]
            await trio.sleep(left.KEEP_S - 1)
            stream.has_something.set()
            await trio.testing.wait_all_tasks_blocked()
            assert await reading.entries_acknowledged() == []
            await trio.sleep(1)
            stream.has_something.set()
            await trio.testing.wait_all_tasks_blocked()
            assert await reading.entries_acknowledged() == [b"%d-0" % (base + number) for number in (2, 3, 4, 5)]
        reading.subscription = reading.intake.fanout.subscribe("s")
    assert reading.intake.missed == 0


async def test_what_one_reader_leaves_the_others_have_not_handled_for_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Whichever of them is the last. But what one ended over, all have: it would end them in each life."""
    for leaves_first in (False, True):
        for ends_over_it in (False, True):
            reading = Reading()
            reading.released.set()
            second = reading.intake.fanout.subscribe("second")
            stream = Stream(batch(entry(1)))
            async with reading.on(stream.server, reading.stream):
                if leaves_first:
                    reading.subscription.close()
                await second.receive()
                if not ends_over_it:
                    with trio.move_on_after(1):
                        await second.receive()
                second.close()
                reading.subscription.close()
            assert await reading.entries_acknowledged() == ([b"1-0"] if ends_over_it else [])
            assert len(reading.stream._left._fresh) == (0 if ends_over_it else 1)


async def test_what_a_tap_takes_or_fails_at_is_acknowledged(autojump_clock: trio.testing.MockClock) -> None:
    """Though another one has ended that would have wanted it, too. What comes for the one that failed is left."""
    reading = Reading()
    reading.released.set()
    reading.subscription.close()

    def tap(message: BusMessage) -> bool:
        return bool(1 // (message.id - 4))

    taps = reading.intake.fanout.subscribe("taps", tap=tap, accepts=lambda message: False)
    stream = Stream(batch(entry(3), entry(4), entry(5), entry(6, targeted(6, "taps"))))
    async with reading.on(stream.server, reading.stream):
        pass
    assert await reading.entries_acknowledged() == [b"3-0", b"4-0"]
    assert len(reading.stream._left._fresh) + len(reading.stream._left._kept) == 2
    with pytest.raises(ZeroDivisionError):
        await taps.receive()


async def test_what_was_cut_away_before_it_was_read_again_is_told(autojump_clock: trio.testing.MockClock) -> None:
    """Each page once, and acknowledged. What somebody else wrote is no loss."""
    reading = Reading()
    reading.released.set()
    pages = (batch((b"1-0", None), entry(2), (b"3-0", None), (b"4-0", [b"x", b"y"])), batch((b"5-0", None)))
    stream = Stream(pending=pages)
    async with reading.on(stream.server, reading.stream):
        pass
    assert read(reading.subscription) == [(2, None), 2, (1, None)]
    assert await reading.entries_acknowledged() == [b"1-0", b"3-0", b"4-0", b"5-0"]
    assert reading.intake.malformed == 0


@pytest.mark.parametrize(("claim_idle_s", "keep_s"), [(8.0, 4.0), (600.0, left.KEEP_S)])
async def test_who_shares_a_group_keeps_nothing_that_another_may_have_taken_over(
    claim_idle_s: float, keep_s: float, autojump_clock: trio.testing.MockClock
) -> None:
    reading = Reading(Group(name="all", consumer="me", claim_idle_s=claim_idle_s))
    reading.released.set()
    stream = Stream(batch(entry(1)))
    async with reading.on(stream.server, reading.stream):
        reading.subscription.close()
        for after_s, acknowledged in ((0.0, []), (keep_s - 0.5, []), (0.5, [b"1-0"])):
            await trio.sleep(after_s)
            stream.has_something.set()
            await trio.testing.wait_all_tasks_blocked()
            assert await reading.entries_acknowledged() == acknowledged


@pytest.mark.parametrize(
    "kind",
    [
        BusEndMessage,
        BusEndWorkerMessage,
        BusCancelMessage,
        BusCancelWorkerMessage,
        BusActivateWorkerMessage,
        BusDeactivateWorkerMessage,
        BusWorkerReadyMessage,
    ],
)
async def test_what_is_to_end_a_reader_is_not_kept(
    kind: type[BusMessage], autojump_clock: trio.testing.MockClock
) -> None:
    """Whether it waited, or comes when the reader has ended: it would end the next one."""
    reading = Reading()
    reading.released.set()
    about: dict[str, Any] = {"runner": "r"} if kind is BusWorkerReadyMessage else {}
    ends = [stamp(JSON.encode(kind(source="x", target="s", **about)), THEIRS, number) for number in (1, 2)]
    stream = Stream(batch(entry(1, ends[0])))
    async with reading.on(stream.server, reading.stream):
        reading.subscription.close()
        stream.new.append(batch(entry(2, ends[1])))
        stream.has_something.set()
    assert await reading.entries_acknowledged() == [b"1-0", b"2-0"]


async def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock) -> None:
    monkeypatch.setattr(left, "MAX_KEPT", 3)
    reading = Reading()
    reading.released.set()
    stream = Stream(batch(*(entry(number) for number in range(1, 9))))
    async with reading.on(stream.server, reading.stream):
        reading.subscription.close()
        assert await reading.entries_acknowledged() == []
        stream.has_something.set()
        await trio.testing.wait_all_tasks_blocked()
        assert await reading.entries_acknowledged() == [b"%d-0" % number for number in range(1, 6)]


async def test_the_names_of_those_that_are_gone_are_bounded() -> None:
    """And whoever is back, or is there under that name all the time, is not gone."""
    fanout = Fanout()
    fanout.subscribe("twice")
    fanout.subscribe("twice").close()
    assert not fanout.gone
    for number in range(MAX_GONE + 5):
        fanout.subscribe(str(number)).close()
    back = fanout.subscribe("7")
    assert [*fanout.gone] == [str(number) for number in range(5, MAX_GONE + 5) if number != 7]
    back.close()
    assert [*fanout.gone][-1] == "7"


async def test_what_is_read_again_has_no_gaps(autojump_clock: trio.testing.MockClock) -> None:
    """The rest of it was handled in an earlier life. Behind it they are told."""
    reading = Reading()
    reading.released.set()
    stream = Stream(batch(entry(9), entry(11)), pending=(batch(entry(2), entry(5)), exceptions.ConnectionError("lost")))
    with pytest.raises(exceptions.ConnectionError):
        await reading.stream.use(stream.server.connection)
    stream.group = exceptions.StreamDuplicateConsumerGroupError("BUSYGROUP")
    stream.pending.append(batch(entry(2), entry(5), entry(7)))
    async with reading.on(stream.server, reading.stream):
        pass
    assert read(reading.subscription) == [2, 5, 7, 9, (1, THEIRS), 11]
    assert reading.intake.duplicates == 0
