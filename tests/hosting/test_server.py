"""The server between its listener and its connections: both are played by the test, in virtual time."""

from types import SimpleNamespace
from typing import Any, Final

import pytest
import trio
import trio.testing
from attrs import define, field
from hypercorn.config import Config
from hypercorn.logging import Logger
from hypercorn.trio.statsd import StatsdLogger
from hypercorn.trio.worker_context import WorkerContext

from trio_transports.hosting import server
from trio_transports.hosting.counting import Counting
from trio_transports.hosting.leaving import LeavingNotice
from trio_transports.hosting.server import _Server
from trio_transports.wire.accepting.door import MAX_REFUSING
from trio_transports.wire.accepting.limits import Addresses, AddressLimits

_GRACEFUL_S: Final = 3.0
_LAST_S: Final = 0.5


@define(eq=False)
class Caller:
    """One that was accepted, as a stream and as its own guarded one."""

    name: str = "10.0.0.7"
    closed: int = 0
    """How often its socket was."""
    was_cut: bool = False
    opened_with: list[object] = field(factory=list)

    @property
    def socket(self) -> Any:  # noqa: ANN401
        return SimpleNamespace(close=self._close)

    def _close(self) -> None:
        self.closed += 1

    def opened(self, wakes: object) -> None:
        self.opened_with.append(wakes)

    def close(self) -> None:
        self.was_cut = True


@define(eq=False)
class Played:
    """A connection that is served for so long."""

    caller: Caller
    lasts_s: float
    fails: bool
    told: list[str] = field(factory=list)
    has_calls: bool = True
    _cancelled: trio.CancelScope = field(factory=trio.CancelScope)

    async def run(self) -> None:
        with self._cancelled:
            await trio.sleep(self.lasts_s)
        if self.fails:
            raise RuntimeError("a connection failed")

    def retire(self) -> None:
        self.told.append("retire")

    def shut_down(self) -> None:
        self.told.append("shut down")

    def cancel_apps(self) -> None:
        self.told.append("cancel")
        if self.lasts_s < 1000:
            self._cancelled.cancel()


@define(eq=False)
class Serving:
    """A server, without a listener."""

    monkeypatch: pytest.MonkeyPatch
    limits: AddressLimits | None = None
    lasts_s: float = 10.0
    fails: bool = False
    turned_away: int = 0
    """How many are being told why, at the moment."""
    may_go: trio.Event = field(factory=trio.Event)
    counting: Counting = field(factory=Counting)
    leaving: LeavingNotice = field(factory=LeavingNotice)
    played: list[Played] = field(factory=list)
    terminated: int = 0
    """How often the protocols were told that the server ends."""
    server: _Server = field(init=False)

    def __attrs_post_init__(self) -> None:
        async def terminated() -> None:
            self.terminated += 1

        host: Any = SimpleNamespace(
            counting=self.counting,
            leaving=self.leaving,
            limits=SimpleNamespace(write_timeout_s=1),
            config=SimpleNamespace(graceful_timeout=_GRACEFUL_S),
            context=SimpleNamespace(terminated=SimpleNamespace(set=terminated)),
        )
        self.server = _Server(host, None if self.limits is None else Addresses(self.limits), None)
        self.monkeypatch.setattr(server, "OwnedStream", lambda stream, **_: stream)
        self.monkeypatch.setattr(server, "peer_address", lambda stream: (stream.name, 1))
        self.monkeypatch.setattr(server, "Connection", self._connection)
        self.monkeypatch.setattr(server, "_turn_away", self._turn_away)

    def _connection(self, _host: object, caller: Caller, _is_secure: bool) -> Played:
        self.played.append(Played(caller, self.lasts_s, self.fails))
        return self.played[-1]

    async def _turn_away(self, *_: object, is_secure: bool) -> None:
        self.turned_away += 1
        try:
            await self.may_go.wait()
        finally:
            self.turned_away -= 1

    async def serve(self, caller: Caller) -> None:
        stream: Any = caller
        await self.server._serve_connection(False, stream)


async def test_a_socket_is_closed_when_its_connection_has_ended(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """However it ends; it is counted until then. Twice."""
    for fails in (False, True):
        serving = Serving(monkeypatch, fails=fails)
        for _ in range(2):
            caller = Caller()
            async with trio.open_nursery() as nursery:

                @nursery.start_soon
                async def call(caller: Caller = caller, serving: Serving = serving, fails: bool = fails) -> None:
                    if fails:
                        with pytest.raises(RuntimeError, match="a connection failed"):
                            await serving.serve(caller)
                    else:
                        await serving.serve(caller)

                await trio.sleep(5)
                assert (caller.closed, serving.counting.connections) == (0, 1)
                assert len(serving.server._connections) == 1
            assert (caller.closed, serving.counting.connections, caller.opened_with) == (1, 0, [None])
            assert not serving.server._connections


async def test_who_was_accepted_before_the_end_is_not_served(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """Its socket is closed all the same, and each further one's."""
    serving = Serving(monkeypatch)
    serving.server._is_stopping = True
    for _ in range(2):
        caller = Caller()
        await serving.serve(caller)
        assert (caller.closed, serving.played, serving.counting.connections) == (1, [], 0)
    assert trio.current_time() == 0


async def test_so_many_are_told_why_at_a_time(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """The next ones find their connection closed, until some have gone: twice."""
    serving = Serving(monkeypatch, AddressLimits(max_connections_per_address=1), lasts_s=100.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serving.serve, Caller())
        await trio.testing.wait_all_tasks_blocked()
        for turn in (1, 2):
            serving.may_go = trio.Event()
            callers = [Caller() for _ in range(MAX_REFUSING + 2)]
            for caller in callers:
                nursery.start_soon(serving.serve, caller)
                await trio.testing.wait_all_tasks_blocked()
            assert serving.turned_away == MAX_REFUSING
            assert [caller.was_cut for caller in callers] == [False] * MAX_REFUSING + [True] * 2
            assert serving.counting.callers().turned_away == {"limit": MAX_REFUSING * turn, "unheard": 2 * turn}
            serving.may_go.set()
            await trio.testing.wait_all_tasks_blocked()
            assert serving.turned_away == 0
            assert [caller.closed for caller in callers] == [1] * len(callers)
        other = Caller("10.0.0.8")
        nursery.start_soon(serving.serve, other)
        await trio.testing.wait_all_tasks_blocked()
        assert [played.caller.name for played in serving.played] == ["10.0.0.7", "10.0.0.8"]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("seconds", "took_s"), [(0.0, 0.0), (5.0, 5.0), (50.0, 10.0)])
async def test_calls_under_way_may_finish(
    seconds: float, took_s: float, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """For so long, or until the last has ended; from the first moment on the server is known to leave."""
    serving = Serving(monkeypatch, lasts_s=100.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serving.serve, Caller())
        await trio.testing.wait_all_tasks_blocked()

        @nursery.start_soon
        async def end() -> None:
            await trio.sleep(4)
            serving.leaving.call_ended.unpark_all()  # somebody else's
            await trio.sleep(6)
            serving.played[0].has_calls = False
            serving.leaving.call_ended.unpark_all()

        await serving.server.drain(seconds)
        assert serving.leaving.is_leaving
        assert trio.current_time() == took_s
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("lasts_s", "at_once", "took_s", "told"),
    [
        (1.0, False, 1.0, ["shut down"]),
        (100.0, False, _GRACEFUL_S, ["shut down", "cancel"]),
        (10_000.0, False, _GRACEFUL_S + _LAST_S, ["shut down", "cancel"]),
        (100.0, True, 0.0, ["shut down", "cancel"]),
        (10_000.0, True, _GRACEFUL_S, ["shut down", "cancel"]),
    ],
)
async def test_who_is_still_there_is_told_and_then_cancelled(
    lasts_s: float,
    at_once: bool,
    took_s: float,
    told: list[str],
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: trio.testing.MockClock,
) -> None:
    """With the time to leave by itself first, unless the server was cancelled; who comes meanwhile is not served."""
    serving = Serving(monkeypatch, lasts_s=lasts_s)
    accepted = trio.Event()
    caller: Any = Caller()
    late: Any = Caller()

    async def accept(_listener: object, take: Any) -> None:  # noqa: ANN401
        take(caller)
        accepted.set()
        try:
            await trio.sleep_forever()
        finally:
            take(late)

    monkeypatch.setattr(server, "accept_from", accept)
    listener: Any = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serving.server.run, [(listener, False)])
        await accepted.wait()
        await trio.testing.wait_all_tasks_blocked()
        await serving.server.stop(at_once=at_once)
        assert trio.current_time() == took_s
        assert [played.told for played in serving.played] == [told]
        assert (late.closed, serving.terminated) == (1, 1)
        nursery.cancel_scope.cancel()


async def test_a_server_that_retires_waits_for_whom_it_has(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """It accepts nobody more, tells each, also who was accepted just before, and is not in a hurry."""
    serving = Serving(monkeypatch, lasts_s=500.0)
    caller, late = Caller(), Caller()
    accepting: list[bool] = []

    async def accept(_listener: object, take: Any) -> None:  # noqa: ANN401
        take(caller)
        try:
            await trio.sleep_forever()
        finally:
            accepting.append(False)
            take(late)

    monkeypatch.setattr(server, "accept_from", accept)
    listener: Any = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serving.server.run, [(listener, False)])
        await trio.testing.wait_all_tasks_blocked()
        await serving.server.retire()
        assert trio.current_time() == 500
    assert accepting == [False]
    assert [played.told for played in serving.played] == [["retire"], ["retire"]]
    assert (caller.closed, late.closed) == (1, 1)


@pytest.mark.parametrize(("host", "kind"), [("127.0.0.1:1", StatsdLogger), (None, Logger)])
async def test_what_is_counted_for_statsd_is_told_by_trio(
    host: str | None, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a configuration names a host for that: hypercorn's own default would need another loop."""
    config = Config()
    config.statsd_host = host

    def enough(_config: object) -> None:
        raise RuntimeError("enough was seen")

    async def app(*_: object) -> None: ...

    monkeypatch.setattr(server, "guard_access_log", enough)  # what comes next opens sockets
    with pytest.raises(RuntimeError, match="enough was seen"):
        await server.serve_asgi(app, config)
    assert config.logger_class is kind


@pytest.mark.parametrize("by", ["a signal", "max_requests", "its trigger"])
async def test_what_tells_a_server_to_stop(by: str, autojump_clock: trio.testing.MockClock) -> None:
    """Each by itself; until then it goes on, for as long as that takes."""
    context, signalled, trigger = WorkerContext(None), trio.Event(), trio.Event()
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def tell() -> None:
            await trio.sleep(1000)
            if by == "a signal":
                signalled.set()
            elif by == "max_requests":
                await context.terminate.set()
            else:
                trigger.set()

        with trio.fail_after(2000):
            await server._told_to_stop(trigger.wait if by == "its trigger" else None, context, signalled)
        assert trio.current_time() == 1000
