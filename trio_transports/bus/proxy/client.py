"""The dialling side of a proxy pair: joins a local worker to one behind a WebSocket server, and comes back when lost.

Rules
1. Without a ``ReconnectPolicy`` the proxy lives as long as its one connection: a dial that fails raises, and the end of
   the connection, however it came, ends the worker.
2. With one, every loss is dialled again, a clean close by the server too, with backoff and jitter. What waits in the
   outbox goes first, in order, on the new connection; of audio only the newest ``max_queued_audio_secs`` are kept.
   How attempts are counted, and which answers of a server are final, is the same for every dialling side: see
   ``wire.dialling``.
3. While the worker is inactive it is not connected; activation dials, deactivation closes with 1000.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import final

import trio
from attrs import define, field

from ..._documented import documented
from ...errors import TransportError
from ...params import ReconnectPolicy
from ...session.events import Reconnecting
from ...wire.dialling import Address, Attempts, Dialler, is_final
from ...wire.engines import engine_named
from ...wire.protocol import Wire
from ..messages import BusMessage, BusWorkerRegistryMessage, Payload
from .base import Proxy, is_worker_name

OpenWire = Callable[[], AbstractAsyncContextManager[Wire]]


def _parsed(url: str) -> Address:
    return Address.parse(url)


def _pairs(headers: Mapping[str, str] | None) -> tuple[tuple[str, str], ...]:
    return tuple((headers or {}).items())


@documented
@final
@define(eq=False, repr=False, slots=False)
class WebSocketProxyClient(Proxy):
    """Give it to a runner, or run it in a nursery: ``await proxy.run(bus)``.

    ``open_wire`` replaces the dialling of ``url``, for a connection that is made some other way.
    """

    _local: str = field(alias="local_worker_name", kw_only=True, validator=is_worker_name)
    """The worker on this side, for which the proxy speaks."""
    _address: Address = field(alias="url", kw_only=True, converter=_parsed)
    """Where to: ``ws://`` or ``wss://``, host, port, path."""
    _headers: tuple[tuple[str, str], ...] = field(alias="headers", default=None, kw_only=True, converter=_pairs)
    """HTTP headers for the handshake, such as a token. They are logged nowhere."""
    _reconnect: ReconnectPolicy | None = field(alias="reconnect", default=None, kw_only=True)
    """Dial again after a lost connection, as this policy says; None ends the proxy with its connection."""
    _engine: str = field(alias="engine", default="direct", kw_only=True)
    """Which WebSocket engine: ``direct``, or ``trio-websocket``."""
    _given_open_wire: OpenWire | None = field(alias="open_wire", default=None, kw_only=True)
    """Opens the connection instead of dialling ``url``, for one that is made some other way."""
    _open_wire: OpenWire = field(init=False)
    _activated: trio.Event = field(factory=trio.Event, init=False)
    _while_active: trio.CancelScope = field(factory=trio.CancelScope, init=False)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        dialler = Dialler(
            address=self._address,
            engine=engine_named(self._engine),
            settings=self._settings.wires,
            connect_timeout_s=self._settings.connect_timeout,
            ssl_context=self._settings.ssl_context,
            headers=self._headers,
            subprotocols=tuple(self._subprotocols),
        )
        self._open_wire = self._given_open_wire if self._given_open_wire is not None else dialler.connect

    def _comes_in(self, message: BusMessage) -> bool:
        """Whether a message of the other side is let in here: what it tells of its workers, too."""
        if isinstance(message, BusWorkerRegistryMessage) and message.target is None:
            return message.source != self._local
        return super()._comes_in(message)

    async def on_activated(self, args: Payload | None) -> None:
        self._activated.set()  # at its beginning, too, unless it begins inactive

    async def on_deactivated(self) -> None:
        if self._activated.is_set():  # else whoever waits for the old one would not hear of the next activation
            self._activated = trio.Event()
        if self._link is not None:
            with trio.move_on_after(self._settings.close_timeout):
                await self._link.finish("the proxy was deactivated")
        self._while_active.cancel()

    async def main(self) -> None:
        with self._events.activity():
            self.watch(self._local)
            policy = self._reconnect
            attempts = None if policy is None else Attempts(policy, str(self._address))
            while True:
                while not self._activated.is_set():  # it may have been deactivated again before this went on
                    await self._activated.wait()
                with trio.CancelScope() as self._while_active:
                    await self._connect(attempts)
                    if attempts is None:
                        return

    async def _connect(self, attempts: Attempts | None) -> None:
        """One connection from dialling to its end, and the wait before the next."""
        cause: TransportError
        try:
            async with self._open_wire() as wire:
                if attempts is not None:
                    attempts.connected()
                cause = await self._serve(wire)
        except TransportError as exc:
            if attempts is None or is_final(exc):
                raise
            cause = exc
        if attempts is None or self._reconnect is None:
            return
        self._outbox.limit_audio(self._reconnect.max_queued_audio_secs)
        delay_s = attempts.next_delay_s(cause)
        self._events.emit(Reconnecting(attempts.made, delay_s, cause))
        await trio.sleep(delay_s)

    @property
    def _registry_target(self) -> str | None:
        return self._remote
