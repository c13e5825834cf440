"""One driver for each snippet of the README: runs its ``main`` against a real peer and looks at what comes of it.

A driver gets the snippet as a module. It returns by itself; the test around it has the deadline. A server's ``main``
takes ``port`` and ``task_status``, a client's takes ``url``.
"""

import json
import os
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import TypeAlias
from unittest.mock import patch
from urllib.parse import urlsplit

import trio
from trio.testing import MockClock
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, serve_websocket, wrap_client_stream

from trio_transports import ServerReady, Session, TextFrame, WebsocketClientParams, WebsocketClientTransport
from trio_transports.playground.routes import bot_params
from trio_transports.serializers.protobuf import ProtobufFrameSerializer
from trio_transports.telephony import TwilioHangUp, twilio_signature
from trio_transports.testing import phone_call, speech_like
from trio_transports.testing.phones import hang_up_api

Driver: TypeAlias = Callable[[ModuleType], Awaitable[None]]

DRIVERS: dict[str, Driver] = {}


def driver(function: Driver) -> Driver:
    """Enter a function as the driver of the snippet that has its name."""
    DRIVERS[function.__name__] = function
    return function


@asynccontextmanager
async def serving(snippet: ModuleType) -> AsyncIterator[str]:
    """The snippet's server on a free port, until the block ends."""
    async with trio.open_nursery() as nursery:
        ready = await nursery.start(partial(snippet.main, 0))
        # A transport tells an event, serve_asgi a list of addresses.
        yield f"ws://127.0.0.1:{ready.port}" if isinstance(ready, ServerReady) else ready[0].replace("http", "ws")
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def peer(handler: Callable[[WebSocketConnection], Awaitable[None]]) -> AsyncIterator[str]:
    """A plain WebSocket server on a free port, until the block ends."""

    async def accept(request: WebSocketRequest) -> None:
        connection = await request.accept()
        with suppress(ConnectionClosed):  # the snippet leaves first
            await handler(connection)

    async with trio.open_nursery() as nursery:
        server = await nursery.start(partial(serve_websocket, accept, "127.0.0.1", 0, None))
        yield f"ws://127.0.0.1:{server.port}"
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def calling(url: str, headers: Sequence[tuple[bytes, bytes]] = ()) -> AsyncIterator[WebSocketConnection]:
    """A plain WebSocket client that owns its socket, so that it is closed whoever leaves first."""
    parts = urlsplit(url)
    assert parts.port is not None
    async with await trio.open_tcp_stream("127.0.0.1", parts.port) as stream, trio.open_nursery() as nursery:
        yield await wrap_client_stream(nursery, stream, parts.netloc, parts.path or "/", extra_headers=list(headers))
        nursery.cancel_scope.cancel()


async def answer_to_upgrade(url: str) -> bytes:
    """The first line of what the server says to a caller with nothing but a WebSocket's own headers."""
    port = urlsplit(url).port
    assert port is not None
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(
            b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        return bytes(await stream.receive_some()).partition(b"\r\n")[0]


def audio_of(message: str | bytes) -> bytes:
    document = json.loads(message)
    return b64decode(document["audio"]) if document["type"] == "audio" else b""


async def hears_its_own_words(url: str) -> None:
    said = bytes(range(1, 256)) * 2 + b"\x01\x02"
    async with calling(url) as caller:
        document = {"type": "audio", "audio": b64encode(said).decode(), "sample_rate": 16000}
        await caller.send_message(json.dumps(document))
        heard = b""
        while len(heard) < len(said):
            heard += audio_of(await caller.get_message())
    assert heard.startswith(said)


@driver
async def server(snippet: ModuleType) -> None:
    """What is said comes back, sample for sample."""
    async with serving(snippet) as url:
        await hears_its_own_words(url)


@driver
async def first_server(snippet: ModuleType) -> None:
    """What is said comes back, whatever the caller speaks: JSON here, at the rate that the dialect leaves to us."""
    said = b"\x10\x27" * 3200
    async with serving(snippet) as url, calling(url) as caller:
        document = {"type": "audio", "audio": b64encode(said).decode(), "sample_rate": 16000}
        await caller.send_message(json.dumps(document))
        heard_s = 0.0
        while heard_s < 0.19:
            message = json.loads(await caller.get_message())
            if message["type"] == "audio":
                heard_s += len(audio_of(json.dumps(message))) / 2 / message["sample_rate"]


@driver
async def bot(snippet: ModuleType) -> None:
    """Served as the command line does, it says back what it heard, twice, and by telephone too."""

    async def calls() -> None:
        for line in ("browser", "twilio"):
            async with phone_call(snippet.bot, line, params=bot_params()) as phone:
                for _ in range(2):
                    await phone.be_silent(0.5)
                    await phone.speak(speech_like(1.0))
                    await phone.be_silent(2.0)
                    assert 0.8 < (await phone.listen()).duration_s < 2.5

    await trio.to_thread.run_sync(partial(trio.run, calls, clock=MockClock(autojump_threshold=0)))


@driver
async def reconnecting(snippet: ModuleType) -> None:
    """Three connections are lost, and it is the same session."""
    assert await snippet.main() == 3


@driver
async def fastapi(snippet: ModuleType) -> None:
    """What is said comes back from the endpoint too."""
    async with serving(snippet) as url:
        await hears_its_own_words(f"{url}/ws")


@driver
async def pipeline(snippet: ModuleType) -> None:
    """Text is shouted back."""
    params = WebsocketClientParams(serializer=ProtobufFrameSerializer())
    async with serving(snippet) as url, WebsocketClientTransport(url, params).session() as session:
        await session.output.send(TextFrame(text="hello"))
        async for frame in session.input:
            if isinstance(frame, TextFrame):
                assert frame.text == "HELLO"
                return


@driver
async def test_your_bot(snippet: ModuleType) -> None:
    """The README's shorter one."""
    await testing(snippet)


@driver
async def testing(snippet: ModuleType) -> None:
    """As the program it is, with its virtual clock; and a bot that says nothing does not pass."""

    async def mute(session: Session) -> None:
        async for _ in session.input:
            pass

    def run() -> None:
        trio.run(snippet.main, clock=MockClock(autojump_threshold=0))

    await trio.to_thread.run_sync(run)
    with patch.object(snippet, "bot", mute):
        try:
            await trio.to_thread.run_sync(run)
        except (AssertionError, trio.TooSlowError):
            return
    raise AssertionError("the test passes whatever the bot does")


@driver
async def serializer(snippet: ModuleType) -> None:
    """Raw PCM goes in and out, whatever else is sent."""
    said = bytes(range(1, 256)) * 2 + b"\x01\x02"
    async with serving(snippet) as url, calling(url) as caller:
        await caller.send_message("not audio")
        await caller.send_message(said)
        heard = b""
        while len(heard) < len(said):
            message = await caller.get_message()
            assert isinstance(message, bytes)
            heard += message
    assert len(heard) % 2 == 0
    assert any(heard)


@driver
async def agent(snippet: ModuleType) -> None:
    """It hears the agent's whole answer and keeps a recording of both sides."""

    async def answer_once(connection: WebSocketConnection) -> None:
        heard = 0
        while heard < 24000:
            heard += len(b64decode(json.loads(await connection.get_message())["speech"]))
        await connection.send_message(json.dumps({"thinking": True}))
        await connection.send_message(json.dumps({"speech": b64encode(b"\x10\x10" * 12000).decode()}))
        await connection.get_message()

    with TemporaryDirectory() as folder:
        recording = Path(folder) / "conversation.wav"
        async with peer(answer_once) as url:
            answer = await snippet.main(url, str(recording))
        assert answer.audio.data == b"\x10\x10" * 12000
        assert recording.stat().st_size > 24000 * 2 * 2 * 0.7  # about a second, stereo


@driver
async def proxy(snippet: ModuleType) -> None:
    """The word comes back from the other machine."""
    assert await snippet.main(0) == "hello"


@driver
async def client(snippet: ModuleType) -> None:
    """It hears the second it said."""

    async def echo(connection: WebSocketConnection) -> None:
        while True:
            await connection.send_message(await connection.get_message())

    async with peer(echo) as url:
        heard_s = await snippet.main(url)
    assert 1 <= heard_s < 1.2


@driver
async def twilio(snippet: ModuleType) -> None:
    """A stranger is refused; a signed caller is greeted, and its call is ended."""
    token = "12345"
    with patch.dict(os.environ, TWILIO_ACCOUNT_SID="AC42", TWILIO_AUTH_TOKEN=token):
        async with hang_up_api() as provider:
            vars(snippet)["TwilioHangUp"] = partial(TwilioHangUp, base_url=provider.url)
            async with serving(snippet) as url:
                signed = [(b"X-Twilio-Signature", twilio_signature(token, "wss://voice.example.com/").encode())]
                assert b" 403 " in await answer_to_upgrade(url)
                async with calling(url, signed) as caller:
                    start = {"streamSid": "MZ1", "callSid": "CA7", "accountSid": "AC42", "customParameters": {}}
                    start["mediaFormat"] = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
                    await caller.send_message(
                        json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"})
                    )
                    await caller.send_message(json.dumps({"event": "start", "streamSid": "MZ1", "start": start}))
                    heard = b""
                    while True:
                        try:
                            message = json.loads(await caller.get_message())
                        except ConnectionClosed:
                            break
                        if message["event"] == "media":
                            heard += b64decode(message["media"]["payload"])
                        elif message["event"] == "mark":
                            await caller.send_message(json.dumps(message))
                assert len(heard) >= 4000
        (asked,) = provider.requests
        assert asked.target == "/2010-04-01/Accounts/AC42/Calls/CA7.json"
