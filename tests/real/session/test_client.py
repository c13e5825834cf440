"""The client over loopback: connecting, failing to, losing the connection, and coming back."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio

from tests.real.session.places import RATE, client_params, echo, server_params, serving
from tests.session.sweep import CancelAtStep, sweep
from trio_transports import (
    AudioFrame,
    Connected,
    ConnectionClosed,
    Disconnected,
    HandshakeRejected,
    Reconnecting,
    ReconnectPolicy,
    Session,
    TextFrame,
    TransportError,
    WebsocketClientParams,
    WebsocketClientTransport,
)
from trio_transports.observe import ServerCounters
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.serializers.protobuf import ProtobufFrameSerializer
from trio_transports.wire.engines import ENGINES

engines = pytest.mark.parametrize("engine", list(ENGINES))


@engines
async def test_headers_subprotocol_and_peer(engine: str) -> None:
    """The server sees headers and path; the agreed subprotocol is known on both sides, also after the end."""
    seen: list[Session] = []

    async def note(session: Session) -> None:
        seen.append(session)
        await echo(session)

    async with serving(note, server_params(subprotocols=["voice.v2", "voice.v1"]), engine=engine) as place:
        transport = WebsocketClientTransport(
            f"{place.url}?a=1&a=2",
            client_params(additional_headers={"X-Token": "secret"}, subprotocols=["voice.v1", "other"]),
            engine=engine,
        )
        async with transport.session() as session:
            assert session.peer.subprotocol == "voice.v1"
        await place.ended()
    (server_side,) = seen
    assert server_side.peer.header("x-token") == "secret"
    assert server_side.peer.path == "/call"
    assert server_side.peer.query == {"a": ["1", "2"]}
    assert server_side.peer.subprotocol == "voice.v1"
    assert not server_side.is_connected


@engines
async def test_a_refusal_is_an_error_with_status_and_body(engine: str) -> None:
    """What the server answered instead of the upgrade is in the error, also when it only closes after it."""
    for answer in (
        b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\nX-Why: because\r\n\r\nnot today",
        b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\nX-Why: because\r\n\r\nnot today",
    ):
        async with raw_server(answer) as port:
            with pytest.raises(HandshakeRejected) as caught:
                async with WebsocketClientTransport(
                    f"ws://127.0.0.1:{port}/", client_params(), engine=engine
                ).session():
                    pytest.fail("must not connect")
            assert caught.value.status == 403
            assert caught.value.body == b"not today"
            assert ("x-why", "because") in caught.value.headers


@engines
@pytest.mark.parametrize(
    "answer", [b"", b"220 mail.example ESMTP\r\n", b"\x00" * 100_000, b"HTTP/1.1 101 Maybe\r\n\r\n"]
)
async def test_a_server_that_speaks_something_else(engine: str, answer: bytes) -> None:
    """Whatever answers in place of a WebSocket server is one TransportError, at once."""
    async with raw_server(answer) as port:
        transport = WebsocketClientTransport(
            f"ws://127.0.0.1:{port}/", client_params(connect_timeout=100), engine=engine
        )
        with trio.fail_after(30), pytest.raises(TransportError, match="handshake"):
            async with transport.session():
                pytest.fail("must not connect")


@engines
async def test_a_server_that_says_nothing(engine: str) -> None:
    """The connect_timeout bounds the whole way to a connection, and passing it raises."""
    async with raw_server(None) as port:
        transport = WebsocketClientTransport(
            f"ws://127.0.0.1:{port}/", client_params(connect_timeout=0.3), engine=engine
        )
        with trio.fail_after(30), pytest.raises(TransportError, match=r"connect_timeout \(0.3 s\)"):
            async with transport.session():
                pytest.fail("must not connect")


async def test_nobody_there() -> None:
    """A refused connection is a TransportError that names the address."""
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    with pytest.raises(TransportError, match=f"cannot connect to ws://127.0.0.1:{port}/x: Connection refused"):
        async with WebsocketClientTransport(f"ws://127.0.0.1:{port}/x", client_params()).session():
            pytest.fail("must not connect")


@pytest.mark.parametrize("url", ["http://host/", "ws:///path", "host:80", "ws://host:port/", "ws://[::1/"])
def test_a_wrong_url(url: str) -> None:
    """A URL that is none is a ValueError when the transport is made, and says what one looks like."""
    with pytest.raises(ValueError, match="is not a WebSocket URL"):
        WebsocketClientTransport(url)


def test_an_unknown_engine() -> None:
    """A wrong engine name says which there are."""
    with pytest.raises(ValueError, match="there is no engine 'twisted': choose one of 'trio-websocket'"):
        WebsocketClientTransport("ws://host/", engine="twisted")


@engines
async def test_raw_messages(engine: str) -> None:
    """A subscription to messages gives what was received, undecoded, to every subscriber, and ends with the session."""
    async with serving(engine=engine) as place:
        transport = place.client()
        first, second = transport.messages(), transport.messages()
        async with transport.session() as session:
            await session.output.send(TextFrame(text="hello"))
            await session.input.receive()
    expected = list(JSONFrameSerializer().encode(TextFrame(text="hello")))
    assert [message async for message in first] == expected
    assert [message async for message in second] == expected


async def test_the_default_serializer_is_protobuf_where_that_is_installed() -> None:
    """A client without a serializer talks protobuf."""
    async with serving(params=server_params(serializer=ProtobufFrameSerializer())) as place:
        params = WebsocketClientParams(audio_in_enabled=True, audio_out_enabled=True)
        async with WebsocketClientTransport(place.url, params).session() as session:
            await session.output.send(TextFrame(text="hello"))
            answer = await session.input.receive()
            assert isinstance(answer, TextFrame)
            assert answer.text == "hello"


@engines
async def test_a_lost_connection_is_dialled_again(engine: str) -> None:
    """The session and its channels survive a lost connection; events tell the attempts; one Disconnected at the end."""
    lines: list[Session] = []

    async def drop_the_first(session: Session) -> None:
        lines.append(session)
        async for frame in session.input:
            if frame == TextFrame(text="drop me") and len(lines) == 1:
                raise RuntimeError("dropped on purpose")
            await session.output.send(frame)

    policy = ReconnectPolicy(initial_delay=0.01, max_delay=0.05)
    async with serving(drop_the_first, engine=engine) as place:
        transport = place.client(reconnect=policy)
        events = transport.events()
        async with transport.session() as session:
            await session.output.send(TextFrame(text="one"))
            assert await session.input.receive() == TextFrame(text="one")
            await session.output.send(TextFrame(text="drop me"))
            async for event in events:
                if isinstance(event, Reconnecting):
                    assert not session.is_connected
                    break
            with trio.fail_after(30):
                while len(lines) < 2:  # noqa: ASYNC110
                    await trio.sleep(0.01)
                await session.output.send(TextFrame(text="two"))
                assert await session.input.receive() == TextFrame(text="two")
            assert session.is_connected
            assert session.statistics().reconnects == 1
        told = [event async for event in events]
    assert sum(isinstance(event, Disconnected) for event in told) == 1
    assert not any(isinstance(event, Connected) for event in told)


@engines
@pytest.mark.parametrize("losses", [2, 3, 4])
async def test_any_number_of_losses(engine: str, losses: int) -> None:
    """A server that closes with 1012 again and again is dialled again each time, by one session."""
    lines: list[Session] = []

    async def hello_and_restart(session: Session) -> None:
        lines.append(session)
        await session.output.send(TextFrame(text=f"hello {len(lines)}"))
        if len(lines) <= losses:
            await session.output.drain()
            await session.aclose(1012, "restarting")
        else:
            await session.input.receive()

    policy = ReconnectPolicy(initial_delay=0.01, max_delay=0.02, stable_after=1000)
    async with serving(hello_and_restart, engine=engine) as place:
        transport = place.client(reconnect=policy)
        events = transport.events()
        with trio.fail_after(20):
            async with transport.session() as session:
                for number in range(losses + 1):
                    assert await session.input.receive() == TextFrame(text=f"hello {number + 1}")
                await session.output.send(TextFrame(text="bye"))
                assert [frame async for frame in session.input] == []
                assert session.statistics().reconnects == losses
        told = [event async for event in events]
    assert [(end.code, end.initiator) for end in told if isinstance(end, Disconnected)] == [(1000, "remote")]
    assert [event.attempt for event in told if isinstance(event, Reconnecting)] == list(range(1, losses + 1))


@engines
async def test_a_server_that_accepts_and_drops_is_given_up(engine: str) -> None:
    """Connections that do not last are no success: the delays grow, and ``max_attempts`` of them are the end."""
    calls: list[Session] = []

    async def fail_at_once(session: Session) -> None:
        calls.append(session)
        raise RuntimeError("dropped on purpose")

    policy = ReconnectPolicy(max_attempts=2, initial_delay=0.02, jitter=0, stable_after=1000)
    async with serving(fail_at_once, engine=engine) as place:
        transport = place.client(reconnect=policy)
        events = transport.events()
        with trio.fail_after(20):
            async with transport.session() as session:
                assert [frame async for frame in session.input] == []
                with pytest.raises(ConnectionClosed, match="gave up after 2 attempts"):
                    await session.output.send(TextFrame(text="hello"))
        told = [event async for event in events]
    assert [(event.attempt, event.delay) for event in told if isinstance(event, Reconnecting)] == [(1, 0.02), (2, 0.04)]
    assert sum(isinstance(event, Disconnected) for event in told) == 1
    assert len(calls) == 3


@engines
async def test_stale_audio_is_dropped_on_reconnection(engine: str) -> None:
    """Of the audio queued while the line was down only the newest second is sent, and the rest is counted."""
    heard: list[float] = []
    calls: list[int] = []

    async def count_audio(session: Session) -> None:
        calls.append(0)
        if len(calls) == 1:
            await session.input.receive()
            raise RuntimeError("dropped on purpose")
        async for frame in session.input:
            if isinstance(frame, AudioFrame):
                heard.append(frame.duration_s)

    policy = ReconnectPolicy(initial_delay=0.3, max_delay=0.3, jitter=0, max_queued_audio_secs=0.5)
    async with serving(count_audio, engine=engine) as place:
        transport = place.client(reconnect=policy, audio_out_auto_silence=False)
        events = transport.events()
        async with transport.session() as session:
            await session.output.send(TextFrame(text="drop me"))
            async for event in events:
                if isinstance(event, Reconnecting):
                    break
            await session.output.send(AudioFrame(audio=bytes(2 * RATE * 5), sample_rate=RATE))
            with trio.fail_after(30):
                await session.output.drain()
            dropped_s = session.statistics().audio_out_dropped_s
        await place.ended(2)
    assert dropped_s == pytest.approx(4.5, abs=0.1)
    assert sum(heard) == pytest.approx(0.5, abs=0.1)


async def test_giving_up_ends_the_session() -> None:
    """After max_attempts the session ends as the loss would have ended it, and says that it gave up."""
    async with serving() as place:
        policy = ReconnectPolicy(max_attempts=3, initial_delay=0.01, max_delay=0.01)
        transport = place.client(reconnect=policy)
        events = transport.events()
        async with transport.session() as session:
            place.transport.shutdown()
            assert [frame async for frame in session.input] == []
            with pytest.raises(ConnectionClosed, match="gave up"):
                await session.output.send(TextFrame(text="hello"))
        told = [event async for event in events]
    assert [event.attempt for event in told if isinstance(event, Reconnecting)] == [1, 2, 3]
    counters = ServerCounters()
    for event in told:
        counters.note(event)
    assert counters.figures().reconnections_tried == 3
    assert sum(isinstance(event, Disconnected) for event in told) == 1


async def test_a_server_that_ends_the_call_is_not_dialled_again() -> None:
    """A close with 1000 is meant: no reconnection."""

    async def end_at_once(session: Session) -> None:
        await session.input.receive()

    async with serving(end_at_once) as place:
        transport = place.client(reconnect=ReconnectPolicy(initial_delay=0.01))
        events = transport.events()
        async with transport.session() as session:
            await session.output.send(TextFrame(text="bye"))
            assert [frame async for frame in session.input] == []
        assert not [event async for event in events if isinstance(event, Reconnecting)]


def test_the_delays_grow_and_vary() -> None:
    """Delays double up to the limit, and jitter takes up to its share away."""
    policy = ReconnectPolicy(initial_delay=1, max_delay=10, multiplier=2, jitter=0.5)
    assert [policy.delay_s(attempt, 0) for attempt in (1, 2, 3, 4, 5, 1000)] == [1, 2, 4, 8, 10, 10]
    assert policy.delay_s(3, 0.999) == pytest.approx(2, abs=0.01)
    assert len({policy.delay_s(3, random.Random(seed).random()) for seed in range(20)}) == 20


@engines
def test_cancelled_at_every_step_on_real_sockets(engine: str) -> None:
    """A client cancelled at any step leaves no socket and no task, and the server tells one end for each connection."""

    async def program(instrument: CancelAtStep) -> None:
        with trio.fail_after(40):
            async with serving(params=server_params(connect_timeout=20), engine=engine) as place:
                with trio.CancelScope() as scope:
                    instrument.arm(scope)
                    async with place.client(close_timeout=0.5).session() as session:
                        for _ in range(3):
                            await session.output.send(AudioFrame(audio=bytes(640), sample_rate=RATE))
                            await session.input.receive()
                        await session.output.interrupt()
                instrument.scope = None
            connected = sum(isinstance(event, Connected) for event in place.told)
            assert connected == sum(isinstance(event, Disconnected) for event in place.told)

    assert sweep(program, virtual_time=False) > 40


@asynccontextmanager
async def raw_server(answer: bytes | None) -> AsyncIterator[int]:
    """Answer each connection with the given bytes and close it; None: say nothing and keep it. Gives the port."""

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            try:
                await stream.receive_some(4096)
                if answer is None:
                    await trio.sleep_forever()
                else:
                    await stream.send_all(answer)
                    await stream.send_eof()
                    while await stream.receive_some(4096):
                        pass
            except trio.BrokenResourceError:
                return

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        try:
            yield listeners[0].socket.getsockname()[1]
        finally:
            nursery.cancel_scope.cancel()
