"""The standalone server's door: health, limits and what is counted, on every engine."""

import json
from contextlib import suppress

import pytest
import trio

from tests.real.asgi.apps import until
from tests.real.session.places import UPGRADE, Place, serving
from tests.real.session.places import server_params as params
from trio_transports import ConnectionClosed, HandshakeRejected, Session, TextFrame, WebsocketServerParams
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.wire.engines import ENGINES

engines = pytest.mark.parametrize("engine", list(ENGINES))

PATIENCE_S = 30


async def ask(place: Place, request: bytes) -> tuple[int, bytes]:
    """One request for a page, on a connection of its own; the status and all that was said."""
    stream = await place.raw()
    async with stream:
        await stream.send_all(request + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        got = b""
        with trio.fail_after(PATIENCE_S):
            async for data in stream:
                got += data
    return int(got.split(b" ", 2)[1]), got


@engines
async def test_a_page_is_answered(engine: str) -> None:
    """A plain GET is told what this is; the health check says how it stands, and HEAD says it without a body."""
    async with serving(engine=engine) as place, place.client().session() as session:
        for _ in range(2):
            status, got = await ask(place, b"GET /")
            assert status == 426
            assert b"WebSocket client" in got
            assert b"upgrade: websocket" in got.lower()
            status, got = await ask(place, b"GET /health")
            assert status == 200
            assert b"application/json" in got
            assert json.loads(got.partition(b"\r\n\r\n")[2]) == {"status": "ok", "calls": 1}
            status, got = await ask(place, b"HEAD /health?verbose")
            assert status == 200
            assert got.endswith(b"\r\n\r\n")
        assert (await ask(place, b"POST /health"))[0] == 405
        await session.output.send(TextFrame(text="still here"))
        assert await session.input.receive() == TextFrame(text="still here")
        assert place.transport.callers().turned_away == {"request": 3, "health check": 4}


@engines
async def test_health_turns_while_the_server_leaves(engine: str) -> None:
    """503 from the moment it is told until the last call has ended, and a sentence for who asks to come in."""
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery, serving(engine=engine) as place:
            async with place.client().session():
                nursery.start_soon(place.transport.drain, 1000)
                await trio.testing.wait_all_tasks_blocked()
                status, got = await ask(place, b"GET /health")
                assert status == 503
                assert b'"leaving"' in got
                with pytest.raises(HandshakeRejected, match="shutting down"):
                    async with place.client().session():
                        pytest.fail("must not get in")
            assert place.transport.callers().turned_away == {"health check": 1, "leaving": 1}


@engines
async def test_a_server_without_a_health_page(engine: str) -> None:
    """None serves none, another path serves it there."""
    for path, expected in ((None, 426), ("/ready", 426)):
        async with serving(params=params(health_path=path), engine=engine) as place:
            assert (await ask(place, b"GET /health"))[0] == expected
            assert (await ask(place, b"GET /ready"))[0] == (200 if path else 426)
    with pytest.raises(ValueError, match="health_path must be a path"):
        WebsocketServerParams(serializer=JSONFrameSerializer(), health_path="health")


@engines
async def test_one_address_may_take_only_so_much(engine: str) -> None:
    """A third connection of two is told 429, as long as the two are there; twice."""
    async with serving(params=params(max_connections_per_address=2), engine=engine) as place:
        for round_number in range(1, 3):
            async with place.client().session() as first:
                silent = await place.raw()
                await trio.testing.wait_all_tasks_blocked()
                with pytest.raises(HandshakeRejected, match="2 connections from this address") as caught:
                    async with place.client().session():
                        pytest.fail("must not get in")
                assert caught.value.status == 429
                assert ("retry-after", "1") in caught.value.headers
                await first.output.send(TextFrame(text="still here"))
                assert await first.input.receive() == TextFrame(text="still here")
                await silent.aclose()
            await place.ended(round_number)
            with trio.fail_after(PATIENCE_S):
                while place.transport.callers().connections:  # noqa: ASYNC110 - the kernel tells nobody
                    await trio.sleep(0.01)
        assert place.transport.callers().turned_away["limit"] == 2


@engines
async def test_one_address_may_ask_only_so_often(engine: str) -> None:
    """Past the rate a caller is told 429 and when to come again."""
    async with serving(params=params(max_handshakes_per_second=0.01), engine=engine) as place:
        async with place.client().session():
            pass
        for _ in range(2):
            with pytest.raises(HandshakeRejected, match=r"more often than 0\.01 times") as caught:
                async with place.client().session():
                    pytest.fail("must not get in")
            assert caught.value.status == 429
            assert int(dict(caught.value.headers)["retry-after"]) > 50


@engines
async def test_who_is_refused_and_says_nothing_is_not_heard_for_long(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond so many at a time they get no answer, and all are gone long before connect_timeout."""
    monkeypatch.setattr("trio_transports.wire.accepting.door.MAX_REFUSING", 5)
    async with serving(params=params(max_connections_per_address=1, connect_timeout=1000), engine=engine) as place:
        async with place.client().session() as session:
            streams = [await place.raw() for _ in range(20)]
            with trio.fail_after(PATIENCE_S):
                for stream in streams:
                    with suppress(trio.BrokenResourceError):
                        assert not await stream.receive_some()
                    await stream.aclose()
            await session.output.send(TextFrame(text="still here"))
            assert await session.input.receive() == TextFrame(text="still here")
        turned_away = place.transport.callers().turned_away
        assert turned_away["unheard"] >= 10
        assert turned_away["limit"] + turned_away["unheard"] == 20


async def flood(session: Session) -> None:
    with pytest.raises(ConnectionClosed) as caught:  # noqa: PT012 - it is one of many that raises
        while True:
            await session.output.send(TextFrame(text="x" * 20))
    assert caught.value.code == 1008
    assert "a second" in caught.value.reason


@engines
@pytest.mark.parametrize(
    "limit", [{"max_messages_per_second": 20}, {"max_bytes_per_second": 400}], ids=lambda x: next(iter(x))
)
async def test_who_sends_too_fast_is_told_1008(engine: str, limit: dict[str, float]) -> None:
    """Both sides read it; the other caller's call goes on; twice."""
    async with serving(params=params(**limit), engine=engine) as place, place.client().session() as other:
        for round_number in range(1, 3):
            async with place.client().session() as session, trio.open_nursery() as nursery:
                nursery.start_soon(flood, session)
                with trio.fail_after(PATIENCE_S):
                    async for _ in session.input:
                        pass
            ends = await place.ended(round_number)
            assert (ends[-1].code, ends[-1].initiator) == (1008, "local")
            assert place.transport.callers().turned_away == {"rate": round_number}
        await other.output.send(TextFrame(text="still here"))
        assert await other.input.receive() == TextFrame(text="still here")


@engines
async def test_a_handshake_that_takes_too_long_is_ended(engine: str) -> None:
    """A caller that says nothing, and one that says it byte by byte, are gone after connect_timeout, and counted."""
    async with serving(params=params(connect_timeout=3), engine=engine) as place:
        silent, slow = await place.raw(), await place.raw()
        with trio.fail_after(PATIENCE_S):
            assert not await silent.receive_some()
            try:
                for byte in UPGRADE:
                    await slow.send_all(bytes([byte]))
                    await trio.sleep(0.05)
                pytest.fail("it was heard to its end")
            except trio.BrokenResourceError:
                pass
        await silent.aclose()
        await slow.aclose()
        assert place.transport.callers().turned_away == {"time": 2}
        await place.answers()


@engines
@pytest.mark.parametrize("words", [b"", UPGRADE[:40], UPGRADE], ids=["none", "half", "all but the end"])
async def test_who_goes_in_the_middle_of_its_request_is_counted(engine: str, words: bytes) -> None:
    """Wherever that is: as cut off, twice, and whoever comes next is served."""
    async with serving(engine=engine) as place:
        for turn in (1, 2):
            async with await place.raw() as gone:
                if words:
                    await gone.send_all(words)
            await until(lambda: place.transport.callers().turned_away == {"cut off": turn})  # noqa: B023
            await until(lambda: not place.transport.callers().connections)
        await place.answers()
        assert place.transport.callers().let_in == 1
