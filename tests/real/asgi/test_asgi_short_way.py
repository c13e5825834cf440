"""Messages past ASGI under serve_asgi: fewer steps, counted, and everything else as it is on the ordinary way."""

from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any, Final, final

import pytest
import trio
from attrs import define
from fastapi import FastAPI, WebSocket

from tests.real.asgi.apps import AUDIO_MESSAGE, SessionApp, WireApp, lifespan, read, session_params, until
from tests.real.asgi.hosts import hosted
from tests.real.asgi.raw_peer import BINARY, CLOSE, PING, PONG, TEXT, RawPeer, close_frame, frame, raw_peer
from tests.real.wire.steps import steps_of
from trio_transports import AsgiWebsocketParams, AsgiWebsocketTransport, AudioFrame, Session
from trio_transports.errors import ConnectionClosed
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.wire.asgi import AsgiWire, Receive, Scope, Send, asgi_wire

READER: Final = "trio_transports.hosting connection"
SEND: Final = "send"
WAKES: Final = "shared wakes"
RECEIVE: Final = "receive"
FRAMES: Final = 25
CHUNK_S: Final = 0.02
CHUNK: Final = str(JSONFrameSerializer().encode(AudioFrame(audio=b"\1\0" * 320, sample_rate=16000))[0]).encode()


def chunk_params() -> AsgiWebsocketParams:
    return session_params(
        audio_in_sample_rate=16000, audio_out_sample_rate=16000, audio_out_10ms_chunks=2, audio_out_auto_silence=False
    )


async def echo_audio(session: Session) -> None:
    async for heard in session.input:
        if isinstance(heard, AudioFrame):
            await session.output.send(heard)


def fastapi_app(*middlewares: Callable[[Any], Any]) -> FastAPI:
    app = FastAPI()

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        async with AsgiWebsocketTransport(websocket, chunk_params()).session() as session:
            await echo_audio(session)

    for middleware in middlewares:
        app.add_middleware(middleware)
    return app


async def echoed(port: int, frames: int) -> None:
    """Have ``frames`` chunks echoed, in real time, each once the last has come back."""
    async with raw_peer(port) as peer:
        await peer.upgrade()
        for _ in range(frames):
            await peer.send(frame(TEXT, CHUNK))
            while (got := await peer.read_frame()) is None or b"audio" not in got.payload:
                assert got is not None
            await trio.sleep(CHUNK_S)
        await peer.send(close_frame(1000))
        assert (await peer.read_to_close()).close_code == 1000


@pytest.mark.parametrize("kind", ["fastapi", "raw", "starlette"])
async def test_a_frame_costs_no_step_of_the_servers_tasks(kind: str) -> None:
    """Neither its reader nor the session's send task moves for a frame; the receive task does, once or twice."""
    app = fastapi_app() if kind == "fastapi" else SessionApp(echo_audio, chunk_params(), starlette=kind == "starlette")
    async with hosted(app) as server:
        await echoed(server.port, 2)
        with steps_of(RECEIVE, READER, SEND) as steps:
            await echoed(server.port, FRAMES)
    assert steps[RECEIVE] <= 2 * FRAMES + 10
    # A connection's beginning and end have steps of their own: a dozen or so.
    assert steps[READER] < FRAMES
    assert steps[SEND] < FRAMES / 2


@final
@define(eq=False)
class Looking:
    """Middleware that counts the events it passes on, and changes nothing."""

    app: Any
    seen: Counter[str]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def receiving() -> Any:  # noqa: ANN401
            event = await receive()
            self.seen[event["type"]] += 1
            return event

        async def sending(event: Any) -> None:  # noqa: ANN401
            self.seen[event["type"]] += 1
            await send(event)

        await self.app(scope, receiving, sending)


@pytest.mark.parametrize("side", ["both", "receive", "send"])
async def test_middleware_that_looks_at_events_sees_each(side: str) -> None:
    """Whichever side it wraps: every message in and out passes through it, as ASGI says."""
    seen: Counter[str] = Counter()

    def middleware(app: Any) -> Any:  # noqa: ANN401
        looking = Looking(app, seen)

        async def run(scope: Scope, receive: Receive, send: Send) -> None:
            async def one_side(scope: Scope, looked_receive: Receive, looked_send: Send) -> None:
                await app(
                    scope, receive if side == "send" else looked_receive, send if side == "receive" else looked_send
                )

            await Looking(one_side, looking.seen)(scope, receive, send)

        return run

    async with hosted(fastapi_app(middleware)) as server:
        await echoed(server.port, 5)
    if side != "send":
        assert seen["websocket.receive"] == 5
    if side != "receive":
        assert seen["websocket.send"] >= 5


async def test_a_websocket_of_the_apps_own_class_is_asked() -> None:
    """A subclass may do more in ``send`` and ``receive`` than Starlette's: it is called for every message."""
    asked: Counter[str] = Counter()

    class Counted(WebSocket):
        async def receive(self) -> Any:  # noqa: ANN401
            event = await super().receive()
            asked[event["type"]] += 1
            return event

        async def send(self, message: Any) -> None:  # noqa: ANN401
            asked[message["type"]] += 1
            await super().send(message)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        wire = asgi_wire(Counted(scope, receive, send))
        await wire.accept()
        await wire.send(await wire.receive())
        assert wire.send_now(b"there is no short way") is False
        await wire.aclose()

    async with hosted(app) as server, raw_peer(server.port) as peer:
        await peer.upgrade()
        await peer.send(frame(TEXT, b"hello"))
        await peer.read_to_close()
    assert asked["websocket.receive"] == 1
    assert asked["websocket.send"] == 1


async def test_what_is_no_message_is_worked_on_in_its_place() -> None:
    """Pings between messages, in one segment with them and alone, twice over: each answered, nothing out of order."""
    heard: list[str | bytes] = []

    async def echo_heard(wire: AsgiWire) -> None:
        while True:
            heard.append(await wire.receive())
            await wire.send(heard[-1])

    app = WireApp(echo_heard)
    async with hosted(app) as server, raw_peer(server.port) as peer:
        await peer.upgrade()
        for _ in range(2):
            await peer.send(frame(TEXT, b"one"))
            assert await next_of(peer) == (TEXT, b"one")
            await peer.send(frame(TEXT, b"two") + frame(PING, b"?") + frame(BINARY, b"three") + frame(PING, b"??"))
            got = [await next_of(peer) for _ in range(4)]
            assert [payload for opcode, payload in got if opcode != PONG] == [b"two", b"three"]
            assert [payload for opcode, payload in got if opcode == PONG] == [b"?", b"??"]
            await peer.send(frame(PING, b"alone"))
            assert await next_of(peer) == (PONG, b"alone")
        await peer.send(frame(TEXT, b"last") + close_frame(4321, "enough"))
        assert (await peer.read_to_close()).close_code == 4321
        await peer.wait_eof()
        await until(lambda: app.endings)
    assert heard[-1] == "last"
    assert [(end.code, end.reason, end.initiator) for end in app.endings] == [(4321, "enough", "remote")]
    assert server.log.errors == []


async def next_of(peer: RawPeer) -> tuple[int, bytes]:
    got = await peer.read_frame()
    assert got is not None
    return got.opcode, got.payload


async def test_a_violation_is_told_after_what_came_before_it() -> None:
    got: list[str | bytes] = []

    async def take(wire: AsgiWire) -> None:
        while True:
            got.append(await wire.receive())

    app = WireApp(take)
    async with hosted(app) as server, raw_peer(server.port) as peer:
        await peer.upgrade()
        await peer.send(frame(TEXT, b"first"))
        await until(lambda: got)
        await peer.send(frame(TEXT, b"second") + frame(TEXT, b"bad", first_byte=0xC1))
        assert (await peer.read_to_close()).close_code == 1002
        await peer.wait_eof()
        await until(lambda: app.endings)
    assert got == ["first", "second"]
    assert [(end.code, end.initiator) for end in app.endings] == [(1002, "error")]


@pytest.mark.parametrize("size", [3, 700, 5_000, 300_000])
async def test_messages_of_every_size_come_whole_and_in_order(size: int) -> None:
    """Many to a read, one in many reads, and what is read is worked on in pieces."""
    count = max(3, min(3_000, 600_000 // size))
    got: list[bytes] = []

    async def take(wire: AsgiWire) -> None:
        while True:
            message = await wire.receive()
            assert isinstance(message, bytes)
            got.append(message)

    expected = [bytes([n % 251]) * size for n in range(count)]
    async with hosted(WireApp(take)) as server, raw_peer(server.port) as peer:
        await peer.upgrade()
        await peer.send(frame(BINARY, expected[0]))
        await until(lambda: got)
        await peer.send(b"".join(frame(BINARY, one) for one in expected[1:]))
        await until(lambda: len(got) == count, 20)
    assert got == expected


async def test_a_receive_that_is_cancelled_again_and_again_loses_nothing() -> None:
    got: list[str | bytes] = []
    cancelled = 0

    async def take(wire: AsgiWire) -> None:
        nonlocal cancelled
        while True:
            with trio.move_on_after(0.0004) as limit:
                got.append(await wire.receive())
            if limit.cancelled_caught:
                cancelled += 1
                await trio.sleep(0.0005)

    async with hosted(WireApp(take)) as server, raw_peer(server.port) as peer:
        await peer.upgrade()
        for n in range(200):
            await peer.send(frame(TEXT, str(n).encode()) + (frame(PING, b"?") if n % 50 == 0 else b""))
            if n % 10 == 0:
                await trio.sleep(0.002)
        await until(lambda: len(got) == 200)
    assert got == [str(n) for n in range(200)]
    assert cancelled


async def test_what_receiving_raises_is_not_taken_for_the_streams_end() -> None:
    """An error of whoever receives comes out as it is, also where a stream could have raised it; the call goes on."""
    got: list[str | bytes] = []
    raised: list[str] = []

    def fail_at_two(message: str | bytes) -> bool:
        got.append(message)
        if message == "two":
            raise trio.BrokenResourceError("of a channel that the receiver writes to")
        return False

    async def take(wire: AsgiWire) -> None:
        while True:
            try:
                await wire.receive_each(fail_at_two)
            except trio.BrokenResourceError as exc:
                raised.append(str(exc))

    async with hosted(WireApp(take)) as server, raw_peer(server.port) as peer:
        await peer.upgrade()
        expected = ["one", "two", "three"] * 2
        for number, word in enumerate(expected, 1):
            await peer.send(frame(TEXT, word.encode()))
            await until(lambda number=number: len(got) == number)  # type: ignore[misc]
        await until(lambda: len(raised) == 2)
    assert got == expected
    assert raised == ["of a channel that the receiver writes to"] * 2


async def test_an_app_may_go_on_with_its_own_receive() -> None:
    """Messages by the wire and events by ASGI, in turn: one order, and a ping is answered meanwhile."""
    took: list[object] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        wire = asgi_wire((scope, receive, send))
        await wire.accept()
        for _ in range(2):
            took.append(await wire.receive())
            took.append(await wire.receive())
            event = await receive()
            took.append(event["text"] if event["bytes"] is None else event["bytes"])
            await send({"type": "websocket.send", "text": "go on"})
        took.append((await receive())["type"])

    async with hosted(app) as server, raw_peer(server.port) as peer:
        await peer.upgrade()
        for _ in range(2):
            await peer.send(frame(TEXT, b"1"))
            await trio.sleep(0.01)
            await peer.send(frame(TEXT, b"2"))
            await trio.sleep(0.01)
            await peer.send(frame(PING, b"?") + frame(BINARY, b"3"))
            assert {(await next_of(peer))[0], (await next_of(peer))[0]} == {PONG, TEXT}
        await peer.send(close_frame())
        await peer.read_to_close()
        await until(lambda: len(took) == 7)
    assert took == ["1", "2", b"3", "1", "2", b"3", "websocket.disconnect"]


async def test_an_app_that_returns_with_the_socket_lent_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader has the socket again: the peer is told 1011, and its answer ends the connection at once."""
    monkeypatch.setattr("trio_transports.hosting.closing.LINGER_S", 60)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        wire = asgi_wire((scope, receive, send))
        await wire.accept()
        for _ in range(2):
            await wire.receive()

    async with hosted(app) as server, raw_peer(server.port) as peer:
        await peer.upgrade()
        await peer.send(frame(TEXT, b"1"))
        await trio.sleep(0.01)
        await peer.send(frame(TEXT, b"2"))
        assert (await peer.read_to_close()).close_code == 1011
        with trio.fail_after(30):  # before the minute for which a silent peer is waited for here
            await peer.send(close_frame(1011))
            await peer.wait_eof()


@pytest.mark.parametrize("how", ["eof", "reset"])
async def test_a_peer_that_vanishes_is_told_as_ever(how: str) -> None:
    app = WireApp(read)
    async with hosted(app) as server:
        async with raw_peer(server.port) as peer:
            await peer.upgrade()
            await peer.send(frame(TEXT, b"1"))
            await trio.sleep(0.01)
            await peer.send(frame(TEXT, b"2"))
            await trio.sleep(0.01)
            if how == "reset":
                assert isinstance(peer.stream, trio.SocketStream)
                peer.stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await until(lambda: app.endings)
    assert [(end.code, end.initiator) for end in app.endings] == [(1006, "error")]


async def test_a_message_that_the_kernel_takes_in_part_is_finished_before_the_next() -> None:
    """``send_now`` begins it; a pong and a message behind it come after its end."""
    began: list[bool | None] = []

    async def fill(wire: AsgiWire) -> None:
        await wire.receive()
        await wire.receive()
        while (done := wire.send_now(bytes(100_000))) is True:
            began.append(done)
        began.append(done)
        await wire.flushed()
        await wire.send("behind")
        assert wire.send_now(b"and now") is True
        await wire.receive()

    app = WireApp(fill)
    async with hosted(app, write_timeout=10.0) as server, raw_peer(server.port, small_buffers=True) as peer:
        await peer.upgrade()
        await peer.send(frame(TEXT, b"1"))
        await trio.sleep(0.01)
        await peer.send(frame(TEXT, b"2"))
        await until(lambda: began and began[-1] is not True)
        await peer.send(frame(PING, b"?"))
        got = []
        while (one := await peer.read_frame()) is not None and one.payload != b"and now":
            got.append((one.opcode, len(one.payload)))
    whole = [one for one in got if one[0] != PONG]
    assert began[-1] is None
    assert whole == [(BINARY, 100_000)] * len(began) + [(TEXT, 6)]


async def test_a_peer_that_never_reads_what_was_begun_is_cut_off() -> None:
    """``flushed`` ends with the write's own deadline, and the end is told once."""

    async def fill(wire: AsgiWire) -> None:
        while wire.send_now(bytes(100_000)) is True:
            pass
        with pytest.raises(ConnectionClosed):
            await wire.flushed()
        await wire.receive()

    app = WireApp(fill)
    async with hosted(app, write_timeout=0.3) as server, raw_peer(server.port, small_buffers=True) as peer:
        await peer.upgrade()
        await until(lambda: app.endings, 8)  # and not after the 10 s that a server has by itself
    assert [end.code for end in app.endings] == [1006]


async def test_a_flush_that_is_cancelled_aborts() -> None:
    async def fill(wire: AsgiWire) -> None:
        while wire.send_now(bytes(100_000)) is True:
            pass
        with trio.move_on_after(0.05):
            await wire.flushed()
        await wire.receive()

    app = WireApp(fill)
    async with hosted(app, write_timeout=60) as server, raw_peer(server.port, small_buffers=True) as peer:
        await peer.upgrade()
        await until(lambda: app.endings)
    assert [end.code for end in app.endings] == [1006]


async def test_a_session_that_is_shut_down_says_1001_with_its_socket_lent() -> None:
    app = SessionApp(echo_audio, chunk_params())
    async with hosted(app) as server, raw_peer(server.port) as peer:
        await peer.upgrade()
        for _ in range(3):
            await peer.send(frame(TEXT, AUDIO_MESSAGE))
            await trio.sleep(0.02)
        server.shutdown.set()
        assert (await peer.read_to_close()).close_code == 1001
        await peer.send(frame(CLOSE, (1001).to_bytes(2, "big")))
        await peer.wait_eof()
        await until(lambda: app.disconnected)
    assert [(end.code, end.initiator) for end in app.disconnected] == [(1001, "local")]


async def steps_for_a_question(*, shares: bool) -> dict[str, float]:
    """Of each task, while twenty callers ask at a time and each is answered."""

    async def answer(session: Session) -> None:
        async for heard in session.input:
            if not isinstance(heard, AudioFrame):
                await session.output.send(heard)

    callers, rounds = 20, 30
    names = (READER, RECEIVE, SEND, WAKES)
    question = frame(TEXT, b'{"type":"text","text":"hello"}')
    app = SessionApp(answer, chunk_params())
    async with hosted(app, limits={"share_wakes": shares}) as server, AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(raw_peer(server.port)) for _ in range(callers)]
        for peer in peers:
            await peer.upgrade()

        async def round_of_all() -> None:
            for peer in peers:
                await peer.send(question)
            with trio.fail_after(30):
                for peer in peers:
                    assert b"hello" in (await next_of(peer))[1]

        for _ in range(2):
            await round_of_all()
        with steps_of(*names) as steps:
            for _ in range(rounds):
                await round_of_all()
        return {name: steps[name] / (callers * rounds) for name in names}


@pytest.mark.usefixtures("held_back")
async def test_a_wake_is_shared() -> None:
    """Under load many messages are read at one wake, and their sessions' receive tasks sleep on."""
    steps = await steps_for_a_question(shares=True)
    assert {name: steps[name] for name in (READER, RECEIVE, SEND)} == {READER: 0, RECEIVE: 0, SEND: 0}
    assert steps[WAKES] <= 0.3


async def test_sharing_wakes_can_be_switched_off() -> None:
    steps = await steps_for_a_question(shares=False)
    assert steps[WAKES] == 0
    assert steps[RECEIVE] >= 1
