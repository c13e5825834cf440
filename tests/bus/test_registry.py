"""What one runner knows of the workers, here and elsewhere: bounds, expiry, who vouched, and who is told."""

import pytest
import trio
import trio.testing

from trio_transports.bus import (
    BusWorkerRegistryMessage,
    WorkerReadyData,
    WorkerRegistry,
    WorkerRegistryEntry,
)
from trio_transports.bus.registry import MAX_NAME, MAX_REMOTE, MAX_VOUCHED
from trio_transports.errors import LocalProtocolError


def entry(name: str, started_at: float | None = None) -> WorkerRegistryEntry:
    return WorkerRegistryEntry(name=name, started_at=started_at)


def news(
    *entries: WorkerRegistryEntry | str, runner: str = "far", alive_for_s: float | None = None
) -> BusWorkerRegistryMessage:
    workers = [each if isinstance(each, WorkerRegistryEntry) else entry(each) for each in entries]
    return BusWorkerRegistryMessage(source="teller", runner=runner, workers=workers, alive_for_s=alive_for_s)


def remote(registry: WorkerRegistry) -> list[str]:
    return [each.name for each in registry.remote_workers]


class Told:
    """What a registry tells: workers that are ready, with their runners, and the names of those that are gone."""

    def __init__(self, registry: WorkerRegistry, *names: str) -> None:
        self.ready: list[tuple[str, str]] = []
        self.gone: list[str] = []
        registry.on_gone(self.gone.append)
        for name in names:
            registry.watch(name, self.is_ready)

    def is_ready(self, data: WorkerReadyData) -> None:
        self.ready.append((data.worker_name, data.runner))


def test_a_runner_is_new_once() -> None:
    """So that runners introduce themselves to each other, and not for ever; one that names nobody is not known."""
    registry = WorkerRegistry("here")
    assert not registry._learn(news())
    assert registry._learn(news("a"))
    assert not registry._learn(news("b"))
    assert not registry._learn(news())
    assert remote(registry) == ["a", "b"]  # without a heartbeat nothing is taken back
    assert registry._learn(news("c", runner="third"))
    assert repr(registry) == "<WorkerRegistry of 'here': 0 local, 3 remote>"


def test_a_worker_here_comes_before_one_elsewhere() -> None:
    registry = WorkerRegistry("here")
    assert registry.find("a") is None
    assert "a" not in registry
    registry._learn(news(entry("a", 1.0)))
    assert registry.find("a") == WorkerReadyData(worker_name="a", runner="far", entry=entry("a", 1.0))
    assert not registry.is_local("a")
    registry._add_local(entry("a", 2.0))
    assert registry.find("a") == WorkerReadyData(worker_name="a", runner="here", entry=entry("a", 2.0))
    assert registry.is_local("a")
    assert "a" in registry
    with pytest.raises(LocalProtocolError, match="'a' already runs here"):
        registry._add_local(entry("a"))
    registry._update_local(entry("a", 3.0))
    assert registry.local_workers == (entry("a", 3.0),)


async def test_who_waits_for_a_worker_is_told_each_time_it_begins() -> None:
    """At once where it is there; again by a new start, or by a proxy that connected again; not by a beat."""
    registry = WorkerRegistry("here")
    told = Told(registry, "a", "local")
    registry._learn(news("a", "b"))
    registry._learn(news("a"))
    assert told.ready == [("a", "far")] * 2
    for started_at in (1.0, 1.0, 2.0):
        registry._learn(news(entry("a", started_at)))
    assert told.ready == [("a", "far")] * 4
    registry._learn(news("a", runner="beating", alive_for_s=5.0))
    registry._learn(news("a", runner="beating", alive_for_s=5.0))
    assert told.ready[4:] == [("a", "beating")]
    registry._add_local(entry("local"))
    assert told.ready[5:] == [("local", "here")]
    late = Told(registry, "a", "a")
    assert late.ready == [("a", "far")]
    registry.unwatch(late.is_ready)
    registry._learn(news(entry("a", 3.0)))
    assert late.ready == [("a", "far")]
    assert told.ready[6:] == [("a", "far")]


def test_a_worker_that_ends_here_is_gone_unless_it_is_elsewhere_too() -> None:
    registry = WorkerRegistry("here")
    told = Told(registry)
    for name in ("a", "b"):
        registry._add_local(entry(name))
    registry._learn(news("b"))
    for name in ("a", "b", "a", "never here"):
        registry._remove_local(name)
    assert told.gone == ["a"]
    registry.forget_gone(told.gone.append)
    registry._add_local(entry("a"))
    registry._remove_local("a")
    assert told.gone == ["a"]


async def test_a_runner_that_beats_is_believed_about_who_is_gone() -> None:
    """Whom it no longer names is gone, and with the last of them the runner, which then is new again."""
    registry = WorkerRegistry("here")
    told = Told(registry)
    for round_ in (1, 2):
        assert registry._learn(news("a", "b", "c", alive_for_s=5.0))
        assert not registry._learn(news("b", alive_for_s=5.0))
        assert sorted(told.gone) == ["a", "c"]
        assert remote(registry) == ["b"]
        registry._learn(news(alive_for_s=5.0))
        assert told.gone[2:] == ["b"]
        assert registry._next_expiry_s == float("inf"), round_
        told.gone.clear()


async def test_a_silent_runner_is_forgotten_when_its_time_is_over(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """At that moment and not before, with all of its workers; one that beats longer stays, and the log says who."""
    registry = WorkerRegistry("here")
    told = Told(registry)
    registry._learn(news("a", "b", alive_for_s=3.0))
    registry._learn(news("c", runner="slower", alive_for_s=5.0))
    registry._learn(news("d", runner="silent by nature"))
    now_s = trio.current_time()
    assert registry._next_expiry_s == now_s + 3
    await trio.sleep(2.5)
    registry._expire()
    assert told.gone == []
    await trio.sleep(0.5)
    registry._expire()
    assert told.gone == ["a", "b"]
    assert registry._next_expiry_s == now_s + 5
    assert remote(registry) == ["c", "d"]
    assert [record.getMessage() for record in caplog.records] == ["runner here: far is not heard of any more"]


async def test_a_long_name_is_cut_where_it_is_logged(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    registry = WorkerRegistry("here")
    registry._learn(news("a", runner="x" * MAX_NAME, alive_for_s=3.0))
    await trio.sleep(3)
    registry._expire()
    assert [record.getMessage() for record in caplog.records] == [f"runner here: {'x' * 100} is not heard of any more"]


async def test_a_runner_that_promises_no_time_has_none(autojump_clock: trio.testing.MockClock) -> None:
    """Nor is it given more of it by who looks late: it is forgotten when somebody looks."""
    registry = WorkerRegistry("here")
    told = Told(registry)
    await trio.sleep(10)
    for late_s in (0, 5):
        registry._learn(news("a", alive_for_s=0.0))
        assert registry._next_expiry_s == trio.current_time()
        await trio.sleep(late_s)
        registry._expire()
        if late_s:  # it stood still itself
            registry._expire()
        assert (told.gone, remote(registry)) == (["a"], [])
        told.gone.clear()


async def test_who_looks_much_too_late_gives_a_runner_its_time_once_more(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A third of its time is not much too late. It is given more once; with a beat the count begins anew."""
    registry = WorkerRegistry("here")
    told = Told(registry)
    registry._learn(news("a", alive_for_s=3.0))
    await trio.sleep(4)
    registry._expire()
    assert told.gone == ["a"]
    for _ in range(2):
        registry._learn(news("a", alive_for_s=3.0))
        await trio.sleep(4.5)
        registry._expire()
        assert told.gone == ["a"]
        assert registry._next_expiry_s == trio.current_time() + 3
    await trio.sleep(4.5)
    registry._expire()
    assert told.gone == ["a", "a"]
    assert registry._next_expiry_s == float("inf")


def test_a_worker_is_gone_with_the_last_connection_that_told_of_it() -> None:
    """Not with one of several; and one that another connection told of as well stays."""
    registry = WorkerRegistry("here")
    told = Told(registry)
    registry._learn(news("a", "b"))
    for connection, name in (("1", "a"), ("2", "a"), ("2", "b"), ("2", "never told of")):
        registry._vouch(connection, "far", name)
    registry._unvouch("1")
    assert (told.gone, remote(registry)) == ([], ["a", "b"])
    registry._unvouch("1")
    registry._unvouch("2")
    assert told.gone == ["a", "b"]
    assert registry._learn(news("a"))  # nothing of the runner was kept
    registry._unvouch("2")
    assert remote(registry) == ["a"]


def test_a_connection_vouches_for_few_runners() -> None:
    """What it names past them, or at great length, is not learned; another connection is not held to that."""
    registry = WorkerRegistry("here")
    told = Told(registry)
    runners = [f"runner {number}" for number in range(10_000)]
    believed = [runner for runner in (*runners, "x" * (MAX_NAME + 1)) if registry._vouch("1", runner, "a")]
    assert believed == runners[:MAX_VOUCHED]
    assert registry.refused == len(runners) + 1 - MAX_VOUCHED
    assert all(registry._vouch("1", runner, "a") for runner in believed)
    assert registry._vouch("2", runners[-1], "a")
    for runner in (*believed, runners[-1]):
        registry._learn(news("a", runner=runner))
    for connection in ("1", "1", "2"):
        registry._unvouch(connection)
    assert (told.gone, registry._vouchers, registry._remote) == (["a"], {}, {})


async def test_a_runner_that_beats_needs_nobody_to_vouch_for_it() -> None:
    registry = WorkerRegistry("here")
    registry._learn(news("a", alive_for_s=5.0))
    registry._vouch("1", "far", "a")
    registry._unvouch("1")
    assert remote(registry) == ["a"]


def test_so_many_workers_elsewhere_are_known_and_no_more(caplog: pytest.LogCaptureFixture) -> None:
    """What just fits is known; more is refused and counted, once in the log. Those known go on being told of."""
    registry = WorkerRegistry("here")
    many = [f"w{number}" for number in range(MAX_REMOTE - 1)]
    registry._learn(news(*many))
    registry._learn(news("last", runner="second"))
    assert (len(registry.remote_workers), registry.refused) == (MAX_REMOTE, 0)
    told = Told(registry, "w5")
    registry._learn(news("w5", "more", "w5", "w6", "and more"))
    assert (len(registry.remote_workers), registry.refused) == (MAX_REMOTE, 2)
    assert len(told.ready) == 2
    registry._learn(news("more", runner="third"))
    assert registry.refused == 3
    assert [record.getMessage() for record in caplog.records] == [
        f"runner here: registry entries are refused, {MAX_REMOTE} remote workers are known already"
    ]


async def test_a_worker_too_many_makes_none_of_those_known_gone() -> None:
    """A runner that beats names one more before the others: that one is refused, and the others are still there."""
    registry = WorkerRegistry("here")
    registry._learn(news(*(f"w{number}" for number in range(MAX_REMOTE - 2))))
    registry._learn(news("a", "b", runner="beating", alive_for_s=5.0))
    told = Told(registry)
    registry._learn(news("more", "a", "b", runner="beating", alive_for_s=5.0))
    assert (told.gone, registry.refused) == ([], 1)
    assert remote(registry)[-2:] == ["a", "b"]


def test_a_name_that_is_told_twice_takes_one_place() -> None:
    registry = WorkerRegistry("here")
    registry._learn(news(*(f"w{number}" for number in range(MAX_REMOTE - 2))))
    registry._learn(news("twice", "twice", "last", runner="second"))
    assert (len(registry.remote_workers), registry.refused) == (MAX_REMOTE, 0)


def test_a_name_has_so_many_letters_and_no_more() -> None:
    """Its own, and its runner's; those beside it are known all the same."""
    registry = WorkerRegistry("here")
    fits, too_long = "x" * MAX_NAME, "x" * (MAX_NAME + 1)
    registry._learn(news(fits, too_long, "short", runner=fits))
    assert (remote(registry), registry.refused) == ([fits, "short"], 1)
    assert not registry._learn(news("a", "b", runner=too_long))
    assert (remote(registry), registry.refused) == ([fits, "short"], 3)
