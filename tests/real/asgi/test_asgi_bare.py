"""Sessions on a bare ``hypercorn.trio.serve``, and on anycorn: what they can hold to without the guard."""

from contextlib import suppress

import pytest
import trio
import trio.testing

from tests.real.asgi.apps import AUDIO_MESSAGE, SessionApp, WireApp, echo, session_params, until
from tests.real.asgi.hosts import LATE_S, hosted
from tests.real.asgi.raw_peer import BINARY, PING, PONG, TEXT, close_frame, frame, raw_peer
from trio_transports import Session
from trio_transports.wire.asgi import AsgiWire


@pytest.fixture(params=["hypercorn", "anycorn"])
def bare(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def listen(session: Session) -> None:
    async for _ in session.input:
        pass


async def talk(session: Session) -> None:
    while True:
        await session.output.send_message({"noise": "x" * 50_000})


async def no_system_tasks_of_ours() -> None:
    """Wait until the tasks that a session left behind have ended."""
    root = trio.lowlevel.current_root_task()
    assert root is not None
    nurseries = root.child_nurseries
    await until(lambda: not any("trio_transports" in task.name for each in nurseries for task in each.child_tasks))


async def test_echo_and_close(bare: str) -> None:
    """Messages go both ways in order, and a close by the app is answered."""

    async def three(wire: AsgiWire) -> None:
        for _ in range(3):
            await wire.send(await wire.receive())
        await wire.aclose(4000, "enough")

    app = WireApp(three)
    async with hosted(app, guarded=False, bare=bare) as server:
        with trio.fail_after(30):
            async with raw_peer(server.port) as peer:
                await peer.upgrade()
                for text in (b"one", b"two", b"three"):
                    await peer.send(frame(TEXT, text))
                got = [await peer.read_frame() for _ in range(3)]
                assert [each.payload for each in got if each] == [b"one", b"two", b"three"]
                closed = await peer.read_to_close()
                assert (closed.close_code, closed.close_reason) == (4000, "enough")
                await peer.send(close_frame(4000))
                await peer.wait_eof()
            await app.returned.wait()


async def test_a_stalled_peer_costs_its_session_send_timeout(bare: str) -> None:
    """A peer that never reads ends its session within send_timeout + close_timeout, though the write is shielded."""
    app = SessionApp(talk, session_params(send_timeout=0.5, close_timeout=0.5))
    async with hosted(app, guarded=False, bare=bare) as server, raw_peer(server.port, small_buffers=True) as peer:
        await peer.upgrade()
        with trio.fail_after(30):
            await app.returned.wait()
        await no_system_tasks_of_ours()
        assert await server.stop() < 1.5 + LATE_S
    assert app.lasted_s[0] < 0.5 + 0.5 + 1.0 + LATE_S
    assert [(event.code, event.initiator) for event in app.disconnected] == [(1006, "error")]


async def test_a_stalled_peer_behind_a_shielded_pong_costs_no_more(bare: str) -> None:
    """Where the server itself is stuck in a write, the session still ends in time."""
    app = SessionApp(talk, session_params(send_timeout=0.5, close_timeout=0.5))
    async with hosted(app, guarded=False, bare=bare) as server:
        async with raw_peer(server.port, small_buffers=True) as peer:
            await peer.upgrade()
            with trio.move_on_after(1), suppress(trio.BrokenResourceError):
                await peer.send(frame(PING, bytes(125)) * 50_000)
            with trio.fail_after(30):
                await app.returned.wait()
        await no_system_tasks_of_ours()
    assert app.lasted_s[0] < 0.5 + 0.5 + 1.0 + LATE_S
    assert len(app.disconnected) == 1


async def test_a_cancelled_session_with_a_stalled_peer_ends_in_time(bare: str) -> None:
    """A handler that raises while a write is stuck is let go within close_timeout."""

    async def crash(session: Session) -> None:
        with trio.move_on_after(0.3):
            await talk(session)
        raise RuntimeError("the handler's own")

    app = SessionApp(crash, session_params(send_timeout=60, close_timeout=0.5))
    async with hosted(app, guarded=False, bare=bare) as server, raw_peer(server.port, small_buffers=True) as peer:
        await peer.upgrade()
        with trio.fail_after(30):
            await app.returned.wait()
        await no_system_tasks_of_ours()
    assert app.lasted_s[0] < 0.3 + 0.5 + 1.0 + LATE_S
    assert len(app.disconnected) == 1


async def test_the_peers_close_is_as_the_server_tells_it(bare: str) -> None:
    """Hypercorn reports every close of the peer as 1006: Disconnected says that, never an invented code.

    Anycorn tells the peer's own.
    """
    app = SessionApp(listen, session_params())
    async with hosted(app, guarded=False, bare=bare) as server:
        with trio.fail_after(30):
            async with raw_peer(server.port) as peer:
                await peer.upgrade()
                await peer.send(close_frame(4321, "bye"))
                await peer.wait_eof()
            await app.returned.wait()
    assert [event.code for event in app.disconnected] == [1006 if bare == "hypercorn" else 4321]


async def test_the_end_is_told_on_every_call(bare: str) -> None:
    """After the end each further send and receive raises, where hypercorn drops the one and blocks in the other."""
    raised: list[str] = []

    async def try_again(wire: AsgiWire) -> None:
        for action in (wire.receive, wire.receive, lambda: wire.send("late"), lambda: wire.send("later")):
            try:
                await action()
            except Exception as exc:
                raised.append(type(exc).__name__)

    app = WireApp(try_again)
    async with hosted(app, guarded=False, bare=bare) as server:
        with trio.fail_after(30):
            async with raw_peer(server.port) as peer:
                await peer.upgrade()
                await peer.send(close_frame())
                await peer.wait_eof()
            await app.returned.wait()
    assert raised == ["ConnectionClosed"] * 4


async def test_a_peer_that_floods_past_our_close_leaves_nothing(bare: str) -> None:
    """A peer that sends on and never answers the close leaves neither task nor socket once the app has returned."""

    async def leave(_session: Session) -> None:
        return

    app = SessionApp(leave, session_params(close_timeout=3))
    async with hosted(app, guarded=False, bare=bare) as server:
        async with raw_peer(server.port) as peer, trio.open_nursery() as nursery:
            await peer.upgrade()

            @nursery.start_soon
            async def flood() -> None:
                try:
                    while True:
                        await peer.send(frame(TEXT, b"x" * 1000) * 20)
                except trio.BrokenResourceError:
                    pass

            with trio.fail_after(30):
                assert (await peer.read_to_close()).close_code == 1000
                await app.returned.wait()
                await peer.wait_eof()
        await no_system_tasks_of_ours()
    assert 2.9 < app.lasted_s[0] < 3 + 1.0 + LATE_S  # 2 s is the default


async def test_pongs_come_while_the_handler_does_not_read(bare: str) -> None:
    """A handler that reads nothing holds up neither pongs nor the end: the session reads for it."""

    async def sit(session: Session) -> None:
        await until(lambda: not session.is_connected)

    app = SessionApp(sit, session_params(audio_in_max_queue_secs=0.1))
    async with hosted(app, guarded=False, bare=bare) as server:
        with trio.fail_after(30):
            async with raw_peer(server.port) as peer:
                await peer.upgrade()
                await peer.send(frame(TEXT, AUDIO_MESSAGE) * 200)
                await peer.send(frame(PING, b"alive?"))
                pong = await peer.read_frame()
                assert pong is not None
                assert (pong.opcode, pong.payload) == (PONG, b"alive?")
                await peer.send(close_frame())
            await app.returned.wait()
    assert len(app.disconnected) == 1


async def test_a_message_over_the_sessions_limit_is_1009(bare: str) -> None:
    """A message over max_message_bytes gets 1009, and Disconnected says so."""
    app = SessionApp(listen, session_params(max_message_bytes=1000))
    async with hosted(app, guarded=False, bare=bare) as server:
        with trio.fail_after(30):
            async with raw_peer(server.port) as peer:
                await peer.upgrade()
                await peer.send(frame(BINARY, bytes(1001)))
                assert (await peer.read_to_close()).close_code == 1009
                await peer.send(close_frame(1009))
                await peer.wait_eof()
            await app.returned.wait()
    assert [(event.code, event.initiator) for event in app.disconnected] == [(1009, "local")]


async def test_a_quiet_peer_ends_by_idle_timeout(bare: str) -> None:
    """Without the guard a silent peer is known by idle_timeout, which ends its session."""
    app = SessionApp(listen, session_params(idle_timeout=0.3, close_timeout=0.3))
    async with hosted(app, guarded=False, bare=bare) as server, raw_peer(server.port) as peer:
        await peer.upgrade()
        with trio.fail_after(30):
            assert (await peer.read_to_close()).close_code == 1001
            await app.returned.wait()
    assert [(event.code, event.initiator) for event in app.disconnected] == [(1001, "local")]


async def test_an_abandoned_connection_says_so_to_its_peer(bare: str) -> None:
    """Aborting an idle connection reaches the peer though the app goes on with work of its own."""
    done = trio.Event()

    async def abort(wire: AsgiWire) -> None:
        wire.abort()
        await done.wait()

    app = WireApp(abort)
    async with hosted(app, guarded=False, bare=bare) as server:
        with trio.fail_after(30):
            async with raw_peer(server.port) as peer:
                await peer.upgrade()
                assert (await peer.read_to_close()).close_code == 1011
                await peer.send(close_frame(1011))
                await peer.wait_eof()
            await no_system_tasks_of_ours()
            done.set()


async def test_nothing_of_a_normal_session_is_left(bare: str) -> None:
    """A session that ends in the usual way leaves no task behind, not even for a moment."""
    app = WireApp(echo)
    async with hosted(app, guarded=False, bare=bare) as server:
        with trio.fail_after(30):
            async with raw_peer(server.port) as peer:
                await peer.upgrade()
                await peer.send(frame(TEXT, b"hello") + close_frame())
                await peer.wait_eof()
            await app.returned.wait()
            await trio.testing.wait_all_tasks_blocked()
            await no_system_tasks_of_ours()
