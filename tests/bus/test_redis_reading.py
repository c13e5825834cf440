"""What one process reads from Redis: a channel, and streams, over a server that is a function."""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from coredis import exceptions

from tests.bus.scripted import Server
from trio_transports.bus import (
    BusDataMessage,
    BusGapMessage,
    BusJobCancelMessage,
    BusMessage,
    BusSubscription,
    JSONMessageSerializer,
)
from trio_transports.bus.names import MAX_NAME
from trio_transports.bus.outbox import Outbox
from trio_transports.bus.redis import readers
from trio_transports.bus.redis.group import Group
from trio_transports.bus.redis.publishing import Publishing
from trio_transports.bus.redis.readers import COUNT, KEEPALIVE_S, BusIntake, ChannelReader, StreamReader
from trio_transports.bus.redis.sequence import stamp
from trio_transports.bus.redis.storing import ToStore
from trio_transports.bus.redis.writer import RedisWriter
from trio_transports.bus.subscription import Fanout

OURS, THEIRS = "0" * 16, "1" * 16
JSON = JSONMessageSerializer()


def data(number: int, target: str | None = None) -> BusDataMessage:
    return BusDataMessage(source="s", id=number, target=target)


def published(number: int, publisher: str = THEIRS) -> bytes:
    return stamp(JSON.encode(data(number)), publisher, number)


def read(subscription: BusSubscription) -> list[object]:
    """What waits there: ids, and of a gap whatever it tells."""
    found = list[object]()
    for waiting in (*subscription._system.waiting, *subscription._data.waiting):
        message: BusMessage = waiting.message
        found.append((message.missed, message.publisher) if isinstance(message, BusGapMessage) else message.id)
    return found


class Reading:
    """The intake of one bus, with a subscriber, and its readers."""

    def __init__(self, group: Group | None = None) -> None:
        self.intake = BusIntake(name="bus", publisher=OURS, serializer=JSON, fanout=Fanout())
        self.subscription = self.intake.fanout.subscribe("s", accepts=lambda message: message.target in (None, "s"))
        self.ready = 0
        self.acknowledged: list[bytes] = []
        self.writer = RedisWriter(
            publisher=OURS,
            group="group",
            stream_max_length=1000,
            publishing=Publishing(name="bus", channel="c", publisher=OURS, outbox=Outbox(), stale_audio_s=1.0),
            to_store=ToStore(name="bus", on_pause=lambda why: None),
        )
        self.released = trio.Event()
        self.channel = ChannelReader(
            channel="channel", reply_timeout=5.0, incoming=self.intake, on_subscribed=self.is_ready
        )
        self.stream = StreamReader(
            key="key",
            group=group or Group(name="me", consumer="me", claim_idle_s=60.0),
            reply_timeout=5.0,
            incoming=self.intake,
            writer=self.writer,
            released=self.released,
            on_ready=self.is_ready,
        )

    def is_ready(self) -> None:
        self.ready += 1

    @asynccontextmanager
    async def on(self, server: Server, reader: ChannelReader | StreamReader) -> AsyncIterator[None]:
        """Read from such a server while the body runs."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reader.use, server.connection)
            await trio.testing.wait_all_tasks_blocked()
            yield
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()

    async def entries_acknowledged(self) -> list[bytes]:
        """Those that it wants acknowledged, settled by a server that takes all."""
        server = Server()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.writer.use, server.connection)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        return [entry for command in server.commands for entry in command[3:]]


SUBSCRIBED = [b"subscribe", b"channel", b"1"]


def message(payload: bytes) -> list[bytes]:
    return [b"message", b"channel", payload]


async def test_a_channel_is_read_from_where_it_is_confirmed(autojump_clock: trio.testing.MockClock) -> None:
    """What others publish comes in order; our own, which we had already, does not. Other pushes are nothing to us."""
    reading, server = Reading(), Server()
    async with reading.on(server, reading.channel):
        assert (server.commands, reading.ready) == ([(b"SUBSCRIBE", "channel")], 0)
        server.push(SUBSCRIBED, message(published(5)), message(published(9, OURS)), [b"pong"], message(published(6)))
        server.push(message(JSON.encode(data(100))))  # of a peer that numbers nothing
        await trio.testing.wait_all_tasks_blocked()
        assert (read(reading.subscription), reading.ready) == ([5, 6, 100], 1)
    assert (reading.intake.received, reading.intake.missed, reading.intake.duplicates) == (3, 0, 0)


async def test_a_channel_tells_what_is_missing_and_leaves_out_what_came_twice(
    autojump_clock: trio.testing.MockClock,
) -> None:
    reading, server = Reading(), Server()
    async with reading.on(server, reading.channel):
        server.push(SUBSCRIBED, *(message(published(number)) for number in (1, 4, 4, 2, 5, 7)))
    assert read(reading.subscription) == [1, (2, THEIRS), 4, 5, (1, THEIRS), 7]
    assert (reading.intake.received, reading.intake.missed, reading.intake.duplicates) == (4, 3, 2)


async def test_a_channel_that_was_lost_is_a_gap_of_unknown_length(autojump_clock: trio.testing.MockClock) -> None:
    """Told as soon as it is back, each time; the numbers go on over it."""
    reading = Reading()
    for number in (1, 2, 3):
        server = Server()
        async with reading.on(server, reading.channel):
            server.push(SUBSCRIBED, message(published(number)))
        assert reading.ready == number
    assert read(reading.subscription) == [1, (None, None), 2, (None, None), 3]
    assert reading.intake.missed == 0


async def test_what_cannot_be_read_is_counted_and_logged_once(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """What is not known is counted apart, and logged not at all; what comes after them is read."""
    reading, server = Reading(), Server()
    unknown = b'{"__type__":"x.Strange","__data__":{}}'
    async with reading.on(server, reading.channel):
        server.push(SUBSCRIBED, *map(message, (unknown, b"{", unknown, b"[]", unknown, published(1))))
    assert read(reading.subscription) == [1]
    assert (reading.intake.received, reading.intake.malformed, reading.intake.unknown) == (1, 2, 3)
    (record,) = caplog.records
    assert record.getMessage().startswith("bus: a message cannot be read; more are only counted: ")


async def test_a_name_of_another_process_has_so_many_letters_and_no_more(
    autojump_clock: trio.testing.MockClock,
) -> None:
    reading, server = Reading(), Server()
    async with reading.on(server, reading.channel):
        server.push(
            SUBSCRIBED,
            *(
                message(JSON.encode(BusJobCancelMessage(source="s", id=number, job_id="x" * (MAX_NAME + number))))
                for number in range(3)
            ),
        )
    assert read(reading.subscription) == [0]
    assert (reading.intake.received, reading.intake.malformed) == (1, 2)


async def test_a_channel_is_kept_alive(autojump_clock: trio.testing.MockClock) -> None:
    """With a PING so often once it is confirmed; a server that does not confirm it is given up."""
    reading, server = Reading(), Server()
    async with reading.on(server, reading.channel):
        server.push(SUBSCRIBED)
        await trio.sleep(3 * KEEPALIVE_S + 1)
        assert server.commands[1:] == [(b"PING",)] * 3
    began_s = trio.current_time()
    with pytest.raises(TimeoutError, match="did not confirm the subscription to channel"):
        await reading.channel.use(Server().connection)
    assert trio.current_time() - began_s == pytest.approx(5)


# Streams.


class Stream:
    """A server with one stream and one group: what it has for us comes in the order of ``batches``, then nothing."""

    def __init__(self, *batches: object, group: object = b"OK", pending: tuple[Any, ...] = ()) -> None:
        self.group = group
        self.pending = deque(pending)
        self.new = deque(batches)
        self.claims = deque[object]()
        self.has_something = trio.Event()
        self.server = Server(self.answer)

    def answer(self, command: tuple[Any, ...]) -> object:
        if command[0] == b"XGROUP":
            return self.group
        if command[0] == b"XAUTOCLAIM":
            return self.claims.popleft() if self.claims else [b"0-0", []]
        if command[-1] != b">":
            return self.pending.popleft() if self.pending else None
        if self.new:
            return self.new.popleft()
        self.has_something = trio.Event()
        return self.has_something

    def asked(self, name: bytes) -> list[tuple[Any, ...]]:
        return [command for command in self.server.commands if command[0] == name]


def entry(number: int, payload: bytes | None = None) -> tuple[bytes, list[bytes]]:
    return b"%d-0" % number, [b"m", payload if payload is not None else published(number)]


def batch(*entries: object) -> list[object]:
    return [[b"key", list(entries)]]


async def test_a_stream_is_read_from_what_is_pending_on(autojump_clock: trio.testing.MockClock) -> None:
    """What an earlier life left, page by page, then what is new, as it comes; and only once it was released."""
    reading = Reading()
    stream = Stream(batch(entry(4)), batch(entry(5), entry(6)), pending=(batch(entry(1), entry(2)), batch(entry(3))))
    async with reading.on(stream.server, reading.stream):
        assert reading.ready == 1
        assert stream.server.commands == [(b"XGROUP", b"CREATE", "key", "me", b"$", b"MKSTREAM")]
        reading.released.set()
        await trio.testing.wait_all_tasks_blocked()
        assert read(reading.subscription) == [1, 2, 3, 4, 5, 6]
    group = (b"XREADGROUP", b"GROUP", "me", "me", b"COUNT", COUNT)
    pages = [(*group, b"STREAMS", "key", after) for after in (b"0-0", b"2-0", b"3-0")]
    assert stream.asked(b"XREADGROUP") == [*pages, *[(*group, b"BLOCK", 5000, b"STREAMS", "key", b">")] * 3]
    assert set(stream.server.timeouts[1:]) == {readers.BLOCK_S + 5.0}


async def test_a_group_that_is_there_already_is_gone_on_with(autojump_clock: trio.testing.MockClock) -> None:
    """In the next life of a process, and over a lost connection: nothing is told."""
    reading = Reading()
    reading.released.set()
    for number in (1, 2):
        stream = Stream(batch(entry(number)), group=exceptions.StreamDuplicateConsumerGroupError("BUSYGROUP"))
        async with reading.on(stream.server, reading.stream):
            pass
    assert read(reading.subscription) == [1, 2]
    assert stream.asked(b"XGROUP") == [(b"XGROUP", b"CREATE", "key", "me", b"0", b"MKSTREAM")]


async def test_a_stream_that_is_gone_is_told_and_begun_anew(autojump_clock: trio.testing.MockClock) -> None:
    """Whether that shows on a new connection or while it is read; of the new one everything is read, old ids too."""
    reading = Reading()
    reading.released.set()
    stream = Stream(batch(entry(1)))
    async with reading.on(stream.server, reading.stream):
        pass
    stream = Stream(batch(entry(1, published(2))), exceptions.StreamConsumerGroupError("NOGROUP"), batch(entry(3)))
    async with reading.on(stream.server, reading.stream):
        pass
    assert read(reading.subscription) == [1, (None, None), 2, (None, None), 3]
    assert stream.asked(b"XGROUP") == [(b"XGROUP", b"CREATE", "key", "me", b"0", b"MKSTREAM")] * 2


@pytest.mark.parametrize(
    "reply",
    [
        {b"key": [entry(1), entry(2)]},
        batch((b"1-0", {b"m": published(1)}), (b"2-0", {b"x": b"y", b"m": published(2)})),
        batch((b"1-0", [b"x", b"y", b"m", published(1)]), (b"2-0", [b"m", published(2), b"x", b"y"])),
    ],
)
async def test_an_entry_is_read_in_whichever_form_it_comes(
    reply: object, autojump_clock: trio.testing.MockClock
) -> None:
    """As a map or a list, of streams as of fields, and beside whatever else somebody wrote into it."""
    reading = Reading()
    reading.released.set()
    stream = Stream(reply)
    async with reading.on(stream.server, reading.stream):
        pass
    assert read(reading.subscription) == [1, 2]


async def test_what_nobody_here_reads_is_acknowledged_at_once(autojump_clock: trio.testing.MockClock) -> None:
    """What nobody wants, what cannot be read, what was cut away, and what somebody else wrote."""
    reading = Reading()
    reading.released.set()
    other = stamp(JSON.encode(data(1, target="other")), THEIRS, 1)
    entries: list[object] = [
        entry(1, other),
        entry(2, b"{"),
        (b"3-0", None),
        (b"4-0", []),
        (b"5-0", [b"x", b"m"]),
        (b"6-0", {}),
    ]
    stream = Stream(batch(*entries))
    async with reading.on(stream.server, reading.stream):
        pass
    assert read(reading.subscription) == []
    assert await reading.entries_acknowledged() == [b"%d-0" % number for number in range(1, 7)]
    assert (reading.intake.malformed, reading.intake.received) == (1, 1)


async def test_an_entry_is_acknowledged_when_the_last_of_its_readers_has_handled_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Not before that, and it is not given to them again where it is read again meanwhile."""
    reading = Reading()
    reading.released.set()
    second = reading.intake.fanout.subscribe("second")
    stream = Stream(batch(entry(1)))
    async with reading.on(stream.server, reading.stream):
        assert (await reading.subscription.receive()).id == 1
        assert (await second.receive()).id == 1
    again = Stream(batch(entry(1)), group=exceptions.StreamDuplicateConsumerGroupError("BUSYGROUP"))
    async with reading.on(again.server, reading.stream):
        assert read(reading.subscription) == read(second) == []
    second.close()
    assert await reading.entries_acknowledged() == []
    reading.subscription.close()
    assert await reading.entries_acknowledged() == [b"1-0"]
    assert reading.intake.duplicates == 0


async def test_a_stream_that_was_cut_is_told_and_what_was_stored_twice_is_left_out(
    autojump_clock: trio.testing.MockClock,
) -> None:
    reading = Reading()
    reading.released.set()
    numbers = (1, 3, 3, 2, 4)
    stream = Stream(batch(*(entry(at, published(number)) for at, number in enumerate(numbers))))
    async with reading.on(stream.server, reading.stream):
        pass
    assert read(reading.subscription) == [1, (1, THEIRS), 3, 4]
    assert (reading.intake.missed, reading.intake.duplicates) == (1, 2)
    assert await reading.entries_acknowledged() == [b"2-0", b"3-0"]


SHARED = Group(name="all", consumer="me", claim_idle_s=8.0)


async def test_who_shares_a_group_says_nothing_of_numbers(autojump_clock: trio.testing.MockClock) -> None:
    """Each of those that share it sees a part of them; it blocks no longer than until it has to look for what lies."""
    reading = Reading(SHARED)
    reading.released.set()
    stream = Stream(batch(entry(1), entry(5)), batch((b"6-0", [b"m", published(1)])))
    async with reading.on(stream.server, reading.stream):
        pass
    assert read(reading.subscription) == [1, 5, 1]
    assert (reading.intake.missed, reading.intake.duplicates) == (0, 0)
    assert stream.asked(b"XREADGROUP")[-1][4:8] == (b"COUNT", COUNT, b"BLOCK", 4000)
    assert stream.asked(b"XREADGROUP")[-1][1:4] == (b"GROUP", "all", "me")


@pytest.mark.parametrize(("claim_idle_s", "block_ms"), [(0.001, 1), (1.0, 500), (8.0, 4000), (100.0, 5000)])
async def test_who_shares_a_group_waits_half_the_time_in_which_something_lies(
    claim_idle_s: float, block_ms: int, autojump_clock: trio.testing.MockClock
) -> None:
    """No longer than others do, and never for ever, which Redis means by nothing."""
    reading = Reading(Group(name="all", consumer="me", claim_idle_s=claim_idle_s))
    reading.released.set()
    stream = Stream()
    async with reading.on(stream.server, reading.stream):
        pass
    assert stream.asked(b"XREADGROUP")[-1][6:8] == (b"BLOCK", block_ms)


async def test_who_shares_a_group_takes_over_what_another_left_lying(autojump_clock: trio.testing.MockClock) -> None:
    """All of it, page by page; at the beginning, and again each half of the time after which something lies."""
    reading = Reading(SHARED)
    reading.released.set()
    stream = Stream()
    stream.claims.extend([[b"3-0", [entry(1), entry(2)]], [b"0-0", [entry(3), (b"4-0", None)]]])

    async def nothing_comes() -> None:
        while True:
            await trio.sleep(1)
            stream.has_something.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(nothing_comes)
        async with reading.on(stream.server, reading.stream):
            assert read(reading.subscription) == [1, 2, 3]
            claim = (b"XAUTOCLAIM", "key", "all", "me", 8000)
            assert stream.asked(b"XAUTOCLAIM") == [(*claim, after, b"COUNT", COUNT) for after in (b"0-0", b"3-0")]
            await trio.sleep(12.5)
            assert len(stream.asked(b"XAUTOCLAIM")) == 2 + 3
        nursery.cancel_scope.cancel()
    assert await reading.entries_acknowledged() == [b"4-0"]


async def test_who_has_a_group_alone_claims_nothing(autojump_clock: trio.testing.MockClock) -> None:
    reading = Reading()
    reading.released.set()
    stream = Stream(batch(entry(1)))
    async with reading.on(stream.server, reading.stream):
        await trio.sleep(100)
    assert stream.asked(b"XAUTOCLAIM") == []
