"""What a proxy says, counts and believes, and how it ends: on either side of a wire in memory."""

from collections.abc import Callable

import pytest
import trio
import trio.testing

from tests.bus.proxies import JSON, MAKERS, client, data, received, running, server, wire_pair
from trio_transports.bus import (
    BusDataMessage,
    BusEndWorkerMessage,
    BusJobRequestMessage,
    BusJobResponseMessage,
    BusJobResponseUrgentMessage,
    BusMessage,
    BusWorkerErrorMessage,
    BusWorkerReadyMessage,
    BusWorkerRegistryMessage,
    LocalBus,
    ProxySettings,
    WebSocketProxyClient,
    Worker,
    WorkerRegistry,
    WorkerRegistryEntry,
    WorkerRunner,
)
from trio_transports.bus.names import MAX_NAME, check_names
from trio_transports.bus.proxy.base import Proxy
from trio_transports.errors import ConnectionClosed
from trio_transports.wire.memory import MemoryWire
from trio_transports.wire.settings import WireSettings

MakeProxy = Callable[..., Proxy]


async def ended(wire: MemoryWire) -> tuple[int, str]:
    """How the peer sees the end, past whatever came before it."""
    while True:
        try:
            await wire.receive()
        except ConnectionClosed as exc:
            return exc.code, exc.reason


def entry(name: str) -> WorkerRegistryEntry:
    return WorkerRegistryEntry(name=name)


@pytest.mark.parametrize(
    "name",
    [
        "send_timeout",
        "close_timeout",
        "connect_timeout",
        "ping_timeout",
        "max_message_bytes",
        "max_malformed",
        "outbox_messages",
        "outbox_bytes",
        "outbox_audio_secs",
    ],
)
def test_a_limit_is_above_zero(name: str) -> None:
    """However little; what is not is refused by its name."""
    assert getattr(ProxySettings(**{name: 0.5}), name) == 0.5  # type: ignore[arg-type]
    for value in (0, -1, float("nan")):
        with pytest.raises(ValueError, match=rf"ProxySettings\.{name} must be above 0, not"):
            ProxySettings(**{name: value})  # type: ignore[arg-type]


def test_the_limits_of_the_wire_are_handed_to_it() -> None:
    settings = ProxySettings(max_message_bytes=7, ping_interval=5, ping_timeout=3)
    assert settings.wires == WireSettings(max_message_bytes=7, ping_interval_s=5, ping_timeout_s=3)


@MAKERS
async def test_what_is_refused_is_counted_and_told_once(
    make: MakeProxy, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """In the log, with its kind, whom it is from and for, cut to what is readable; what is let in is counted too."""
    near, far = wire_pair()
    proxy = make(near)
    async with running(proxy) as bus:
        reader = bus.subscribe("reader")
        for number in range(3):
            await far.send(JSON.encode(data("xzz"[number] * 200, "y" * 200)))  # the first of them is logged
            await far.send(JSON.encode(data("far", "near")))
            await trio.testing.wait_all_tasks_blocked()
            counted = proxy.statistics()
            assert (counted.refused, counted.received) == (number + 1, number + 1)
        await far.send(JSON.encode(data("far", None)))
        await trio.testing.wait_all_tasks_blocked()
        assert proxy.statistics().refused == 4
        assert reader.statistics().waiting_data == 3
    assert [record.getMessage() for record in caplog.records] == [
        f"proxy: refused a BusDataMessage from '{'x' * 100}' to '{'y' * 100}' by the routing rules; "
        "more are only counted"
    ]


@MAKERS
async def test_a_proxy_with_a_long_name_is_heard(make: MakeProxy, autojump_clock: trio.testing.MockClock) -> None:
    """It may be named after its peer, whose path has any length; what it tells of its worker has to be let in."""
    near, far = wire_pair()
    proxy = make(near)
    proxy.name = "x" * 1000
    async with trio.open_nursery() as nursery:
        runner = WorkerRunner()
        await nursery.start(runner.run, Worker("near"), proxy)
        (told,) = [each for each in await received(far) if isinstance(each, BusWorkerRegistryMessage)]
        check_names(told)
        assert told.source == "x" * MAX_NAME
        runner.cancel()


@MAKERS
async def test_what_another_worker_would_say_is_let_in_from_the_remote_one_only(
    make: MakeProxy, autojump_clock: trio.testing.MockClock
) -> None:
    """A job's messages, a failure, and that it is ready; and nothing from a name that runs here."""
    near, far = wire_pair()
    kinds: list[Callable[[str], BusMessage]] = [
        lambda source: BusJobRequestMessage(source=source, target="near", job_id="1"),
        lambda source: BusJobResponseMessage(source=source, target="near", job_id="1", status="completed"),
        lambda source: BusWorkerErrorMessage(source=source, target="near", error="x"),
        lambda source: BusWorkerReadyMessage(source=source, target="near", runner="r"),
        lambda source: BusDataMessage(source=source, target="near"),
    ]
    proxy = make(near)
    async with running(proxy) as bus, trio.open_nursery() as nursery:
        here = Worker("here")
        await nursery.start(lambda task_status: here.run(bus, registry=proxy.registry, task_status=task_status))
        reader = bus.subscribe("reader", accepts=lambda message: message.source in ("far", "stranger", "here"))
        for kind in kinds:
            for source in ("stranger", "here", "far"):
                await far.send(JSON.encode(kind(source)))
        await trio.testing.wait_all_tasks_blocked()
        let_in = [message for lane in (reader._system, reader._data) for message in lane.waiting]
        sources = sorted(waiting.message.source for waiting in let_in)
        assert sources == ["far"] * 5 + ["stranger"]  # data of others it may pass on
        here.stop()


@MAKERS
async def test_a_peer_is_believed_about_its_own_worker(make: MakeProxy, autojump_clock: trio.testing.MockClock) -> None:
    """Of the others that it names, and of a heartbeat, nothing is passed on; where such news is forwarded, all is."""
    for forwarded in (False, True):
        near, far = wire_pair()
        async with running(make(near, forward_messages=[BusWorkerRegistryMessage] if forwarded else ())) as bus:
            reader = bus.subscribe("reader", accepts=lambda message: isinstance(message, BusWorkerRegistryMessage))
            news = BusWorkerRegistryMessage(
                source="gate", target="near", runner="r", workers=[entry("far"), entry("other")], alive_for_s=5.0
            )
            await far.send(JSON.encode(news))
            told = await reader.receive()
            assert isinstance(told, BusWorkerRegistryMessage)
            names = [each.name for each in told.workers]
            assert (names, told.alive_for_s) == ((["far", "other"], 5.0) if forwarded else (["far"], None))


@MAKERS
async def test_the_local_worker_is_told_of_once_on_each_connection(
    make: MakeProxy, autojump_clock: trio.testing.MockClock
) -> None:
    """When it is ready, and again when it begins anew; of another nothing is told."""
    near, far = wire_pair()
    proxy, registry, bus = make(near), WorkerRegistry("r"), LocalBus()
    async with trio.open_nursery() as nursery:
        await nursery.start(lambda task_status: proxy.run(bus, registry=registry, task_status=task_status))
        await trio.testing.wait_all_tasks_blocked()
        proxy.watch("another")
        registry._add_local(entry("another"))
        assert await received(far) == []
        for _ in range(2):
            registry._add_local(WorkerRegistryEntry(name="near", started_at=1.0))
            (told,) = await received(far)
            assert isinstance(told, BusWorkerRegistryMessage)
            assert (told.source, told.runner, told.workers) == ("proxy", "r", (entry("near"),))
            assert told.target == ("far" if isinstance(proxy, WebSocketProxyClient) else None)
            registry._remove_local("near")
            proxy._told = None
        proxy.stop()


async def test_a_bus_that_has_no_room_now_is_waited_for(autojump_clock: trio.testing.MockClock) -> None:
    """What came is delivered all the same, in its order, and believed no more than else."""

    class Waits(LocalBus):  # type: ignore[misc]  # final for users; here it fails on purpose
        def send_now(self, message: BusMessage) -> bool:
            return False

    near, far = wire_pair()
    async with running(server(near), Waits()) as bus:
        reader = bus.subscribe("reader", accepts=lambda message: message.source == "far")
        for _ in range(3):
            await far.send(JSON.encode(data("far", "near")))
        await far.send(
            JSON.encode(BusWorkerRegistryMessage(source="far", target="near", runner="r", workers=[entry("x")]))
        )
        await trio.testing.wait_all_tasks_blocked()
        assert reader.statistics().waiting_data == 3
        news = await reader.receive()
        assert isinstance(news, BusWorkerRegistryMessage)
        assert news.workers == ()


@pytest.mark.parametrize("kind", [BusJobResponseMessage, BusJobResponseUrgentMessage])
async def test_an_answer_that_cannot_cross_is_told_as_an_error(
    kind: type[BusJobResponseMessage], autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    near, far = wire_pair()
    proxy = server(near)
    async with running(proxy) as bus:
        for count in (1, 2):
            unwritable = kind(source="near", target="far", job_id="1", status="completed", response={"x": object()})
            await bus.send(unwritable)
            (told,) = await received(far)
            assert isinstance(told, kind)
            assert (told.job_id, told.status) == ("1", "error")
            assert "cannot be written" in str(told.response)
            assert proxy.statistics().unsendable == count
    assert len(caplog.records) == 1
    assert caplog.records[0].getMessage().startswith("proxy: a message cannot be written; more are only counted: ")


# How it ends.


@MAKERS
@pytest.mark.parametrize(("reason", "said"), [("enough", "enough"), (None, "the proxy ends")])
async def test_a_good_end_says_why(
    make: MakeProxy, reason: str | None, said: str, autojump_clock: trio.testing.MockClock
) -> None:
    near, far = wire_pair()
    async with running(make(near)) as bus:
        await bus.send(data("near", "far"))
        await bus.send(BusEndWorkerMessage(source="x", target="proxy", reason=reason))
        assert await ended(far) == (1000, said)


@MAKERS
async def test_a_proxy_that_is_stopped_is_going_away(make: MakeProxy, autojump_clock: trio.testing.MockClock) -> None:
    near, far = wire_pair()
    proxy = make(near)
    async with running(proxy):
        assert proxy.is_connected
    assert await ended(far) == (1001, "the proxy was cancelled")
    assert not proxy.is_connected


async def test_a_client_that_is_deactivated_says_so(autojump_clock: trio.testing.MockClock) -> None:
    near, far = wire_pair()
    proxy = client(near)
    async with running(proxy):
        await proxy.on_deactivated()
        assert await ended(far) == (1000, "the proxy was deactivated")


async def test_a_server_that_shuts_down_writes_what_waits_and_goes_away(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Within the time for a goodbye, where the peer takes nothing."""
    near, far = wire_pair()
    proxy = server(near)
    async with running(proxy) as bus:
        await bus.send(data("near", "far"))
        await proxy.shut_down()
        assert await received(far) == [data("near", "far")]
        assert await ended(far) == (1001, "the server is shutting down")
    near, far = wire_pair(buffer_messages=1)
    proxy = server(near, settings=ProxySettings(close_timeout=3))
    async with running(proxy) as bus:
        for _ in range(10):
            await bus.send(data("near", "far"))
        began_s = trio.current_time()
        await proxy.shut_down()
        assert trio.current_time() - began_s == pytest.approx(3)
    await server(near).shut_down()  # not running: nothing to do


async def test_a_fault_of_its_own_is_told_as_such(autojump_clock: trio.testing.MockClock) -> None:
    """The peer hears that it was not to blame, and the failure is raised."""

    class Broken(LocalBus):  # type: ignore[misc]  # final for users; here it fails on purpose
        def send_now(self, message: BusMessage) -> bool:
            if message.source == "far" and isinstance(message, BusDataMessage):
                raise ZeroDivisionError
            return super().send_now(message)

    near, far = wire_pair()
    proxy = server(near)
    async with trio.open_nursery() as nursery:

        async def run() -> None:
            with pytest.raises(ZeroDivisionError):
                await proxy.run(Broken())

        nursery.start_soon(run)
        await far.send(JSON.encode(data("far", "near")))
        assert await ended(far) == (1011, "the proxy failed")
