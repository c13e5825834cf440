"""One accepted connection: hypercorn's protocols between a guarded socket and the app.

Rules
1. Whatever goes wrong here is logged once, with its traceback, and ends this connection alone.
2. One task reads. When it ends, for any reason, the socket is closed and every app run of the connection is told:
   an app that goes on with work of its own holds no socket.
3. A close is followed by at most ``_LINGER_S`` of reading and discarding until the peer closes too: closing a socket
   with unread data resets it, and a reset destroys a close frame that is still on its way.
4. Timers are the reader's deadline (keep-alive, ``patience``, lingering), not tasks, and what hypercorn starts besides
   the app ends with the connection: none of its sleeps is waited for.
5. On HTTP/2, where streams share the socket, a cancelled write of one is not allowed to end the others: it is shielded,
   and bounded by the socket's deadline.
6. What one read has brought is worked on in pieces of ``PIECE_BYTES``, and the other connections have their turn
   between them: the smallest frames, many to a read, cost a hundred times what one big one does. So have they while
   the runs of a connection that has ended are told.
7. Nothing is made for a caller before its first word: a thousand who say none cost little more than a task each.
8. To a session that takes messages by the short way (``short_way``) the reader lends the socket between two reads.
"""

import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from math import inf
from typing import Any, Final, TypeAlias, cast, final

import trio
from attrs import define, field, frozen
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ASGIReceiveEvent, ConnectionState, Scope, TaskGroup
from hypercorn.utils import parse_socket_addr
from trio.lowlevel import ParkingLot

from .._showing import shown_text
from ..wire.stream import OwnedStream
from .app_queue import AppQueue
from .app_run import AppRun, SendToPeer
from .boundary import boundary
from .counting import Counting
from .leaving import Leaving
from .patience import Patience
from .protocols import Protocols, Setting
from .short_way import PIECE_BYTES, READ_BYTES, Frames, ShortWay
from .websocket import HostedWebsocket
from .writing import Writing

_LINGER_S: Final = 1.0

_Put: TypeAlias = Callable[[ASGIReceiveEvent], Awaitable[None]]


@final
@frozen(kw_only=True)
class Limits:
    """How long a peer may take for what it does, and what of HTTP it may speak."""

    write_timeout_s: float
    header_timeout_s: float
    body_timeout_s: float
    takes_h2c: bool


@final
@frozen(kw_only=True)
class Host:
    """What all connections of one server share."""

    app: AppWrapper
    config: Config
    context: WorkerContext
    state: dict[str, Any]
    ssl_context: ssl.SSLContext | None
    limits: Limits
    leaving: Leaving
    counting: Counting


@final
@define(eq=False)
class _Tasks:
    """The two members of a hypercorn task group that its protocols call."""

    spawn_app: Callable[[AppWrapper, Config, Scope, SendToPeer], Awaitable[_Put]]
    spawn: Callable[..., None]


@final
@define(eq=False)
class Connection:
    _host: Host
    _socket: OwnedStream
    _is_secure: bool
    _stream: "OwnedStream | trio.SSLStream[OwnedStream]" = field(init=False)
    _protocol: Protocols | None = field(default=None, init=False)
    _start_soon: Callable[..., None] = field(init=False)
    _reader: trio.lowlevel.Task = field(init=False)
    _reading: trio.CancelScope = field(factory=trio.CancelScope, init=False)
    _writing: Writing = field(init=False)
    _short_way: ShortWay | None = field(default=None, init=False)
    _runs: set[AppRun] = field(factory=set, init=False)
    _runs_ended: ParkingLot = field(factory=ParkingLot, init=False)
    _is_idle: bool = field(default=True, init=False)
    _has_begun_head: bool = field(default=False, init=False)
    _patience: Patience = field(init=False)
    _is_closing: bool = field(default=False, init=False)
    _is_over: bool = field(default=False, init=False)
    _is_shutting_down: bool = field(default=False, init=False)
    _is_retiring: bool = field(default=False, init=False)
    _has_served: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._patience = Patience(self._host.config.read_timeout, self._host.limits.body_timeout_s)

    async def run(self) -> None:
        self._reader = trio.lowlevel.current_task()
        began_s = trio.current_time()
        try:
            address = self._socket.socket.getpeername()
        except OSError:  # gone before it could be asked
            self._socket.abort()
            return
        try:
            async with boundary(
                self._host.config.log,
                "The connection from %s ended by an error",
                shown_text(str(address)),  # on a Unix socket it is the peer's own text
                on_interrupt=self._host.context.terminate.set,
            ):
                alpn_protocol = await self._handshake()
                if alpn_protocol is not None:
                    await self._serve(alpn_protocol, address, trio.current_time() if self._is_secure else began_s)
        finally:
            self._socket.abort()

    @property
    def has_calls(self) -> bool:
        """A WebSocket is open, or about to be."""
        return any(run.websocket is not None for run in self._runs)

    # -- what the server says ------------------------------------------------------------------------------------

    def shut_down(self) -> None:
        """Tell the app's sessions, and end at once what serves nothing at the moment."""
        self._is_shutting_down = True
        if self._protocol is None:
            self._socket.abort()
        elif self._is_idle:
            self._reading.cancel()
        for run in self._runs:
            if run.websocket is not None:
                run.websocket.shut_down()

    def retire(self) -> None:
        """Serve what is asked for next, if nothing has been yet, and then nothing more."""
        self._is_retiring = True
        if self._has_served and self._is_idle:
            self._reading.cancel()

    def cancel_apps(self) -> None:
        for run in self._runs:
            run.cancel()

    # -- life ----------------------------------------------------------------------------------------------------

    async def _handshake(self) -> str | None:
        """Make the connection secure where it must be; returns the protocol agreed on, or None when that failed."""
        config = self._host.config
        limit_s = config.ssl_handshake_timeout if self._is_secure else config.keep_alive_timeout
        try:
            with trio.fail_after(min(limit_s, self._host.limits.header_timeout_s)):
                await self._socket.first_word()  # rule 7
                if not self._is_secure:
                    self._stream = self._socket
                    return "http/1.1"
                assert self._host.ssl_context is not None
                secure = trio.SSLStream(self._socket, self._host.ssl_context, server_side=True, https_compatible=True)
                await secure.do_handshake()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            if not self._is_shutting_down:
                self._host.counting.refuse("tls")
            return None
        except trio.TooSlowError:
            self._host.counting.refuse("time")
            return None
        self._stream = secure
        return secure.selected_alpn_protocol() or "http/1.1"

    async def _serve(self, alpn_protocol: str, address: tuple[Any, ...], began_s: float) -> None:
        socket = self._socket.socket
        async with trio.open_nursery() as nursery:
            self._start_soon = nursery.start_soon
            self._writing = Writing(self._socket, self._stream, nursery.start_soon)
            setting = Setting(
                app=self._host.app,
                config=self._host.config,
                context=self._host.context,
                task_group=cast(TaskGroup, _Tasks(self._spawn_app, nursery.start_soon)),
                state=ConnectionState(self._host.state),
                is_secure=self._is_secure,
                client=parse_socket_addr(socket.family, address),
                server=parse_socket_addr(socket.family, socket.getsockname()),
                send=self._send,
                count_runs=self._runs.__len__,
                takes_h2c=self._host.limits.takes_h2c,
                on_refused=self._host.counting.refuse,
            )
            self._protocol = Protocols.agreed(alpn_protocol, setting)
            try:
                await self._read(self._protocol, began_s)
            except BaseException:
                self._socket.abort()
                raise
            finally:
                self._is_over = True
                with trio.CancelScope(shield=True):
                    for run in tuple(self._runs):
                        run.peer_left()
                        await trio.lowlevel.checkpoint()  # rule 6
            with trio.move_on_after(_LINGER_S):
                await self._stream.aclose()
            self._socket.abort()
            while self._runs:
                await self._runs_ended.park()
            nursery.cancel_scope.cancel()

    async def _read(self, protocol: Protocols, began_s: float) -> None:
        with self._reading:
            self._set_idle(True)
            self._expect_head(began_s)
            await protocol.initiate()
            is_patient = self._host.config.read_timeout is None
            while True:
                if await self._lent():
                    continue
                try:
                    if is_patient and not protocol.is_reading_body:
                        data = await self._stream.receive_some(READ_BYTES)
                    else:
                        data = await self._receive_in_time(protocol)
                except (trio.ClosedResourceError, trio.BrokenResourceError):
                    break
                except trio.TooSlowError:
                    if protocol.is_reading_body:
                        self._host.counting.refuse("time")
                    break
                if len(data) > PIECE_BYTES:
                    await self._take_in_pieces(protocol, bytes(data))
                elif not self._is_closing:
                    await protocol.handle(RawData(bytes(data)))
                    if self._refused:
                        await self._end_refused()
                if not data:
                    break
                if self._is_idle and not self._has_begun_head:
                    self._expect_head(trio.current_time())
        if self._reading.cancelled_caught and self._has_begun_head and not (self._is_closing or self._is_shutting_down):
            self._host.counting.refuse("time")
        await protocol.handle(Closed())

    async def _lent(self) -> bool:
        """Rule 8: whether the socket was with a session meanwhile."""
        way = self._short_way
        if way is None or self._is_closing or not await way.lend():
            return False
        await way.handle_rest()
        return True

    def _open_short_way(self, websocket: HostedWebsocket, queue: AppQueue, frames: Frames) -> ShortWay:
        self._short_way = ShortWay(self._socket, self._writing, queue, frames, websocket.handle_rest)
        return self._short_way

    async def _receive_in_time(self, protocol: Protocols) -> bytes:
        began = trio.current_time()
        with trio.fail_after(self._patience.limit_s(is_reading_body=protocol.is_reading_body)):
            data = bytes(await self._stream.receive_some(READ_BYTES))
        self._patience.has_read(len(data), trio.current_time() - began)
        return data

    async def _take_in_pieces(self, protocol: Protocols, data: bytes) -> None:
        for start in range(0, len(data), PIECE_BYTES):
            if start:
                await trio.lowlevel.checkpoint()
            if self._is_closing:
                return
            await protocol.handle(RawData(data[start : start + PIECE_BYTES]))
            if self._refused:
                await self._end_refused()

    def _expect_head(self, began_s: float) -> None:
        self._has_begun_head = True
        latest = began_s + self._host.limits.header_timeout_s
        self._reading.deadline = min(self._reading.deadline, latest)

    @property
    def _refused(self) -> list[AppRun]:
        """Who sent data before its upgrade was answered."""
        return [run for run in self._runs if run.websocket is not None and run.websocket.is_refused]

    async def _end_refused(self) -> None:
        for run in self._refused:
            run.peer_left("it sent data before its upgrade was answered")
            await self._begin_close()

    async def _send(self, event: Event) -> None:
        """Do what hypercorn's protocols ask of their server."""
        if isinstance(event, RawData):
            is_shared = self._protocol is not None and self._protocol.h2 is not None
            if not await (self._write_shielded(event.data) if is_shared else self._writing.write(event.data)):
                await self._handle_closed()
        elif isinstance(event, Closed):
            await self._begin_close()
            await self._handle_closed()
        elif isinstance(event, Updated):
            self._set_idle(event.idle)

    async def _write_shielded(self, data: bytes) -> bool:
        with trio.CancelScope(shield=True):  # rule 5
            written = await self._writing.write(data)
        return written

    async def _handle_closed(self) -> None:
        assert self._protocol is not None
        await self._protocol.handle(Closed())

    def _set_idle(self, is_idle: bool) -> None:
        self._is_idle = is_idle
        self._has_begun_head = False
        if self._is_closing:
            return
        if not is_idle:
            self._reading.deadline, self._has_served = inf, True
        elif self._is_shutting_down or (self._is_retiring and self._has_served):
            self._reading.cancel()
        else:
            self._reading.deadline = trio.current_time() + self._host.config.keep_alive_timeout

    async def _begin_close(self) -> None:
        if self._is_closing or self._is_over:
            return
        self._is_closing = True
        websockets = [run.websocket for run in self._runs if run.websocket is not None]
        # Nothing follows a peer's close frame. And a TLS stream has no half-close that would make a peer close in turn:
        # there it is waited for only where a close frame is on its way.
        is_silent = all(websocket.peer_said_goodbye for websocket in websockets)
        linger_s = 0 if is_silent and (websockets or self._is_secure) else _LINGER_S
        with trio.move_on_after(_LINGER_S), suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            # Behind what is being written: the reader may be about to answer the peer's close, and is not cut short.
            async with self._writing.finished():
                if linger_s and not self._is_secure:
                    self._socket.shut_writing()
        self._reading.deadline = trio.current_time() + linger_s

    # -- the app -------------------------------------------------------------------------------------------------

    async def _spawn_app(self, app: AppWrapper, config: Config, scope: Scope, send: SendToPeer) -> _Put:
        stream = send.__self__  # type: ignore[attr-defined]  # the bound method's owner: the only way to it from here
        self._host.leaving.announce(scope)
        self._host.counting.announce(scope)
        run = AppRun(
            self._host.leaving.app_for(app, scope),
            config,
            scope,
            send,
            stream,
            partial(self._abort_stream, stream.stream_id),
            self._host.limits.write_timeout_s,
            self._start_soon,
            self._host.context.terminate.set,
        )
        if run.websocket is not None:
            run.websocket.on_accepted = self._host.counting.accept
            if self._has_short_way:
                run.websocket.ways.open_short = partial(self._open_short_way, run.websocket)
            if self._is_shutting_down:
                run.websocket.shut_down()
        if self._protocol is not None and self._protocol.h2 is not None:
            self._protocol.h2.bound_stream(stream.stream_id, lambda: trio.lowlevel.current_task() is self._reader)
        self._runs.add(run)
        self._start_soon(self._run, run)
        return cast(_Put, run.put)

    @property
    def _has_short_way(self) -> bool:
        """Over TLS and HTTP/2 what is written is more than frames, and ``read_timeout`` is the reader's to see."""
        is_h1 = self._protocol is not None and self._protocol.h2 is None
        return is_h1 and not self._is_secure and self._host.config.read_timeout is None

    async def _run(self, run: AppRun) -> None:
        try:
            await run.run(self._begin_close)
        finally:
            self._runs.remove(run)
            if run.websocket is not None:
                self._host.leaving.call_ended.unpark_all()
                if not run.websocket.was_accepted:
                    self._host.counting.refuse("leaving" if self._host.leaving.is_leaving else "app")
            if not self._runs:
                self._runs_ended.unpark_all()

    def _abort_stream(self, stream_id: int) -> None:
        if self._is_over:
            return
        protocol = None if self._protocol is None else self._protocol.h2
        if protocol is not None:
            self._start_soon(protocol.reset_stream, stream_id)
        else:
            self._socket.abort()
