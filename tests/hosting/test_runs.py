"""The runs of the app on one connection, without a server, in virtual time."""

import logging
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing
from attrs import define, field

from trio_transports.errors import ConnectionClosed, Ending
from trio_transports.hosting.app_run import AppRun
from trio_transports.hosting.runs import Runs


@define(eq=False)
class Hosting:
    """What a run asks of its connection; ``app`` is what it runs."""

    app: Callable[..., Awaitable[None]]
    sent: list[Any] = field(factory=list)
    aborted: int = 0
    goodbyes: int = 0
    stalls: bool = False
    max_app_queue_size: int = 2

    async def send(self, event: Any) -> None:  # noqa: ANN401
        self.sent.append(event)
        if self.stalls:
            await trio.sleep_forever()

    async def say_goodbye(self) -> None:
        self.goodbyes += 1
        if self.stalls:
            await trio.sleep_forever()

    def run(self) -> AppRun:
        def abort() -> None:
            self.aborted += 1

        async def interrupt() -> None: ...

        async def error(message: str, *values: object, exc_info: object = None) -> None:
            logging.getLogger("app").error(message, *values)

        async def info(message: str, *values: object) -> None: ...

        config: Any = SimpleNamespace(
            max_app_queue_size=self.max_app_queue_size, log=SimpleNamespace(error=error, info=info)
        )
        app: Any = self.app
        scope: Any = {"type": "http", "path": "/here"}
        stream: Any = object()
        return AppRun(app, config, scope, self.send, stream, abort, 3.0, lambda task: None, interrupt)


class Websocket:
    """One that is open until it is told that it ends."""

    has_ended_well = False

    def __init__(self) -> None:
        self.endings: list[Ending] = []
        self.closed = self.shutdowns = 0
        self.was_accepted = True
        self.is_refused = False
        self.ways = SimpleNamespace(close=self._close)

    def _close(self) -> None:
        self.closed += 1

    @property
    def is_open(self) -> bool:
        return not self.endings

    def end(self, ending: Ending) -> None:
        self.endings.append(ending)

    def shut_down(self) -> None:
        self.shutdowns += 1


def with_websocket(run: AppRun) -> Any:  # noqa: ANN401
    websocket: Any = Websocket()
    run.websocket = websocket
    return websocket


async def forever(*_: object) -> None:
    await trio.sleep_forever()


async def at_once(*_: object) -> None: ...


def no_host() -> Any:  # noqa: ANN401
    refused: list[str] = []
    leaving = SimpleNamespace(is_leaving=False, call_ended=trio.lowlevel.ParkingLot())
    return SimpleNamespace(leaving=leaving, counting=SimpleNamespace(refuse=refused.append), refused=refused)


async def test_all_that_are_alive_are_cancelled(autojump_clock: trio.testing.MockClock) -> None:
    """Each, and who waits for their end hears of it after the last; a run that comes later is not cancelled."""
    runs, hosting = Runs(no_host()), Hosting(forever)
    for _ in range(2):
        async with trio.open_nursery() as nursery:
            for run in (hosting.run(), hosting.run()):
                runs.add(run)
                nursery.start_soon(runs.run, run, hosting.say_goodbye)
            await trio.testing.wait_all_tasks_blocked()
            assert len(runs) == 2
            runs.cancel()
            with trio.fail_after(1):
                await runs.ended()
            assert len(runs) == 0
    assert hosting.goodbyes == 4


async def test_who_waits_for_their_end_waits_for_the_last(autojump_clock: trio.testing.MockClock) -> None:
    seconds = iter((1, 2))

    async def some_seconds(*_: object) -> None:
        await trio.sleep(next(seconds))

    runs, hosting = Runs(no_host()), Hosting(some_seconds)
    async with trio.open_nursery() as nursery:
        for run in (hosting.run(), hosting.run()):
            runs.add(run)
            nursery.start_soon(runs.run, run, hosting.say_goodbye)
        started_s = trio.current_time()
        await runs.ended()
        assert trio.current_time() - started_s == pytest.approx(2)


@pytest.mark.parametrize(("is_leaving", "why"), [(False, "app"), (True, "leaving")])
async def test_a_call_that_was_never_accepted_is_counted(is_leaving: bool, why: str) -> None:
    """Once, with the reason; one that was is not."""
    host, hosting = no_host(), Hosting(at_once)
    host.leaving.is_leaving = is_leaving
    runs = Runs(host)
    for was_accepted in (False, True):
        run = hosting.run()
        with_websocket(run).was_accepted = was_accepted
        runs.add(run)
        await runs.run(run, hosting.say_goodbye)
        assert host.refused == [why]


async def test_each_websocket_is_told() -> None:
    """Of the stop of the server, and of the end of the connection; plain requests have an event for the latter."""
    runs, hosting = Runs(no_host()), Hosting(forever)
    plain, call = hosting.run(), hosting.run()
    websocket = with_websocket(call)
    runs.add(plain)
    runs.add(call)
    assert runs.refused == []
    websocket.is_refused = True
    assert runs.refused == [call]
    runs.shut_down()
    assert websocket.shutdowns == 1
    await runs.peer_left()
    assert websocket.endings == [Ending(1006, "", "error")]
    assert await plain._queue.receive() == {"type": "http.disconnect"}


async def test_who_waits_for_calls_hears_of_the_end_of_each(autojump_clock: trio.testing.MockClock) -> None:
    """Of a WebSocket, not of a plain request."""
    host = no_host()
    runs, heard = Runs(host), 0

    async def hear() -> None:
        nonlocal heard
        while True:
            await host.leaving.call_ended.park()
            heard += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(hear)
        await trio.testing.wait_all_tasks_blocked()
        for is_call in (True, False, True):
            hosting = Hosting(at_once)
            run = hosting.run()
            if is_call:
                with_websocket(run)
            runs.add(run)
            await runs.run(run, hosting.say_goodbye)
            await trio.testing.wait_all_tasks_blocked()
        assert heard == 2
        nursery.cancel_scope.cancel()


async def test_others_have_their_turn_while_each_run_is_told() -> None:
    """There may be a hundred of them."""
    runs, hosting = Runs(no_host()), Hosting(forever)
    for _ in range(5):
        runs.add(hosting.run())
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count)
        await runs.peer_left()
        assert turns >= 3
        nursery.cancel_scope.cancel()


async def test_nobody_waits_for_an_app_while_it_is_said_goodbye_for(autojump_clock: trio.testing.MockClock) -> None:
    """The reader of its connection goes on as soon as it was cancelled, and its socket is nobody else's."""
    hosting = Hosting(forever, stalls=True)
    run = hosting.run()
    websocket = with_websocket(run)
    went_on_s: list[float] = []

    async def put() -> None:
        for _ in range(3):
            await run.put({"type": "websocket.receive"})
        went_on_s.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run.run, hosting.say_goodbye)
        nursery.start_soon(put)
        await trio.sleep(1)
        assert (went_on_s, websocket.closed) == ([], 0)
        run.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert (went_on_s, websocket.closed) == ([1], 1)
    assert trio.current_time() == 1.25


async def test_a_cancelled_call_says_where_it_goes(autojump_clock: trio.testing.MockClock) -> None:
    """1001, once, while it is open; and it is gone in a moment though nothing can be written any more."""
    for stalls, is_open in ((False, True), (True, True), (False, False)):
        hosting = Hosting(forever, stalls=stalls)
        run = hosting.run()
        websocket = with_websocket(run)
        if not is_open:
            websocket.end(Ending(1000, "", "remote"))
        started_s = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run.run, hosting.say_goodbye)
            await trio.testing.wait_all_tasks_blocked()
            run.cancel()
        assert [(event["type"], event["code"]) for event in hosting.sent] == [("websocket.close", 1001)] * is_open
        assert hosting.goodbyes == (not stalls)
        assert trio.current_time() - started_s == pytest.approx(0.25 if stalls else 0)
        assert websocket.closed


async def test_what_the_app_leaves_open_is_bounded(autojump_clock: trio.testing.MockClock) -> None:
    """The server finishes it; where that cannot be written within its time, the stream is aborted."""
    for stalls in (False, True):
        hosting = Hosting(at_once, stalls=stalls)
        started_s = trio.current_time()
        await hosting.run().run(hosting.say_goodbye)
        assert hosting.sent == [None]
        assert hosting.aborted == stalls
        assert trio.current_time() - started_s == pytest.approx(3 if stalls else 0)


async def test_what_arrives_for_an_app_that_has_returned_is_dropped(autojump_clock: trio.testing.MockClock) -> None:
    """Nobody waits for room behind it."""
    hosting = Hosting(at_once)
    run = hosting.run()
    await run.run(hosting.say_goodbye)
    with trio.fail_after(1):
        for _ in range(5):
            await run.put({"type": "http.request"})


@pytest.mark.parametrize(("size", "room"), [(0, 1), (1, 1), (2, 2)])
async def test_so_many_events_wait_for_an_app(size: int, room: int, autojump_clock: trio.testing.MockClock) -> None:
    """One at least, or it would hear of none."""
    run = Hosting(forever, max_app_queue_size=size).run()
    puts = 0
    with trio.move_on_after(1):
        for _ in range(5):
            await run.put({"type": "http.request"})
            puts += 1
    assert puts == room


@pytest.mark.parametrize("is_call", [True, False])
async def test_news_of_the_peers_end_needs_no_room(is_call: bool, autojump_clock: trio.testing.MockClock) -> None:
    """A WebSocket has ended by it; an app that is asked for a page hears of it behind what was queued."""
    run = Hosting(forever, max_app_queue_size=1).run()
    websocket = with_websocket(run) if is_call else None
    kind = "websocket" if is_call else "http"
    await run.put({"type": f"{kind}.first"})
    with trio.fail_after(1):
        await run.put({"type": f"{kind}.disconnect"})
    if websocket is not None:
        assert websocket.endings == [Ending(1006, "", "error")]
    else:
        heard = [(await run._queue.receive())["type"] for _ in range(3)]
        assert heard == ["http.first", "http.disconnect", "http.disconnect"]


async def test_an_error_of_the_app_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """With the path, and it ends its own run alone."""

    async def fails(*_: object) -> None:
        raise ValueError("mine")

    hosting = Hosting(fails)
    await hosting.run().run(hosting.say_goodbye)
    assert [record.getMessage() for record in caplog.records] == ["Error in ASGI Framework (/here)"]
    assert hosting.sent == [None]


@pytest.mark.parametrize(("has_ended_well", "logged"), [(True, 0), (False, 1)])
async def test_the_end_of_another_call_is_an_error(
    has_ended_well: bool, logged: int, caplog: pytest.LogCaptureFixture
) -> None:
    """How the app's own call ended is no fault of it; an end that comes out while the call goes on is one."""

    async def fails(*_: object) -> None:
        raise ConnectionClosed(1006)

    hosting = Hosting(fails)
    run = hosting.run()
    with_websocket(run).has_ended_well = has_ended_well
    await run.run(hosting.say_goodbye)
    assert len(caplog.records) == logged
