"""A Redis that takes nothing for a while, one that fails over, a cluster of three: nothing is lost, and it is told."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.ports import free_port
from tests.real.bus.servers import RedisServer, redis_command
from tests.real.bus.waiting import QUICK, data, take, until
from tests.tools import requires_module
from trio_transports.bus import BusGapMessage, BusMessage

requires_module("coredis", extra="redis")

from trio_transports.bus.redis import RedisBus, StoringPaused, StoringResumed  # noqa: E402


@asynccontextmanager
async def bus(name: str, **options: Any) -> AsyncIterator[RedisBus]:  # noqa: ANN401 - any option of the bus
    given: dict[str, Any] = {"name": name, "reconnect": QUICK, "durable": True, "connect_timeout": 30.0}
    made = RedisBus(**(given | options))
    async with made.running():
        yield made


async def without_gaps(reader: Any, count: int) -> list[BusMessage]:  # noqa: ANN401 - a subscription
    """So many messages, less the gaps that a lost connection may tell between them."""
    found: list[BusMessage] = []
    with trio.fail_after(120):
        while len(found) < count:
            message = await reader.receive()
            if not isinstance(message, BusGapMessage):
                found.append(message)
    return found


REFUSALS = {
    "no memory": (("CONFIG", "SET", "maxmemory", "1mb"), ("CONFIG", "SET", "maxmemory", "0"), "OOM"),
    "read-only": (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE"), "read only replica"),
}


@pytest.mark.parametrize("why", REFUSALS)
async def test_what_redis_takes_later_is_stored_later(why: str, durable_redis: RedisServer) -> None:
    """While Redis refuses, ``send`` waits, an event says why; then all arrive, once and in order. Twice."""
    begin, end, reason = REFUSALS[why]
    await durable_redis.wait_until_it_answers()
    with trio.fail_after(120):
        where = {"url": durable_redis.url, "reply_timeout": 30.0}
        async with bus("a", **where) as first, bus("b", **where) as second:
            reader, events = second.subscribe("reader"), first.events()
            await first.send(data(0))
            assert await without_gaps(reader, 1) == [data(0)]
            for round_ in (1, 2):
                assert redis_command(durable_redis.port, *begin).startswith("+OK")
                numbers = range(round_ * 100, round_ * 100 + 20)
                sent: list[int] = []

                async def send_all(numbers: range = numbers, sent: list[int] = sent) -> None:
                    for number in numbers:
                        await first.send(data(number))
                        sent.append(number)

                async with trio.open_nursery() as nursery:
                    nursery.start_soon(send_all)
                    told = await events.receive()
                    assert isinstance(told, StoringPaused)
                    assert reason in told.reason
                    await trio.sleep(0.3)
                    assert sent == []
                    assert redis_command(durable_redis.port, *end).startswith("+OK")
                    assert await events.receive() == StoringResumed()
                assert await without_gaps(reader, 20) == [data(number) for number in numbers]
            assert second.statistics().duplicates == 0


@contextmanager
def servers(folder: Path, *options: tuple[str, ...]) -> Iterator[list[RedisServer]]:
    """Several redis-servers, each in a folder of its own."""
    with ExitStack() as stack:
        started = []
        for number, extra in enumerate(options):
            own = folder / f"server-{number}"
            own.mkdir()
            server = RedisServer(own)
            stack.callback(server.kill)
            server.start(*extra)
            started.append(server)
        yield started


@pytest.mark.timeout(300)  # a Sentinel that had no core for two seconds decides nothing for the next thirty
async def test_a_failover_by_sentinels_is_followed(tmp_path: Path) -> None:
    """The master is killed, a Sentinel makes the replica master: what is sent then is stored there, and arrives."""
    with servers(tmp_path, (), ()) as (master, replica), trio.fail_after(240):
        for server in (master, replica):
            await server.wait_until_it_answers()
        assert redis_command(replica.port, "REPLICAOF", "127.0.0.1", str(master.port)).startswith("+OK")
        await until(lambda: "master_link_status:up" in redis_command(replica.port, "INFO", "replication"))
        own = tmp_path / "sentinel"
        own.mkdir()
        sentinel = RedisServer(own)
        conf = own / "sentinel.conf"
        conf.write_text(
            f"port {sentinel.port}\nbind 127.0.0.1\ndir {own}\nsentinel monitor mymaster 127.0.0.1 {master.port} 1\n"
            "sentinel down-after-milliseconds mymaster 500\nsentinel failover-timeout mymaster 3000\n"
        )
        try:
            sentinel.start_with(str(conf), "--sentinel")
            await sentinel.wait_until_it_answers()
            await until(lambda: "slaves=1" in redis_command(sentinel.port, "INFO", "sentinel"))
            where = {"sentinels": [("127.0.0.1", 1), ("127.0.0.1", sentinel.port)], "url": "redis://"}
            async with bus("a", **where) as first, bus("b", **where) as second:
                reader = second.subscribe("reader")
                for number in range(10):
                    await first.send(data(number))
                assert await without_gaps(reader, 10) == [data(number) for number in range(10)]
                await until(lambda: "lag=0" in redis_command(master.port, "INFO", "replication"))
                master.kill()
                for number in range(10, 20):
                    await first.send(data(number))
                assert await without_gaps(reader, 10) == [data(number) for number in range(10, 20)]
                assert "role:master" in redis_command(replica.port, "INFO", "replication")
        finally:
            sentinel.kill()


async def become_a_cluster(nodes: list[RedisServer], links: list[str]) -> None:
    """The first three share the slots; whoever else is there only knows them."""
    for server in nodes:
        await server.wait_until_it_answers()
    for server, slots in zip(nodes, ((0, 5460), (5461, 10922), (10923, 16383)), strict=False):
        redis_command(server.port, "CLUSTER", "ADDSLOTSRANGE", str(slots[0]), str(slots[1]))
    for server, link in zip(nodes[1:], links[1:], strict=True):
        redis_command(nodes[0].port, "CLUSTER", "MEET", "127.0.0.1", str(server.port), link)
    await until(
        lambda: all(
            "cluster_state:ok" in (told := redis_command(node.port, "CLUSTER", "INFO"))
            and f"cluster_known_nodes:{len(nodes)}" in told
            for node in nodes
        )
    )


@pytest.mark.timeout(300)
async def test_a_cluster_of_three(tmp_path: Path) -> None:
    """Buses that know one node each meet at the node that has their keys, for stored and for published messages."""
    links = [str(free_port()) for _ in range(3)]
    cluster = [("--cluster-enabled", "yes", "--cluster-port", link) for link in links]
    with servers(tmp_path, *cluster) as nodes, trio.fail_after(240):
        await become_a_cluster(nodes, links)
        for durable in (True, False):
            near = bus("a", startup_nodes=[("127.0.0.1", 1), ("127.0.0.1", nodes[0].port)], durable=durable)
            far = bus("b", startup_nodes=[("127.0.0.1", nodes[1].port)], durable=durable)
            async with near as first, far as second:
                readers = [first.subscribe("reader"), second.subscribe("reader")]
                for number in range(20):
                    await first.send(data(number))
                    await second.send(data(1000 + number))
                for reader in readers:
                    got = await take(reader, 40)
                    numbers = [message.id for message in got]
                    assert sorted(numbers) == [*range(20), *range(1000, 1020)]
                    assert [number for number in numbers if number < 1000] == [*range(20)]


@pytest.mark.timeout(300)
async def test_a_failover_of_a_cluster_is_followed(tmp_path: Path) -> None:
    """The node that has the bus's keys is killed, its replica takes its slots: what is sent then arrives, in order."""
    links = [str(free_port()) for _ in range(4)]
    # Nodes that do not answer each other for so long are forgotten while they meet, and later taken for dead.
    options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "5000", "--cluster-port")
    with servers(tmp_path, *((*options, link) for link in links)) as nodes, trio.fail_after(240):
        await become_a_cluster(nodes, links)
        *masters, replica = nodes
        where = {"startup_nodes": [("127.0.0.1", node.port) for node in nodes]}
        async with bus("a", **where) as first, bus("b", **where) as second:
            reader = second.subscribe("reader")
            for number in range(10):
                await first.send(data(number))
            assert await without_gaps(reader, 10) == [data(number) for number in range(10)]
            (owner,) = (node for node in masters if redis_command(node.port, "DBSIZE") != ":0\r\n")
            name = redis_command(owner.port, "CLUSTER", "MYID").split("\r\n")[1]
            assert redis_command(replica.port, "CLUSTER", "REPLICATE", name).startswith("+OK")
            await until(lambda: "master_link_status:up" in redis_command(replica.port, "INFO", "replication"))
            await until(lambda: "lag=0" in redis_command(owner.port, "INFO", "replication"))
            owner.kill()
            for number in range(10, 20):
                await first.send(data(number))
            assert await without_gaps(reader, 10) == [data(number) for number in range(10, 20)]
            assert "role:master" in redis_command(replica.port, "INFO", "replication")


async def test_an_address_that_nobody_can_tell_says_so() -> None:
    """Sentinels that do not answer are a TransportError with their number; both kinds at once are a mistake."""
    with pytest.raises(ValueError, match="not both"):
        RedisBus(sentinels=[("a", 1)], startup_nodes=[("b", 1)])
    lost = RedisBus(sentinels=[("127.0.0.1", 1)], connect_timeout=0.5, reconnect=QUICK)
    with pytest.raises(Exception, match="master 'mymaster' of 1 Sentinels"):
        async with lost.running():
            pass
