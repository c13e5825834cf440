"""What a user's hook raises ends one connection, whatever it is: the server goes on, and the log says what happened."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NoReturn, final

import pytest
import trio
from attrs import define, evolve, frozen
from hypercorn.config import Config

from tests.real.edge.attacks import GOOD, Attack, frame, play, request
from tests.real.hosting import WAYS_IN, Handler, hosted
from trio_transports import AsgiWebsocketParams, AudioFormat, Frame, Session, TextFrame
from trio_transports.bus import WebSocketProxyServer, Worker, WorkerRunner, serve_proxies
from trio_transports.bus.proxy.base import ProxySettings
from trio_transports.hosting import serve_asgi
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.serve import bot_app
from trio_transports.wire import Wire
from trio_transports.wire.engines import ENGINES


class Odd(BaseException):
    """Neither an error nor an exit."""


LEAVING: Final[dict[str, Callable[[], BaseException]]] = {
    "SystemExit": lambda: SystemExit(3),
    "another loop's CancelledError": asyncio.CancelledError,
    "a group": lambda: BaseExceptionGroup("several", [Odd(), ValueError("and this")]),
}
SAYS: Final = frame(0x81, b'{"type": "text", "text": "hello"}')
leaving = pytest.mark.parametrize("leaves", LEAVING.values(), ids=LEAVING.keys())


async def echo(session: Session) -> None:
    async for each in session.input:
        await session.output.send(each)


@final
@frozen
class Raises:
    """A hook that raises for callers of ``/call``; what else it is called with is of no interest."""

    leaves: Callable[[], BaseException]

    def now(self, *_: object) -> NoReturn:
        raise self.leaves()

    async def soon(self, *_: object) -> NoReturn:
        raise self.leaves()


@final
@define
class Unreading:
    """A serializer that fails at what it is given."""

    raises: Raises
    audio_format: AudioFormat | None = None

    def decode(self, message: str | bytes) -> Sequence[Frame]:
        self.raises.now(message)

    def encode(self, frame: Frame) -> Sequence[str | bytes]:
        self.raises.now(frame)


def hooks(raises: Raises) -> dict[str, tuple[dict[str, object], Handler, str]]:
    """For each hook: the parameters with it, the handler, and what the caller may be answered."""
    usual: dict[str, object] = {"serializer": JSONFrameSerializer(), "close_timeout": 0.2}
    ends = "close 1011"
    return {
        "authorize": ({**usual, "authorize": raises.soon}, echo, "500"),
        "a serializer's factory": ({**usual, "serializer": raises.now}, echo, ends),
        "decode": ({**usual, "serializer": partial(Unreading, raises)}, echo, ends),
        "encode": ({**usual, "serializer": partial(Unreading, raises)}, speaks, ends),
        "the handler": (usual, raises.soon, ends),
        "hang_up": ({**usual, "hang_up": raises.soon}, hears_once, "close 1000"),
        "a filter's factory": ({**usual, "audio_in_enabled": True, "audio_in_filter": raises.now}, echo, ends),
    }


async def speaks(session: Session) -> None:
    await session.output.send(TextFrame(text="hello"))
    await session.input.receive()


async def hears_once(session: Session) -> None:
    await session.input.receive()


@leaving
@pytest.mark.parametrize("way_in", WAYS_IN)
async def test_what_a_hook_raises_ends_its_own_connection(
    way_in: str, leaves: Callable[[], BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    """Each hook, twice: the caller is told 500 or 1011, and the next one finds the server."""
    answers: dict[str, list[str]] = {}
    expected: dict[str, list[str]] = {}

    async def call(hook: str, params: dict[str, object], handler: Handler) -> None:
        async with hosted(way_in, handler, **params) as host:
            port = int(host.url.rsplit(":", 1)[1].partition("/")[0])
            answers[hook] = [await play(port, Attack(hook, GOOD, (), after_upgrade=SAYS)) for _ in range(2)]

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for hook, (params, handler, right) in hooks(Raises(leaves)).items():
                is_late = way_in == "fastapi" and hook == "authorize"  # the app has accepted, as apps do
                expected[hook] = ["close 1008" if is_late else right] * 2
                nursery.start_soon(call, hook, params, handler)
    assert answers == expected
    said = [record for record in caplog.records if record.exc_info]
    assert len(said) == 2 * len(expected)


@leaving
async def test_what_a_bots_hooks_raise_ends_its_own_call(
    leaves: Callable[[], BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    """The handler, ``authorize`` and ``gather`` of a ``bot_app``, twice: the next caller finds the server."""
    raises = Raises(leaves)
    params = AsgiWebsocketParams(serializer=JSONFrameSerializer(), close_timeout=0.2)
    apps = {
        "handler": (bot_app(raises.soon, params), b"/ws", "close 1011"),
        "authorize": (bot_app(echo, evolve(params, authorize=raises.soon)), b"/ws", "500"),
        "gather": (bot_app(echo, params, gather=raises.soon), b"/metrics", "500"),
    }
    for hook, (app, path, right) in apps.items():
        config = Config()
        config.bind, config.graceful_timeout = ["127.0.0.1:0"], 1
        stop = trio.Event()
        async with trio.open_nursery() as nursery:
            (address, *_) = await nursery.start(partial(serve_asgi, app, config, shutdown_trigger=stop.wait))
            sends = GOOD if path == b"/ws" else request()
            attack = Attack(hook, sends, (), after_upgrade=SAYS)
            with trio.fail_after(60):
                port = int(address.rsplit(":", 1)[1])
                assert [await play(port, attack, path) for _ in range(2)] == [right] * 2
            stop.set()
    assert len([record for record in caplog.records if record.exc_info]) == 2 * len(apps)


@leaving
@pytest.mark.parametrize("engine", ENGINES)
async def test_what_a_proxys_hooks_raise_ends_its_own_connection(
    engine: str, leaves: Callable[[], BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    """``authorize`` and ``make_proxy`` of ``serve_proxies``, twice."""
    raises = Raises(leaves)
    runner = WorkerRunner("server")
    async with trio.open_nursery() as nursery:
        await nursery.start(runner.run, Worker("far"))
        for hook, make, answer in (("authorize", _proxy, "500"), ("make_proxy", raises.now, "close 1011")):
            serve = partial(
                serve_proxies,
                runner,
                make,
                host="127.0.0.1",
                engine=engine,
                authorize=raises.soon if hook == "authorize" else None,
                settings=ProxySettings(close_timeout=0.2),
            )
            ready = await nursery.start(serve)
            with trio.fail_after(60):
                attack = Attack(hook, GOOD, (), after_upgrade=SAYS)
                assert [await play(ready.port, attack) for _ in range(2)] == [answer] * 2
        runner.cancel()
        nursery.cancel_scope.cancel()
    assert len([record for record in caplog.records if record.exc_info]) == 4


def _proxy(wire: Wire) -> WebSocketProxyServer:
    return WebSocketProxyServer(f"for {wire.peer}", websocket=wire, worker_name="far", remote_worker_name="near")


@pytest.mark.parametrize("engine", ENGINES)
async def test_ctrl_c_is_no_failure_of_one_connection(engine: str) -> None:
    """Raised where a hook of a connection runs, as Python does, it ends the program."""
    with pytest.RaisesGroup(pytest.RaisesExc(KeyboardInterrupt), flatten_subgroups=True):
        async with hosted(engine, Raises(KeyboardInterrupt).soon, serializer=JSONFrameSerializer()) as host:
            port = int(host.url.rsplit(":", 1)[1].partition("/")[0])
            await play(port, Attack("Ctrl-C", GOOD, (), after_upgrade=SAYS))
            await trio.sleep(5)
