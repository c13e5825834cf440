"""A bus over Redis before it has a server: what it is, where it would look, and what it does without one."""

from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any

import pytest
import trio
import trio.testing
from coredis import exceptions

from trio_transports.bus import BusDataMessage, BusMessage, BusWorkerLocalErrorMessage
from trio_transports.bus.redis import RedisBus, connection
from trio_transports.bus.redis.address import HostPort, ServerAddresses
from trio_transports.bus.redis.connection import RedisServer, is_refused_for_now
from trio_transports.errors import LocalProtocolError, TransportError
from trio_transports.params import ReconnectPolicy

LOCAL = BusWorkerLocalErrorMessage(source="a", target="b", error="x")
DATA = BusDataMessage(source="a")


def test_what_is_wrong_with_its_options_is_said() -> None:
    for durable in (True, (BusMessage,)):
        with pytest.raises(ValueError, match=r"RedisBus\.name is required with durable"):
            RedisBus(durable=durable)
    with pytest.raises(ValueError, match="not both"):
        RedisBus(sentinels=[("a", 1)], startup_nodes=[("b", 2)])


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({}, "redis://127.0.0.1:6379"),
        ({"url": "redis://me:secret@host:1234/5"}, "redis://host:1234/5"),
        ({"url": "rediss://host"}, "rediss://host:6379"),
        ({"url": "unix:///tmp/socket"}, "unix://:6379/tmp/socket"),
        ({"sentinels": [("a", 1), ("b", 2)]}, "Redis, the master 'mymaster' of 2 Sentinels"),
        ({"sentinels": [("a", 1)], "service_name": "bus"}, "Redis, the master 'bus' of 1 Sentinels"),
        ({"startup_nodes": [("a", 1), ("b", 2)]}, "Redis, a cluster of which a:1, b:2 are known"),
    ],
)
def test_a_bus_says_where_its_server_is_and_not_the_password(options: dict[str, Any], where: str) -> None:
    bus = RedisBus(name="me", channel="c", **options)
    assert repr(bus) == f"<RedisBus 'me' on {where}, channel 'c', not running>"
    assert not bus.is_running


def test_buses_without_a_name_are_told_apart() -> None:
    assert len({repr(RedisBus()) for _ in range(3)}) == 3


async def test_without_a_server_what_stays_in_the_process_is_delivered_and_nothing_else() -> None:
    """Sending it is a checkpoint, sending it now is none; all else is an error that says what to do."""
    bus = RedisBus(name="me")
    reader = bus.subscribe("reader")
    with trio.testing.assert_checkpoints():
        await bus.send(LOCAL)
    with trio.testing.assert_no_checkpoints():
        assert bus.send_now(LOCAL) is True
        assert bus.send_now(DATA) is False
    assert [await reader.receive() for _ in range(2)] == [LOCAL, LOCAL]
    with pytest.raises(LocalProtocolError, match=r"enter running\(\) before sending"):
        await bus.send(DATA)
    assert reader.statistics().waiting_data == 0
    counted = bus.statistics()
    assert {getattr(counted, name) for name in ("published", "stored", "received", "waiting", "dropped")} == {0}


@pytest.mark.parametrize(
    ("error", "for_now"),
    [
        (exceptions.ResponseError("OOM command not allowed"), True),
        (exceptions.ResponseError("-MISCONF no disk"), True),
        (exceptions.ResponseError("NOREPLICAS Not enough good replicas"), True),
        (exceptions.ClusterDownError("the cluster is down"), True),
        (exceptions.TryAgainError("try again"), True),
        (exceptions.ResponseError("WRONGTYPE"), False),
        (exceptions.ResponseError("it is OOM"), False),
    ],
)
def test_what_a_server_may_take_later(error: exceptions.RedisError, for_now: bool) -> None:
    assert is_refused_for_now(error) is for_now


# Where it is.


class Servers:
    """Answers to questions, by address; each that is asked is written down."""

    def __init__(self, **replies: object) -> None:
        self.replies = replies
        self.asked: list[tuple[HostPort, tuple[bytes | str, ...], bool]] = []

    async def ask(self, address: HostPort, command: tuple[bytes | str, ...], as_user: bool) -> Any:  # noqa: ANN401
        await trio.lowlevel.checkpoint()
        self.asked.append((address, command, as_user))
        reply = self.replies[address[0]]
        if isinstance(reply, Exception):
            raise reply
        return reply

    @property
    def hosts(self) -> list[str]:
        return [address[0] for address, _, _ in self.asked]


def sentinels(*hosts: str) -> ServerAddresses:
    return ServerAddresses(sentinels=[(host, 26379) for host in hosts], service_name="bus")


def cluster(*hosts: str) -> ServerAddresses:
    return ServerAddresses(startup_nodes=[(host, 7000) for host in hosts], key="{c}:stream")


def test_an_address_that_was_given_is_fixed() -> None:
    assert ServerAddresses().is_fixed
    assert not sentinels("a").is_fixed
    assert not cluster("a").is_fixed


async def test_sentinels_are_asked_one_after_another_for_the_master() -> None:
    """The first that knows it counts, those that are down or know none are passed over; and each time anew."""
    servers = Servers(a=OSError("down"), b=None, c=[b"10.0.0.1", b"6380"], d=[b"10.0.0.2", b"1"])
    addresses = sentinels("a", "b", "c", "d")
    for _ in range(2):
        assert await addresses.find(servers.ask) == ("10.0.0.1", 6380)
    assert servers.hosts == ["a", "b", "c"] * 2
    assert servers.asked[0] == (("a", 26379), (b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", "bus"), False)
    assert await sentinels("a").find(Servers(a=["host", "1"]).ask) == ("host", 1)


async def test_the_nodes_of_a_cluster_are_asked_who_has_the_key() -> None:
    """Who has it answers itself; another says who has, and that one is asked first from then on."""
    servers = Servers(a=exceptions.RedisError("no"), b=exceptions.MovedError("77 c:7001"), c=1)
    addresses = cluster("a", "b")
    assert await addresses.find(servers.ask) == ("c", 7001)
    assert servers.asked == [((host, 7000), (b"EXISTS", "{c}:stream"), True) for host in "ab"]
    servers.asked.clear()
    assert await addresses.find(servers.ask) == ("c", 7001)
    assert servers.hosts == ["c"]
    servers.replies["c"] = OSError("down")
    servers.replies["a"] = 0
    assert await addresses.find(servers.ask) == ("a", 7000)


async def test_a_node_that_names_no_host_means_its_own() -> None:
    assert await cluster("a").find(Servers(a=exceptions.MovedError("77 :7002")).ask) == ("a", 7002)


@pytest.mark.parametrize(
    ("addresses", "replies", "why"),
    [
        (sentinels("a", "b"), {"a": None, "b": OSError("down")}, "of 2 Sentinels cannot be found: down"),
        (sentinels("a"), {"a": None}, r"the Sentinel at \('a', 26379\) knows no master 'bus'"),
        (cluster("a", "b"), {"a": OSError("one"), "b": exceptions.RedisError("two")}, "cannot be found: two"),
    ],
)
async def test_who_cannot_be_found_is_a_lost_connection_that_says_why(
    addresses: ServerAddresses, replies: dict[str, object], why: str
) -> None:
    with pytest.raises(ConnectionError, match=why):
        await addresses.find(Servers(**replies).ask)


async def test_nodes_that_were_named_are_forgotten_when_nobody_answers() -> None:
    servers = Servers(a=exceptions.MovedError("77 c:7001"), c=OSError("down"))
    addresses = cluster("a")
    await addresses.find(servers.ask)
    servers.replies["a"] = OSError("down")
    for _ in range(2):
        servers.asked.clear()
        with pytest.raises(ConnectionError):
            await addresses.find(servers.ask)
    assert servers.hosts == ["a"]


# Keeping one.


class Opened:
    """Stands for what opens connections: each fails, or is used for so long and then is lost."""

    def __init__(self, *outcomes: Exception | float) -> None:
        self.outcomes = list(outcomes)
        self.at_s: list[float] = []

    async def __aenter__(self) -> "Opened":
        await trio.lowlevel.checkpoint()
        self.at_s.append(trio.current_time())
        if isinstance(self.outcomes[0], Exception):
            raise self.outcomes.pop(0)  # type: ignore[misc]
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def use(self, _: object) -> None:
        lasts_s = self.outcomes.pop(0)
        assert isinstance(lasts_s, float)
        await trio.sleep(lasts_s)
        if self.outcomes:
            raise exceptions.ConnectionError("lost")


LOST = exceptions.ConnectionError("lost")
SERVER = RedisServer(
    url="redis://host",
    connect_timeout=1.0,
    reply_timeout=1.0,
    policy=ReconnectPolicy(initial_delay=1.0, max_delay=8.0, multiplier=2.0, jitter=0.0),
)


async def keep(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, on_lost: Callable[[Exception], None] = lambda cause: None
) -> None:
    monkeypatch.setattr(connection, "open_connection", lambda server: opened)
    use: Callable[[Any], Awaitable[None]] = opened.use
    await connection.keep_connected(SERVER, use, what="bus", on_lost=on_lost)


async def test_a_connection_is_made_anew_with_longer_and_longer_pauses(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One that lasted a second begins the count anew; one that did not, does not. The first of a row is a warning."""
    caplog.set_level("DEBUG", "trio_transports")
    opened, causes = Opened(LOST, OSError(), 0.5, 1.0, LOST, 0.0), list[Exception]()
    await keep(opened, monkeypatch, causes.append)
    pauses = [after - before for before, after in pairwise(opened.at_s)]
    assert pauses == pytest.approx([1, 2, 0.5 + 4, 1 + 1, 2])
    assert len(causes) == 5
    assert [record.levelname for record in caplog.records] == ["WARNING", "DEBUG", "DEBUG", "WARNING", "DEBUG"]
    assert "bus: no connection to redis://host:6379" in caplog.text


async def test_a_refusal_is_raised_until_there_was_a_connection_and_then_waited_out(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = exceptions.AuthenticationError("WRONGPASS")
    with pytest.raises(TransportError, match="bus: redis://host:6379 refuses: WRONGPASS"):
        await keep(Opened(LOST, refusal), monkeypatch)
    opened = Opened(1.0, refusal, 0.0)
    await keep(opened, monkeypatch)
    assert len(opened.at_s) == 3
