"""A provider's REST interface on loopback: it writes down what it is asked, and answers as it is told.

Give its address to a ready hang-up: ``TwilioHangUp("AC...", "token", base_url=api.url)``.
"""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, final

import h11
import trio
from attrs import define, field, frozen

from ..._documented import documented

_WITHOUT_BODY: Final = (204, 304)


@final
@frozen
class ApiRequest:
    """One request, as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@documented
@final
@define(eq=False)
class HangUpApi:
    """``status`` and ``body`` are what it answers, after ``takes_s``; they can be changed while it runs."""

    status: int = 200
    """The HTTP status of its answers."""
    body: bytes = b"{}"
    """The body of its answers; a status that has none (204) goes without."""
    takes_s: float = 0.0
    """Seconds that it takes to answer."""
    headers: Mapping[str, str] = field(factory=dict)
    """Headers of its answers, beside those that HTTP needs."""
    instead: Callable[[trio.abc.Stream], Awaitable[None]] | None = None
    """What it does instead of answering, with the connection: say what is no HTTP, hang, close it."""
    url: str = field(default="", init=False)
    """Its address, for ``base_url``."""
    requests: list[ApiRequest] = field(factory=list, init=False)
    """What it was asked, in order."""

    async def _serve(self, stream: trio.abc.Stream) -> None:
        async with stream:
            try:
                await self._answer(stream)
            except (trio.BrokenResourceError, h11.RemoteProtocolError):
                return  # whoever asked has left: nothing to answer

    async def _answer(self, stream: trio.abc.Stream) -> None:
        connection = h11.Connection(h11.SERVER)
        request: h11.Request | None = None
        body = b""
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                connection.receive_data(bytes(await stream.receive_some()))
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += event.data
            else:
                return
        assert request is not None
        headers = {name.decode(): value.decode() for name, value in request.headers}
        self.requests.append(ApiRequest(request.method.decode(), request.target.decode(), headers, body))
        if self.instead is not None:
            await self.instead(stream)
            return
        await trio.sleep(self.takes_s)
        answer = b"" if self.status in _WITHOUT_BODY else self.body
        own = {"Content-Length": str(len(answer)), "Connection": "close"}
        response = h11.Response(status_code=self.status, headers=list({**own, **self.headers}.items()))
        for part in (response, h11.Data(data=answer), h11.EndOfMessage()):
            await stream.send_all(connection.send(part) or b"")


@asynccontextmanager
async def hang_up_api(
    api: HangUpApi | None = None, *, ssl_context: ssl.SSLContext | None = None
) -> AsyncIterator[HangUpApi]:
    """Run one until the block ends: ``api``, or else one that answers 200; with TLS by ``ssl_context``."""
    api = HangUpApi() if api is None else api
    async with trio.open_nursery() as nursery:
        if ssl_context is None:
            listener = (await nursery.start(partial(trio.serve_tcp, api._serve, 0, host="127.0.0.1")))[0]
        else:
            serve = partial(trio.serve_ssl_over_tcp, api._serve, 0, ssl_context, host="127.0.0.1")
            listener = (await nursery.start(serve))[0].transport_listener
        scheme = "http" if ssl_context is None else "https"
        api.url = f"{scheme}://127.0.0.1:{listener.socket.getsockname()[1]}"
        yield api
        nursery.cancel_scope.cancel()
