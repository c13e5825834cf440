"""What serve_asgi does before and after its connections: what it refuses, where it listens, whom it tells."""

import errno
import logging
import socket
import warnings
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing
from hypercorn.config import Config, Sockets

from tests.hosting.paired import GET
from tests.real.asgi.hosts import quiet_config
from trio_transports.hosting import binding, callers, serve_asgi, server
from trio_transports.hosting.counting import Counting
from trio_transports.wire.refusal import Refusal
from trio_transports.wire.stream import OwnedStream


async def never(*_: object) -> None:
    pytest.fail("served")


@pytest.mark.parametrize(
    ("name", "refused", "taken"),
    [
        ("write_timeout", [0, -1, float("nan")], [0.001]),
        ("header_timeout", [0, -1, float("nan")], [0.001]),
        ("body_timeout", [0, -1, float("nan")], [0.001]),
        ("max_connections_per_address", [0, -1], [1, None]),
        ("max_handshakes_per_second", [0, -1, float("inf"), float("nan")], [0.001, None]),
        ("drain", [-0.001, float("nan")], [0, 0.001]),
    ],
)
async def test_what_may_be_asked_for(
    name: str, refused: list[float], taken: list[float | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is out of range is refused by its name, before anything is made; the edges are in it."""

    def enough(_config: object) -> None:
        raise RuntimeError("enough was seen")

    monkeypatch.setattr(server, "guard_access_log", enough)  # what comes next opens sockets
    for value in refused:
        with pytest.raises(ValueError, match=f"{name} must be .*, not {value!r}"):
            await serve_asgi(never, Config(), **{name: value})  # type: ignore[arg-type]
    for edge in taken:
        with pytest.raises(RuntimeError, match="enough was seen"):
            await serve_asgi(never, Config(), **{name: edge})  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "value"), [("debug", True), ("use_reloader", True)])
def test_what_has_no_effect_is_said(name: str, value: object) -> None:
    config = Config()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        server._check(config)
        config.quic_bind = []
        server._check(config)
    setattr(config, name, value)
    with pytest.warns(RuntimeWarning, match=f"config.{name} has no effect"):
        server._check(config)


def test_http3_is_refused() -> None:
    config = Config()
    config.quic_bind = ["127.0.0.1:0"]
    with pytest.raises(ValueError, match="does not serve HTTP/3"):
        server._check(config)


@pytest.mark.parametrize(("takes_h2", "set_to"), [(False, [["http/1.1", "other"]]), (True, [])])
@pytest.mark.parametrize("has_tls", [True, False])
def test_http2_may_be_left_out_of_what_is_agreed_on(takes_h2: bool, set_to: list[list[str]], has_tls: bool) -> None:
    """Of all that the configuration offers, by its context; without TLS there is nothing to agree on."""
    told: list[list[str]] = []
    context: Any = SimpleNamespace(set_alpn_protocols=told.append) if has_tls else None
    config: Any = SimpleNamespace(alpn_protocols=["h2", "http/1.1", "other"], create_ssl_context=lambda: context)
    assert server._ssl_context(config, takes_h2=takes_h2) is context
    assert told == (set_to if has_tls else [])


@pytest.mark.parametrize(
    ("where", "number", "says"),
    [
        ("127.0.0.1:80", errno.EADDRINUSE, r"127\.0\.0\.1:80 is taken"),
        ("::1:80", errno.EADDRINUSE, r"\[::1\]:80 is taken"),
        ("example", errno.EADDRINUSE, r"example:8000 is taken"),
        (":80", errno.EADDRINUSE, r"0\.0\.0\.0:80 is taken"),
        ("unix:/tmp/x", errno.EADDRINUSE, "cannot listen on unix:/tmp/x: no room; free that address or bind another"),
        ("fd://7", errno.EBADF, "cannot listen on fd://7: no room; free that address or bind another"),
    ],
)
def test_an_address_that_is_taken_is_named(where: str, number: int, says: str) -> None:
    """As the other servers do, with the number of the error."""
    error = binding._cannot_listen(OSError(number, "no room"), where)
    assert error.errno == number
    with pytest.raises(OSError, match=says):
        raise error


def test_an_error_without_a_text_is_said_as_it_is() -> None:
    with pytest.raises(OSError, match="cannot listen on fd://7: it is odd; free"):
        raise binding._cannot_listen(OSError("it is odd"), "fd://7")


class Bound:
    """A socket that is bound to an address."""

    family = socket.AF_INET

    def __init__(self, address: object) -> None:
        self.address = address
        self.did: list[object] = []

    def getsockname(self) -> object:
        return self.address

    def fileno(self) -> int:
        return 7

    def listen(self, backlog: int) -> None:
        self.did.append(("listens", backlog))

    def close(self) -> None:
        self.did.append("closed")


def bound(secure: list[Any], plain: list[Any]) -> Sockets:
    return Sockets(secure_sockets=secure, insecure_sockets=plain, quic_sockets=[])


@pytest.mark.parametrize(
    ("bind", "address", "is_said"),
    [
        ("0.0.0.0:81", ("0.0.0.0", 81), True),
        ("[::]:81", ("::", 81, 0, 0), True),
        ("127.0.0.1:81", ("127.0.0.1", 81), False),
        ("0.0.0.0:81", ("127.0.0.1", 81), False),
        ("fd://7", ("0.0.0.0", 81), False),
        ("unix:/tmp/x", "/tmp/x", False),
        ("unix:0.0.0.0", "0.0.0.0", False),
    ],
)
def test_who_listens_on_every_interface_is_told(
    bind: str, address: object, is_said: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """With the port, and what to bind instead; not who hands over a socket. Of TLS and of plain addresses alike."""
    config = Config()
    config.bind, config.insecure_bind = [bind], [bind]
    caplog.set_level(logging.WARNING)
    binding.tell_if_everywhere(config, bound([Bound(address)], [Bound(address)]))
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == (2 if is_said else 0)
    assert all("port 81:" in line and 'bind = "127.0.0.1:81" is for this machine' in line for line in said)


def test_more_addresses_than_sockets_are_no_fault() -> None:
    """Only those that were bound are looked at: hypercorn leaves the plain ones out where there is no TLS."""
    config = Config()
    config.bind, config.insecure_bind = ["127.0.0.1:1"], ["0.0.0.0:2"]
    binding.tell_if_everywhere(config, bound([], [Bound(("127.0.0.1", 1))]))


def test_each_socket_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the backlog that was asked for, and room for its callers; what is served there is told by its address."""
    room: list[int] = []
    monkeypatch.setattr(binding, "make_room", room.append)
    with socket.socket() as secure, socket.socket() as plain:
        for each in (secure, plain):
            each.bind(("127.0.0.1", 0))
        ports = [each.getsockname()[1] for each in (secure, plain)]
        listeners, addresses = binding.listeners_of(bound([secure], [plain]), 5)
        assert [listener.socket.getsockname()[1] for listener, _ in listeners] == ports
        assert [is_secure for _, is_secure in listeners] == [True, False]
        assert addresses == [f"https://127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}"]
        assert room == [secure.fileno(), plain.fileno()]
        assert all(each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) for each in (secure, plain))


@pytest.mark.parametrize("fails", [True, False])
def test_sockets_are_closed_at_the_end(fails: bool) -> None:
    """Those of TLS and the plain ones, however what listened on them has ended."""
    sockets = [Bound(("", number)) for number in range(3)]
    config: Any = SimpleNamespace(create_sockets=lambda: bound(sockets[:1], sockets[1:]))
    try:
        with binding.bound_sockets(config):
            assert all(each.did == [] for each in sockets)
            if fails:
                raise RuntimeError("mine")
    except RuntimeError:
        assert fails
    assert [each.did for each in sockets] == [["closed"]] * 3


def test_what_hypercorn_left_open_is_closed() -> None:
    """Whether it had put it aside already, or not; and the address it failed at is known."""
    aside, alone = Bound(("", 1)), socket.socket()
    listed = [socket.socket() for _ in range(2)]

    def create() -> None:
        bind, sockets, single, number = "the last one", listed, alone, 7
        raise OSError(errno.EADDRINUSE, f"{bind}{sockets}{single}{number}")

    with pytest.raises(OSError, match="the last one") as failed:
        create()
    assert binding._close_left_open(failed.value) == "the last one"
    assert [each.fileno() for each in (alone, *listed)] == [-1] * 3
    assert aside.did == []


def lifespan_of(app: Callable[..., Any], state: dict[str, Any] | None = None) -> Any:  # noqa: ANN401
    config, _ = quiet_config(startup_timeout=10, shutdown_timeout=10)
    return server._lifespan(partial(app), config, {} if state is None else state)


async def test_an_app_lives_as_long_as_what_it_serves(autojump_clock: trio.testing.MockClock) -> None:
    """Its startup is waited for, and its shutdown, which is told at the end; what it makes of its state is there."""
    did: list[str] = []
    state: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any, *_: object) -> None:  # noqa: ANN401
        for stage in ("startup", "shutdown"):
            did.append((await receive())["type"])
            await trio.sleep(3)
            scope["state"][stage] = "done"
            await send({"type": f"lifespan.{stage}.complete"})

    async with lifespan_of(app, state):
        assert (did, state) == (["lifespan.startup"], {"startup": "done"})
        assert trio.current_time() == 3
        await trio.sleep(10)
        assert did == ["lifespan.startup"]
    assert (did, trio.current_time()) == (["lifespan.startup", "lifespan.shutdown"], 16)


async def test_an_app_without_a_lifespan_is_served(autojump_clock: trio.testing.MockClock) -> None:
    """One that returns at once, or after its startup."""

    async def at_once(*_: object) -> None: ...

    async def half(_scope: Any, receive: Any, send: Any, *_: object) -> None:  # noqa: ANN401
        await receive()
        await send({"type": "lifespan.startup.complete"})

    for app in (at_once, half):
        async with lifespan_of(app):
            await trio.sleep(1)


async def test_a_retirement_is_waited_for(autojump_clock: trio.testing.MockClock) -> None:
    """It begins when its trigger has returned, and the server is told to stop when it is over."""
    retired = trio.Event()
    did: list[tuple[str, float, bool]] = []

    async def retire() -> None:
        did.append(("begins", trio.current_time(), retired.is_set()))
        await trio.sleep(5)

    given: Any = SimpleNamespace(retire=retire)
    await server._retire(given, partial(trio.sleep, 2), retired)
    assert (did, trio.current_time(), retired.is_set()) == ([("begins", 2, False)], 7, True)


@pytest.mark.parametrize(("is_secure", "is_told"), [(False, True), (True, False)])
async def test_who_is_turned_away_can_read_why(
    is_secure: bool, is_told: bool, autojump_clock: trio.testing.MockClock
) -> None:
    """Though it is still sending; then the connection ends. Over TLS it finds it closed."""
    near, far = (trio.SocketStream(trio.socket.from_stdlib_socket(each)) for each in socket.socketpair())
    stream = OwnedStream(near)
    refusal = Refusal(status=429, body="slower\n", headers=(("Retry-After", "1"),))
    got = bytearray()
    async with far, trio.open_nursery() as nursery:
        nursery.start_soon(partial(server._turn_away, stream, refusal, is_secure=is_secure))
        if is_told:
            await far.send_all(GET)
        while data := await far.receive_some():
            got += data
        await trio.testing.wait_all_tasks_blocked()
        assert stream.descriptor.is_closed is not is_told  # it reads on, for a moment
    assert stream.descriptor.is_closed
    head = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 7\r\n\r\n"
    assert bytes(got) == (head + b"slower\n" if is_told else b"")


async def test_who_is_turned_away_and_has_gone() -> None:
    near, far = (trio.SocketStream(trio.socket.from_stdlib_socket(each)) for each in socket.socketpair())
    await far.aclose()
    stream = OwnedStream(near)
    await server._turn_away(stream, Refusal(status=429, body=""), is_secure=False)
    assert stream.descriptor.is_closed


async def test_the_lifespan_knows_of_the_callers(autojump_clock: trio.testing.MockClock) -> None:
    """As every request does, and the app is called with all that it is called with otherwise."""
    seen: list[object] = []

    async def app(scope: Any, *rest: object) -> None:  # noqa: ANN401
        seen.extend([callers(scope), *rest])

    counting = Counting()
    counting.accept()
    counting.accept()
    given: Any = app
    scope: Any = {"type": "lifespan"}
    announced: Any = counting.announced(given)
    await announced(scope, 1, 2, 3, 4)
    assert seen == [counting.callers(), 1, 2, 3, 4]
    assert counting.callers().let_in == 2
    assert callers({"type": "lifespan"}) is None
