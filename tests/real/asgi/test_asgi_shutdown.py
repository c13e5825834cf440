"""How ``serve_asgi`` begins and ends."""

import errno
import gc
import os
import signal
import socket
from contextlib import suppress
from pathlib import Path

import pytest
import trio
from hypercorn.utils import LifespanFailureError

from tests.real.asgi.apps import AUDIO_MESSAGE, SessionApp, WireApp, echo, page, read, session_params
from tests.real.asgi.hosts import LATE_S, App, hosted, quiet_config
from tests.real.asgi.raw_peer import TEXT, close_frame, frame, raw_peer, upgrade_request
from trio_transports import AudioFrame, Session
from trio_transports.hosting import serve_asgi
from trio_transports.wire.asgi import AsgiWire, Receive, Scope, Send


async def listen(session: Session) -> None:
    async for _ in session.input:
        pass


async def test_sessions_are_told_1001() -> None:
    """On shutdown every session sends 1001, its handler sees its input end, and the server does not wait in vain."""
    app = SessionApp(listen, session_params())
    async with hosted(app, graceful_timeout=60) as server, raw_peer(server.port) as one, raw_peer(server.port) as other:
        for peer in (one, other):
            await peer.upgrade()
        server.shutdown.set()
        with trio.fail_after(30):
            for peer in (one, other):
                closed = await peer.read_to_close()
                assert (closed.close_code, closed.close_reason) == (1001, "the server is shutting down")
                await peer.send(close_frame(1001))
                await peer.wait_eof()
            await server.ended.wait()
    assert [(event.code, event.initiator) for event in app.disconnected] == [(1001, "local")] * 2


async def test_queued_audio_is_cut_at_close_timeout() -> None:
    """A session with much to say still says 1001 within close_timeout of the shutdown."""

    async def say(session: Session) -> None:
        await session.output.send(AudioFrame(audio=bytes(16000 * 2 * 30), sample_rate=16000))
        await listen(session)

    app = SessionApp(say, session_params(close_timeout=3))
    async with hosted(app, graceful_timeout=30) as server, raw_peer(server.port) as peer:
        await peer.upgrade()
        assert await peer.read_frame() is not None
        began = trio.current_time()
        server.shutdown.set()
        with trio.fail_after(30):
            assert (await peer.read_to_close()).close_code == 1001
        assert 2.9 < trio.current_time() - began < 3 + LATE_S  # 2 s is the default
        await peer.send(close_frame(1001))


async def test_a_stalled_peer_does_not_hold_the_shutdown() -> None:
    """With a peer that never reads, shutdown takes no longer than graceful_timeout + 1 s, whatever write_timeout is."""

    async def flood(wire: AsgiWire) -> None:
        while True:
            await wire.send(bytes(60_000))

    async with (
        hosted(WireApp(flood), graceful_timeout=0.5, write_timeout=60) as server,
        raw_peer(server.port, small_buffers=True) as peer,
    ):
        await peer.upgrade()
        await trio.sleep(0.3)
        assert await server.stop() < 0.5 + 1.0 + LATE_S


async def test_an_app_that_ignores_the_shutdown_is_cancelled() -> None:
    """What runs past graceful_timeout is cancelled, and its peer is told 1001."""

    async def sleep(_wire: AsgiWire) -> None:
        await trio.sleep_forever()

    async with hosted(WireApp(sleep), graceful_timeout=0.5) as server, raw_peer(server.port) as peer:
        await peer.upgrade()
        assert 0.5 <= await server.stop() < 0.5 + 1.0 + LATE_S
        assert (await peer.read_to_close()).close_code == 1001


async def test_an_app_in_a_shield_loses_its_connection() -> None:
    """An app that shields itself from the shutdown does not keep its connection: its receive ends."""

    async def shielded(wire: AsgiWire) -> None:
        with trio.CancelScope(shield=True):
            await read(wire)

    app = WireApp(shielded)
    async with hosted(app, graceful_timeout=0.3) as server, raw_peer(server.port) as peer:
        await peer.upgrade()
        assert await server.stop() < 0.3 + 1.0 + LATE_S
    assert [closed.code for closed in app.endings] == [1006]


async def test_connections_without_a_request_end_at_once() -> None:
    """Idle, half-sent and finished connections do not hold the shutdown."""
    async with (
        hosted(WireApp(echo), graceful_timeout=60, keep_alive_timeout=60) as server,
        raw_peer(server.port) as idle,
        raw_peer(server.port) as half,
        raw_peer(server.port) as kept,
    ):
        await half.send(b"GET / HTTP/1.1\r\nHo")
        await kept.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await kept.read_head()
        assert await server.stop() < 1.0 + LATE_S
        for peer in (idle, half, kept):
            await peer.wait_eof()


async def test_cancelling_the_server_says_goodbye_too() -> None:
    """Cancelled from outside, sessions say 1001 to peers that are in full flow, and everything ends."""
    app = SessionApp(listen, session_params())
    config, _ = quiet_config(graceful_timeout=60)
    got: list[int] = []
    async with trio.open_nursery() as nursery:
        port = int((await nursery.start(serve_asgi, app, config))[0].rsplit(":", 1)[1])

        async def call(task_status: trio.TaskStatus[None]) -> None:
            told = trio.Event()
            with trio.CancelScope(shield=True), trio.fail_after(30):
                async with raw_peer(port) as peer, trio.open_nursery() as talking:
                    await peer.upgrade()
                    task_status.started()

                    @talking.start_soon
                    async def talk() -> None:
                        with suppress(trio.BrokenResourceError):  # on a busy machine it is not waited for so long
                            while not told.is_set():
                                await peer.send(frame(TEXT, AUDIO_MESSAGE))
                                await trio.sleep(0.001)
                            await peer.send(close_frame(1001))

                    got.append((await peer.read_to_close()).close_code)
                    told.set()
                    await peer.wait_eof()

        for _ in range(3):
            await nursery.start(call)
        await trio.sleep(0.1)
        began = trio.current_time()
        nursery.cancel_scope.cancel()
    assert got == [1001] * 3
    assert trio.current_time() - began < 1.0 + LATE_S
    assert [(event.code, event.initiator) for event in app.disconnected] == [(1001, "local")] * 3


async def test_cancelling_with_a_stalled_peer_is_bounded() -> None:
    """Cancelled from outside with a peer that never reads, the server ends within graceful_timeout."""

    async def talk(session: Session) -> None:
        while True:
            await session.output.send_message({"noise": "x" * 50_000})

    app = SessionApp(talk, session_params(send_timeout=60, close_timeout=60))
    config, _ = quiet_config(graceful_timeout=0.5)
    async with trio.open_nursery() as nursery:
        port = int((await nursery.start(serve_asgi, app, config))[0].rsplit(":", 1)[1])
        async with raw_peer(port, small_buffers=True) as peer:
            await peer.upgrade()
            await trio.sleep(0.3)
            began = trio.current_time()
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 5):
                await app.returned.wait()
    assert trio.current_time() - began < 0.5 + 1.0 + LATE_S


async def test_ctrl_c_is_a_shutdown() -> None:
    """Ctrl-C ends the server as its trigger does: sessions are told, and nothing is raised."""
    app = SessionApp(listen, session_params())
    config, _ = quiet_config(graceful_timeout=3)
    codes: list[int] = []

    async def interrupted() -> None:
        await pressed.wait()
        raise KeyboardInterrupt

    pressed = trio.Event()
    async with trio.open_nursery() as nursery:

        async def run(task_status: trio.TaskStatus[list[str]]) -> None:
            await serve_asgi(app, config, shutdown_trigger=interrupted, task_status=task_status)

        port = int((await nursery.start(run))[0].rsplit(":", 1)[1])
        async with raw_peer(port) as peer:
            await peer.upgrade()
            pressed.set()
            with trio.fail_after(30):
                codes.append((await peer.read_to_close()).close_code)
                await peer.send(close_frame(1001))
                await peer.wait_eof()
    assert codes == [1001]


async def test_max_requests_is_a_shutdown() -> None:
    """The server ends after max_requests, as a hypercorn worker does to be replaced."""
    async with hosted(WireApp(echo), max_requests=2) as server:
        with trio.fail_after(30):
            for _ in range(3):
                async with raw_peer(server.port) as peer:
                    await peer.send(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                    await peer.read_head()
                    assert peer.status == 200
            await server.ended.wait()


async def test_addresses_are_those_bound() -> None:
    """started() gives hypercorn's addresses, with the port that port 0 became."""
    config, _ = quiet_config(bind=["127.0.0.1:0", "127.0.0.1:0"])
    async with trio.open_nursery() as nursery:
        addresses = await nursery.start(serve_asgi, WireApp(echo), config)
        assert len(addresses) == 2
        for address in addresses:
            assert address.startswith("http://127.0.0.1:")
            async with raw_peer(int(address.rsplit(":", 1)[1])) as peer:
                await peer.upgrade()
                assert peer.status == 101
        nursery.cancel_scope.cancel()


async def test_a_unix_socket_is_served(tmp_path: Path) -> None:
    """A Unix socket works, and its peer has an empty address."""
    app = WireApp(echo)
    path = tmp_path / "asgi.sock"
    config, _ = quiet_config(bind=[f"unix:{path}"])
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_asgi, app, config)
        async with await trio.open_unix_socket(str(path)) as stream:
            await stream.send_all(upgrade_request())
            assert b" 101 " in await stream.receive_some()
        nursery.cancel_scope.cancel()


async def test_a_taken_port_costs_no_startup() -> None:
    """A port that is taken is one OSError that names it, before the app's lifespan begins, and leaves no socket."""
    seen: list[str] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        seen.append(scope["type"])

    async with hosted(WireApp(echo)) as server:
        taken = f"127.0.0.1:{server.port}"
        config, _ = quiet_config(bind=["127.0.0.1:0", taken])
        with pytest.raises(OSError, match=f"{taken} is taken: stop what listens there") as refused:
            await serve_asgi(app, config)
        assert refused.value.errno == errno.EADDRINUSE
        assert refused.value.__suppress_context__
    del refused
    gc.collect()  # a socket left open would be a ResourceWarning, which the suite makes an error
    assert seen == []


async def test_an_address_that_cannot_be_is_told(tmp_path: Path) -> None:
    """A port or host that no machine has is an error that names it and says what to do, and leaves no socket open."""
    for address, kind, why in (
        ("127.0.0.1:70000", ValueError, r"127\.0\.0\.1:70000: its port must be"),
        ("no.such.host.invalid:80", OSError, r"the host 'no\.such\.host\.invalid' is not known"),
        (
            "192.0.2.1:0",
            OSError,
            r"192\.0\.2\.1:0 is not an address of this machine: .* \(0\.0\.0\.0: every interface\)",
        ),
        ("192.0.2.1", OSError, r"192\.0\.2\.1:8000 is not an address of this machine"),
        ("[2001:db8::1]:0", OSError, r"\[2001:db8::1\]:0 (is not an address of this machine|cannot be listened on)"),
        (f"unix:{tmp_path}", OSError, f"cannot listen on unix:{tmp_path}: Address already in use; free that address"),
    ):
        config, _ = quiet_config(bind=["127.0.0.1:0", address])
        with pytest.raises(kind, match=why):
            await serve_asgi(WireApp(echo), config)
    gc.collect()


async def test_every_interface_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """An address that whoever reaches this machine can call is said in the log; one that was handed over is not."""
    with socket.socket() as handed_over:
        handed_over.bind(("0.0.0.0", 0))
        for bind, told in (
            (["0.0.0.0:0", "127.0.0.1:0"], 1),
            (["127.0.0.1:0", ":0"], 1),
            (["127.0.0.1:0"], 0),
            ([f"fd://{os.dup(handed_over.fileno())}"], 0),
        ):
            caplog.clear()
            config, _ = quiet_config(bind=bind)
            async with trio.open_nursery() as nursery:
                addresses = await nursery.start(serve_asgi, WireApp(echo), config)
                nursery.cancel_scope.cancel()
            said = [record.getMessage() for record in caplog.records if "every interface" in record.getMessage()]
            assert len(said) == told
            for line in said:
                port = next(each for each in addresses if "0.0.0.0" in each).rpartition(":")[2]
                assert f"port {port}:" in line
                assert f'bind = "127.0.0.1:{port}"' in line


async def test_a_failed_startup_is_raised_as_it_is() -> None:
    """An app that fails its startup makes serve_asgi raise hypercorn's own error, not a group."""

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    config, _ = quiet_config()
    with pytest.raises(LifespanFailureError, match="no database"):
        await serve_asgi(app, config)


async def _returns(scope: Scope, _receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await page(send)


async def _raises(scope: Scope, _receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    await page(send)


@pytest.mark.parametrize("app", [_returns, _raises])
async def test_an_app_without_lifespan_is_served(app: App) -> None:
    """An app that returns at once from its lifespan, or raises, is served all the same."""
    async with hosted(app) as server, raw_peer(server.port) as peer:
        await peer.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await peer.read_head()
        assert peer.status == 200


@pytest.mark.parametrize("cancelled", [False, True])
async def test_the_lifespan_outlives_the_sessions(*, cancelled: bool) -> None:
    """The app's lifespan ends after its last session, on shutdown and on cancellation."""
    order: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            try:
                await receive()
                scope["state"]["greeting"] = "from the lifespan"
                await send({"type": "lifespan.startup.complete"})
                await receive()
                await send({"type": "lifespan.shutdown.complete"})
            finally:
                order.append("lifespan")
        else:
            order.append(scope["state"]["greeting"])
            try:
                await sessions(scope, receive, send)
            finally:
                order.append("session")

    sessions = SessionApp(listen, session_params())
    config, _ = quiet_config(graceful_timeout=3)
    stop = trio.Event()
    async with trio.open_nursery() as nursery:

        async def run(task_status: trio.TaskStatus[list[str]]) -> None:
            await serve_asgi(app, config, shutdown_trigger=stop.wait, task_status=task_status)

        port = int((await nursery.start(run))[0].rsplit(":", 1)[1])
        with trio.CancelScope(shield=True):
            async with raw_peer(port) as peer:
                await peer.upgrade()
                await trio.sleep(0.05)
                if cancelled:
                    nursery.cancel_scope.cancel()
                else:
                    stop.set()
                assert (await peer.read_to_close()).close_code == 1001
                await peer.send(close_frame(1001))
                await peer.wait_eof()
    assert order == ["from the lifespan", "session", "lifespan"]


async def test_what_cannot_work_is_refused() -> None:
    """HTTP/3 is a ValueError, a write_timeout of 0 too, and settings for a process manager warn."""
    config, _ = quiet_config(quic_bind=["127.0.0.1:0"])
    with pytest.raises(ValueError, match="HTTP/3"):
        await serve_asgi(WireApp(echo), config)
    config, _ = quiet_config()
    with pytest.raises(ValueError, match="write_timeout"):
        await serve_asgi(WireApp(echo), config, write_timeout=0)
    config, _ = quiet_config(debug=True)
    with pytest.warns(RuntimeWarning, match=r"config\.debug has no effect"), trio.move_on_after(0.05):
        await serve_asgi(WireApp(echo), config)


async def test_nothing_of_signal_handling_changes() -> None:
    """serve_asgi leaves the process's signal handlers alone."""
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    async with hosted(WireApp(echo)):
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
