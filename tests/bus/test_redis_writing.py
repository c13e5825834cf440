"""What one process writes to Redis: its order, its numbers, and what becomes of what is refused or lost."""

import pytest
import trio
import trio.testing

from tests.bus.writing import LOST, NO_MEMORY, REFUSED, Bus, failing, numbered, says, waiting
from trio_transports.bus.redis.publishing import HIGH_WATER
from trio_transports.bus.redis.writer import BATCH
from trio_transports.errors import TransportError


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
