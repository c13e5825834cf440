"""How the standalone server leaves, whatever its handlers do: what each caller reads, and when."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from tests.real.session.places import Place, client_params, server_params, serving
from trio_transports import (
    AudioFrame,
    ConnectionClosed,
    HandshakeRejected,
    Session,
    TextFrame,
    WebsocketClientTransport,
)
from trio_transports.wire.engines import ENGINES

engines = pytest.mark.parametrize("engine", list(ENGINES))

PATIENCE_S = 60
HOLDS_S, HEARD_WITHIN_S = 30.0, 20.0
"""How long a stubborn handler goes on unless it may return; and when all callers have heard that the server leaves."""


async def returns_late(_session: Session, may_return: trio.Event) -> None:
    with trio.move_on_after(HOLDS_S, shield=True):
        await may_return.wait()


async def swallows_its_cancellation(_session: Session, may_return: trio.Event) -> None:
    with trio.move_on_after(HOLDS_S, shield=True) as limit:
        while not may_return.is_set():
            try:
                await may_return.wait()
            except trio.Cancelled:
                await trio.lowlevel.cancel_shielded_checkpoint()
                if limit.cancel_called:
                    raise


async def speaks_on(session: Session, may_return: trio.Event) -> None:
    """Never looks at how the session stands."""
    with trio.move_on_after(HOLDS_S, shield=True):
        while not may_return.is_set():
            try:
                await session.output.send(TextFrame(text="still here"))
            except ConnectionClosed:
                await trio.sleep(0.01)


Stubborn = Callable[[Session, trio.Event], Awaitable[None]]
STUBBORN: list[Stubborn] = [returns_late, swallows_its_cancellation, speaks_on]


async def cancel(place: Place) -> None:
    place.serving.cancel()


async def shutdown(place: Place) -> None:
    place.transport.shutdown()


async def drain(place: Place) -> None:
    with trio.move_on_after(0.2):
        await place.transport.drain(0.1)


Way = Callable[[Place], Awaitable[None]]
ways = pytest.mark.parametrize("way", [cancel, shutdown, drain], ids=lambda way: way.__name__)


@asynccontextmanager
async def callers(place: Place, count: int) -> AsyncIterator[list[tuple[int, float]]]:
    """Callers who wait for the end, and note its code and when they heard it; the block ends when all have."""
    heard: list[tuple[int, float]] = []

    async def listen(task_status: trio.TaskStatus[None]) -> None:
        async with place.client().session() as session:
            task_status.started()
            async for _ in session.input:
                pass
            with pytest.raises(ConnectionClosed) as caught:
                await session.output.send(TextFrame(text="?"))
            heard.append((caught.value.code, trio.current_time()))

    async with trio.open_nursery() as nursery:
        for _ in range(count):
            await nursery.start(listen)
        yield heard


@engines
@ways
@pytest.mark.parametrize("handler", STUBBORN, ids=lambda handler: handler.__name__)
async def test_no_handler_keeps_a_caller_from_hearing_it(engine: str, way: Way, handler: Stubborn) -> None:
    """Every caller reads 1001 before any handler is done with whatever it does: only that lets them return."""
    may_return = trio.Event()
    returned_at_s: list[float] = []

    async def timed(session: Session) -> None:
        try:
            await handler(session, may_return)
        finally:
            returned_at_s.append(trio.current_time())

    with trio.fail_after(PATIENCE_S):
        async with serving(timed, server_params(close_timeout=0.5), engine=engine) as place, callers(place, 3) as heard:
            await way(place)
            with trio.move_on_after(HEARD_WITHIN_S):
                while len(heard) < 3:  # noqa: ASYNC110 - callers tell nobody
                    await trio.sleep(0.01)
            may_return.set()
    assert [code for code, _ in heard] == [1001] * 3
    assert len(returned_at_s) == 3
    assert max(at_s for _, at_s in heard) < min(returned_at_s)


@engines
async def test_a_handler_that_raises_systemexit_ends_one_call(engine: str, caplog: pytest.LogCaptureFixture) -> None:
    """Twice; each time the other caller's call goes on, and the log says what happened."""

    async def leave_on_demand(session: Session) -> None:
        async for frame in session.input:
            if frame == TextFrame(text="exit"):
                async with trio.open_nursery():
                    raise SystemExit(3)
            await session.output.send(frame)

    async with serving(leave_on_demand, engine=engine) as place, place.client().session() as other:
        for number in range(2):
            async with place.client().session() as session:
                await session.output.send(TextFrame(text="exit"))
                assert [frame async for frame in session.input] == []
                with pytest.raises(ConnectionClosed) as caught:
                    await session.output.send(TextFrame(text="?"))
                assert caught.value.code == 1011
            await other.output.send(TextFrame(text=f"still here {number}"))
            assert await other.input.receive() == TextFrame(text=f"still here {number}")
    assert sum("SystemExit" in (record.exc_text or "") for record in caplog.records) == 2


@engines
async def test_calls_may_finish_while_nobody_new_gets_in(engine: str) -> None:
    """A drain waits for the calls under way and no longer; who comes meanwhile is told 503."""
    with trio.fail_after(PATIENCE_S):
        async with (
            trio.open_nursery() as nursery,
            serving(engine=engine) as place,
            place.client().session() as session,
        ):
            nursery.start_soon(place.transport.drain, 1000)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(HandshakeRejected) as caught:
                async with place.client().session():
                    pytest.fail("must not get in")
            assert caught.value.status == 503
            assert ("retry-after", "1") in caught.value.headers
            await session.output.send(TextFrame(text="still here"))
            assert await session.input.receive() == TextFrame(text="still here")
    (end,) = place.ends()
    assert (end.code, end.initiator) == (1000, "remote")


@engines
async def test_a_server_serves_again_after_it_has_left(engine: str) -> None:
    """Leaving is of one run of serve: the second run of the same transport lets callers in, and leaves as well."""
    transport = None
    for _ in range(2):
        async with trio.open_nursery() as nursery, serving(engine=engine, again=transport) as place:
            transport = place.transport
            await place.answers()
            nursery.start_soon(transport.drain, 0.05)


@engines
async def test_what_is_queued_leaves_first(engine: str) -> None:
    """A handler that has said its last words when the server leaves has them heard, in pace, before 1001."""
    words = AudioFrame(audio=b"\1\2" * 8000, sample_rate=16000)

    async def speak(session: Session) -> None:
        await session.output.send(words)
        await trio.sleep_forever()

    with trio.fail_after(PATIENCE_S):
        async with serving(speak, server_params(close_timeout=20), engine=engine) as place:
            transport = WebsocketClientTransport(place.url, client_params(), engine=engine)
            async with transport.session() as session:
                heard = await session.input.receive()
                place.transport.shutdown()
                total = len(heard.audio) if isinstance(heard, AudioFrame) else 0
                async for frame in session.input:
                    total += len(frame.audio) if isinstance(frame, AudioFrame) else 0
                assert total >= len(words.audio)
                with pytest.raises(ConnectionClosed) as caught:
                    await session.output.send(TextFrame(text="?"))
                assert caught.value.code == 1001


@engines
async def test_a_handler_may_be_ended_with_its_caller(engine: str) -> None:
    """With the option it is cancelled when its caller has gone, each time; the other caller's goes on. Without, not."""
    ended: list[str] = []

    async def wait_for_ever(session: Session) -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.append(session.id)

    with trio.fail_after(PATIENCE_S):
        params = server_params(on_peer_gone="cancel")
        async with serving(wait_for_ever, params, engine=engine) as place, place.client().session():
            for number in range(1, 3):
                async with place.client().session():
                    pass
                (*_, end) = await place.ended(number)
                while len(ended) < number:  # noqa: ASYNC110 - its finally block tells nobody
                    await trio.sleep(0.01)
                assert ended[-1] == end.session.id
            assert len(ended) == 2
        ended.clear()
        async with serving(wait_for_ever, engine=engine) as place:
            async with place.client().session():
                pass
            await place.ended()
            await trio.testing.wait_all_tasks_blocked(0.1)
            assert not ended
