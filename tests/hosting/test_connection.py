"""One connection of the server, from its first word to its end."""

from typing import Any

import pytest
import trio
import trio.testing
from hypercorn.trio.worker_context import WorkerContext

from tests.hosting.paired import (
    BODY_S,
    GET,
    HEADER_S,
    KEEP_ALIVE_S,
    Hosting,
    Paired,
    answer,
    client_ssl,
    paired,
    server_ssl,
    silent,
)
from tests.real.asgi.raw_peer import PING, RawPeer, close_frame, frame, upgrade_request
from trio_transports.hosting import callers
from trio_transports.hosting.connection import Connection
from trio_transports.hosting.h1 import GuardedH11
from trio_transports.wire.asgi import EXTENSION
from trio_transports.wire.stream import OwnedStream


def over_tls(pair: Paired, *alpn_protocols: str) -> "trio.SSLStream[trio.SocketStream]":
    assert isinstance(pair.peer.stream, trio.SocketStream)
    return trio.SSLStream(
        pair.peer.stream, client_ssl(*alpn_protocols), server_hostname="localhost", https_compatible=True
    )


async def asked(peer: RawPeer) -> bytes:
    """What is answered to a request."""
    await peer.send(GET)
    with trio.fail_after(1):
        await peer.read_head()
        return bytes(await peer.stream.receive_some()) if not peer._buffer else bytes(peer._buffer)


async def settled() -> None:
    await trio.testing.wait_all_tasks_blocked()


async def test_requests_are_answered_one_after_another(autojump_clock: trio.testing.MockClock) -> None:
    """Each by the app; the connection ends when nothing is asked for any more."""
    hosting = Hosting(answer)
    async with paired(hosting) as pair:
        for _ in range(3):
            await pair.peer.send(GET)
            await pair.peer.read_head()
            assert pair.peer.status == 200
            await settled()
        with trio.fail_after(60):
            await pair.peer.wait_eof()
    assert pair.ended_s == KEEP_ALIVE_S
    assert (hosting.turned_away, hosting.logged) == ({}, [])


async def test_what_an_app_is_told_of_its_server(autojump_clock: trio.testing.MockClock) -> None:
    """What its lifespan has made, as its own copy; whether the server leaves; and who came."""
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401
        seen.append((dict(scope["state"]), sorted(scope["extensions"]), callers(scope), scope["scheme"]))
        scope["state"]["made"] = "by this connection"
        await answer(scope, receive, send)

    hosting = Hosting(app)
    for _ in range(2):
        async with paired(hosting) as pair:
            await pair.peer.send(GET)
            await pair.peer.read_head()
    for state, extensions, counted, scheme in seen:
        assert (state, scheme) == ({"made": "by the lifespan"}, "http")
        assert {"trio_transports.callers", "trio_transports.server"} <= set(extensions)
        assert counted == hosting.host.counting.callers()
    assert len(seen) == 2


@pytest.mark.parametrize("is_secure", [False, True])
@pytest.mark.parametrize(("keep_alive_s", "took_s"), [(HEADER_S + 2, HEADER_S), (HEADER_S - 2, HEADER_S - 2)])
async def test_who_says_nothing_is_sent_away(
    is_secure: bool, keep_alive_s: float, took_s: float, autojump_clock: trio.testing.MockClock
) -> None:
    """After the smaller of the two times that it has for its first word; it is counted, and not logged."""
    settings = {"ssl_handshake_timeout" if is_secure else "keep_alive_timeout": keep_alive_s}
    hosting = Hosting(answer, server_ssl() if is_secure else None, settings=settings)
    async with paired(hosting) as pair:
        with trio.fail_after(60):
            await pair.peer.wait_eof()
    assert pair.ended_s == took_s
    assert (hosting.turned_away, hosting.logged) == ({"time": 1}, [])


@pytest.mark.parametrize("is_secure", [False, True])
async def test_a_request_that_breaks_off_is_counted(is_secure: bool, autojump_clock: trio.testing.MockClock) -> None:
    """Over TLS too, where its peer need not say that it ends."""
    hosting = Hosting(answer, server_ssl() if is_secure else None)
    async with paired(hosting) as pair:
        stream: Any = over_tls(pair) if is_secure else pair.peer.stream
        await stream.send_all(GET[:5])
        await settled()
        pair.peer.stream.socket.shutdown(trio.socket.SHUT_WR)
        with trio.fail_after(1):
            while await stream.receive_some():
                pass
    assert (hosting.turned_away, hosting.logged) == ({"cut off": 1}, [])


async def test_a_body_that_does_not_come_ends_its_connection(autojump_clock: trio.testing.MockClock) -> None:
    """After the time that it has, though the app would wait for ever; it is counted."""
    hosting = Hosting(silent)
    async with paired(hosting) as pair:
        await pair.peer.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab")
        with trio.fail_after(100):
            await pair.peer.wait_eof()
        assert trio.current_time() == BODY_S
        pair.connection.cancel_apps()
    assert hosting.turned_away == {"time": 1}


async def test_nothing_is_made_before_the_first_word(autojump_clock: trio.testing.MockClock) -> None:
    """Neither a reader nor its tasks."""
    async with paired(Hosting(answer)) as pair:
        await settled()
        assert not pair.connection._phase.is_speaking
        await pair.peer.send(GET[:5])
        await settled()
        assert pair.connection._phase.is_speaking


async def test_a_handshake_does_not_use_up_the_time_of_a_request(autojump_clock: trio.testing.MockClock) -> None:
    """Over TLS its head is due since the handshake, and else since the connection came."""
    for is_secure in (False, True):
        hosting = Hosting(answer, server_ssl() if is_secure else None)
        async with paired(hosting) as pair:
            await trio.sleep(HEADER_S - 1)
            stream: Any = over_tls(pair) if is_secure else pair.peer.stream
            await stream.send_all(GET[:5])
            with trio.fail_after(60):
                assert await stream.receive_some() == b""
        assert pair.ended_s == (2 * HEADER_S - 1 if is_secure else HEADER_S)
        assert hosting.turned_away == {"time": 1}


@pytest.mark.parametrize(
    ("taken", "offered", "agreed"),
    [(["h2", "http/1.1"], ["h2"], "h2"), (["h2", "http/1.1"], ["http/1.1"], "http/1.1"), (["h2"], [], None)],
)
async def test_over_tls_the_protocol_is_agreed_on(
    taken: list[str], offered: list[str], agreed: str | None, autojump_clock: trio.testing.MockClock
) -> None:
    """HTTP/1.1 where nothing was."""
    hosting = Hosting(answer, server_ssl(*taken))
    async with paired(hosting) as pair:
        stream = over_tls(pair, *offered)
        with trio.fail_after(60):
            await stream.do_handshake()
            assert stream.selected_alpn_protocol() == agreed
            if agreed == "h2":
                got = await stream.receive_some()
                assert got[3:5] == b"\x04\x00"  # its settings, on its own
            else:
                await stream.send_all(GET)
                got = await stream.receive_some()
                assert got.startswith(b"HTTP/1.1 200")
    assert hosting.logged == []


@pytest.mark.parametrize(("is_leaving", "counted"), [(False, {"tls": 1}), (True, {})])
@pytest.mark.parametrize("says", [b"GET / HTTP/1.1\r\n\r\n", b""])
async def test_what_is_no_handshake_is_counted(
    says: bytes, is_leaving: bool, counted: dict[str, int], autojump_clock: trio.testing.MockClock
) -> None:
    """Noise, or nothing: not where it is the server that ends it, and never logged."""
    hosting = Hosting(answer, server_ssl())
    async with paired(hosting) as pair:
        await settled()
        if is_leaving:
            pair.connection.shut_down()
        else:
            await pair.peer.send(says) if says else pair.peer.stream.socket.shutdown(trio.socket.SHUT_WR)
        with trio.fail_after(1):
            await pair.peer.wait_eof()
    assert (hosting.turned_away, hosting.logged, pair.ended_s) == (counted, [], 0)


@pytest.mark.parametrize(("is_secure", "cause"), [(False, "cut off"), (True, "tls")])
async def test_who_has_gone_before_it_could_be_asked(
    is_secure: bool, cause: str, autojump_clock: trio.testing.MockClock
) -> None:
    """Its socket is closed, and it is counted as one that goes a moment later; nothing is logged. Twice."""
    hosting = Hosting(answer)
    for turn in (1, 2):
        stream = OwnedStream(trio.SocketStream(trio.socket.socket()))
        await Connection(hosting.host, stream, is_secure).run()
        assert stream.descriptor.is_closed
        assert (hosting.turned_away, hosting.logged) == ({cause: turn}, [])


async def test_a_fault_of_the_servers_own_ends_one_connection(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """It is logged once, with the peer's address, and the app hears that the peer is gone."""
    told: list[str] = []

    async def app(_scope: object, receive: Any, _send: object) -> None:  # noqa: ANN401
        while not told or told[-1] != "http.disconnect":
            told.append((await receive())["type"])

    hosting = Hosting(app)
    handle = GuardedH11.handle

    async def fails(protocol: GuardedH11, event: Any) -> None:  # noqa: ANN401
        if getattr(event, "data", b"") == b"fail":
            raise RuntimeError("a fault")
        await handle(protocol, event)

    monkeypatch.setattr(GuardedH11, "handle", fails)
    async with paired(hosting) as pair:
        await pair.peer.send(GET)
        await settled()
        await pair.peer.send(b"fail")
        with trio.fail_after(1):
            await pair.peer.wait_eof()
    assert hosting.logged == ["The connection from  ended by an error"]
    assert told == ["http.request", "http.disconnect"]


@pytest.mark.parametrize("is_websocket", [False, True])
async def test_an_app_that_goes_on_holds_no_socket(is_websocket: bool, autojump_clock: trio.testing.MockClock) -> None:
    """Once its peer has gone the socket is closed; what is the server's own waits for the app, and for nothing else."""
    left_s: list[float] = []

    async def app(_scope: object, receive: Any, send: Any) -> None:  # noqa: ANN401
        await receive()
        if is_websocket:
            await send({"type": "websocket.accept"})
        while not (await receive())["type"].endswith("disconnect"):
            pass
        left_s.append(trio.current_time() - began_s)
        await trio.sleep(100)

    began_s = trio.current_time()
    hosting = Hosting(app, settings={"websocket_ping_interval": 10_000.0})
    async with paired(hosting) as pair:
        await pair.peer.send(upgrade_request() if is_websocket else GET)
        await settled()
        await trio.sleep(3)
        pair.peer.stream.socket.close()
        await settled()
        assert pair.stream.descriptor.is_closed
        assert pair.connection._phase.is_over
        ended_s = [pair.ended_s]
    assert [*ended_s, pair.ended_s] == [None, 103]
    assert (left_s, hosting.logged) == ([3], [])


async def test_a_connection_has_calls_while_a_websocket_is_there(autojump_clock: trio.testing.MockClock) -> None:
    async with paired(Hosting(answer)) as pair:
        seen = [pair.connection.has_calls]
        await pair.peer.upgrade()
        seen.append(pair.connection.has_calls)
        await pair.peer.send(close_frame())
        await pair.peer.wait_eof()
        seen.append(pair.connection.has_calls)
    async with paired(Hosting(silent)) as pair:
        await pair.peer.send(GET)
        await settled()
        seen.append(pair.connection.has_calls)
        pair.connection.cancel_apps()
    assert seen == [False, True, False, False]


@pytest.mark.parametrize("asks", [b"", GET[:5], GET])
@pytest.mark.parametrize("is_secure", [False, True])
async def test_a_server_that_ends_waits_for_nobody_idle(
    asks: bytes, is_secure: bool, autojump_clock: trio.testing.MockClock
) -> None:
    """Also in a handshake, or within a head; what has been asked for is answered first."""
    may_answer = trio.Event()

    async def app(*given: Any) -> None:  # noqa: ANN401
        await may_answer.wait()
        await answer(*given)

    hosting = Hosting(app, server_ssl() if is_secure else None)
    async with paired(hosting) as pair:
        stream: Any = over_tls(pair) if is_secure else pair.peer.stream
        if asks:
            await stream.send_all(asks)
        await settled()
        await trio.sleep(1)
        pair.connection.shut_down()
        if asks == GET:
            await trio.sleep(1)
            may_answer.set()
        if is_secure and not asks:
            await pair.peer.wait_eof()
        else:
            got = bytearray()
            with trio.fail_after(10):
                while data := await stream.receive_some():
                    got += data
            assert got.startswith(b"HTTP/1.1 200") is (asks == GET)
    assert hosting.turned_away == {}
    assert pair.ended_s == (2 if asks == GET else 1)


async def test_a_session_is_told_that_the_server_ends(autojump_clock: trio.testing.MockClock) -> None:
    """Once, also one that begins while it does."""
    told: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401
        async def tell() -> None:
            told.append(scope["path"])

        scope["extensions"][EXTENSION]["connection"].on_shutdown(tell)
        await answer(scope, receive, send)

    hosting = Hosting(app)
    async with paired(hosting) as before, paired(hosting) as meanwhile:
        await before.peer.upgrade("/before")
        await meanwhile.peer.send(b"GET /meanwhile HTTP/1.1\r\n")
        await settled()
        assert told == []
        before.connection.shut_down()
        await settled()
        assert told == ["/before"]
        meanwhile.connection._phase.is_shutting_down = True
        await meanwhile.peer.send(upgrade_request().partition(b"\r\n")[2])
        await settled()
        assert told == ["/before", "/meanwhile"]


async def test_a_server_that_retires_serves_what_is_asked_for_next(autojump_clock: trio.testing.MockClock) -> None:
    """By whoever it has accepted and not served yet, and then nothing more."""
    hosting = Hosting(answer)
    async with paired(hosting) as pair:
        pair.connection.retire()
        await trio.sleep(1)
        await pair.peer.send(GET)
        with trio.fail_after(0.5):
            await pair.peer.wait_eof()
    assert pair.ended_s == 1


@pytest.mark.parametrize("is_websocket", [False, True])
async def test_apps_are_cancelled(is_websocket: bool, autojump_clock: trio.testing.MockClock) -> None:
    """The peer of a WebSocket hears 1001, and each connection ends."""

    async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401
        await receive()
        if is_websocket:
            await send({"type": "websocket.accept"})
        await trio.sleep_forever()

    hosting = Hosting(app)
    async with paired(hosting) as pair:
        if is_websocket:
            await pair.peer.upgrade()
        else:
            await pair.peer.send(GET)
        await settled()
        pair.connection.cancel_apps()
        with trio.fail_after(1):
            if is_websocket:
                assert (await pair.peer.read_to_close()).close_code == 1001
                await pair.peer.send(close_frame(1001))
            await pair.peer.wait_eof()
    assert pair.ended_s == 0
    assert hosting.logged == []


async def test_a_cancelled_connection_tells_its_apps(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """Its socket is closed before they are done with what they do in a shield of their own."""
    told: list[str] = []

    async def app(_scope: object, receive: Any, _send: object) -> None:  # noqa: ANN401
        await receive()
        with trio.CancelScope(shield=True):
            told.append((await receive())["type"])
            await trio.sleep(2)

    hosting = Hosting(app)
    with trio.CancelScope() as serving:
        async with paired(hosting) as pair:
            await pair.peer.send(GET)
            await settled()
            serving.cancel()
            with trio.CancelScope(shield=True):
                await settled()
                assert pair.stream.descriptor.is_closed
    assert (told, pair.ended_s) == (["http.disconnect"], 2)


async def test_ctrl_c_in_an_app_ends_the_server(autojump_clock: trio.testing.MockClock) -> None:
    """Not the connection alone."""

    async def app(*_: object) -> None:
        raise KeyboardInterrupt

    hosting = Hosting(app)
    async with paired(hosting) as pair:
        await pair.peer.send(GET)
        await settled()
        assert isinstance(hosting.host.context, WorkerContext)
        assert hosting.host.context.terminate.is_set()


async def test_a_ping_is_answered_while_a_session_has_the_socket(autojump_clock: trio.testing.MockClock) -> None:
    """What is no message goes back to the connection's reader, and then the session has the socket again."""
    got: list[object] = []
    ways: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401
        await receive()
        await send({"type": "websocket.accept"})
        websocket = scope["extensions"][EXTENSION]["connection"]
        way = websocket.short_way(receive, send)
        ways.append(way)
        while (message := await way.next_message()) is not None:
            got.append(message)

    hosting = Hosting(app)
    async with paired(hosting) as pair:
        await pair.peer.upgrade()
        for number in range(3):
            await pair.peer.send(frame(1, f"{number}".encode()) + frame(PING, b"here?"))
            answered = await pair.peer.read_frame()
            assert answered is not None
            assert (answered.opcode, answered.payload) == (10, b"here?")
            await settled()
            assert ways[0]._is_lent
        await pair.peer.send(close_frame(4000))
        assert (await pair.peer.read_to_close()).close_code == 4000
    assert got == ["0", "1", "2"]


async def test_a_session_that_returns_gives_the_socket_back(autojump_clock: trio.testing.MockClock) -> None:
    """Its peer's goodbye is read at once, though the session had the socket when it ended."""

    async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401
        await receive()
        await send({"type": "websocket.accept"})
        with trio.move_on_after(3):
            await scope["extensions"][EXTENSION]["connection"].short_way(receive, send).next_message()

    async with paired(Hosting(app)) as pair:
        await pair.peer.upgrade()
        with trio.fail_after(4):
            assert (await pair.peer.read_to_close()).close_code == 1011
            await pair.peer.send(close_frame())
            await pair.peer.wait_eof()
    assert pair.ended_s == 3
