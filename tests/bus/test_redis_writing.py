"""What one process writes to Redis: its order, its numbers, and what becomes of what is refused or lost."""

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
import trio
import trio.testing
from coredis import exceptions

from tests.bus.scripted import Answer, Server, taken
from trio_transports.bus.outbox import Outbox, Waiting
from trio_transports.bus.redis import storing as storage
from trio_transports.bus.redis.publishing import HIGH_WATER, Publishing
from trio_transports.bus.redis.sequence import Stamp, unstamp
from trio_transports.bus.redis.storing import ToStore
from trio_transports.bus.redis.writer import BATCH, RedisWriter
from trio_transports.errors import TransportError

PUBLISHER = "0123456789abcdef"
LOST = exceptions.ConnectionError("lost")
NO_MEMORY = exceptions.ResponseError("OOM command not allowed when used memory > 'maxmemory'")
REFUSED = exceptions.ResponseError("WRONGTYPE it is no stream")


def waiting(text: str, **more: Any) -> Waiting:  # noqa: ANN401 - any field of it
    return Waiting(text.encode(), False, **more)


class Bus:
    """What a writer stands on, and what it tells."""

    def __init__(self, max_messages: int = 4096) -> None:
        self.pauses: list[str | None] = []
        self.publishing = Publishing(
            name="bus",
            channel="channel",
            publisher=PUBLISHER,
            outbox=Outbox(max_messages=max_messages, max_audio_s=math.inf),
            stale_audio_s=1.0,
        )
        self.to_store = ToStore(name="bus", on_pause=self.pauses.append)
        self.writer = RedisWriter(
            publisher=PUBLISHER,
            group="group",
            stream_max_length=1000,
            publishing=self.publishing,
            to_store=self.to_store,
        )

    def publish(self, *texts: str) -> None:
        for text in texts:
            self.writer.publish(waiting(text))

    @asynccontextmanager
    async def connected(self, answer: Answer = taken) -> AsyncIterator[Server]:
        """Write to such a server while the body runs."""
        server = Server(answer)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.writer.use, server.connection)
            await trio.testing.wait_all_tasks_blocked()
            yield server
            nursery.cancel_scope.cancel()

    async def until_lost(self, answer: Answer) -> Server:
        """Write to a server until the connection to it is lost."""
        server = Server(answer)
        with pytest.raises((exceptions.ConnectionError, exceptions.ReadOnlyError)):
            await self.writer.use(server.connection)
        return server


def numbered(server: Server, name: bytes = b"PUBLISH") -> list[tuple[int, str]]:
    """What the server was told of one kind: numbers and texts."""
    found = []
    for command in server.commands:
        if command[0] == name:
            stamp, data = unstamp(command[-1])
            assert isinstance(stamp, Stamp)
            found.append((stamp.number, data.decode()))
    return found


def failing(when: Callable[[tuple[Any, ...]], bool], error: Exception) -> Answer:
    return lambda command: error if when(command) else taken(command)


def says(text: str) -> Callable[[tuple[Any, ...]], bool]:
    return lambda command: command[-1].endswith(text.encode())


async def test_what_is_published_goes_out_in_order_with_its_numbers(autojump_clock: trio.testing.MockClock) -> None:
    """What waited for a connection, and what comes while there is one; each is counted when the server has it."""
    bus = Bus()
    bus.publish("a", "b")
    async with bus.connected() as server:
        assert numbered(server) == [(1, "a"), (2, "b")]
        assert {command[:2] for command in server.commands} == {(b"PUBLISH", "channel")}
        bus.publish("c")
        await trio.testing.wait_all_tasks_blocked()
        assert numbered(server)[2:] == [(3, "c")]
    assert (bus.publishing.published, bus.publishing.refused) == (3, 0)


async def test_what_was_dropped_uses_up_its_number(autojump_clock: trio.testing.MockClock) -> None:
    """So that a reader is told a gap where it was; and so a second time."""
    bus = Bus(max_messages=2)
    for first in (0, 4):
        bus.publish(*(str(first + number) for number in range(4)))
        async with bus.connected() as server:
            assert numbered(server) == [(first + 3, str(first + 2)), (first + 4, str(first + 3))]


async def test_old_audio_is_not_published_after_an_outage(autojump_clock: trio.testing.MockClock) -> None:
    """Audio that is a second old just is not; what is not audio is published however old it is."""
    bus = Bus()
    now_s = trio.current_time()
    for age_s in (1.5, 1.0, 0.5):
        bus.writer.publish(waiting(f"audio {age_s}", audio_s=0.02, at_s=now_s - age_s))
    bus.writer.publish(waiting("old", at_s=now_s - 100))
    async with bus.connected() as server:
        assert [text for _, text in numbered(server)] == ["audio 1.0", "audio 0.5", "old"]


async def test_a_batch_is_on_the_way_at_once(autojump_clock: trio.testing.MockClock) -> None:
    """So many messages, and the rest when each of them has its answer."""
    bus = Bus()
    bus.publish(*map(str, range(BATCH + 5)))
    answered = trio.Event()
    async with bus.connected(lambda command: answered) as server:
        assert len(server.commands) == BATCH
        answered.set()
        await trio.testing.wait_all_tasks_blocked()
        assert numbered(server) == [(number + 1, str(number)) for number in range(BATCH + 5)]


async def test_what_has_no_answer_is_sent_again_with_the_same_number(autojump_clock: trio.testing.MockClock) -> None:
    """On the next connection, before what came meanwhile; what was answered is not; twice."""
    bus = Bus()
    bus.publish("a", "b", "c")
    for _ in range(2):
        server = await bus.until_lost(failing(says("b"), LOST))
        assert numbered(server)[-2:] == [(2, "b"), (3, "c")]
    bus.publish("d")
    async with bus.connected() as server:
        assert numbered(server) == [(2, "b"), (3, "c"), (4, "d")]
    assert bus.publishing.published == 4


async def test_a_message_that_is_refused_costs_only_itself(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """It is counted, the first time with a line in the log, and not sent again."""
    bus = Bus()
    for _ in range(2):
        bus.publish("a", "b", "c")
        async with bus.connected(failing(says("b"), REFUSED)):
            pass
        assert [record.getMessage() for record in caplog.records] == [
            f"bus: Redis refused a message; more are only counted: {REFUSED}"
        ]
    async with bus.connected() as server:
        assert server.commands == []
    assert (bus.publishing.published, bus.publishing.refused) == (4, 2)


async def test_who_stores_waits_until_the_server_has_it(autojump_clock: trio.testing.MockClock) -> None:
    """It is told as it is stored: in which stream, of which length, under a number of that stream's own."""
    bus, stored, log = Bus(), trio.Event(), list[str]()

    async def store(key: str, text: str) -> None:
        await bus.writer.store(key, text.encode())
        log.append(text)

    async with trio.open_nursery() as nursery:
        for key, text in (("one", "a"), ("two", "b"), ("one", "c")):
            nursery.start_soon(store, key, text)
            await trio.testing.wait_all_tasks_blocked()
        async with bus.connected(lambda command: stored) as server:
            assert (log, bus.to_store.stored) == ([], 0)
            assert server.commands[0][:-1] == (b"XADD", "one", b"MAXLEN", b"~", 1000, b"*", b"m")
            assert [command[1] for command in server.commands] == ["one", "two", "one"]
            assert numbered(server, b"XADD") == [(1, "a"), (1, "b"), (2, "c")]
            stored.set()
            await trio.testing.wait_all_tasks_blocked()
            assert (log, bus.to_store.stored) == (["a", "b", "c"], 3)


async def test_who_stores_what_cannot_be_is_told_why(autojump_clock: trio.testing.MockClock) -> None:
    bus = Bus()
    async with bus.connected(lambda command: REFUSED):
        for _ in range(2):
            with pytest.raises(TransportError, match="Redis did not store a message on key: WRONGTYPE"):
                await bus.writer.store("key", b"a")
    assert (bus.to_store.stored, bus.pauses) == (0, [])


async def test_what_the_server_takes_later_is_asked_of_it_again(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """With longer and longer pauses, up to a bound, while all else goes on; it is told once that it pauses and resumes.

    So it is the next time too, from the shortest pause on.
    """
    bus = Bus()
    for round_ in (1, 2):
        asked_at_s = list[float]()
        until_s = trio.current_time() + 10

        def answer(command: tuple[Any, ...], until_s: float = until_s, asked: list[float] = asked_at_s) -> object:
            if command[0] != b"XADD":
                return 1
            asked.append(trio.current_time())
            return NO_MEMORY if trio.current_time() < until_s else 1

        async with bus.connected(answer) as server, trio.open_nursery() as nursery:
            nursery.start_soon(bus.writer.store, "key", b"a")
            await trio.sleep(1)
            bus.publish("b")
            await trio.testing.wait_all_tasks_blocked()
            assert len(numbered(server)) == 1
            assert bus.pauses == [*[str(NO_MEMORY), None] * (round_ - 1), str(NO_MEMORY)]
        pauses_s = [after - before for before, after in pairwise(asked_at_s)]
        assert pauses_s == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 2, 2, 2, 2])
        assert bus.pauses == [str(NO_MEMORY), None] * round_
        assert {number for number, _ in numbered(server, b"XADD")} == {round_}
        assert bus.to_store.stored == round_
        assert [record.getMessage() for record in caplog.records] == [
            f"bus: Redis stores nothing for now, and is asked again: {NO_MEMORY}"
        ] * round_


async def test_several_that_are_refused_for_now_keep_their_order(autojump_clock: trio.testing.MockClock) -> None:
    """And their numbers, if none behind them was taken; a pause is counted once for all of them."""
    bus = Bus()
    has_memory = False
    async with trio.open_nursery() as nursery:
        for text in ("a", "b", "c"):
            nursery.start_soon(bus.writer.store, "key", text.encode())
            await trio.testing.wait_all_tasks_blocked()
        async with bus.connected(lambda command: 1 if has_memory else NO_MEMORY) as server:
            has_memory = True
            await trio.sleep(0.09)
            assert len(server.commands) == 3
            await trio.sleep(0.02)
            assert numbered(server, b"XADD") == [(1, "a"), (2, "b"), (3, "c")] * 2
    assert bus.pauses == [str(NO_MEMORY), None]


async def test_what_was_refused_while_one_after_it_was_taken_gets_a_new_number(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Its own would look like a repetition; and in another stream it keeps its own."""
    bus = Bus()
    refuses = True

    def answer(command: tuple[Any, ...]) -> object:
        return NO_MEMORY if refuses and not says("b")(command) else 1

    async with trio.open_nursery() as nursery:
        for key, text in (("one", "a"), ("one", "b"), ("two", "c")):
            nursery.start_soon(bus.writer.store, key, text.encode())
            await trio.testing.wait_all_tasks_blocked()
        async with bus.connected(answer) as server:
            assert numbered(server, b"XADD") == [(1, "a"), (2, "b"), (1, "c")]
            refuses = False
            await trio.sleep(1)
            assert numbered(server, b"XADD")[3:] == [(3, "a"), (1, "c")]


async def test_what_was_refused_when_the_connection_is_lost_is_not_lost_with_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A server that is read-only counts as one that is lost, and as a pause in storing."""
    for error in (LOST, exceptions.ReadOnlyError("READONLY")):
        bus = Bus()

        def answer(command: tuple[Any, ...], error: Exception = error) -> object:
            return NO_MEMORY if says("a")(command) else error

        async with trio.open_nursery() as nursery:
            for text in ("a", "b"):
                nursery.start_soon(bus.writer.store, "key", text.encode())
                await trio.testing.wait_all_tasks_blocked()
            await bus.until_lost(answer)
            async with bus.connected() as server:
                await trio.sleep(3)
                assert sorted(text for _, text in numbered(server, b"XADD")) == ["a", "b"]
        assert bus.to_store.stored == 2

    bus = Bus()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bus.writer.store, "key", b"a")
        await trio.testing.wait_all_tasks_blocked()
        await bus.until_lost(lambda command: exceptions.ReadOnlyError("READONLY"))
        assert bus.pauses == ["READONLY"]
        async with bus.connected():
            pass
        assert bus.pauses == ["READONLY", None]


async def test_who_stores_waits_for_room(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many wait as the server took of those before; a storing is a checkpoint, and cancelled it was not put."""
    monkeypatch.setattr(storage, "MAX_STORING", 3)
    bus = Bus()
    async with trio.open_nursery() as nursery:
        for number in range(3):
            with trio.testing.assert_checkpoints():
                await bus.to_store.put("key", str(number).encode())
        with trio.move_on_after(1):
            await bus.to_store.put("key", b"too many")
        assert len(bus.to_store) == 3
        for text in (b"3", b"4", b"5"):
            nursery.start_soon(bus.to_store.put, "key", text)
            await trio.testing.wait_all_tasks_blocked()
        assert [each.data for each in bus.to_store.take(2)] == [b"0", b"1"]
        await trio.testing.wait_all_tasks_blocked()
        first, *others = bus.to_store.take(10)
        assert (first.data, {each.data for each in others}) == (b"2", {b"3", b"4"})
    assert [each.data for each in bus.to_store.take(10)] == [b"5"]
    assert bus.to_store.take(10) == []


async def test_the_end_of_the_bus_lets_go_who_stores(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether its message was on its way, waits for its turn, or for room; and who comes later is told the same."""
    monkeypatch.setattr(storage, "MAX_STORING", 2)
    bus = Bus()

    async def store() -> None:
        with pytest.raises(TransportError, match="the bus has ended, and Redis has not said that a message on key"):
            await bus.writer.store("key", b"a")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(store)
        await trio.testing.wait_all_tasks_blocked()
        async with bus.connected(lambda command: trio.Event()):
            for _ in range(3):
                nursery.start_soon(store)
            await trio.testing.wait_all_tasks_blocked()
        bus.writer.close()
    await store()
    assert len(bus.to_store) == 0


async def test_the_end_of_the_bus_lets_go_who_was_just_refused_for_now(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """While what is behind it in the batch has no answer yet."""
    bus = Bus()

    async def store(text: bytes) -> None:
        with pytest.raises(TransportError, match="the bus has ended"):
            await bus.writer.store("key", text)

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            for text in (b"a", b"b"):
                nursery.start_soon(store, text)
                await trio.testing.wait_all_tasks_blocked()
            async with bus.connected(lambda command: NO_MEMORY if says("a")(command) else trio.Event()):
                assert bus.pauses == [str(NO_MEMORY)]
            bus.writer.close()


class OthersSteps(trio.abc.Instrument):
    """Counts the steps of all tasks but the one that makes it."""

    def __init__(self) -> None:
        self.count = 0
        self._task = trio.lowlevel.current_task()

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += task is not self._task


async def test_a_writer_sleeps_when_nothing_is_left_to_try_again(autojump_clock: trio.testing.MockClock) -> None:
    """What was refused for now was then refused for good."""
    bus, answers = Bus(), iter((NO_MEMORY, REFUSED))
    async with bus.connected(lambda command: next(answers)):
        with pytest.raises(TransportError, match="WRONGTYPE"):
            await bus.writer.store("key", b"a")
        steps = OthersSteps()
        trio.lowlevel.add_instrument(steps)
        for _ in range(50):
            await trio.lowlevel.checkpoint()
        assert steps.count < 10


async def test_a_server_that_is_read_only_is_a_pause_only_where_something_is_stored(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Who acknowledges what it has read tries again on the next connection, and tells of nothing."""
    bus, settled = Bus(), list[int]()
    for number in (1, 2):
        bus.writer.acknowledge("key", b"1", lambda number=number: settled.append(number))  # type: ignore[misc]
        await bus.until_lost(lambda command: exceptions.ReadOnlyError("READONLY"))
        assert (bus.pauses, bus.to_store.retry_at_s) == ([], None)
        async with bus.connected():
            assert settled == [*range(1, number + 1)]
    bus.writer.acknowledge("key", b"3", lambda: None)
    await bus.until_lost(lambda command: exceptions.ReadOnlyError("READONLY"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bus.writer.store, "key", b"a")
        await trio.testing.wait_all_tasks_blocked()
        await bus.until_lost(lambda command: exceptions.ReadOnlyError("READONLY"))
        assert bus.pauses == ["READONLY"]
        async with bus.connected():
            await trio.sleep(1)
        assert bus.pauses == ["READONLY", None]


async def test_what_was_handled_is_acknowledged_stream_by_stream(autojump_clock: trio.testing.MockClock) -> None:
    """So many entries in one command, before what is stored and published; each is settled when the server has it."""
    bus, settled, answered = Bus(), list[tuple[str, int]](), trio.Event()
    for key in ("one", "two"):
        for number in range(BATCH + 1 if key == "one" else 2):
            bus.writer.acknowledge(key, b"%d" % number, lambda key=key, number=number: settled.append((key, number)))  # type: ignore[misc]
    bus.publish("a")
    async with bus.connected(lambda command: answered) as server:
        assert server.commands[:2] == [
            (b"XACK", "one", "group", *(b"%d" % number for number in range(BATCH))),
            (b"XACK", "two", "group", b"0", b"1"),
        ]
        assert server.commands[2][0] == b"PUBLISH"
        assert settled == []
        answered.set()
        await trio.testing.wait_all_tasks_blocked()
        assert server.commands[3:] == [(b"XACK", "one", "group", b"%d" % BATCH)]
    assert settled == [*(("one", number) for number in range(BATCH)), ("two", 0), ("two", 1), ("one", BATCH)]


async def test_a_writer_that_has_nothing_to_do_is_woken(autojump_clock: trio.testing.MockClock) -> None:
    """By whatever there is to write; and it tells each time that it has a connection."""
    bus, ready = Bus(), list[str]()
    bus.writer.on_ready = lambda: ready.append("ready")
    for round_ in (1, 2):
        async with bus.connected() as server, trio.open_nursery() as nursery:
            assert (len(ready), server.commands) == (round_, [])
            for name, put in (
                (b"XACK", lambda: bus.writer.acknowledge("key", b"1", lambda: None)),
                (b"PUBLISH", lambda: bus.publish("a")),
                (b"XADD", lambda nursery=nursery: nursery.start_soon(bus.writer.store, "key", b"a")),
            ):
                put()
                await trio.testing.wait_all_tasks_blocked()
                assert server.commands[-1][0] == name


async def test_what_the_end_of_the_bus_found_unwritten_is_waited_for_no_more(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bus = Bus()
    bus.publish("a")
    async with bus.connected(lambda command: trio.Event()):
        pass
    bus.writer.close()
    with trio.move_on_after(1) as limit:
        await bus.writer.drained()
    assert not limit.cancelled_caught


async def test_an_acknowledgement_that_is_refused_is_settled_and_one_without_an_answer_is_not(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The stream is gone, and with it what was to be acknowledged; the end of the bus tells nothing of it."""
    for answer, count in ((lambda command: REFUSED, 1), (lambda command: trio.Event(), 0)):
        bus, settled = Bus(), list[bytes]()
        bus.writer.acknowledge("key", b"1", lambda settled=settled: settled.append(b"1"))  # type: ignore[misc]
        async with bus.connected(answer):
            pass
        bus.writer.close()
        assert len(settled) == count


@pytest.mark.parametrize("what", ["published", "stored", "acknowledged"])
async def test_draining_waits_for_all_that_is_to_be_written(what: str, autojump_clock: trio.testing.MockClock) -> None:
    """Of each kind, until it has its answer."""
    bus, answered, drained = Bus(), trio.Event(), trio.Event()

    async def drain() -> None:
        await bus.writer.drained()
        drained.set()

    async with trio.open_nursery() as nursery:
        if what == "published":
            bus.publish("a")
        elif what == "stored":
            nursery.start_soon(bus.writer.store, "key", b"a")
        else:
            bus.writer.acknowledge("key", b"1", lambda: None)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(drain)
        await trio.testing.wait_all_tasks_blocked()
        assert not drained.is_set()
        async with bus.connected(lambda command: answered):
            assert not drained.is_set()
            answered.set()
            await drained.wait()


async def test_a_sender_is_slowed_while_there_is_a_connection(autojump_clock: trio.testing.MockClock) -> None:
    """It may go on when so many wait and no more, or half of what may; without a connection nobody waits."""
    for max_messages, high_water in ((4096, HIGH_WATER), (20, 10)):
        publishing = Bus(max_messages).publishing
        for _ in range(high_water):
            publishing.outbox.put(waiting("a"))
        with publishing.connected():
            with trio.testing.assert_checkpoints():
                await publishing.wait_for_room()
            publishing.outbox.put(waiting("a"))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(publishing.wait_for_room)
                await trio.testing.wait_all_tasks_blocked()
                assert nursery.child_tasks
                assert len(list(publishing.take(1))) == 1
            publishing.outbox.put(waiting("a"))
            with trio.move_on_after(1) as limit:
                await publishing.wait_for_room()
            assert limit.cancelled_caught
        with trio.testing.assert_checkpoints():
            await publishing.wait_for_room()


async def test_who_waits_for_room_is_let_go_when_the_connection_is_lost(
    autojump_clock: trio.testing.MockClock,
) -> None:
    publishing = Bus(4).publishing
    async with trio.open_nursery() as nursery:
        with publishing.connected():
            for _ in range(3):
                publishing.outbox.put(waiting("a"))
            nursery.start_soon(publishing.wait_for_room)
            await trio.testing.wait_all_tasks_blocked()
            assert nursery.child_tasks
