"""What a bare hypercorn trio worker does not survive, done to ``serve_asgi`` (HAZARDS, hypercorn's trio worker)."""

import pytest
import trio

from tests.real.asgi.apps import AUDIO_MESSAGE, SessionApp, WireApp, echo, read, session_params, until
from tests.real.asgi.healthy import still_serves
from tests.real.asgi.hosts import LATE_S, hosted
from tests.real.asgi.raw_peer import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    close_frame,
    frame,
    raw_peer,
    upgrade_request,
)
from trio_transports import Session
from trio_transports.errors import Ending
from trio_transports.wire.asgi import AsgiWire, Receive, Scope, Send


async def listen(session: Session) -> None:
    async for _ in session.input:
        pass


async def test_a_byte_right_after_the_upgrade_request_ends_one_connection() -> None:
    """A byte that does not wait for the upgrade's answer ends its connection, and leaves neither app nor socket."""
    app = WireApp(echo)
    async with hosted(app) as server:
        with trio.fail_after(30):
            async with raw_peer(server.port) as peer:
                await peer.send(upgrade_request() + b"x")
                await peer.wait_eof()
            await until(lambda: not app.running)
        await still_serves(server)
        assert await server.stop() < 1.5 + LATE_S


async def test_a_body_on_the_upgrade_request_ends_one_connection() -> None:
    """An upgrade request with a body ends its connection and is logged once, and the server goes on."""
    app = WireApp(echo)
    async with hosted(app) as server:
        with trio.fail_after(30):
            for body in (b"a", b"abc", b"abcdef"):
                async with raw_peer(server.port) as peer:
                    await peer.send(upgrade_request(Content_Length="3") + body)
                    await peer.wait_eof()
            await until(lambda: not app.running)
        assert len(server.log.errors) <= 3
        await still_serves(server)


async def test_a_slow_app_hears_of_the_early_byte() -> None:
    """An app that has not accepted yet when its request is refused is told, instead of waiting for ever."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return
        assert (await receive())["type"] == "websocket.connect"
        heard.append((await receive())["type"])
        told.set()

    heard: list[str] = []
    told = trio.Event()
    async with hosted(app) as server:
        with trio.fail_after(30):
            async with raw_peer(server.port) as peer:
                await peer.send(upgrade_request() + b"x")
                await told.wait()
    assert heard == ["websocket.disconnect"]


async def test_a_stalled_peer_ends_within_the_write_timeout() -> None:
    """An app that writes to a peer that never reads is told within the write timeout, without a limit of its own."""

    async def flood(wire: AsgiWire) -> None:
        while True:
            await wire.send(bytes(60_000))

    app = WireApp(flood)
    async with hosted(app, write_timeout=0.5, graceful_timeout=60) as server:
        async with raw_peer(server.port, small_buffers=True) as peer:
            await peer.upgrade()
            with trio.fail_after(8):  # and not after the 10 s that a server has by itself
                await app.returned.wait()
        assert [closed.code for closed in app.endings] == [1006]
        assert await server.stop() < 1.0 + LATE_S


async def test_a_cancelled_write_ends_at_once() -> None:
    """Under the guard a write can be cancelled, and takes its connection with it."""
    took_s: list[float] = []

    async def flood(wire: AsgiWire) -> None:
        began = trio.current_time()
        with trio.move_on_after(0.3):
            while True:
                await wire.send(bytes(60_000))
        took_s.append(trio.current_time() - began)
        await wire.send("never")

    app = WireApp(flood)
    async with hosted(app, write_timeout=60, graceful_timeout=60) as server:
        async with raw_peer(server.port, small_buffers=True) as peer:
            await peer.upgrade()
            with trio.fail_after(30):
                await app.returned.wait()
                await peer.wait_eof()
        assert await server.stop() < 1.0 + LATE_S
    assert took_s[0] < 0.6 + LATE_S
    assert [closed.code for closed in app.endings] == [1006]


async def test_a_stalled_peer_costs_its_session_send_timeout() -> None:
    """A session whose peer never reads ends within send_timeout + close_timeout."""

    async def talk(session: Session) -> None:
        while True:
            await session.output.send_message({"noise": "x" * 50_000})

    app = SessionApp(talk, session_params(send_timeout=0.5, close_timeout=0.5))
    async with hosted(app, write_timeout=60, graceful_timeout=60) as server:
        async with raw_peer(server.port, small_buffers=True) as peer:
            await peer.upgrade()
            with trio.fail_after(30):
                await app.returned.wait()
        assert await server.stop() < 1.0 + LATE_S
    assert app.lasted_s[0] < 0.5 + 0.5 + 1.0 + LATE_S
    assert len(app.disconnected) == 1
    assert app.disconnected[0].initiator == "error"


async def test_an_app_that_returns_with_unread_messages_leaves_nothing() -> None:
    """An app that returns while the peer goes on sending leaves no task and no socket behind."""

    async def leave(wire: AsgiWire) -> None:
        await wire.receive()

    app = WireApp(leave)
    async with hosted(app, graceful_timeout=60) as server:
        with trio.fail_after(30):
            async with raw_peer(server.port) as peer:
                await peer.upgrade()
                await peer.send(frame(TEXT, b"x" * 100) * 1000)
                assert (await peer.read_to_close()).close_code == 1011
                await peer.wait_eof()
        assert await server.stop() < 0.5 + LATE_S


async def test_pongs_come_while_the_handler_does_not_read() -> None:
    """A handler that reads nothing holds up neither pongs nor the peer's close."""

    async def sit(session: Session) -> None:
        await until(lambda: not session.is_connected)

    app = SessionApp(sit, session_params(audio_in_max_queue_secs=0.1))
    async with hosted(app) as server:
        with trio.fail_after(30):
            async with raw_peer(server.port) as peer:
                await peer.upgrade()
                await peer.send(frame(TEXT, AUDIO_MESSAGE) * 200)
                await peer.send(frame(PING, b"alive?"))
                pong = await peer.read_frame()
                assert pong is not None
                assert (pong.opcode, pong.payload) == (PONG, b"alive?")
                await peer.send(close_frame(4000))
                assert (await peer.read_to_close()).close_code == 4000
            await app.returned.wait()
    assert [(event.code, event.initiator) for event in app.disconnected] == [(4000, "remote")]


async def test_the_peers_close_code_is_told() -> None:
    """Under the guard the app learns the peer's own code and reason, which hypercorn reports as 1006."""
    app = WireApp(read)
    async with hosted(app) as server:
        with trio.fail_after(30):
            async with raw_peer(server.port) as peer:
                await peer.upgrade()
                await peer.send(close_frame(4321, "bye"))
                assert (await peer.read_to_close()).close_code == 4321
                await peer.wait_eof()
    closed = app.endings[0]
    assert (closed.code, closed.reason, closed.initiator) == (4321, "bye", "remote")


async def test_a_close_right_behind_messages_is_answered() -> None:
    """A peer that closes while answers are on their way to it has its close answered, every time."""
    app = WireApp(echo)
    async with hosted(app, write_timeout=5) as server:

        async def call() -> None:
            for _ in range(20):
                async with raw_peer(server.port) as peer:
                    await peer.upgrade()
                    await peer.send(frame(BINARY, bytes(640)) * 3)
                    assert await peer.read_frame() is not None
                    await peer.send(close_frame(4000))
                    assert (await peer.read_to_close()).close_code == 4000
                    assert await peer.stream.receive_some() == b""

        with trio.fail_after(100):
            async with trio.open_nursery() as nursery:
                for _ in range(25):
                    nursery.start_soon(call)
        assert server.log.errors == []
    assert {closed.code for closed in app.endings} == {4000}


async def test_a_lost_connection_is_1006() -> None:
    """A peer that vanishes without a close frame is told as 1006, a lost connection."""
    app = WireApp(read)
    async with hosted(app) as server:
        async with raw_peer(server.port) as peer:
            await peer.upgrade()
        with trio.fail_after(30):
            await app.returned.wait()
    assert [(closed.code, closed.initiator) for closed in app.endings] == [(1006, "error")]


async def test_the_end_is_told_on_every_call() -> None:
    """After the end each further send and receive raises, where hypercorn drops the one and blocks in the other."""
    raised: list[str] = []

    async def try_again(wire: AsgiWire) -> None:
        for action in (wire.receive, wire.receive, lambda: wire.send("late"), lambda: wire.send("later")):
            try:
                await action()
            except Exception as exc:
                raised.append(repr(exc))

    app = WireApp(try_again)
    async with hosted(app) as server:
        with trio.fail_after(30):
            async with raw_peer(server.port) as peer:
                await peer.upgrade()
                await peer.send(close_frame(4000, "so long"))
                await peer.wait_eof()
            await app.returned.wait()
    assert raised == ["ConnectionClosed(4000, 'so long', 'remote')"] * 4


async def test_messages_after_our_close_are_dropped() -> None:
    """What the peer sends between this side's close and its answer reaches nobody, and the close completes."""

    async def close(wire: AsgiWire) -> None:
        await wire.receive()
        await wire.aclose(4000, "enough")
        await wire.receive()

    app = WireApp(close)
    async with hosted(app) as server:
        with trio.fail_after(30):
            async with raw_peer(server.port) as peer:
                await peer.upgrade()
                await peer.send(frame(TEXT, b"first"))
                assert (await peer.read_to_close()).close_code == 4000
                await peer.send(frame(TEXT, b"late") * 500 + close_frame(4000))
                await peer.wait_eof()
            await app.returned.wait()
    assert [(closed.code, closed.initiator) for closed in app.endings] == [(4000, "local")]


async def test_a_peer_that_never_answers_the_close_holds_nothing() -> None:
    """A peer that keeps sending and never answers the close is cut off after close_timeout."""

    async def leave(_session: Session) -> None:
        return

    app = SessionApp(leave, session_params(close_timeout=0.3))
    async with hosted(app, graceful_timeout=60) as server:
        async with raw_peer(server.port) as peer:
            await peer.upgrade()
            assert (await peer.read_to_close()).close_code == 1000
            with trio.fail_after(30):
                await app.returned.wait()
                await peer.wait_eof()
        assert await server.stop() < 0.5 + LATE_S


async def test_a_message_over_the_sessions_limit_is_1009() -> None:
    """A message over max_message_bytes gets 1009, and Disconnected says so."""
    app = SessionApp(listen, session_params(max_message_bytes=1000))
    async with hosted(app) as server:
        with trio.fail_after(30):
            async with raw_peer(server.port) as peer:
                await peer.upgrade()
                await peer.send(frame(BINARY, bytes(1001)))
                assert (await peer.read_to_close()).close_code == 1009
                await peer.send(close_frame(1009))
                await peer.wait_eof()
            await app.returned.wait()
    assert [(event.code, event.initiator) for event in app.disconnected] == [(1009, "local")]


async def test_a_message_over_the_limit_is_refused_before_it_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message that never ends is refused at the session's limit, not gathered up to the server's."""
    monkeypatch.setattr("trio_transports.hosting.closing.LINGER_S", 30)  # a busy machine may say the rest late
    monkeypatch.setattr("trio_transports.wire.asgi._TOO_BIG_CLOSE_S", 30)
    app = SessionApp(listen, session_params(max_message_bytes=1000))
    async with hosted(app) as server:
        with trio.fail_after(30):
            async with raw_peer(server.port) as peer:
                await peer.upgrade()
                await peer.send(frame(BINARY, bytes(600), fin=False) + frame(0, bytes(600), fin=False))
                assert (await peer.read_to_close()).close_code == 1009
                await peer.send(frame(0, bytes(60_000), fin=False) * 20 + close_frame(1009))
                await peer.wait_eof()
            await app.returned.wait()
    assert [(event.code, event.initiator) for event in app.disconnected] == [(1009, "local")]


async def test_a_message_over_the_servers_limit_is_told_at_once() -> None:
    """The app hears of hypercorn's own 1009 at once, though the peer never answers it and goes on sending."""
    app = WireApp(read)
    async with hosted(app, websocket_max_message_size=50_000) as server:
        with trio.fail_after(30):
            async with raw_peer(server.port) as peer:
                await peer.upgrade()
                await peer.send(frame(BINARY, bytes(60_000), fin=False))
                assert (await peer.read_to_close()).close_code == 1009
                await app.returned.wait()
    assert [(closed.code, closed.initiator) for closed in app.endings] == [(1009, "local")]


async def test_compression_is_not_agreed_on() -> None:
    """permessage-deflate is offered in vain: what is inflated before its size is checked can fill the memory."""
    app = WireApp(read)
    async with hosted(app) as server:
        with trio.fail_after(30):
            async with raw_peer(server.port) as peer:
                await peer.upgrade(Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits")
                assert peer.status == 101
                assert b"sec-websocket-extensions" not in peer.head.lower()
                await peer.send(frame(TEXT, b"compressed", first_byte=0xC1))
                assert (await peer.read_to_close()).close_code == 1002
            await app.returned.wait()
    assert [(closed.code, closed.initiator) for closed in app.endings] == [(1002, "error")]


async def test_a_violation_of_the_protocol_is_answered() -> None:
    """A peer that sends bad UTF-8 is told 1007, and the app hears the same."""
    app = WireApp(read)
    async with hosted(app) as server:
        with trio.fail_after(30):
            async with raw_peer(server.port) as peer:
                await peer.upgrade()
                await peer.send(frame(TEXT, b"\xff\xfe"))
                assert (await peer.read_to_close()).close_code == 1007
                await peer.wait_eof()
            await app.returned.wait()
    assert [closed.code for closed in app.endings] == [1007]


async def test_hypercorns_pings_do_not_outlive_their_connection() -> None:
    """A long ping interval holds neither the connection's end nor the shutdown."""
    app = WireApp(read)
    async with hosted(app, websocket_ping_interval=60, graceful_timeout=60) as server:
        with trio.fail_after(30):
            async with raw_peer(server.port) as peer:
                await peer.upgrade()
                await peer.send(close_frame())
                await peer.wait_eof()
        assert await server.stop() < 0.5 + LATE_S


async def test_a_silent_peer_is_noticed() -> None:
    """A peer that answers no ping is given up, with the session's own ping_interval and ping_timeout."""
    app = SessionApp(listen, session_params(ping_interval=0.1, ping_timeout=0.2))
    async with hosted(app) as server, raw_peer(server.port) as peer:
        await peer.upgrade()
        with trio.fail_after(30):
            await app.returned.wait()
            pings = 0
            while (got := await peer.read_frame()) is not None:
                pings += got.opcode == PING
    assert pings == 1
    assert [(event.code, event.initiator) for event in app.disconnected] == [(1006, "error")]
    assert "ping" in app.disconnected[0].reason


async def test_a_peer_that_answers_pings_stays() -> None:
    """A peer that answers pings is kept, however quiet it is."""
    app = SessionApp(listen, session_params(ping_interval=0.05, ping_timeout=30))
    async with hosted(app) as server, raw_peer(server.port) as peer:
        await peer.upgrade()
        with trio.fail_after(30):
            for _ in range(5):
                ping = await peer.read_frame()
                assert ping is not None
                assert ping.opcode == PING
                await peer.send(frame(PONG, ping.payload))
            await peer.send(close_frame())
            assert (await peer.read_to_close()).opcode == CLOSE
    assert [(event.code, event.initiator) for event in app.disconnected] == [(1000, "remote")]


async def test_a_ping_behind_a_slow_write_does_not_cost_the_goodbye() -> None:
    """A peer that closes while a ping waits behind what it has not read gets all of that, and its close answered."""

    async def say(wire: AsgiWire) -> None:
        assert wire.server is not None
        wire.server.keep_alive(0.1, 30)
        await wire.send(bytes(2_000_000))

    app = WireApp(say)
    async with hosted(app, write_timeout=30) as server, raw_peer(server.port, small_buffers=True) as peer:
        await peer.upgrade()
        await trio.sleep(0.3)
        await peer.send(close_frame(4000, "bye"))
        await trio.sleep(0.2)
        with trio.fail_after(30):
            message = await peer.read_frame()
            assert message is not None
            assert len(message.payload) == 2_000_000
            assert (await peer.read_to_close()).close_code == 4000
            await peer.wait_eof()
        await app.returned.wait()
    assert [(closed.code, closed.initiator) for closed in app.endings] == [(4000, "remote")]


async def test_a_violation_after_our_close_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that are no frame, in place of the answer to this side's close, are not told as a close by the peer."""
    monkeypatch.setattr("trio_transports.hosting.closing.LINGER_S", 30)  # a busy machine may answer late
    endings: list[Ending | None] = []

    async def close(wire: AsgiWire) -> None:
        assert wire.server is not None
        await wire.aclose(4000)
        endings.append(wire.server.ending)

    app = WireApp(close)
    async with hosted(app) as server:
        with trio.fail_after(30):
            async with raw_peer(server.port) as peer:
                await peer.upgrade()
                assert (await peer.read_to_close()).close_code == 4000
                await peer.send(b"\xff" * 20)
                await peer.wait_eof()
            await app.returned.wait()
        assert server.log.errors == []
    assert [(ending.code, ending.initiator) for ending in endings if ending] == [(1002, "error")]


async def test_a_crash_of_the_app_ends_its_own_connection() -> None:
    """An app that crashes has its traceback logged once, its peer told 1011, and the server goes on."""

    async def crash(wire: AsgiWire) -> None:
        if await wire.receive() == "crash":
            raise RuntimeError("the app's own fault")
        await echo(wire)

    app = WireApp(crash)
    async with hosted(app) as server:
        with trio.fail_after(30):
            async with raw_peer(server.port) as peer:
                await peer.upgrade()
                await peer.send(frame(TEXT, b"crash"))
                assert (await peer.read_to_close()).close_code == 1011
                await peer.wait_eof()
        errors = server.log.errors
        assert len(errors) == 1
        assert errors[0].exc_info is not None
        assert "the app's own fault" in repr(errors[0].exc_info[1])
