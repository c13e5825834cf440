"""The proxy: listens on loopback, dials the server for each client, and lets the faults have what passes.

Rules
1. Each fault on connection n draws from a generator of its own, seeded with the proxy's seed, n and the direction: with
   the same seed and the same bytes, the same faults strike at the same places, in whatever order connections come, and
   in whatever pieces their bytes do.
2. ``faults`` may be a function of the connection's number (from 0), so that the first connection is lost and the
   second is not.
3. ``down`` resets every connection and refuses new ones; ``up`` listens again, on the same port.
4. It ends with its ``async with``, and all its connections with it.
"""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Final, TypeAlias, final

import trio
from attrs import define, field

from ..._documented import documented
from ...wire.sockets import reset_socket
from .flow import Flow, ResetNow, in_direction
from .plan import Fault, checked

Faults: TypeAlias = Iterable[Fault] | Callable[[int], Iterable[Fault]]

LOOPBACK: Final = "127.0.0.1"
_ENDED: Final = (trio.BrokenResourceError, trio.ClosedResourceError)


@documented
@final
@define(eq=False)
class FaultProxy:
    """A way to a server that has faults; given out by ``open_fault_proxy``."""

    target_port: int
    """The port of the server behind it."""
    port: int
    """Where clients connect, on 127.0.0.1."""
    _plan: Callable[[int], tuple[Fault, ...]]
    _seed: int
    connections: int = field(default=0, init=False)
    """How many clients have come."""
    _flows: list[Flow] = field(factory=list, init=False)
    _open: set[trio.SocketStream] = field(factory=set, init=False)
    _listener: trio.SocketListener | None = field(default=None, init=False)
    _changed: trio.Event = field(factory=trio.Event, init=False)

    @property
    def struck(self) -> dict[str, int]:
        """How often each kind of fault has struck, on all connections together."""
        total: dict[str, int] = {}
        for flow in self._flows:
            for name, count in flow.struck.items():
                total[name] = total.get(name, 0) + count
        return total

    @property
    def passed_bytes(self) -> int:
        """How many bytes have arrived, both ways together."""
        return sum(flow.passed_bytes for flow in self._flows)

    def down(self) -> None:
        """Reset every connection, and refuse new ones until ``up``."""
        if self._listener is not None:
            self._listener.socket.close()
            self._listener = None
        self.reset_all()

    def reset_all(self) -> None:
        """Reset every connection; new ones are let in."""
        for stream in tuple(self._open):
            reset_socket(stream)

    async def up(self) -> None:
        """Listen again after ``down``."""
        if self._listener is None:
            self._listener = (await trio.open_tcp_listeners(self.port, host=LOOPBACK))[0]
            self._changed.set()

    async def _serve(self) -> None:
        async with trio.open_nursery() as nursery:
            while True:
                listener = self._listener
                if listener is None:
                    self._changed = trio.Event()
                    await self._changed.wait()
                    continue
                with suppress(*_ENDED):  # taken down while it waited
                    nursery.start_soon(self._carry, await listener.accept())

    async def _carry(self, client: trio.SocketStream) -> None:
        number = self.connections
        self.connections += 1
        with client.socket:  # which nobody else would close if the plan fails
            faults = self._plan(number)
            flows = [Flow(in_direction(faults, way), f"{self._seed} {number} {way}") for way in ("up", "down")]
            self._flows += flows
            await self._carry_by(flows, client)

    async def _carry_by(self, flows: list[Flow], client: trio.SocketStream) -> None:
        self._open.add(client)
        server: trio.SocketStream | None = None
        try:
            server = await trio.open_tcp_stream(LOOPBACK, self.target_port)
            self._open.add(server)
            await self._join(client, server, *flows)
        except* OSError:  # the server cannot be reached: that is what the client is to see
            reset_socket(client)
        except* (ResetNow, *_ENDED):
            for stream in (client, server):
                if stream is not None:
                    reset_socket(stream)
        finally:
            for stream in (client, server):
                if stream is not None:
                    self._open.discard(stream)
                    stream.socket.close()

    async def _join(self, client: trio.SocketStream, server: trio.SocketStream, up: Flow, down: Flow) -> None:
        for stream in (client, server):
            stream.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_NODELAY, True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(up.run, client, server)
            nursery.start_soon(down.run, server, client)


@asynccontextmanager
async def open_fault_proxy(target_port: int, faults: Faults = (), *, seed: int = 0) -> AsyncIterator[FaultProxy]:
    """Put a proxy with these faults in front of the server at ``target_port`` of 127.0.0.1.

    The same ``seed`` has the same luck again. ``faults`` may be a function of the connection's number, from 0.
    """
    if not 0 < target_port < 65536:
        raise ValueError(f"target_port must be the server's port, between 1 and 65535, not {target_port!r}")
    if callable(faults):
        make = faults

        def plan(number: int) -> tuple[Fault, ...]:
            return checked(make(number))
    else:
        same = checked(faults)

        def plan(number: int) -> tuple[Fault, ...]:
            return same

    (listener,) = await trio.open_tcp_listeners(0, host=LOOPBACK)
    proxy = FaultProxy(target_port, listener.socket.getsockname()[1], plan, seed)
    proxy._listener = listener
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(proxy._serve)
            try:
                yield proxy
            finally:
                nursery.cancel_scope.cancel()
    finally:
        if proxy._listener is not None:
            proxy._listener.socket.close()
