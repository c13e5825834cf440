"""A provider's REST interface on loopback: records what it was asked, and answers as told."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeAlias

import h11
import trio
from attrs import define, field, frozen

Behaviour: TypeAlias = Callable[[trio.abc.Stream], Awaitable[None]]


@frozen
class Asked:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@define(eq=False)
class Provider:
    """``status`` and ``body`` are the answer, after ``delay_s``; ``instead`` takes over the connection."""

    status: int = 200
    body: bytes = b""
    delay_s: float = 0.0
    instead: Behaviour | None = None
    port: int = 0
    scheme: str = "http"
    asked: list[Asked] = field(factory=list, init=False)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    async def answer(self, stream: trio.abc.Stream) -> None:
        try:
            async with stream:
                await self._answer(stream)
        except (trio.BrokenResourceError, h11.RemoteProtocolError):
            pass  # the caller left, or refused the certificate: nothing more to answer

    async def _answer(self, stream: trio.abc.Stream) -> None:
        connection = h11.Connection(h11.SERVER)
        request: h11.Request | None = None
        body = b""
        while True:
            event = connection.next_event()
            match event:
                case h11.NEED_DATA:
                    connection.receive_data(bytes(await stream.receive_some()))
                case h11.Request():
                    request = event
                case h11.Data():
                    body += event.data
                case h11.EndOfMessage():
                    break
                case _:
                    return
        assert request is not None
        headers = {name.decode(): value.decode() for name, value in request.headers}
        self.asked.append(Asked(request.method.decode(), request.target.decode(), headers, body))
        if self.instead is not None:
            await self.instead(stream)
            return
        await trio.sleep(self.delay_s)
        response = h11.Response(
            status_code=self.status,
            headers=[("Content-Length", str(len(self.body))), ("Location", "http://127.0.0.1:9/elsewhere")],
        )
        for part in (response, h11.Data(data=self.body), h11.EndOfMessage()):
            await stream.send_all(connection.send(part) or b"")


@asynccontextmanager
async def listening(provider: Provider, tls: ssl.SSLContext | None = None) -> AsyncIterator[Provider]:
    async with trio.open_nursery() as nursery:
        if tls is None:
            listener = (await nursery.start(partial(trio.serve_tcp, provider.answer, 0, host="127.0.0.1")))[0]
        else:
            serve = partial(trio.serve_ssl_over_tcp, provider.answer, 0, tls, host="127.0.0.1")
            listener = (await nursery.start(serve))[0].transport_listener
            provider.scheme = "https"
        provider.port = listener.socket.getsockname()[1]
        yield provider
        nursery.cancel_scope.cancel()
