"""What hypercorn's protocols ask of the server under them: to write, to close, to run the app.

On HTTP/2, where streams share the socket, a cancelled write of one is not allowed to end the others: it is shielded,
and bounded by the socket's deadline.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeAlias, cast, final

import trio
from attrs import define, field
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.typing import AppWrapper, ASGIReceiveEvent, Scope

from ..wire.stream import OwnedStream
from .app_run import AppRun, SendToPeer
from .closing import Closing
from .host import Host
from .phase import Phase
from .reader import Reader
from .runs import Runs
from .writing import Writing

Put: TypeAlias = Callable[[ASGIReceiveEvent], Awaitable[None]]


@final
@define(eq=False)
class Asked:
    """One connection's; to be given its ``reader`` before anything is asked."""

    _host: Host
    _socket: OwnedStream
    _is_secure: bool
    _phase: Phase
    _runs: Runs
    _writing: Writing
    _closing: Closing
    _start_soon: Callable[..., None]
    reader: Reader = field(init=False)
    _reader_task: trio.lowlevel.Task = field(factory=trio.lowlevel.current_task, init=False)

    async def send(self, event: Event) -> None:
        """What a protocol of hypercorn's calls with bytes to write, with the end, or when it is idle."""
        if isinstance(event, RawData):
            is_shared = self.reader.protocol.h2 is not None
            if not await (self._write_shielded(event.data) if is_shared else self._writing.write(event.data)):
                await self.reader.protocol.handle(Closed())
        elif isinstance(event, Closed):
            await self._closing.begin()
            await self.reader.protocol.handle(Closed())
        elif isinstance(event, Updated):
            self._phase.set_idle(event.idle)

    async def _write_shielded(self, data: bytes) -> bool:
        with trio.CancelScope(shield=True):
            written = await self._writing.write(data)
        return written

    async def spawn_app(self, app: AppWrapper, config: Config, scope: Scope, send: SendToPeer) -> Put:
        """Start the app on a request; the result is what hypercorn gives its events to."""
        stream = send.__self__  # type: ignore[attr-defined]  # the bound method's owner: the only way to it from here
        host, h2 = self._host, self.reader.protocol.h2
        host.leaving.announce(scope)
        host.counting.announce(scope)
        run = AppRun(
            host.leaving.app_for(app, scope),
            config,
            scope,
            send,
            stream,
            partial(self._abort_stream, stream.stream_id),
            host.limits.write_timeout_s,
            self._start_soon,
            host.context.terminate.set,
        )
        websocket = run.websocket
        if websocket is not None:
            websocket.on_accepted = host.counting.accept
            if self._has_short_way:
                websocket.ways.open_short = partial(self.reader.open_short_way, websocket, self._writing)
            if self._phase.is_shutting_down:
                websocket.shut_down()
        if h2 is not None:
            h2.bound_stream(stream.stream_id, lambda: trio.lowlevel.current_task() is self._reader_task)
        self._runs.add(run)
        self._start_soon(self._runs.run, run, self._closing.begin)
        return cast(Put, run.put)

    @property
    def _has_short_way(self) -> bool:
        """Over TLS and HTTP/2 what is written is more than frames, and ``read_timeout`` is the reader's to see."""
        return self.reader.protocol.h2 is None and not self._is_secure and self._host.config.read_timeout is None

    def _abort_stream(self, stream_id: int) -> None:
        if self._phase.is_over:
            return
        h2 = self.reader.protocol.h2
        if h2 is not None:
            self._start_soon(h2.reset_stream, stream_id)
        else:
            self._socket.abort()
