"""The connections of one bus over Redis: the first of each task, what keeps it from coming, and how many were lost."""

from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing

from tests.bus.test_redis_reading import Reading
from trio_transports.bus import BusCancelMessage, BusDataMessage, BusMessage
from trio_transports.bus.redis import connections as of_connections
from trio_transports.bus.redis.connection import RedisConnection, RedisServer
from trio_transports.bus.redis.connections import Connections
from trio_transports.bus.redis.group import Group
from trio_transports.bus.redis.readers import StreamReader
from trio_transports.bus.redis.streams import Streams
from trio_transports.errors import TransportError
from trio_transports.params import ReconnectPolicy

SERVER = RedisServer(url="redis://host", connect_timeout=3.0, reply_timeout=1.0, policy=ReconnectPolicy())


async def test_the_first_connection_of_each_task_is_waited_for(autojump_clock: trio.testing.MockClock) -> None:
    ready = [trio.Event() for _ in range(3)]
    returned = list[float]()

    async def first() -> None:
        await Connections(SERVER).first(ready)
        returned.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(first)
        for event in ready:
            assert returned == []
            await trio.sleep(0.5)
            event.set()
        await trio.sleep(0.5)
        assert returned == [trio.current_time() - 0.5]


async def test_a_server_that_is_not_there_in_time_is_an_error_with_its_cause(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """One of several connections that is missing is enough."""
    for cause, said in ((OSError("no route"), "no route"), (None, "no answer")):
        connections = Connections(SERVER)
        if cause is not None:
            connections._lose(OSError("an earlier one"))
            connections._lose(cause)
        there = trio.Event()
        there.set()
        began_s = trio.current_time()
        why = rf"no connection to redis://host:6379 within connect_timeout \(3 s\): {said}"
        with pytest.raises(TransportError, match=why) as info:
            await connections.first([there, trio.Event()])
        assert info.value.__cause__ is cause
        assert trio.current_time() - began_s == pytest.approx(3)
        assert connections.lost == (0 if cause is None else 2)


async def test_a_server_that_refuses_is_an_error_at_once(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task that was refused ends with it; each loss before it is counted."""
    refusal = TransportError("it refuses")

    async def keep_connected(
        server: RedisServer,
        use: Callable[[RedisConnection], Awaitable[None]],
        *,
        what: str,
        on_lost: Callable[[Exception], None],
    ) -> None:
        assert (server, what) == (SERVER, "writer")
        on_lost(OSError())
        await trio.sleep(1)
        raise refusal

    monkeypatch.setattr(of_connections, "keep_connected", keep_connected)
    connections = Connections(SERVER)

    async def use(connection: RedisConnection) -> None: ...

    began_s = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connections.keep, use, "writer")
        with pytest.raises(TransportError) as info:
            await connections.first([trio.Event()])
    assert info.value is refusal
    assert trio.current_time() - began_s == pytest.approx(1)
    assert connections.lost == 1


def test_what_is_urgent_has_a_stream_of_its_own() -> None:
    """Where nothing is durable there is none to read."""
    group = Group(name="me", consumer="me", claim_idle_s=1.0)
    streams = Streams(key="bus", durable=(BusDataMessage,), group=group)
    assert streams.key_for(BusDataMessage(source="s")) == "bus:stream"
    assert streams.key_for(BusCancelMessage(source="s")) == "bus:stream:system"
    assert not group.is_shared
    assert Group(name="all", consumer="me", claim_idle_s=1.0).is_shared


async def test_each_stream_has_a_reader_that_is_released_with_the_others() -> None:
    """The one that is not urgent comes first. Where nothing is durable there is nothing to read."""
    group, asked = Group(name="me", consumer="me", claim_idle_s=1.0), list[int]()

    def becomes_ready() -> Callable[[], None]:
        asked.append(len(asked))
        return lambda: None

    def readers(durable: tuple[type[BusMessage], ...]) -> tuple[Streams, list[StreamReader]]:
        streams = Streams(key="bus", durable=durable, group=group)
        return streams, list(streams.readers(reading.intake, reading.writer, 5.0, becomes_ready))

    reading = Reading()
    assert readers(())[1] == []
    streams, both = readers((BusMessage,))
    assert [reader.key for reader in both] == ["bus:stream", "bus:stream:system"]
    assert len(asked) == 2
    for _ in range(2):
        streams.release()
        assert all(reader.released.is_set() for reader in both)
    assert not any(reader.released.is_set() for reader in readers((BusMessage,))[1])
