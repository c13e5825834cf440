"""The door between a listening socket and a wire: its callers, and its engine, are played by the test."""

import json
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, Final

import pytest
import trio
import trio.testing
from attrs import define, field

from trio_transports.errors import ConnectionClosed, HandshakeRejected
from trio_transports.testing import memory_wire_pair
from trio_transports.wire import Peer, Wire
from trio_transports.wire.accepting import door
from trio_transports.wire.accepting.door import MAX_REFUSING, REFUSING_S, Door, DoorRules
from trio_transports.wire.accepting.leaving import Leaving
from trio_transports.wire.accepting.limits import AddressLimits
from trio_transports.wire.refusal import Page, Refusal
from trio_transports.wire.settings import WireSettings

_CONNECT_S: Final = 8.0
_CLOSE_S: Final = 2.0


@define(eq=False)
class Caller:
    """One that was accepted: it says its first word, and then the rest of its request, each after so long."""

    name: str = "10.0.0.7"
    first_word_after_s: float = 0.0
    request_after_s: float = 0.0
    lag_s: float = 0.0
    """The last is read, and so much time has passed meanwhile: a deadline in it cuts nothing off."""
    peer: Peer = field(factory=Peer)
    is_plain: bool = False
    """It asks for a page."""
    answer: Refusal | Page | None = None
    told: ConnectionClosed | None = None
    """How its WebSocket ended."""
    closed: int = 0
    was_cut: bool = False

    def close(self) -> None:
        self.closed += 1


@asynccontextmanager
async def accept(
    stream: Any,  # noqa: ANN401 - a caller
    *,
    admit: Callable[[Peer], Any],
    plain: Callable[[Peer], Page | None],
    **_: object,
) -> AsyncIterator[Wire]:
    """As an engine does."""
    caller: Caller = stream
    await trio.sleep(caller.request_after_s)
    clock: Any = trio.lowlevel.current_clock()
    clock.jump(caller.lag_s)
    await trio.lowlevel.cancel_shielded_checkpoint()
    if caller.is_plain:
        caller.answer = plain(caller.peer) or Refusal(status=426)
    else:
        caller.answer = await admit(caller.peer)
    if caller.answer is not None:
        raise HandshakeRejected(caller.answer.status)
    near, far = memory_wire_pair()
    has_read = trio.Event()
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def read() -> None:
            try:
                await far.receive()
            except ConnectionClosed as closed:
                caller.told = closed
            finally:
                has_read.set()

        try:
            yield near
        finally:
            near.abort()
            with trio.CancelScope(shield=True):
                await has_read.wait()


@define(eq=False)
class Standing:
    """A door, and the server behind it, where a call lasts so long."""

    monkeypatch: pytest.MonkeyPatch
    limits: AddressLimits = field(factory=AddressLimits)
    connect_timeout_s: float = _CONNECT_S
    allowed_origins: tuple[str, ...] | None = None
    lasts_s: float = 1.0
    fails: bool | Exception = False
    is_full: bool = False
    served: int = 0
    leaving: Leaving = field(factory=Leaving)
    door: Door = field(init=False)

    def __attrs_post_init__(self) -> None:
        rules = DoorRules(
            connect_timeout_s=self.connect_timeout_s,
            close_timeout_s=_CLOSE_S,
            wires=WireSettings(),
            limits=self.limits,
            allowed_origins=self.allowed_origins,
            max_messages_per_second=None,
        )
        engine: Any = SimpleNamespace(accept=accept)
        self.door = Door(rules, engine, lambda: self.is_full)

        async def first_word(caller: Caller) -> None:
            await trio.sleep(caller.first_word_after_s)

        async def cut(caller: Caller) -> None:
            await trio.lowlevel.checkpoint()
            caller.was_cut = True

        self.monkeypatch.setattr(door, "first_word", first_word)
        self.monkeypatch.setattr(door, "peer_address", lambda caller: (caller.name, 1))
        self.monkeypatch.setattr(door, "raw_socket", lambda caller: caller)
        self.monkeypatch.setattr(door, "is_secured", lambda caller: caller.name != "insecure")
        self.monkeypatch.setattr(trio, "aclose_forcefully", cut)

    async def _serve(self, wire: Wire) -> None:
        self.served += 1
        await trio.sleep(self.lasts_s)
        if self.fails:
            raise self.fails if isinstance(self.fails, Exception) else RuntimeError("the bot failed")
        await wire.aclose(1000)

    async def call(self, caller: Caller) -> Caller:
        stream: Any = caller
        await self.door._serve_connection(self._serve, self.leaving, None, stream)
        return caller

    @property
    def turned_away(self) -> dict[str, int]:
        return dict(self.door.callers().turned_away)


async def test_who_may_come_in_is_served(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """Counted from accept to close, and its socket is closed then; twice."""
    standing = Standing(monkeypatch, lasts_s=1000.0)
    for turn in (1, 2):
        caller = Caller()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(standing.call, caller)
            await trio.sleep(100)
            counted = standing.door.callers()
            assert (counted.connections, counted.let_in, caller.closed) == (1, turn, 0)
        assert (caller.answer, caller.closed, standing.served) == (None, 1, turn)
        assert caller.told is not None
        assert caller.told.code == 1000
    assert (standing.door.callers().connections, standing.turned_away) == (0, {})


async def test_who_is_refused_is_told_the_first_reason(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """The server leaves, then: its address has taken too much, then: its origin is wrong. Each is counted as such."""
    standing = Standing(
        monkeypatch,
        AddressLimits(max_connections_per_address=1),
        allowed_origins=("https://good.example",),
        lasts_s=100.0,
    )
    wrong = Peer(headers=(("Origin", "https://bad.example"),))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(standing.call, Caller())
        await trio.testing.wait_all_tasks_blocked()
        expected: dict[str, int] = {}
        for turn in (1, 2):
            for name, status, cause in (("10.0.0.7", 429, "limit"), ("10.0.0.8", 403, "origin or authorize")):
                caller = await standing.call(Caller(name, peer=wrong))
                assert caller.answer is not None
                assert caller.answer.status == status
                assert (caller.told, caller.closed) == (None, 1)
                expected[cause] = turn
                assert standing.turned_away == expected
        assert (await standing.call(Caller("10.0.0.8"))).answer is None
        standing.leaving.begin(1000)
        caller = await standing.call(Caller(peer=wrong))
        assert caller.answer is not None
        assert caller.answer.status == 503
        assert standing.turned_away == {**expected, "leaving": 1}
        nursery.cancel_scope.cancel()


async def test_a_full_server_says_so_on_the_wire(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """And serves the next one once it is not; twice."""
    standing = Standing(monkeypatch)
    for turn in (1, 2):
        standing.is_full = True
        told = (await standing.call(Caller())).told
        assert told is not None
        assert (told.code, told.reason) == (1013, "the server is full: try again later")
        standing.is_full = False
        await standing.call(Caller())
        assert (standing.turned_away, standing.served) == ({"full": turn}, turn)


@pytest.mark.parametrize("slow", [{"first_word_after_s": 100.0}, {"request_after_s": 100.0}])
async def test_a_caller_has_so_long_to_ask(
    slow: dict[str, float],
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """From the first moment on, and no longer where it is to be refused; who is let in has no limit any more."""
    caplog.set_level(logging.DEBUG, "trio_transports.server")
    standing = Standing(monkeypatch, AddressLimits(max_connections_per_address=1), lasts_s=1000.0)
    await standing.call(Caller(**slow))  # type: ignore[arg-type]
    assert trio.current_time() == _CONNECT_S
    assert standing.turned_away == {"time": 1}
    assert "the handshake took longer than 8 s" in caplog.text
    async with trio.open_nursery() as nursery:
        nursery.start_soon(standing.call, Caller(request_after_s=_CONNECT_S - 1))
        await trio.sleep(1)
        began_s = trio.current_time()
        await standing.call(Caller(**slow))  # type: ignore[arg-type]
        assert trio.current_time() == began_s + REFUSING_S
        assert standing.turned_away == {"time": 1, "limit": 1}
    assert standing.served == 1


async def test_who_is_let_in_as_its_time_is_over_is_too_late(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """It is told so, and counted, before a call begins that would be cut off at its first step."""
    standing = Standing(monkeypatch)
    await standing.call(Caller(request_after_s=1.0, lag_s=_CONNECT_S - 1.0))
    assert (standing.served, standing.door.callers().let_in) == (0, 0)
    assert standing.turned_away == {"time": 1}
    await standing.call(Caller(request_after_s=1.0, lag_s=_CONNECT_S - 1.5))
    assert (standing.served, standing.turned_away) == (1, {"time": 1})


async def test_a_caller_to_be_refused_has_no_more_time_than_another(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    standing = Standing(
        monkeypatch, AddressLimits(max_connections_per_address=1), connect_timeout_s=0.25, lasts_s=1000.0
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(standing.call, Caller())
        await trio.testing.wait_all_tasks_blocked()
        await standing.call(Caller(first_word_after_s=100))
        assert trio.current_time() == 0.25
        nursery.cancel_scope.cancel()


async def test_so_many_are_heard_to_be_refused(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """Further ones get no answer, until the others have gone: twice."""
    standing = Standing(monkeypatch, AddressLimits(max_connections_per_address=1), lasts_s=1000.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(standing.call, Caller())
        await trio.testing.wait_all_tasks_blocked()
        for turn in (1, 2):
            callers = [Caller(request_after_s=0.5) for _ in range(MAX_REFUSING + 2)]
            async with trio.open_nursery() as refused:
                for caller in callers:
                    refused.start_soon(standing.call, caller)
                    await trio.testing.wait_all_tasks_blocked()
            assert [caller.was_cut for caller in callers] == [False] * MAX_REFUSING + [True] * 2
            assert [caller.answer is None for caller in callers] == [caller.was_cut for caller in callers]
            assert standing.turned_away == {"limit": MAX_REFUSING * turn, "unheard": 2 * turn}
        nursery.cancel_scope.cancel()


async def test_anybody_may_ask_how_the_server_is(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """At that path alone; what it says changes with the first moment of leaving."""
    standing = Standing(monkeypatch)

    async def farewell() -> None: ...

    for turn, status, said in ((1, 200, "ok"), (2, 503, "leaving")):
        with standing.leaving.guest(farewell):
            if turn == 2:
                standing.leaving.begin(1000)
            page = (await standing.call(Caller(peer=Peer(path="/health"), is_plain=True))).answer
            assert isinstance(page, Page)
            assert (page.status, json.loads(page.body)) == (status, {"status": said, "calls": 1})
            other = (await standing.call(Caller(peer=Peer(path="/"), is_plain=True))).answer
            assert other == Refusal(status=426)
            assert standing.turned_away == {"health check": turn, "request": turn}


async def test_a_failure_is_one_callers(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told 1011, the log has it once, and the server goes on: twice."""
    standing = Standing(monkeypatch, fails=True)
    for turn in (1, 2):
        told = (await standing.call(Caller())).told
        assert told is not None
        assert told.code == 1011
        assert sum("the server goes on" in record.message for record in caplog.records) == turn
    assert (standing.served, standing.turned_away) == (2, {})


@pytest.mark.parametrize(("name", "cause"), [("insecure", "tls"), ("10.0.0.7", "cut off")])
async def test_who_goes_before_it_is_in_is_counted(
    name: str, cause: str, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """By whether its TLS handshake had come about."""
    standing = Standing(monkeypatch)

    def cut_off(_stream: object, **_: object) -> Any:  # noqa: ANN401 - it gives nothing
        raise ConnectionClosed(1006, "it has gone")

    engine: Any = SimpleNamespace(accept=cut_off)
    standing.door._engine = engine
    for turn in (1, 2):
        await standing.call(Caller(name))
        assert standing.turned_away == {cause: turn}
    assert standing.served == 0


async def test_how_a_caller_is_told_of_in_the_log(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A refusal is told to whoever runs the server, a page that was asked for is not."""
    caplog.set_level(logging.DEBUG, "trio_transports.server")
    standing = Standing(monkeypatch)
    for path, level in (("/health", logging.DEBUG), ("/", logging.INFO)):
        caplog.clear()
        await standing.call(Caller(peer=Peer(path=path), is_plain=True))
        assert [record.levelno for record in caplog.records if "was answered" in record.message] == [level]


async def test_it_listens_until_it_leaves(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """Where it was told to, without TLS or with; it says where that is, and serves each who comes."""
    opened: list[tuple[str | None, int]] = []
    secured: list[object] = []
    callers = [Caller(), Caller("10.0.0.8")]

    class Listener:
        async def accept(self) -> Caller:
            await trio.lowlevel.checkpoint()
            return callers.pop(0) if callers else await trio.sleep_forever()

        async def __aenter__(self) -> None: ...

        async def __aexit__(self, *_: object) -> None: ...

    async def open_listeners(host: str | None, port: int) -> list[Any]:
        await trio.lowlevel.checkpoint()
        opened.append((host, port))
        return [Listener()]

    def with_tls(listeners: list[Any], context: object) -> list[Any]:
        secured.append(context)
        return listeners

    monkeypatch.setattr(door, "open_listeners", open_listeners)
    monkeypatch.setattr(door, "listener_address", lambda _: ("127.0.0.1", 4711))
    monkeypatch.setattr(door, "with_tls", with_tls)
    standing = Standing(monkeypatch)
    context, told = ssl.create_default_context(), list[object]()
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def serve() -> None:
            await standing.door.serve(
                standing._serve,
                standing.leaving,
                host="localhost",
                port=0,
                ssl_context=context,
                on_listening=told.append,
            )

        await trio.sleep(5)
        assert (opened, told, standing.served) == ([("localhost", 0)], [(("127.0.0.1", 4711),)], 2)
        assert secured == [context]
        standing.leaving.begin()
    assert trio.current_time() == 5


@pytest.mark.parametrize("end", [ConnectionClosed(1006, "it has gone"), HandshakeRejected(503)])
async def test_who_was_in_was_not_turned_away(
    end: Exception, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """Whatever its call ended of; a connection that has gone is no failure of the server's."""
    standing = Standing(monkeypatch, fails=end)

    @asynccontextmanager
    async def accept_anybody(_stream: object, **_: object) -> AsyncIterator[Wire]:
        yield memory_wire_pair()[0]

    engine: Any = SimpleNamespace(accept=accept_anybody)
    standing.door._engine = engine
    await standing.call(Caller())
    assert (standing.served, standing.turned_away) == (1, {})


@pytest.mark.parametrize(
    ("status", "level"), [(200, logging.DEBUG), (299, logging.DEBUG), (300, logging.INFO), (403, logging.INFO)]
)
def test_an_answer_that_refuses_is_told_of(status: int, level: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "trio_transports.server")
    door._tell_end(HandshakeRejected(status))
    assert [record.levelno for record in caplog.records] == [level]
