"""Many calls at once, ending in every way there is, on both servers: nothing of them is left."""

import os
import random
from collections.abc import Iterator

import pytest
import trio

from tests.real.asgi.apps import AUDIO_MESSAGE, SessionApp, session_params, until
from tests.real.asgi.hosts import LATE_S, hosted
from tests.real.asgi.raw_peer import PING, TEXT, close_frame, frame, raw_peer
from tests.real.starved import fail_or_warn, watch_core
from trio_transports import Session

_CALLS = 200
_AT_ONCE = 50


def tasks(of: trio.lowlevel.Task | None = None) -> Iterator[trio.lowlevel.Task]:
    task = of or trio.lowlevel.current_root_task()
    assert task is not None
    yield task
    for nursery in task.child_nurseries:
        for child in nursery.child_tasks:
            yield from tasks(child)


def sockets() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc to count descriptors")
@pytest.mark.parametrize("guarded", [True, False], ids=["serve_asgi", "bare hypercorn"])
@pytest.mark.parametrize("starlette", [True, False], ids=["Starlette", "raw"])
async def test_nothing_is_left_of_many_calls(
    *, guarded: bool, starlette: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Each session tells its end once, in bounded time, and no task or socket outlives its call."""
    caplog.set_level("CRITICAL")
    rng = random.Random(1)

    async def handle(session: Session) -> None:
        match rng.randrange(6):
            case 0:
                async for each in session.input:
                    await session.output.send(each)
            case 1:
                for _ in range(50):
                    await session.output.send_message({"noise": "x" * 20_000})
            case 2:
                raise RuntimeError("the handler's own fault")
            case 3:
                await session.aclose(4000, "enough")
            case 4:
                with trio.move_on_after(0.1):
                    await trio.sleep_forever()
            case _:
                async for _ in session.input:
                    pass

    async def call(port: int) -> None:
        with trio.move_on_after(rng.choice((0.05, 0.3, 0.6))):
            async with raw_peer(port, small_buffers=rng.random() < 0.3) as peer:
                try:
                    await peer.upgrade()
                    await peer.send(frame(TEXT, AUDIO_MESSAGE) * rng.randrange(30))
                    match rng.randrange(5):
                        case 0:
                            await peer.send(close_frame())
                            await peer.wait_eof()
                        case 1:
                            await trio.sleep_forever()
                        case 2:
                            await peer.send(frame(PING, bytes(125)) * 2000)
                        case 3:
                            await peer.wait_eof()
                        case _:
                            return
                except (trio.BrokenResourceError, EOFError):
                    return

    no_core = watch_core()
    app = SessionApp(handle, session_params(send_timeout=0.3, close_timeout=0.2), starlette=starlette)
    async with hosted(app, guarded=guarded, write_timeout=0.5, graceful_timeout=60) as server:
        async with raw_peer(server.port) as peer:
            await peer.upgrade()
        await until(lambda: app.disconnected)
        tasks_before, sockets_before = len(list(tasks())), sockets()
        async with trio.open_nursery() as nursery:
            turns = trio.CapacityLimiter(_AT_ONCE)

            @nursery.start_soon
            async def call_all() -> None:
                for _ in range(_CALLS):
                    await turns.acquire_on_behalf_of(token := object())

                    @nursery.start_soon
                    async def one(token: object = token) -> None:
                        try:
                            await call(server.port)
                        finally:
                            turns.release_on_behalf_of(token)

        await until(lambda: len(list(tasks())) <= tasks_before and sockets() <= sockets_before)
        assert await server.stop() < 0.5 + LATE_S
    assert len(app.disconnected) == len(app.lasted_s)
    longest_s = max(app.lasted_s)
    assert longest_s < 30
    if longest_s >= 0.6 + 0.3 + 0.2 + 1.5:
        fail_or_warn(f"a session lasted {longest_s:.1f} s", [no_core()])
