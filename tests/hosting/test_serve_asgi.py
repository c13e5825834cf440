"""serve_asgi from its call to its return, with its sockets and its connections played by the test."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing
from attrs import define, field
from hypercorn.config import Config

from tests.real.asgi.hosts import LogLines, quiet_config
from trio_transports.errors import LocalProtocolError
from trio_transports.hosting import serve_asgi, server
from trio_transports.hosting.host import Host

_STOP_S = 2.0
ADDRESSES = ["http://one", "https://two"]


@define(eq=False)
class PlayedServer:
    """Takes two seconds to stop; everything that is asked of it stands in ``did``, with when."""

    host: Host
    addresses: object
    wakes: object
    did: list[tuple[object, ...]]
    ended: trio.Event = field(factory=trio.Event)

    async def run(self, listeners: object) -> None:
        self.did.append((trio.current_time(), "runs", listeners))
        await self.ended.wait()

    async def drain(self, seconds: float) -> None:
        self.did.append((trio.current_time(), "drains", seconds))
        await trio.sleep(seconds)

    async def retire(self) -> None:
        self.did.append((trio.current_time(), "retires"))
        await trio.sleep(5)

    async def stop(self, *, at_once: bool) -> None:
        await trio.sleep(_STOP_S)
        self.did.append((trio.current_time(), "has stopped", at_once))
        self.ended.set()


@define(eq=False)
class Serving:
    """A call of serve_asgi."""

    monkeypatch: pytest.MonkeyPatch
    did: list[tuple[object, ...]] = field(factory=list)
    served: list[PlayedServer] = field(factory=list)
    config: Config = field(init=False)
    log: LogLines = field(init=False)
    addresses: object = None
    """What was told when it had started."""

    def __attrs_post_init__(self) -> None:
        self.config, self.log = quiet_config()
        self.monkeypatch.setattr(server, "_Server", self._server)
        self.monkeypatch.setattr(server, "bound_sockets", self._bound_sockets)
        self.monkeypatch.setattr(server, "listeners_of", lambda sockets, backlog: ([(sockets, backlog)], ADDRESSES))
        self.monkeypatch.setattr(
            server, "tell_if_everywhere", lambda config, sockets: self.did.append(("tells of", sockets))
        )

    def _server(self, host: Host, addresses: object, wakes: object) -> PlayedServer:
        self.served.append(PlayedServer(host, addresses, wakes, self.did))
        return self.served[-1]

    @contextmanager
    def _bound_sockets(self, _config: Config) -> Iterator[str]:
        yield "sockets"
        self.did.append((trio.current_time(), "closed"))

    async def app(self, _scope: object, receive: Callable[[], Awaitable[Any]], send: Any) -> None:  # noqa: ANN401
        for stage in ("startup", "shutdown"):
            await receive()
            self.did.append((trio.current_time(), stage))
            await send({"type": f"lifespan.{stage}.complete"})

    async def serve(self, **settings: Any) -> None:  # noqa: ANN401
        async with trio.open_nursery() as nursery:
            self.addresses = await nursery.start(partial(serve_asgi, self.app, self.config, **settings))

    @property
    def steps(self) -> list[object]:
        """What was done from the moment on that it served."""
        return [step for step in self.did if step[0] not in (0, "tells of")]


@pytest.fixture
def serving(monkeypatch: pytest.MonkeyPatch) -> Serving:
    return Serving(monkeypatch)


async def test_it_begins_in_order(serving: Serving, autojump_clock: trio.testing.MockClock) -> None:
    """The app has started before anybody is served; then each address is said, and given to who has started it."""
    serving.config.backlog = 17
    await serving.serve(shutdown_trigger=partial(trio.sleep, 1))
    assert serving.did[0] == (0, "startup")
    assert serving.did[1] == ("tells of", "sockets")
    assert (0, "runs", [("sockets", 17)]) in serving.did
    assert serving.addresses == ADDRESSES
    said = [record.getMessage() for record in serving.log.records]
    assert said == [f"Running on {address} (CTRL + C to quit)" for address in ADDRESSES]


async def test_calls_may_finish_before_it_stops(serving: Serving, autojump_clock: trio.testing.MockClock) -> None:
    """For as long as was said; the app is told of the shutdown after that, and the sockets are closed last."""
    await serving.serve(shutdown_trigger=partial(trio.sleep, 1), drain=7)
    assert serving.steps == [
        (1, "drains", 7),
        (8 + _STOP_S, "has stopped", False),
        (8 + _STOP_S, "shutdown"),
        (8 + _STOP_S, "closed"),
    ]


async def test_ctrl_c_is_a_shutdown(serving: Serving, autojump_clock: trio.testing.MockClock) -> None:
    async def interrupt() -> None:
        await trio.sleep(1)
        raise KeyboardInterrupt

    await serving.serve(shutdown_trigger=interrupt)
    assert serving.steps[:2] == [(1, "drains", 0), (1 + _STOP_S, "has stopped", False)]


async def test_a_cancelled_server_still_says_goodbye(serving: Serving, autojump_clock: trio.testing.MockClock) -> None:
    """Without the time for calls to finish; its app is cancelled instead of told."""
    with trio.move_on_after(1):
        await serving.serve(drain=7)
    assert serving.steps == [(1 + _STOP_S, "has stopped", True)]


async def test_it_retires_by_its_trigger(serving: Serving, autojump_clock: trio.testing.MockClock) -> None:
    """And stops when everybody has gone."""
    await serving.serve(retire_trigger=partial(trio.sleep, 1))
    assert serving.steps[:3] == [(1, "retires"), (6, "drains", 0), (6 + _STOP_S, "has stopped", False)]


@pytest.mark.parametrize(("max_requests", "most"), [(None, None), (5, 5 + 3)])
async def test_it_ends_after_so_many_requests(
    max_requests: int | None, most: int | None, serving: Serving, autojump_clock: trio.testing.MockClock
) -> None:
    """And by chance some more, so that not all that were started together end together."""
    asked: list[tuple[int, int]] = []

    def at_most(*bounds: int) -> int:
        asked.append(bounds)  # type: ignore[arg-type]
        return bounds[1]

    serving.monkeypatch.setattr(server, "randint", at_most)
    serving.config.max_requests, serving.config.max_requests_jitter = max_requests, 3
    await serving.serve(shutdown_trigger=partial(trio.sleep, 1))
    (served,) = serving.served
    assert served.host.context.max_requests == most
    assert asked == ([] if most is None else [(0, 3)])


@pytest.mark.parametrize(
    ("limits", "are_remembered"),
    [({}, False), ({"max_connections_per_address": 1}, True), ({"max_handshakes_per_second": 1}, True)],
)
async def test_addresses_are_remembered_where_one_is_limited(
    limits: dict[str, int],
    are_remembered: bool,
    serving: Serving,
    autojump_clock: trio.testing.MockClock,
) -> None:
    await serving.serve(shutdown_trigger=partial(trio.sleep, 1), **limits)
    (served,) = serving.served
    assert (served.addresses is not None) is are_remembered


async def test_what_it_cannot_serve_is_said_where_it_was_called(serving: Serving) -> None:
    """HTTP/3 is refused; a setting without effect is a warning that names the caller's own line."""
    serving.config.debug = True
    with pytest.warns(RuntimeWarning, match="config.debug has no effect") as warned, trio.move_on_after(0):
        await serve_asgi(serving.app, serving.config)
    assert [record.filename for record in warned] == [__file__]
    serving.config.quic_bind = ["127.0.0.1:1"]
    with pytest.raises(ValueError, match="does not serve HTTP/3"):
        await serve_asgi(serving.app, serving.config)


def test_it_needs_trio() -> None:
    """Another loop is told so, before anything is made."""

    async def app(*_: object) -> None: ...

    call = serve_asgi(app, Config())
    with pytest.raises(LocalProtocolError, match=r"serve_asgi.*trio"):
        call.send(None)
