"""What a connection speaks, and what of it is refused, as its peer sees it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from tests.hosting.paired import GET, Hosting, Paired, answer, client_ssl, paired, server_ssl
from tests.real.asgi.h2_peer import H2Peer, h2_over
from tests.real.asgi.raw_peer import CLOSE, PING, TEXT, close_frame, frame, upgrade_request
from trio_transports.hosting import is_leaving
from trio_transports.wire.asgi import EXTENSION

MARK = b"\x00\x00\x00"
H2C_UPGRADE = (
    b"GET /up HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: \r\n\r\n"
)


@asynccontextmanager
async def over_h2(hosting: Hosting) -> AsyncIterator[tuple[H2Peer, Paired]]:
    """A connection of HTTP/2, by prior knowledge."""
    assert hosting.takes_h2c
    async with paired(hosting) as pair:
        assert isinstance(pair.peer.stream, trio.SocketStream)
        async with h2_over(pair.peer.stream) as peer:
            yield peer, pair


async def test_http2_is_taken_without_tls_where_it_was_asked_for(autojump_clock: trio.testing.MockClock) -> None:
    """Each of its streams is answered, and HTTP/1.1 beside it is too."""
    hosting = Hosting(answer, takes_h2c=True)
    with trio.fail_after(2):
        async with over_h2(hosting) as (peer, _):
            for _ in range(2):
                page = await peer.open("GET", "/")
                await peer.until(lambda page=page: page.is_over)  # type: ignore[misc]
                assert (page.status, page.data, page.was_reset) == (200, b"hello", False)
        async with paired(hosting) as pair:
            await pair.peer.send(GET)
            await pair.peer.read_head()
            assert pair.peer.status == 200
    assert (hosting.turned_away, hosting.logged) == ({}, [])


async def test_http2_without_tls_is_refused_otherwise(autojump_clock: trio.testing.MockClock) -> None:
    """By an answer that says so, and it is counted."""
    hosting = Hosting(answer)
    async with paired(hosting) as pair:
        await pair.peer.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        with trio.fail_after(2):
            said = await pair.peer.read_rest()
    assert said.startswith(b"HTTP/1.1 505 ")
    assert said.endswith(b"\r\n\r\nthis server speaks HTTP/2 over TLS only\n")
    assert hosting.turned_away == {"request": 1}


@pytest.mark.parametrize("line", [b"PRI / HTTP/1.1", b"GET / HTTP/2.0"])
async def test_half_a_preface_is_a_request_like_any_other(line: bytes, autojump_clock: trio.testing.MockClock) -> None:
    async with paired(Hosting(answer)) as pair:
        await pair.peer.send(line + b"\r\nHost: x\r\n\r\n")
        with trio.fail_after(2):
            await pair.peer.read_head()
    assert pair.peer.status == 200


@pytest.mark.parametrize("takes_h2c", [True, False])
async def test_an_upgrade_to_http2(takes_h2c: bool, autojump_clock: trio.testing.MockClock) -> None:
    """It is taken where it was asked for, and goes on by what follows; else the request is answered as it is."""
    paths: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401
        paths.append(f"{scope['path']} {scope['http_version']}")
        await answer(scope, receive, send)

    hosting = Hosting(app, takes_h2c=takes_h2c)
    async with paired(hosting) as pair:
        preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + MARK + b"\x04\x00" + bytes(4)
        await pair.peer.send(H2C_UPGRADE + preface * takes_h2c)
        with trio.fail_after(2):
            await pair.peer.read_head()
            assert pair.peer.status == (101 if takes_h2c else 200)
            await trio.testing.wait_all_tasks_blocked()
            rest = bytes(pair.peer._buffer)
            if takes_h2c:
                if b"hello" not in rest:
                    rest += await pair.peer.stream.receive_some()
                assert rest.count(MARK + b"\x04\x01") == 1  # the peer's settings, which came behind, are acknowledged
            assert rest.endswith(b"hello") or b"hello" in rest
    assert paths == ["/up 2" if takes_h2c else "/up 1.1"]


@pytest.mark.parametrize(("kind", "has_one"), [("plain", True), ("tls", False), ("h2", False), ("read_timeout", False)])
async def test_who_has_the_short_way(kind: str, has_one: bool, autojump_clock: trio.testing.MockClock) -> None:
    """A WebSocket alone on its socket, once it is open, for the app that has the server's own receive and send."""
    ways: list[bool] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401
        async def elsewhere(*given: object) -> object:
            return await receive(*given)

        short_way = scope["extensions"][EXTENSION]["connection"].short_way
        ways.append(short_way(receive, send) is not None)
        await receive()
        await send({"type": "websocket.accept"})
        ways.extend(
            short_way(*given) is not None for given in ((elsewhere, send), (receive, elsewhere), (receive, send))
        )
        ways.append(short_way(receive, send) is not None)

    settings = {"read_timeout": 10} if kind == "read_timeout" else {}
    hosting = Hosting(app, server_ssl() if kind == "tls" else None, takes_h2c=True, settings=settings)
    with trio.fail_after(5):
        if kind == "h2":
            async with over_h2(hosting) as (peer, _):
                call = await peer.open("CONNECT", "/", websocket=True)
                await peer.until(lambda: call.is_over)
        else:
            async with paired(hosting) as pair:
                assert isinstance(pair.peer.stream, trio.SocketStream)
                if kind == "tls":
                    pair.peer.stream = trio.SSLStream(
                        pair.peer.stream, client_ssl(), server_hostname="localhost", https_compatible=True
                    )
                await pair.peer.upgrade()
                await pair.peer.read_to_close()
                await pair.peer.send(close_frame())
                await pair.peer.wait_eof()
    assert ways == [False, False, False, has_one, False]


async def test_an_app_is_held_back_by_a_peer_that_gives_no_room(autojump_clock: trio.testing.MockClock) -> None:
    """Its stream alone: what is asked for beside it is answered, and the peer's own pings hold nobody. Twice."""
    sent: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401
        if scope["type"] == "http":
            await answer(scope, receive, send)
            return
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            await send({"type": "websocket.send", "bytes": bytes(10_000)})
            sent.append(10_000)

    async with over_h2(Hosting(app, takes_h2c=True)) as (peer, pair):
        call = await peer.open("CONNECT", "/", websocket=True)
        call.reads = False
        await trio.testing.wait_all_tasks_blocked()
        held = sum(sent)
        assert 65_535 < held < 300_000
        for _ in range(2):
            await peer.send(call, frame(PING, b"here?"))
            page = await peer.open("GET", "/")
            with trio.fail_after(1):
                await peer.until(lambda page=page: page.is_over)  # type: ignore[misc]
            assert page.data == b"hello"
            assert sum(sent) == held
        peer._h2.increment_flow_control_window(200_000, call.id)
        await peer._flush()
        await trio.testing.wait_all_tasks_blocked()
        assert sum(sent) > held
        pair.connection.cancel_apps()


async def test_each_app_of_a_cancelled_connection_is_told(autojump_clock: trio.testing.MockClock) -> None:
    """However many share it, in what each does in a shield of its own."""
    told: list[str] = []

    async def app(scope: Any, receive: Any, _send: object) -> None:  # noqa: ANN401
        with trio.CancelScope(shield=True):
            while (await receive())["type"] != "http.disconnect":
                pass
            told.append(scope["path"])

    paths = ["/a", "/b", "/c"]
    with trio.fail_after(5), trio.CancelScope() as serving:
        async with over_h2(Hosting(app, takes_h2c=True)) as (peer, _):
            for path in paths:
                await peer.open("GET", path)
            await trio.testing.wait_all_tasks_blocked()
            assert told == []
            serving.cancel()
    assert sorted(told) == paths


async def test_a_websocket_that_is_over_ends_its_stream(autojump_clock: trio.testing.MockClock) -> None:
    """Behind its Close, and all that was sent before; the peer's half need not have ended. Others go on."""

    async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "last words"})
        if scope["path"] == "/stays":
            await receive()
        await send({"type": "websocket.close", "code": 4000})

    hosting = Hosting(app, takes_h2c=True)
    async with over_h2(hosting) as (peer, pair):
        stays = await peer.open("CONNECT", "/stays", websocket=True)
        for _ in range(2):
            call = await peer.open("CONNECT", "/", websocket=True)
            await trio.testing.wait_all_tasks_blocked()
            await peer.send(call, close_frame(4000))
            with trio.fail_after(1):
                await peer.until(lambda call=call: call.is_over)  # type: ignore[misc]
            assert (call.was_reset, call.status) == (False, 200)
            assert call.data == bytes((0x80 | TEXT, 10)) + b"last words" + bytes((0x80 | CLOSE, 2)) + b"\x0f\xa0"
        assert not stays.is_over
        await peer.send(stays, frame(TEXT, b"go") + close_frame(4000))
        with trio.fail_after(1):
            await peer.until(lambda: stays.is_over)
        assert pair.connection._runs.websockets == []


async def test_an_answer_that_is_on_its_way_is_not_cut_off(autojump_clock: trio.testing.MockClock) -> None:
    """What a peer sends to a WebSocket that is being refused is thrown away; it is the app that has refused it."""
    may_end = trio.Event()

    async def app(_scope: object, receive: Any, send: Any) -> None:  # noqa: ANN401
        await receive()
        await send({"type": "websocket.http.response.start", "status": 403, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b"not ", "more_body": True})
        await may_end.wait()
        await send({"type": "websocket.http.response.body", "body": b"you"})

    hosting = Hosting(app, takes_h2c=True)
    async with over_h2(hosting) as (peer, _):
        call = await peer.open("CONNECT", "/", websocket=True)
        await trio.testing.wait_all_tasks_blocked()
        await peer.send(call, frame(TEXT, b"early"))
        await trio.testing.wait_all_tasks_blocked()
        may_end.set()
        with trio.fail_after(1):
            await peer.until(lambda: call.is_over)
        assert (call.status, call.data, call.was_reset) == (403, b"not you", False)
    assert hosting.turned_away == {"app": 1}


async def test_who_was_told_why_not_was_not_cut_off(autojump_clock: trio.testing.MockClock) -> None:
    """Though nothing was served on its connection, each request that was refused is counted, once."""
    hosting = Hosting(answer, server_ssl("h2"))
    async with paired(hosting) as pair:
        assert isinstance(pair.peer.stream, trio.SocketStream)
        stream = trio.SSLStream(pair.peer.stream, client_ssl("h2"), server_hostname="localhost", https_compatible=True)
        async with h2_over(stream) as peer:
            for _ in range(2):
                refused = await peer.open("CONNECT", "/", websocket=True, protocol="connect-udp")
                with trio.fail_after(1):
                    await peer.until(lambda refused=refused: refused.is_over)  # type: ignore[misc]
                assert refused.status == 501
    assert (hosting.turned_away, hosting.logged) == ({"request": 2}, [])


@pytest.mark.parametrize(
    ("request_bytes", "status", "says"),
    [
        (b"this is not HTTP\r\n\r\n", 400, b""),
        (GET.replace(b"\r\n\r\n", b"\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400, b"not both\n"),
        (upgrade_request().replace(b"Version: 13", b"Version: 8"), 426, b"this server speaks version 13\n"),
        (upgrade_request().replace(b"Host", b"Origin: a\r\nOrigin: b\r\nHost"), 400, b"origin is given twice\n"),
        (upgrade_request().replace(b"HTTP/1.1", b"HTTP/1.0"), 400, b"with HTTP/1.1\n"),
    ],
)
async def test_a_request_that_is_wrong_is_answered_once(
    request_bytes: bytes, status: int, says: bytes, autojump_clock: trio.testing.MockClock
) -> None:
    """With what is wrong, whole; then the connection ends, it is counted, and the app has seen nothing of it."""

    async def app(*_: object) -> None:
        pytest.fail("the app was asked")

    hosting = Hosting(app)
    async with paired(hosting) as pair:
        await pair.peer.send(request_bytes)
        with trio.fail_after(2):
            await pair.peer.read_head()
            body = await pair.peer.read_rest()
    headers = dict(line.lower().split(b": ", 1) for line in pair.peer.head.split(b"\r\n")[1:])
    assert pair.peer.status == status
    assert body.endswith(says)
    assert int(headers[b"content-length"]) == len(body)
    assert headers[b"connection"] == b"close"
    assert headers[b"server"] == b"hypercorn-h11"
    assert hosting.turned_away == {"request": 1}
    assert pair.ended_s == 0


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (upgrade_request(), 405),
        (GET.replace(b"\r\n\r\n", b"\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"), 400),
    ],
)
async def test_a_refused_head_request_gets_no_body(
    request_bytes: bytes, status: int, autojump_clock: trio.testing.MockClock
) -> None:
    """The head says how long it would be; no error of the server's own comes of it."""
    hosting = Hosting(answer)
    async with paired(hosting) as pair:
        await pair.peer.send(request_bytes.replace(b"GET", b"HEAD"))
        with trio.fail_after(2):
            await pair.peer.read_head()
            assert await pair.peer.read_rest() == b""
    assert pair.peer.status == status
    assert (hosting.logged, hosting.turned_away) == ([], {"request": 1})


@pytest.mark.parametrize(
    ("target", "hosts", "seen"),
    [
        (b"/path?q", [b"here"], (b"/path", b"q", [b"here"])),
        (b"http://there/path?q", [b"here"], (b"/path", b"q", [b"there"])),
        (b"HTTPS://user@there:81?q", [b"here"], (b"/", b"q", [b"there:81"])),
        (b"wss://a@b@there", [b"here"], (b"/", b"", [b"there"])),
        (b"ftp://there/path", [b"here"], (b"ftp://there/path", b"", [b"here"])),
        (b"/x?u=http://there/", [b"here"], (b"/x", b"u=http://there/", [b"here"])),
    ],
)
async def test_a_target_in_absolute_form_names_its_host(
    target: bytes, hosts: list[bytes], seen: tuple[bytes, bytes, list[bytes]], autojump_clock: trio.testing.MockClock
) -> None:
    """What ``Host`` says is ignored then, and the rest of the request stays."""
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401
        scopes.append(scope)
        await answer(scope, receive, send)

    async with paired(Hosting(app)) as pair:
        lines = [b"PUT " + target + b" HTTP/1.1", *(b"Host: " + host for host in hosts), b"X-More: yes"]
        await pair.peer.send(b"\r\n".join(lines) + b"\r\n\r\n")
        with trio.fail_after(2):
            await pair.peer.read_head()
    (scope,) = scopes
    assert (scope["raw_path"], scope["query_string"]) == seen[:2]
    assert [value for name, value in scope["headers"] if name == b"host"] == seen[2]
    assert (b"x-more", b"yes") in scope["headers"]
    assert scope["method"] == "PUT"


async def test_two_hosts_are_refused_though_the_target_names_one(autojump_clock: trio.testing.MockClock) -> None:
    hosting = Hosting(answer)
    async with paired(hosting) as pair:
        await pair.peer.send(
            upgrade_request().replace(b"GET /ws", b"GET http://x/ws").replace(b"Host", b"Host: y\r\nHost")
        )
        with trio.fail_after(2):
            await pair.peer.read_head()
            await pair.peer.wait_eof()
    assert (pair.peer.status, hosting.turned_away) == (400, {"request": 1})


async def test_while_calls_may_finish_no_new_one_is_let_in(autojump_clock: trio.testing.MockClock) -> None:
    """It is told to come again; a plain request is served, and finds out."""
    told: list[bool] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401
        told.append(is_leaving(scope))
        await answer(scope, receive, send)

    hosting = Hosting(app)
    for leaves in (False, True):
        hosting.host.leaving.is_leaving = leaves
        async with paired(hosting) as pair:
            await pair.peer.send(GET)
            await pair.peer.read_head()
            assert pair.peer.status == 200
        async with paired(hosting) as pair:
            await pair.peer.upgrade()
            assert pair.peer.status == (503 if leaves else 101)
            if leaves:
                assert b"\r\nretry-after: 1\r\n" in pair.peer.head
                assert b"\r\ncontent-length: 27" in pair.peer.head
                with trio.fail_after(2):
                    assert await pair.peer.read_rest() == b"the server is shutting down"
    assert told == [False, False, True]
    counted = hosting.host.counting.callers()
    assert (counted.let_in, dict(counted.turned_away)) == (1, {"leaving": 1})


@pytest.mark.parametrize("scope", [{}, {"extensions": None}, {"extensions": {"trio_transports.server": object()}}])
def test_another_server_leaves_without_a_word(scope: dict[str, Any]) -> None:
    assert is_leaving(scope) is False


async def test_who_speaks_too_early_has_gone(autojump_clock: trio.testing.MockClock) -> None:
    """Bytes behind a request for a WebSocket that the app has not answered yet: it hears of an end, and why."""
    heard: list[Any] = []

    async def app(_scope: object, receive: Any, _send: object) -> None:  # noqa: ANN401
        for _ in range(2):
            heard.append(await receive())

    hosting = Hosting(app)
    async with paired(hosting) as pair:
        await pair.peer.send(upgrade_request() + frame(TEXT, b"early"))
        with trio.fail_after(5):
            await pair.peer.wait_eof()
    assert [event["type"] for event in heard] == ["websocket.connect", "websocket.disconnect"]
    assert heard[1] == {
        "type": "websocket.disconnect",
        "code": 1006,
        "reason": "it sent data before its upgrade was answered",
    }
