"""Twilio's signature in front of a real server: who gets in, and what the others get to know."""

import hmac
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
from fastapi import FastAPI, WebSocket
from hypercorn.config import Config

from tests.real.hosting import Handler, hosted
from tests.real.telephony.phone import caller, calling, packets
from trio_transports import AsgiWebsocketParams, AsgiWebsocketTransport, AudioFrame, Session
from trio_transports.hosting import serve_asgi
from trio_transports.serializers.twilio import TwilioFrameSerializer
from trio_transports.telephony import TwilioSignature
from trio_transports.wire.engines import ENGINES

TOKEN = "12345"
PUBLIC = "wss://voice.example.com"

ways_in = pytest.mark.parametrize("way_in", [*ENGINES, "fastapi"])


def signature(url: str, token: str = TOKEN) -> str:
    return b64encode(hmac.new(token.encode(), url.encode(), "sha1").digest()).decode()


async def greet(session: Session) -> None:
    await session.output.send(AudioFrame(audio=bytes(32000), sample_rate=16000))


@asynccontextmanager
async def guarded(way_in: str, authorize: TwilioSignature, handler: Handler = greet) -> AsyncIterator[str]:
    """Serve only callers of Twilio's, at /call; in FastAPI before the WebSocket is accepted."""
    settings = {"serializer": TwilioFrameSerializer(), "audio_out_enabled": True, "authorize": authorize}
    if way_in != "fastapi":
        async with hosted(way_in, handler, **settings) as host:
            yield host.url
        return
    app, stop = FastAPI(), trio.Event()
    params = AsgiWebsocketParams(**settings)  # type: ignore[arg-type]

    @app.websocket("/call")
    async def call(websocket: WebSocket) -> None:
        await AsgiWebsocketTransport(websocket, params).serve(handler)

    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.graceful_timeout = 3
    async with trio.open_nursery() as nursery:
        (address, *_) = await nursery.start(partial(serve_asgi, app, config, shutdown_trigger=stop.wait))
        yield f"ws://127.0.0.1:{str(address).rsplit(':', 1)[1]}/call"
        stop.set()


async def knock(url: str, target: str = "/call", signed: str | None = None) -> tuple[int, bytes]:
    """Ask for the upgrade; return the status and the whole answer."""
    host = url.split("/")[2]
    lines = [
        f"GET {target} HTTP/1.1",
        f"Host: {host}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        *([] if signed is None else [f"X-Twilio-Signature: {signed}"]),
    ]
    async with await trio.open_tcp_stream("127.0.0.1", int(host.split(":")[1])) as stream:
        await stream.send_all("\r\n".join([*lines, "", ""]).encode())
        answer = b""
        with trio.fail_after(30):
            while b"\r\n\r\n" not in answer:
                got = await stream.receive_some()
                assert got, answer
                answer += got
        with trio.move_on_after(0.3):
            async for rest in stream:
                answer += rest
    return int(answer.split()[1]), answer


@ways_in
async def test_who_gets_in(way_in: str) -> None:
    """Only the right signature, over the URL that Twilio called, gets in; all else is 403, and no handler runs."""
    started: list[Session] = []
    both = trio.Event()

    async def note(session: Session) -> None:
        started.append(session)
        if len(started) == 2:
            both.set()

    right = signature(f"{PUBLIC}/call")
    async with guarded(way_in, TwilioSignature(TOKEN, url=PUBLIC), note) as url:
        for signed in (
            None,
            "",
            "nonsense",
            right[:-1],
            right.lower(),
            signature(f"{PUBLIC}/call", "54321"),
            signature(f"{PUBLIC}/other"),
            signature("wss://evil.example.com/call"),
        ):
            status, answer = await knock(url, signed=signed)
            assert status == 403, signed
            assert TOKEN.encode() not in answer
            assert right.encode() not in answer
        assert (await knock(url, "/call?token=1", right))[0] == 403
        assert started == []
        assert (await knock(url, signed=right))[0] == 101
        assert (await knock(url, "/call?token=1", signature(f"{PUBLIC}/call?token=1")))[0] == 101
        with trio.fail_after(30):
            await both.wait()


@ways_in
async def test_a_signed_caller_is_served(way_in: str) -> None:
    """With the signature over the address that was dialled, where no proxy stands in front, the call goes ahead."""
    async with guarded(way_in, TwilioSignature(TOKEN)) as url:
        signed = signature(url.replace("ws://", "wss://")).encode()
        async with calling(url, caller("twilio"), headers=[(b"X-Twilio-Signature", signed)]) as phone:
            await phone.open()
            with trio.fail_after(30):
                await phone.until(packets(10))
