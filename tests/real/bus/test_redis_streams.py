"""Stored messages over a real redis-server: nothing is lost over crashes of the server, and of a reader."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from tests.real.bus.servers import RedisServer
from tests.real.bus.waiting import PATIENCE_S, QUICK, data, take, until
from tests.tools import requires_module
from trio_transports.bus import (
    BusCancelMessage,
    BusDataMessage,
    BusFrameMessage,
    BusGapMessage,
    BusJobRequestMessage,
    BusMessage,
    Worker,
    WorkerRunner,
)
from trio_transports.errors import TransportError
from trio_transports.frames import TextFrame

requires_module("coredis", extra="redis")

from trio_transports.bus.redis import RedisBus  # noqa: E402

JOBS = (BusJobRequestMessage,)


def job(number: int, target: str | None = None) -> BusJobRequestMessage:
    return BusJobRequestMessage(source="s", target=target, job_id="j", id=number)


@asynccontextmanager
async def bus_named(server: RedisServer, name: str, **options: Any) -> AsyncIterator[RedisBus]:  # noqa: ANN401
    await server.wait_until_it_answers()
    bus = RedisBus(server.url, name=name, reconnect=QUICK, **({"durable": True, "reply_timeout": 30} | options))
    async with bus.running():
        yield bus


async def command(server: RedisServer, *parts: str) -> bytes:
    async with await trio.open_tcp_stream("127.0.0.1", server.port) as raw:
        await raw.send_all(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p.encode()) for p in parts))
        return bytes(await raw.receive_some(10_000))


async def pending(server: RedisServer, group: str) -> int:
    """How many entries of the stream the group has read and not acknowledged."""
    reply = await command(server, "XPENDING", "pipecat:bus:stream", group)
    return int(reply.split(b"\r\n")[1][1:])


async def until_pending(server: RedisServer, group: str, count: int) -> None:
    with trio.fail_after(PATIENCE_S):
        while await pending(server, group) != count:  # noqa: ASYNC110 - a number of the server's
            await trio.sleep(0.01)


async def test_every_process_gets_every_stored_message(durable_redis: RedisServer) -> None:
    """Each process with a group of its own, the sender too, receives each stored message once, in order."""
    async with bus_named(durable_redis, "a") as first, bus_named(durable_redis, "b") as second:
        readers = [first.subscribe("reader"), second.subscribe("reader")]
        for number in range(100):
            await first.send(data(number))
        for reader in readers:
            assert await take(reader, 100) == [data(number) for number in range(100)]
            with trio.move_on_after(0.05):
                raise AssertionError(await reader.receive())
        await until(lambda: first.statistics().stored == 100)
        await until_pending(durable_redis, "a", 0)
        await until_pending(durable_redis, "b", 0)


async def test_only_what_is_named_is_stored(durable_redis: RedisServer) -> None:
    """With a tuple of types the others go by the channel, and overtake stored data that waits."""
    async with (
        bus_named(durable_redis, "a", durable=JOBS) as first,
        bus_named(durable_redis, "b", durable=JOBS) as second,
    ):
        reader = second.subscribe("reader")
        await first.send(job(1))
        await first.send(BusFrameMessage(source="s", frame=TextFrame(text="x")))
        assert {type(message) for message in await take(reader, 2)} == {BusJobRequestMessage, BusFrameMessage}
        assert first.statistics().stored == 1
        await until(lambda: first.statistics().published == 1)


async def test_nothing_is_lost_when_the_server_dies(durable_redis: RedisServer) -> None:
    """Redis is killed and restarted again and again under a stream of messages: each arrives, once, in order."""
    total = 300
    async with bus_named(durable_redis, "a") as first, bus_named(durable_redis, "b") as second:
        reader = second.subscribe("reader")
        got: list[int] = []
        kills = 0

        async def send_all() -> None:
            for number in range(total):
                await first.send(data(number))

        async def read_all() -> None:
            while len(got) < total:
                message = await reader.receive()
                if isinstance(message, BusGapMessage):
                    assert "published meanwhile" in message.reason  # the channel, which carries none of these
                else:
                    got.append(message.id)

        with trio.fail_after(120):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(send_all)
                nursery.start_soon(read_all)
                for at in (50, 120, 200):
                    await until(lambda at=at: len(got) >= at)  # type: ignore[misc]
                    durable_redis.kill()
                    kills += 1
                    await durable_redis.restart()
        assert got == list(range(total))
        assert kills == 3


async def test_a_reader_resumes_where_it_left_off(durable_redis: RedisServer) -> None:
    """What was stored while a process was away, and what it had in hand when it died, it gets when it is back."""
    async with bus_named(durable_redis, "writer") as writer:
        async with bus_named(durable_redis, "b") as bus:
            reader = bus.subscribe("reader")
            for number in range(10):
                await writer.send(data(number))
            assert await take(reader, 5) == [data(number) for number in range(5)]
            await until_pending(durable_redis, "b", 6)
            # The process ends here with message 4 in hand, and five more read from Redis.
        for number in range(10, 20):
            await writer.send(data(number))
        bus = RedisBus(durable_redis.url, name="b", durable=True, reconnect=QUICK)
        reader = bus.subscribe("reader")
        async with bus.running():
            assert await take(reader, 16) == [data(number) for number in range(4, 20)]


async def test_a_message_is_acknowledged_when_it_was_handled(durable_redis: RedisServer) -> None:
    """An entry stays pending until every subscriber that took it comes back for its next message."""
    async with bus_named(durable_redis, "a") as bus:
        quick, slow = bus.subscribe("quick"), bus.subscribe("slow")
        await bus.send(data(1))
        assert await take(quick, 1) == await take(slow, 1) == [data(1)]
        assert await pending(durable_redis, "a") == 1
        with trio.move_on_after(0.05):
            await quick.receive()
        assert await pending(durable_redis, "a") == 1
        with trio.move_on_after(0.05):
            await slow.receive()
        await until_pending(durable_redis, "a", 0)


async def test_a_worker_that_ends_loses_nothing_that_it_had_not_begun_on(durable_redis: RedisServer) -> None:
    """Life after life is cancelled, fails, or has no time left: all the rest comes in the next one, in order, once.

    What it had in hand does not come again, so that one message that a handler fails at stops one life, not all.
    """
    begun, gaps, is_stuck, ending = list[int](), list[BusMessage](), trio.Event(), ""

    class Handles(Worker):
        async def on_bus_message(self, message: BusMessage) -> None:
            if isinstance(message, BusGapMessage):
                gaps.append(message)
            if type(message) is not BusDataMessage:
                return
            begun.append(message.id)
            if message.id == {"cancel": 10, "fail": 20, "end": 30}.get(ending):
                is_stuck.set()
                if ending == "fail":
                    raise ZeroDivisionError
                await trio.sleep_forever()

    def same_bus() -> RedisBus:
        return RedisBus(durable_redis.url, name="a", durable=True, reconnect=QUICK, reply_timeout=30)

    async with bus_named(durable_redis, "writer") as writer, same_bus().running(hold=True):
        for number in range(100):
            await writer.send(BusDataMessage(source="s", target="w", id=number))
    for ending in ("cancel", "fail", "end", ""):
        is_stuck = trio.Event()
        runner = WorkerRunner(bus=same_bus(), end_timeout=0.1)
        with trio.fail_after(PATIENCE_S):
            async with trio.open_nursery() as nursery:
                await nursery.start(runner.run, Handles("w"))
                if ending:
                    await is_stuck.wait()
                else:
                    await until(lambda: len(begun) >= 100)
                (runner.cancel if ending == "cancel" else runner.end)()
    assert (begun, gaps) == ([*range(100)], [])


async def test_what_nobody_wants_is_not_kept(durable_redis: RedisServer) -> None:
    """A message that no subscriber of a process accepts counts as handled there, and so does one whose reader left."""
    async with bus_named(durable_redis, "a") as bus:
        await bus.send(data(1))
        reader = bus.subscribe("reader", accepts=lambda message: message.id == 3)
        await bus.send(data(2))
        await bus.send(data(3))
        assert await take(reader, 1) == [data(3)]
        await until_pending(durable_redis, "a", 1)
        await reader.aclose()
        await until_pending(durable_redis, "a", 0)


async def test_a_slow_subscriber_holds_the_stream_and_loses_nothing(durable_redis: RedisServer) -> None:
    """Stored messages wait in Redis for a subscriber whose buffer is full, and others cannot push them out of it."""
    async with bus_named(durable_redis, "a", durable=JOBS) as bus:
        slow = bus.subscribe("slow", data_buffer=4)
        for number in range(200):
            await bus.send(job(number))
        await until(lambda: slow.statistics().waiting_data == 4)
        for number in range(50):
            await bus.send(data(number))
        await bus.send(BusCancelMessage(source="s"))
        messages = await take(slow, 202)
        assert isinstance(messages[0], BusCancelMessage)
        gap = messages[1]
        assert isinstance(gap, BusGapMessage)
        assert gap.missed == 50
        assert messages[2:] == [job(number) for number in range(200)]


async def test_a_stored_system_message_overtakes(durable_redis: RedisServer) -> None:
    """System messages have a stream of their own, so that a full lane of data does not hold them up."""
    async with bus_named(durable_redis, "a") as bus:
        slow = bus.subscribe("slow", data_buffer=2)
        for number in range(20):
            await bus.send(data(number))
        await bus.send(BusCancelMessage(source="s"))
        await until(lambda: slow.statistics().waiting_system == 1)
        assert await take(slow, 1) == [BusCancelMessage(source="s")]


async def test_readers_of_one_group_share_the_work(durable_redis: RedisServer) -> None:
    """Of processes that share a group each stored message reaches one; what dead ones had in hand another one gets."""
    async with bus_named(durable_redis, "writer") as writer:
        async with (
            bus_named(durable_redis, "a", group="workers") as first,
            bus_named(durable_redis, "b", group="workers") as second,
        ):
            readers = [bus.subscribe("reader") for bus in (first, second)]
            for number in range(40):
                await writer.send(data(number))
            await until(lambda: sum(reader.statistics().waiting_data for reader in readers) == 40)
            shares = [await take(reader, reader.statistics().waiting_data) for reader in readers]
            assert sorted(message.id for share in shares for message in share) == list(range(40))
            assert all(shares)
            with trio.move_on_after(0.2):  # the first comes back for more: it has handled its share
                await readers[0].receive()
            await until_pending(durable_redis, "workers", 1)
        # Both end; the second with its last message in hand, and not acknowledged.
        bus = RedisBus(durable_redis.url, name="c", group="workers", durable=True, claim_idle_s=0.05, reconnect=QUICK)
        reader = bus.subscribe("reader")
        async with bus.running():
            assert await take(reader, 1) == shares[1][-1:]
            await writer.send(data(1000))
            assert await take(reader, 1) == [data(1000)]


async def test_a_stream_that_is_gone_is_told(redis_server: RedisServer) -> None:
    """A server that comes back without its streams is a gap of unknown size, and what comes after it arrives."""
    async with bus_named(redis_server, "a") as first, bus_named(redis_server, "b") as second:
        reader = second.subscribe("reader")
        await first.send(data(1))
        assert await take(reader, 1) == [data(1)]
        redis_server.kill()
        await redis_server.restart()
        await first.send(data(2))
        messages: list[BusMessage] = []
        while data(2) not in messages:
            messages += await take(reader, 1)
        reasons = {message.reason for message in messages if isinstance(message, BusGapMessage)}
        assert "Redis came back without the stream pipecat:bus:stream" in reasons


async def test_a_stream_that_was_cut_is_told(redis_server: RedisServer) -> None:
    """What was cut away at the stream's maximum length before it was read is told by its number."""
    async with bus_named(redis_server, "a", stream_max_length=100) as first, bus_named(redis_server, "b") as bus:
        slow = bus.subscribe("slow", data_buffer=2)
        async with trio.open_nursery() as nursery:
            for number in range(1000):
                nursery.start_soon(first.send, data(number))
        read = missed = 0
        while read + missed < 1000:
            (message,) = await take(slow, 1)
            if isinstance(message, BusGapMessage):
                assert message.reason == "the stream pipecat:bus:stream was cut before it was read"
                missed += message.missed or 0
            else:
                read += 1
        assert missed > 0


async def test_what_cannot_be_stored_is_an_error_of_the_sender(durable_redis: RedisServer) -> None:
    """A message that Redis refuses to store raises in its sender, and the next one is stored."""
    async with bus_named(durable_redis, "a") as bus:
        await command(durable_redis, "SET", "pipecat:bus:stream:system", "x")
        with pytest.raises(TransportError, match=r"did not store a message on pipecat:bus:stream:system: .*wrong kind"):
            await bus.send(BusCancelMessage(source="s"))
        await bus.send(data(1))


async def test_a_sender_is_let_go_when_the_bus_ends(durable_redis: RedisServer) -> None:
    """A message that waits for a server when the bus ends fails in its sender; nobody waits for ever."""
    errors: list[str] = []

    async def send(bus: RedisBus) -> None:
        try:
            await bus.send(data(1))
        except TransportError as exc:
            errors.append(str(exc))

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery, bus_named(durable_redis, "a") as bus:
            durable_redis.kill()
            await until(lambda: bus.statistics().connections_lost >= 3)
            for _ in range(3):
                nursery.start_soon(send, bus)
            await trio.sleep(0.1)
    assert errors == ["the bus has ended, and Redis has not said that a message on pipecat:bus:stream is stored"] * 3


async def test_a_cancellation_at_any_moment_leaves_nothing(durable_redis: RedisServer) -> None:
    """Cancelled while it connects, sends, stores or reads, a bus closes its connections, and nobody waits for it."""
    await durable_redis.wait_until_it_answers()
    for step in range(40):
        bus = RedisBus(durable_redis.url, name="a", durable=JOBS, reconnect=QUICK)
        reader = bus.subscribe("reader")
        with trio.move_on_after(0.002 * step):
            async with bus.running(), trio.open_nursery() as nursery:
                nursery.start_soon(reader.receive)
                for number in range(1000):
                    nursery.start_soon(bus.send, data(number))
                    await bus.send(job(number))
        assert [bus.is_running] == [False]
    async with bus_named(durable_redis, "a", durable=JOBS) as last:
        await last.send(job(1))


async def test_a_worker_that_starts_late_gets_what_was_stored(durable_redis: RedisServer) -> None:
    """A runner lets stored messages in only when its first workers have subscribed."""

    class Takes(Worker):
        got: list[int]

        async def on_activated(self, args: object) -> None:
            self.got = []

        async def on_bus_message(self, message: BusMessage) -> None:
            if isinstance(message, BusJobRequestMessage):
                self.got.append(message.id)
                if message.id == 9:
                    self.stop()

    async with bus_named(durable_redis, "takes", durable=JOBS):
        pass  # the group exists from here on
    async with bus_named(durable_redis, "writer", durable=JOBS) as writer:
        for number in range(10):
            await writer.send(job(number, "takes"))
    worker = Takes("takes")
    with trio.fail_after(60):
        await WorkerRunner("r", bus=RedisBus(durable_redis.url, name="takes", durable=JOBS)).run(worker)
    assert worker.got == list(range(10))


def test_durable_needs_a_name() -> None:
    """Without a name there is nowhere to resume."""
    with pytest.raises(ValueError, match=r"RedisBus\.name is required with durable"):
        RedisBus(durable=True)
