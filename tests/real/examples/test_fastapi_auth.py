"""The FastAPI example on real sockets: who has no token stays outside, who has one is greeted by name."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from urllib.parse import urlsplit

import pytest
import trio

from trio_transports import HandshakeRejected, TextFrame, WebsocketClientParams, WebsocketClientTransport
from trio_transports.examples import fastapi_auth
from trio_transports.serializers import JSONFrameSerializer

PARAMS = WebsocketClientParams(serializer=JSONFrameSerializer())


@asynccontextmanager
async def served() -> AsyncIterator[str]:
    async with trio.open_nursery() as nursery:
        (address,) = await nursery.start(partial(fastapi_auth.main, 0))
        yield address
        nursery.cancel_scope.cancel()


async def post(address: str, key: str) -> tuple[int, dict[str, str]]:
    parts = urlsplit(address)
    assert parts.port is not None
    async with await trio.open_tcp_stream("127.0.0.1", parts.port) as stream:
        request = f"POST /token HTTP/1.1\r\nHost: {parts.netloc}\r\nX-API-Key: {key}\r\nContent-Length: 0\r\n"
        await stream.send_all(f"{request}Connection: close\r\n\r\n".encode())
        answer = b"".join([part async for part in stream])
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


async def test_a_key_buys_a_token_and_a_token_opens_the_door(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice; no key, a wrong one, no token, a wrong one: 401 each."""
    monkeypatch.setenv("API_KEYS", "ada:secret,bob:hush")
    with trio.fail_after(30):
        async with served() as address:
            url = address.replace("http", "ws")
            assert (await post(address, "wrong"))[0] == 401
            for key, name in (("secret", "ada"), ("hush", "bob")):
                status, answer = await post(address, key)
                assert status == 200
                client = WebsocketClientTransport(f"{url}/ws?token={answer['token']}", PARAMS)
                async with client.session() as session:
                    await session.output.send(TextFrame(text="wake up"))  # a detecting dialect hears first
                    texts = []
                    async for frame in session.input:
                        if isinstance(frame, TextFrame):
                            texts.append(frame.text)
                        if len(texts) == 2:
                            break
                    assert texts == [f"hello {name}", "wake up"]
            for query in ("", "?token=made.up"):
                with pytest.raises(HandshakeRejected) as refused:
                    async with WebsocketClientTransport(f"{url}/ws{query}", PARAMS).session():
                        pass
                assert refused.value.status == 401
