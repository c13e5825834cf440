"""Who stores a message in a stream: it waits for the server, and is told what becomes of what is refused or lost."""

from itertools import pairwise
from typing import Any

import pytest
import trio
import trio.testing
from coredis import exceptions

from tests.bus.writing import LOST, NO_MEMORY, REFUSED, Bus, numbered, says
from trio_transports.bus.redis import storing as storage
from trio_transports.errors import TransportError


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
