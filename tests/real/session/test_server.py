"""The standalone server over loopback: many callers, bad callers, and what each of them costs the others."""

import gc
import logging
import random
import socket
import ssl
import struct

import pytest
import trio
import trustme

from tests.real.asgi.apps import until
from tests.real.session.places import (
    RATE,
    UPGRADE,
    client_params,
    descriptors,
    echo,
    server_params,
    serving,
    tasks,
)
from trio_transports import (
    AudioFrame,
    Connected,
    ConnectionClosed,
    HandshakeRejected,
    ServerReady,
    Session,
    TextFrame,
    TransportError,
    WebsocketClientTransport,
    WebsocketServerParams,
    WebsocketServerTransport,
)
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.wire import Peer
from trio_transports.wire.engines import ENGINES
from trio_transports.wire.refusal import Refusal

engines = pytest.mark.parametrize("engine", list(ENGINES))


async def reset(stream: trio.SocketStream) -> None:
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await stream.aclose()


@engines
async def test_callers_are_kept_apart(engine: str) -> None:
    """Twenty callers at once each hear their own voice and nobody else's."""
    async with serving(engine=engine) as place, trio.open_nursery() as nursery:

        async def call(number: int) -> None:
            async with place.client().session() as session:
                await session.output.send(TextFrame(text=f"caller {number}"))
                assert await session.input.receive() == TextFrame(text=f"caller {number}")

        for number in range(20):
            nursery.start_soon(call, number)


@engines
async def test_a_crashing_handler_ends_one_call(engine: str, caplog: pytest.LogCaptureFixture) -> None:
    """A handler that crashes ends its own call with 1011, is logged once with its traceback, and harms nobody."""

    async def crash_on_demand(session: Session) -> None:
        async for frame in session.input:
            if frame == TextFrame(text="crash"):
                raise ZeroDivisionError("the handler's own")
            await session.output.send(frame)

    async with serving(crash_on_demand, engine=engine) as place, place.client().session() as other:
        async with place.client().session() as session:
            await session.output.send(TextFrame(text="crash"))
            assert [frame async for frame in session.input] == []
            with pytest.raises(ConnectionClosed) as caught:
                await session.output.send(TextFrame(text="more"))
            assert caught.value.code == 1011
        await other.output.send(TextFrame(text="still here"))
        assert await other.input.receive() == TextFrame(text="still here")
    logged = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(logged) == 1
    assert logged[0].exc_info is not None
    assert "the handler's own" in caplog.text


@engines
async def test_the_end_of_the_connection_is_a_normal_end_of_a_handler(
    engine: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A ConnectionClosed that leaves a handler, also in groups, is nobody's fault: nothing is logged."""

    async def talk_into_nothing(session: Session) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(session.output.send, TextFrame(text="hello"))
            await session.input.aclose()
            while True:
                await session.output.send(TextFrame(text="hello"))
                await trio.sleep(0.01)

    async with serving(talk_into_nothing, engine=engine) as place:
        async with place.client().session() as session:
            await session.input.receive()
        await place.ended()
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@engines
async def test_origins_are_checked_before_the_upgrade(engine: str) -> None:
    """A page from elsewhere gets 403 and no session; the right one, and a caller that is no browser, get in."""
    params = server_params(allowed_origins=["https://app.example"])
    async with serving(params=params, engine=engine) as place:
        for turn in (1, 2):
            with pytest.raises(HandshakeRejected) as caught:
                async with place.client(additional_headers={"Origin": "https://evil.example"}).session():
                    pytest.fail("must not get in")
            assert caught.value.status == 403
            assert b"origin" in caught.value.body
            await until(lambda: place.transport.callers().turned_away == {"origin or authorize": turn})  # noqa: B023
        for headers in ({"Origin": "https://APP.example:443"}, {}):
            async with place.client(additional_headers=headers).session():
                pass
        assert len([event for event in place.told if isinstance(event, Connected)]) <= 2


@engines
async def test_callers_are_authorized_before_the_upgrade(engine: str, caplog: pytest.LogCaptureFixture) -> None:
    """The check sees path, query, headers and address, may refuse with a status of its own; a crash in it is a 500."""
    seen: list[Peer] = []

    async def authorize(peer: Peer) -> bool | int | Refusal:
        seen.append(peer)
        match peer.query.get("token"):
            case ["good"]:
                return True
            case ["slow"]:
                return Refusal(status=429, body="later", headers=(("Retry-After", "7"),))
            case ["broken"]:
                raise RuntimeError("the check is broken")
            case ["gone"]:
                return 410
        return False

    async with serving(params=server_params(authorize=authorize), engine=engine) as place:
        for token, status in (("bad", 401), ("slow", 429), ("gone", 410), ("broken", 500)):
            transport = WebsocketClientTransport(f"{place.url}?token={token}", client_params())
            with pytest.raises(HandshakeRejected) as caught:
                async with transport.session():
                    pytest.fail("must not get in")
            assert caught.value.status == status
            if token == "slow":
                assert ("retry-after", "7") in caught.value.headers
                assert caught.value.body == b"later"
        await until(lambda: place.transport.callers().turned_away == {"origin or authorize": 4})
        good = WebsocketClientTransport(f"{place.url}?token=good", client_params(additional_headers={"X-Caller": "me"}))
        async with good.session():
            pass
        assert (place.transport.callers().let_in, len(seen)) == (1, 5)
    assert seen[-1].header("x-caller") == "me"
    assert seen[-1].path == "/call"
    assert seen[-1].address == "127.0.0.1"
    assert "the check is broken" in caplog.text


@engines
async def test_one_session_at_a_time(engine: str) -> None:
    """With max_sessions=1 a second client is told 1013 and the first is kept; when it has gone the next gets in."""
    async with serving(params=server_params(max_sessions=1), engine=engine) as place:
        async with place.client().session() as first:
            for turn in (1, 2):
                async with place.client().session() as second:
                    assert [frame async for frame in second.input] == []
                    with pytest.raises(ConnectionClosed) as caught:
                        await second.output.send(TextFrame(text="hello"))
                    assert caught.value.code == 1013
                callers = place.transport.callers()
                assert (callers.let_in, callers.turned_away) == (1, {"full": turn})
            await first.output.send(TextFrame(text="still here"))
            assert await first.input.receive() == TextFrame(text="still here")
        await place.ended()
        await place.answers()


@engines
async def test_a_handler_that_never_returns_takes_no_place(engine: str) -> None:
    """With max_sessions=1 a caller that has gone makes room, whatever its handler goes on with: three times over."""
    say_gone, told_gone = trio.open_memory_channel[None](3)

    async def go_on(session: Session) -> None:
        async for frame in session.input:
            await session.output.send(frame)
        say_gone.send_nowait(None)
        await trio.sleep_forever()

    async with serving(go_on, params=server_params(max_sessions=1), engine=engine) as place:
        for _ in range(3):
            async with place.client().session() as session:
                await session.output.send(TextFrame(text="still there?"))
                assert await session.input.receive() == TextFrame(text="still there?")
            await told_gone.receive()


@engines
async def test_shutdown_tells_every_client(engine: str) -> None:
    """A shutdown tells each client 1001 and serve returns; the events end with one end for each."""
    codes: list[int] = []
    async with trio.open_nursery() as nursery, serving(engine=engine) as place:

        async def call(task_status: trio.TaskStatus[None]) -> None:
            async with place.client().session() as session:
                task_status.started()
                async for _ in session.input:
                    pass
                with pytest.raises(ConnectionClosed) as caught:
                    await session.output.send(TextFrame(text="hello"))
                codes.append(caught.value.code)

        for _ in range(5):
            await nursery.start(call)
    assert codes == [1001] * 5
    assert len(await place.ended(5)) == 5


async def test_the_server_says_where_it_listens() -> None:
    """Port 0 is one free port on every address of the name, told as the started value and as an event."""
    transport = WebsocketServerTransport(server_params(), host=None, port=0)
    events = transport.events()
    async with trio.open_nursery() as nursery:
        ready = await nursery.start(transport.serve, echo)
        assert {port for _, port in ready.addresses} == {ready.port}
        for host, port in ready.addresses:
            loopback = "[::1]" if ":" in host else "127.0.0.1"
            async with WebsocketClientTransport(f"ws://{loopback}:{port}", client_params()).session():
                pass
        transport.shutdown()
    assert await events.receive() == ServerReady(ready.addresses)


async def test_a_port_that_is_taken_is_an_error() -> None:
    """Serving where somebody else listens raises at once, and leaves nothing open."""
    async with serving() as place:
        taken = WebsocketServerTransport(server_params(), host="127.0.0.1", port=place.ready.port)
        with pytest.raises(OSError, match=r"127\.0\.0\.1:\d+ is taken"):
            await taken.serve(echo)


@engines
async def test_what_is_too_big_ends_the_call_with_1009(engine: str) -> None:
    """A message over max_message_bytes closes that connection with 1009, which both sides can read."""
    async with serving(params=server_params(max_message_bytes=20_000), engine=engine) as place:
        async with place.client().session() as session:
            await session.output.send(TextFrame(text="x" * 30_000))
            assert [frame async for frame in session.input] == []
            with pytest.raises(ConnectionClosed) as caught:
                await session.output.send(TextFrame(text="more"))
            assert (caught.value.code, caught.value.initiator) == (1009, "remote")
        (ended,) = await place.ended()
        assert (ended.code, ended.initiator) == (1009, "local")
        await place.answers()


@engines
async def test_a_peer_that_answers_no_ping_is_let_go(engine: str) -> None:
    """Keepalive ends a connection whose peer is there and silent, within the ping's own time."""
    async with serving(params=server_params(ping_interval=0.1, ping_timeout=0.2), engine=engine) as place:
        stream = await place.upgraded()
        with trio.fail_after(15):  # of 40, without these settings
            (ended,) = await place.ended()
        assert (ended.code, ended.initiator) == (1006, "error")
        assert "pong" in ended.reason
        await stream.aclose()


@engines
async def test_a_peer_that_stops_reading_costs_only_itself(engine: str) -> None:
    """A caller that takes nothing is let go after send_timeout; the others keep talking."""

    async def shout(session: Session) -> None:
        if session.peer.query.get("token"):
            while True:
                await session.output.send_message({"noise": "x" * 10_000}, urgent=True)
        await echo(session)

    params = server_params(send_timeout=0.5, close_timeout=0.5)
    async with serving(shout, params, engine=engine) as place:
        stream = await place.upgraded()
        with trio.fail_after(30):
            await place.answers()
            (ended, *_) = [end for end in await place.ended(2) if end.code == 1006]
        assert ended.initiator == "error"
        assert "send_timeout (0.5 s)" in ended.reason
        await stream.aclose()


@engines
async def test_tls(engine: str) -> None:
    """TLS works with a certificate the client trusts, and fails with one clear error when it does not."""
    authority = trustme.CA()
    server_ssl, client_ssl = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.issue_cert("localhost").configure_cert(server_ssl)
    authority.configure_trust(client_ssl)
    async with serving(params=server_params(ssl_context=server_ssl), engine=engine) as place:
        url = f"wss://localhost:{place.ready.port}/"
        async with WebsocketClientTransport(
            url, client_params(ssl_context=client_ssl), engine=engine
        ).session() as session:
            await session.output.send(TextFrame(text="in private"))
            assert await session.input.receive() == TextFrame(text="in private")
        with pytest.raises(TransportError, match="cannot agree on TLS"):
            async with WebsocketClientTransport(url, client_params()).session():
                pytest.fail("must not connect")
        with pytest.raises(TransportError):
            async with place.client(connect_timeout=2).session():
                pytest.fail("must not connect without TLS")


@engines
async def test_no_bytes_end_the_server(engine: str) -> None:
    """Two thousand random or broken byte strings, before, instead of and after the upgrade: the server lives."""
    noise = random.Random(7)
    async with serving(params=server_params(connect_timeout=10), engine=engine) as place:

        async def trouble(_number: int) -> None:
            kind = noise.randrange(5)
            junk = noise.randbytes(noise.randrange(1, 200))
            try:
                if kind == 0:
                    stream = await place.raw()
                    await stream.send_all(junk)
                elif kind == 1:
                    stream = await place.raw()
                    await stream.send_all(UPGRADE[: noise.randrange(len(UPGRADE))])
                elif kind == 2:
                    stream = await place.raw()
                    await stream.send_all(UPGRADE + b"X-Junk: " + junk + b"\r\n\r\n" + junk)
                else:
                    stream = await place.upgraded()
                    await stream.send_all(junk)
                await (reset(stream) if kind % 2 else stream.aclose())
            except (trio.BrokenResourceError, AssertionError):
                await stream.aclose()

        for _ in range(100):
            async with trio.open_nursery() as nursery:
                for number in range(20):
                    nursery.start_soon(trouble, number)
        with trio.fail_after(60):
            await place.answers()


@engines
async def test_five_hundred_endings_leave_nothing(engine: str) -> None:
    """Clean, reset, half-open, mid-frame and mid-handshake ends: tasks, descriptors and memory come back."""
    audio = AudioFrame(audio=bytes(640), sample_rate=RATE)

    async def clean(place_client: WebsocketClientTransport) -> None:
        async with place_client.session() as session:
            await session.output.send(audio)
            await session.input.receive()

    async with serving(params=server_params(connect_timeout=20, send_timeout=20), engine=engine) as place:

        async def one(number: int) -> None:
            match number % 5:
                case 0:
                    await clean(place.client())
                case 1:
                    await reset(await place.upgraded())
                case 2:
                    stream = await place.upgraded()
                    await stream.send_eof()
                    with trio.move_on_after(1):
                        while await stream.receive_some(1000):
                            pass
                    await stream.aclose()
                case 3:
                    stream = await place.upgraded()
                    await stream.send_all(b"\x82\xfe\x10\x00masked but cut off")
                    await stream.aclose()
                case 4:
                    stream = await place.raw()
                    await stream.send_all(UPGRADE)
                    await stream.aclose()

        async def many(count: int) -> None:
            for batch in range(0, count, 20):
                async with trio.open_nursery() as nursery:
                    for number in range(batch, batch + 20):
                        nursery.start_soon(one, number)

        async def settled() -> tuple[int, int]:
            # Several times in a row: a sleep that ends late sees again what would have gone meanwhile.
            seen = [(tasks(), descriptors())]
            for _ in range(100):
                await trio.sleep(0.05)
                seen.append((tasks(), descriptors()))
                if len(seen) > 4 and len(set(seen[-5:])) == 1:
                    break
            return seen[-1]

        await many(40)
        before = await settled()
        place.told.clear()  # the test's own list holds every session that was
        objects = live_objects()
        with trio.fail_after(90):
            await many(500)
        with trio.fail_after(30):
            # Nobody tells when the kernel has let a descriptor go.
            while await settled() != before:  # noqa: ASYNC110
                await trio.sleep(0.1)
        place.told.clear()
        assert (grown := live_objects() - objects) < 1500, grown


def live_objects() -> int:
    """Count what is alive, without the scopes that trio's heap of deadlines forgets a thousand at a time."""
    gc.collect()
    return sum(type(found) not in (tuple, trio.CancelScope) for found in gc.get_objects())


def test_a_server_needs_a_serializer() -> None:
    """Without a serializer every frame would be lost: an error when the parameters are made."""
    with pytest.raises(ValueError, match="serializer is required"):
        WebsocketServerParams(audio_in_enabled=True)
    WebsocketServerParams(serializer=JSONFrameSerializer())
