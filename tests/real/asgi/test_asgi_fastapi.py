"""The ASGI transport behind FastAPI, called by this library's own client."""

import logging
from collections.abc import Sequence

import pytest
import trio
from attrs import evolve
from fastapi import FastAPI, WebSocket

from tests.real.asgi.apps import session_params, until
from tests.real.asgi.fastapi_host import fastapi_echo_host
from tests.real.asgi.hosts import LATE_S, hosted
from tests.real.asgi.raw_peer import CLOSE, TEXT, close_frame, frame, raw_peer
from trio_transports import (
    AsgiWebsocketTransport,
    AudioFormat,
    AudioFrame,
    Connected,
    ConnectionClosed,
    Disconnected,
    Frame,
    HandshakeRejected,
    LocalProtocolError,
    Session,
    SessionTimeout,
    TextFrame,
    WebsocketClientParams,
    WebsocketClientTransport,
)
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.wire import Peer
from trio_transports.wire.refusal import Refusal

CLIENT = WebsocketClientParams(audio_in_enabled=True, audio_out_enabled=True, serializer=JSONFrameSerializer())

either_server = pytest.mark.parametrize("guarded", [True, False], ids=["serve_asgi", "bare hypercorn"])


async def echo(session: Session) -> None:
    async for each in session.input:
        await session.output.send(each)


async def listen(session: Session) -> None:
    async for _ in session.input:
        pass


@either_server
@pytest.mark.parametrize("app_accepts", [True, False], ids=["accepted by the app", "accepted by the transport"])
async def test_a_call(*, guarded: bool, app_accepts: bool) -> None:
    """Frames come back through a FastAPI endpoint, and the session's peer is who called."""
    peers: list[Peer] = []

    async def handler(session: Session) -> None:
        peers.append(session.peer)
        await echo(session)

    async with fastapi_echo_host(handler, session_params(), guarded=guarded, app_accepts=app_accepts) as host:
        params = evolve(CLIENT, additional_headers={"x-call": "42"})
        with trio.fail_after(30):
            async with WebsocketClientTransport(f"{host.url}?who=me", params).session() as session:
                await session.output.send(TextFrame(text="hello"))
                assert await session.input.receive() == TextFrame(text="hello")
            events = [await host.events.receive() for _ in range(2)]
    assert isinstance(events[0], Connected)
    assert isinstance(events[1], Disconnected)
    assert (events[1].code, events[1].initiator) == ((1000, "remote") if guarded else (1006, "error"))
    (peer,) = peers
    assert (peer.address, peer.path, peer.query) == ("127.0.0.1", "/ws", {"who": ["me"]})
    assert peer.header("X-Call") == "42"


@either_server
async def test_a_refusal_has_its_status(*, guarded: bool) -> None:
    """The transport's authorize refuses with a status, headers and a body of its own, before there is a session."""

    async def authorize(peer: Peer) -> Refusal | bool:
        return peer.query.get("token") == ["t"] or Refusal(status=402, body="pay first", headers=(("X-Price", "1"),))

    async with fastapi_echo_host(echo, session_params(authorize=authorize), guarded=guarded) as host:
        with trio.fail_after(30):
            with pytest.raises(HandshakeRejected) as refused:
                async with WebsocketClientTransport(host.url, CLIENT).session():
                    pass
            assert (refused.value.status, refused.value.body) == (402, b"pay first")
            assert ("x-price", "1") in refused.value.headers
            async with WebsocketClientTransport(f"{host.url}?token=t", CLIENT).session() as session:
                await session.output.send(TextFrame(text="paid"))
                assert await session.input.receive() == TextFrame(text="paid")
        assert host.server.log.errors == []


@pytest.mark.parametrize(
    ("origin", "status"),
    [("https://good.example", 101), ("HTTPS://Good.Example:443", 101), ("https://evil.example", 403), ("null", 403)],
)
async def test_origins(origin: str, status: int) -> None:
    """A browser's page is let in by its origin; a caller that is no browser names none."""
    params = session_params(allowed_origins=["https://good.example"])
    async with fastapi_echo_host(listen, params) as host, raw_peer(host.server.port) as peer:
        await peer.upgrade(Origin=origin)
        assert peer.status == status
        async with raw_peer(host.server.port) as program:
            await program.upgrade()
            assert program.status == 101


async def test_a_late_refusal_is_1008() -> None:
    """Where the app has accepted already, who is not let in is sent 1008, and no session begins."""
    seen: list[Session] = []

    async def handler(session: Session) -> None:
        seen.append(session)

    params = session_params(allowed_origins=["https://good.example"])
    async with fastapi_echo_host(handler, params, app_accepts=True) as host, raw_peer(host.server.port) as peer:
        await peer.upgrade(Origin="https://evil.example")
        closed = await peer.read_to_close()
        assert closed.close_code == 1008
        assert closed.close_reason.startswith("origin not allowed: ")
        await peer.send(close_frame(1008))
        await peer.wait_eof()
    assert seen == []


async def test_a_subprotocol_is_chosen() -> None:
    """The first of the transport's subprotocols that the client offers is agreed on."""
    chosen: list[str | None] = []

    async def handler(session: Session) -> None:
        chosen.append(session.peer.subprotocol)
        await listen(session)

    async with fastapi_echo_host(handler, session_params(subprotocols=("v2", "v1"))) as host:
        for offer, answer in (("v1, v2", b"v2"), ("v0", None)):
            async with raw_peer(host.server.port) as peer:
                await peer.upgrade(Sec_WebSocket_Protocol=offer)
                assert peer.status == 101
                if answer is None:
                    assert b"sec-websocket-protocol" not in peer.head.lower()
                else:
                    assert b"sec-websocket-protocol: " + answer in peer.head
                await peer.send(close_frame())
                await peer.wait_eof()
    assert chosen == ["v2", None]


@either_server
async def test_a_session_timeout(*, guarded: bool) -> None:
    """session_timeout is told, and closes the session where that was asked for."""
    params = session_params(session_timeout=0.2, session_timeout_action="close")
    async with fastapi_echo_host(listen, params, guarded=guarded) as host, raw_peer(host.server.port) as peer:
        await peer.upgrade()
        with trio.fail_after(30):
            closed = await peer.read_to_close()
            assert (closed.close_code, closed.close_reason) == (1000, "session timeout")
            await peer.send(close_frame())
            kinds = [type(await host.events.receive()) for _ in range(3)]
    assert kinds == [Connected, SessionTimeout, Disconnected]


class BarePCM:
    """A dialect of a few lines: audio as it is, and nothing else."""

    audio_format = AudioFormat(16000, 1)

    def encode(self, frame: Frame) -> Sequence[str | bytes]:
        return (frame.audio,) if isinstance(frame, AudioFrame) else ()

    def decode(self, message: str | bytes) -> Sequence[Frame]:
        return (AudioFrame(audio=message, sample_rate=16000),) if isinstance(message, bytes) else ()


@either_server
async def test_every_packet_has_the_fixed_size(*, guarded: bool) -> None:
    """With fixed_audio_packet_size each audio packet has that size, the last one padded."""

    async def talk(session: Session) -> None:
        await session.output.send(AudioFrame(audio=b"\x01\x00" * 500, sample_rate=16000))

    params = session_params(serializer=BarePCM(), fixed_audio_packet_size=640)
    packets: list[bytes] = []
    async with fastapi_echo_host(talk, params, guarded=guarded) as host, raw_peer(host.server.port) as peer:
        await peer.upgrade()
        with trio.fail_after(30):
            while (got := await peer.read_frame()) is not None and got.opcode != CLOSE:
                packets.append(got.payload)
            await peer.send(close_frame())
    assert [len(packet) for packet in packets] == [640] * len(packets)
    assert b"".join(packets).rstrip(b"\x00") + b"\x00" == b"\x01\x00" * 500


async def test_a_crash_of_the_handler_is_logged_once() -> None:
    """A handler that raises ends its own call with 1011, is logged once, and others go on."""

    async def handler(session: Session) -> None:
        async for each in session.input:
            if each == TextFrame(text="crash"):
                raise RuntimeError("the handler's own fault")
            await session.output.send(each)

    async with fastapi_echo_host(handler, session_params()) as host:
        with trio.fail_after(30):
            async with WebsocketClientTransport(host.url, CLIENT).session() as other:
                async with raw_peer(host.server.port) as peer:
                    await peer.upgrade()
                    await peer.send(frame(TEXT, str(JSONFrameSerializer().encode(TextFrame(text="crash"))[0]).encode()))
                    assert (await peer.read_to_close()).close_code == 1011
                    await peer.send(close_frame(1011))
                    await peer.wait_eof()
                await other.output.send(TextFrame(text="still here"))
                assert await other.input.receive() == TextFrame(text="still here")
        await until(lambda: host.server.log.errors)  # a caller may be told before the log is
        (error,) = host.server.log.errors
        assert error.exc_info is not None
        assert "the handler's own fault" in repr(error.exc_info[1])


@pytest.mark.parametrize("fault", [HandshakeRejected(403), ConnectionClosed(4000, "hung up", initiator="remote")])
@pytest.mark.parametrize("served", [True, False], ids=["serve", "session"])
async def test_how_another_connection_ended_is_a_fault(fault: Exception, *, served: bool) -> None:
    """What a call that the handler makes itself ends with, ends the handler: 1011, and a traceback in the log."""
    app = FastAPI()

    async def handler(_session: Session) -> None:
        raise fault

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket) -> None:
        transport = AsgiWebsocketTransport(websocket, session_params())
        if served:
            await transport.serve(handler)
        else:
            async with transport.session() as session:
                await handler(session)

    async with hosted(app) as server, raw_peer(server.port) as peer:
        await peer.upgrade()
        assert (await peer.read_to_close()).close_code == 1011
        await peer.send(close_frame(1011))
        await peer.wait_eof()
        await until(lambda: server.log.errors)
    (error,) = server.log.errors
    assert error.exc_info is not None
    assert error.exc_info[1] is fault


async def test_the_end_of_the_call_is_no_fault() -> None:
    """What a handler's own session ends with is logged by nobody as an error, and leaves serve as a return."""
    returned: list[str] = []
    app = FastAPI()

    async def handler(session: Session) -> None:
        while True:
            await session.output.send(TextFrame(text="are you there?"))
            await trio.sleep(0.01)

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket) -> None:
        await AsgiWebsocketTransport(websocket, session_params()).serve(handler)
        returned.append("as usual")

    async with hosted(app) as server, raw_peer(server.port) as peer:
        await peer.upgrade()
        await peer.send(close_frame())
        await peer.wait_eof()
        await until(lambda: returned)
    assert returned == ["as usual"]
    assert server.log.errors == []


async def test_a_transport_has_one_session() -> None:
    """A second session of a transport is refused at once: its WebSocket has been used."""

    async def gone() -> dict[str, str]:
        return {"type": "websocket.disconnect"}

    transport = AsgiWebsocketTransport(({"type": "websocket"}, gone, trio.sleep), session_params())
    await transport.serve(listen)
    with pytest.raises(LocalProtocolError, match="one for each WebSocket"):
        await transport.serve(listen)


async def test_session_as_a_context(caplog: pytest.LogCaptureFixture) -> None:
    """session() in an endpoint of one's own: the end of the call leaving it is logged in a line, not as a fault."""
    app = FastAPI()

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        async with AsgiWebsocketTransport(websocket, session_params()).session() as session:
            while True:
                await session.output.send(TextFrame(text="are you there?"))
                await trio.sleep(0.01)

    async with hosted(app, graceful_timeout=60) as server:
        async with raw_peer(server.port) as peer:
            await peer.upgrade()
            assert await peer.read_frame() is not None
            await peer.send(close_frame())
            await peer.wait_eof()
        assert await server.stop() < 1.0 + LATE_S
    assert server.log.errors == []
    assert any("closed by the peer" in record.getMessage() for record in server.log.records)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_tls_settings_are_the_servers() -> None:
    """ssl_context on the ASGI transport is refused: it could have no effect there."""
    import ssl

    params = session_params(ssl_context=ssl.create_default_context())
    with pytest.raises(ValueError, match="ssl_context has no effect"):
        AsgiWebsocketTransport(({"type": "websocket"}, trio.sleep_forever, trio.sleep), params)
