"""``serve_asgi`` retires: a successor has the same socket, so nobody is refused and nobody is cut off."""

import socket

import trio

from tests.real.asgi.apps import SessionApp, session_params
from tests.real.asgi.hosts import hosted
from tests.real.asgi.raw_peer import TEXT, RawPeer, close_frame, frame, raw_peer, upgrade_request
from trio_transports import Session

_HELLO = b'{"type": "text", "text": "hello"}'


async def echo(session: Session) -> None:
    async for each in session.input:
        await session.output.send(each)


async def answers(peer: RawPeer) -> None:
    await peer.send(frame(TEXT, _HELLO))
    answer = await peer.read_frame()
    assert answer is not None
    assert b"hello" in answer.payload


async def test_one_that_retires_ends_with_its_last_call() -> None:
    """The call goes on, one that was connected but had not asked yet is let in, and the next finds the successor."""
    with socket.create_server(("127.0.0.1", 0)) as listening, trio.fail_after(20):
        port, retire = listening.getsockname()[1], trio.Event()
        old_bind, new_bind = ([f"fd://{socket.dup(listening.fileno())}"] for _ in range(2))
        app = SessionApp(echo, session_params(close_timeout=0.5))
        async with (
            hosted(app, limits={"retire_trigger": retire.wait}, bind=old_bind) as old,
            raw_peer(port) as under_way,
            raw_peer(port) as silent,
        ):
            await under_way.upgrade()
            await answers(under_way)
            await trio.sleep(0.1)  # the silent one has been accepted
            retire.set()
            async with hosted(app, bind=new_bind) as new:
                for _ in range(2):
                    async with raw_peer(port) as late:
                        await late.upgrade()
                        assert late.status == 101
                        await answers(late)
                await silent.send(upgrade_request())
                await silent.read_head()
                assert silent.status == 101
                await answers(silent)
                await silent.send(close_frame(4001))
                await silent.read_to_close()
                await answers(under_way)
                assert not old.ended.is_set()
                await under_way.send(close_frame(4000))
                assert (await under_way.read_to_close()).close_code == 4000
                await old.ended.wait()
                assert not new.ended.is_set()


async def test_one_that_has_retired_can_still_be_shut_down() -> None:
    """A call that goes on hears 1001 then."""
    retire = trio.Event()
    app = SessionApp(echo, session_params(close_timeout=0.5))
    async with hosted(app, limits={"retire_trigger": retire.wait}) as server, raw_peer(server.port) as peer:
        with trio.fail_after(30):
            await peer.upgrade()
            retire.set()
            await answers(peer)
            server.shutdown.set()
            assert (await peer.read_to_close()).close_code == 1001
            await peer.send(close_frame(1001))
            await server.ended.wait()
