"""One accepted connection: hypercorn's protocols between a guarded socket and the app.

Rules
1. Whatever goes wrong here is logged once, with its traceback, and ends this connection alone.
2. One task reads (``reader``). When it ends, for any reason, the socket is closed and every app run of the connection
   is told: an app that goes on with work of its own holds no socket.
3. What hypercorn starts besides the app ends with the connection: none of its sleeps is waited for.
4. Nothing is made for a caller before its first word: a thousand who say none cost little more than a task each.
"""

from collections.abc import Awaitable, Callable
from typing import Any, cast, final

import trio
from attrs import define, field
from hypercorn.config import Config
from hypercorn.typing import AppWrapper, ConnectionState, Scope, TaskGroup
from hypercorn.utils import parse_socket_addr

from .._showing import shown_text
from ..wire.stream import OwnedStream
from .app_run import SendToPeer
from .asked import Asked, Put
from .boundary import boundary
from .closing import Closing
from .host import Host
from .phase import Phase
from .protocols import Protocols, Setting
from .reader import Reader
from .runs import Runs
from .writing import Writing


@final
@define(eq=False)
class _Tasks:
    """The two members of a hypercorn task group that its protocols call."""

    spawn_app: Callable[[AppWrapper, Config, Scope, SendToPeer], Awaitable[Put]]
    spawn: Callable[..., None]


@final
@define(eq=False)
class Connection:
    _host: Host
    _socket: OwnedStream
    _is_secure: bool
    _phase: Phase = field(init=False)
    _runs: Runs = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._phase = Phase(self._host)
        self._runs = Runs(self._host)

    async def run(self) -> None:
        """Serve it until it ends. What fails is logged here, and ends nothing else."""
        began_s = trio.current_time()
        try:
            address = self._socket.socket.getpeername()
        except OSError:  # gone before it could be asked
            self._host.counting.refuse("tls" if self._is_secure else "cut off")
            self._socket.abort()
            return
        try:
            async with boundary(
                self._host.config.log,
                "The connection from %s ended by an error",
                shown_text(str(address)),  # on a Unix socket it is the peer's own text
                on_interrupt=self._host.context.terminate.set,
            ):
                agreed = await self._handshake()
                if agreed is not None:
                    await self._serve(*agreed, address, trio.current_time() if self._is_secure else began_s)
        finally:
            self._socket.abort()

    # -- what the server says ------------------------------------------------------------------------------------

    @property
    def has_calls(self) -> bool:
        """A WebSocket is open, or about to be."""
        return bool(self._runs.websockets)

    def shut_down(self) -> None:
        """Tell the app's sessions, and end at once what serves nothing at the moment."""
        self._phase.shut_down()
        if not self._phase.is_speaking:
            self._socket.abort()
        self._runs.shut_down()

    def retire(self) -> None:
        """Serve what is asked for next, if nothing has been yet, and then nothing more."""
        self._phase.retire()

    def cancel_apps(self) -> None:
        self._runs.cancel()

    # -- life ----------------------------------------------------------------------------------------------------

    async def _handshake(self) -> tuple["OwnedStream | trio.SSLStream[OwnedStream]", str] | None:
        """Make the connection secure where it must be; returns it and the protocol agreed on, or None: it failed."""
        config = self._host.config
        limit_s = config.ssl_handshake_timeout if self._is_secure else config.keep_alive_timeout
        try:
            with trio.fail_after(min(limit_s, self._host.limits.header_timeout_s)):
                await self._socket.first_word()  # rule 4
                if not self._is_secure:
                    return self._socket, "http/1.1"
                assert self._host.ssl_context is not None
                secure = trio.SSLStream(self._socket, self._host.ssl_context, server_side=True, https_compatible=True)
                await secure.do_handshake()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            if not self._phase.is_shutting_down:
                self._host.counting.refuse("tls")
            return None
        except trio.TooSlowError:
            self._host.counting.refuse("time")
            return None
        return secure, secure.selected_alpn_protocol() or "http/1.1"

    async def _serve(
        self,
        stream: "OwnedStream | trio.SSLStream[OwnedStream]",
        alpn_protocol: str,
        address: tuple[Any, ...],
        began_s: float,
    ) -> None:
        host, owned, phase, runs = self._host, self._socket, self._phase, self._runs
        async with trio.open_nursery() as nursery:
            writing = Writing(owned, stream, nursery.start_soon)
            closing = Closing(owned, self._is_secure, phase, runs, writing)
            asked = Asked(host, owned, self._is_secure, phase, runs, writing, closing, nursery.start_soon)
            setting = Setting(
                app=host.app,
                config=host.config,
                context=host.context,
                task_group=cast(TaskGroup, _Tasks(asked.spawn_app, nursery.start_soon)),
                state=ConnectionState(host.state),
                is_secure=self._is_secure,
                client=parse_socket_addr(owned.socket.family, address),
                server=parse_socket_addr(owned.socket.family, owned.socket.getsockname()),
                send=asked.send,
                count_runs=runs.__len__,
                takes_h2c=host.limits.takes_h2c,
                on_refused=self._refused,
            )
            protocol = Protocols.agreed(alpn_protocol, setting)
            asked.reader = Reader(host, owned, stream, protocol, phase, runs, closing)
            phase.is_speaking = True
            try:
                await asked.reader.read(began_s)
            except BaseException:
                owned.abort()
                raise
            finally:
                phase.is_over = True
                with trio.CancelScope(shield=True):
                    await runs.peer_left()
            owned.close()
            await runs.ended()
            nursery.cancel_scope.cancel()

    def _refused(self, cause: str) -> None:
        self._phase.has_refused = True
        self._host.counting.refuse(cause)
