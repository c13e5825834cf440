"""How it is found out where the Redis server is: who is asked, as whom, and what the first answer is."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from tests.bus.scripted import Server
from trio_transports.bus.redis import connection
from trio_transports.bus.redis.address import HostPort, ServerAddresses
from trio_transports.bus.redis.connection import RedisConnection, RedisServer
from trio_transports.params import ReconnectPolicy


def server(url: str) -> RedisServer:
    addresses = ServerAddresses(sentinels=[("s", 1)], service_name="m")
    return RedisServer(url=url, connect_timeout=3.0, reply_timeout=1.5, policy=ReconnectPolicy(), addresses=addresses)


@pytest.mark.parametrize(
    ("url", "as_user", "asked_at"),
    [
        ("redis://me:secret@bus/2", True, "redis://me:secret@host:7000"),
        ("redis://me:secret@bus/2", False, "redis://host:7000"),
        ("rediss://:secret@bus:6380", True, "rediss://:secret@host:7000"),
        ("redis://bus", True, "redis://host:7000"),
        ("redis://", False, "redis://host:7000"),
    ],
)
async def test_a_server_is_asked_as_the_bus_or_as_nobody(
    url: str, as_user: bool, asked_at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At its own address, for one reply in the time for a reply; Sentinels have names and passwords of their own."""
    scripted, opened = Server(lambda command: [b"there", b"6379"]), list[RedisServer]()

    @asynccontextmanager
    async def open_connection(server: RedisServer) -> AsyncIterator[RedisConnection]:
        opened.append(server)
        yield scripted.connection

    monkeypatch.setattr(connection, "open_connection", open_connection)
    assert await connection._ask(server(url), ("host", 7000), (b"EXISTS", "key"), as_user) == [b"there", b"6379"]
    ((asked, is_fixed),) = [(each.url, each.addresses.is_fixed) for each in opened]
    assert (asked, is_fixed) == (asked_at, True)
    assert (scripted.commands, scripted.timeouts) == ([(b"EXISTS", "key")], [1.5])


Asked = tuple[HostPort, tuple[bytes | str, ...], bool]


async def test_sentinels_are_asked_one_after_another() -> None:
    """Until one knows the master; each time anew, and as nobody."""
    addresses = ServerAddresses(sentinels=[("down", 1), ("new", 2), ("old", 3), ("never", 4)], service_name="m")
    asked = list[Asked]()

    async def ask(address: HostPort, command: tuple[bytes | str, ...], as_user: bool) -> Sequence[bytes | str] | None:
        asked.append((address, command, as_user))
        if address[0] == "down":
            raise OSError("no route")
        return [b"there", "6379"] if address[0] == "old" else None

    for _ in range(2):
        asked.clear()
        assert await addresses.find(ask) == ("there", 6379)
        command = (b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", "m")
        assert asked == [((name, port), command, False) for name, port in (("down", 1), ("new", 2), ("old", 3))]
    with pytest.raises(ConnectionError, match=r"the master 'm' of 1 Sentinels cannot be found: no route"):
        await ServerAddresses(sentinels=[("down", 1)], service_name="m").find(ask)
    with pytest.raises(ConnectionError, match=r"the Sentinel at \('new', 2\) knows no master 'm'"):
        await ServerAddresses(sentinels=[("down", 1), ("new", 2)], service_name="m").find(ask)
