"""The dialling side of a proxy pair: joins a local worker to one behind a WebSocket server, and comes back when lost.

Rules
1. Without a ``ReconnectPolicy`` the proxy lives as long as its one connection: a dial that fails raises, and the end of
   the connection, however it came, ends the worker.
2. With one, every loss is dialled again, a clean close by the server too, with backoff and jitter. What waits in the
   outbox goes first, in order, on the new connection; of audio only the newest ``max_queued_audio_secs`` are kept.
   Attempts are counted anew once a connection has lasted ``STABLE_S``. A server that answers 401 or 403 is not asked
   again.
3. While the worker is inactive it is not connected; activation dials, deactivation closes with 1000.
"""

import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, final

import trio

from ...errors import HandshakeRejected, TransportError
from ...params import ReconnectPolicy
from ...session.events import Reconnecting
from ...wire.dial import Address, dial
from ...wire.engines import engine_named
from ...wire.protocol import Wire
from ...wire.settings import WireSettings
from ..codec.json import MessageSerializer
from ..messages import BusMessage, BusWorkerRegistryMessage, Payload
from .base import Proxy, ProxySettings

STABLE_S: Final = 5.0
_FINAL: Final = (401, 403)

OpenWire = Callable[[], AbstractAsyncContextManager[Wire]]


@final
class WebSocketProxyClient(Proxy):
    """Give it to a runner, or run it in a nursery: ``await proxy.run(bus)``.

    ``open_wire`` replaces the dialling of ``url``, for a connection that is made some other way.
    """

    def __init__(
        self,
        name: str,
        *,
        url: str,
        remote_worker_name: str,
        local_worker_name: str,
        forward_messages: Sequence[type[BusMessage]] = (),
        accepts_lifecycle: Sequence[type[BusMessage]] = (),
        headers: Mapping[str, str] | None = None,
        serializer: MessageSerializer | None = None,
        reconnect: ReconnectPolicy | None = None,
        settings: ProxySettings | None = None,
        active: bool = True,
        engine: str = "direct",
        open_wire: OpenWire | None = None,
    ) -> None:
        super().__init__(
            name,
            local=local_worker_name,
            remote=remote_worker_name,
            forward_messages=forward_messages,
            accepts_lifecycle=accepts_lifecycle,
            serializer=serializer,
            settings=settings,
            active=active,
        )
        self._address = Address.parse(url)
        self._headers = tuple((headers or {}).items())
        self._reconnect = reconnect
        self._engine = engine_named(engine)
        self._open_wire = open_wire if open_wire is not None else self._dial
        self._activated = trio.Event()
        self._while_active = trio.CancelScope()
        if active:
            self._activated.set()

    def comes_in(self, message: BusMessage) -> bool:
        if isinstance(message, BusWorkerRegistryMessage) and message.target is None:
            return message.source != self._local
        return super().comes_in(message)

    async def on_activated(self, args: Payload | None) -> None:
        self._activated.set()

    async def on_deactivated(self) -> None:
        self._activated = trio.Event()
        if self._link is not None:
            with trio.move_on_after(self._settings.close_timeout):
                await self._link.finish("the proxy was deactivated")
        self._while_active.cancel()

    async def main(self) -> None:
        with self._events.activity():
            self.watch(self._local)
            attempt = 0
            while True:
                await self._activated.wait()
                with trio.CancelScope() as self._while_active:
                    attempt = await self._connect(attempt)
                    if self._reconnect is None:
                        return

    async def _connect(self, attempt: int) -> int:
        """One connection from dialling to its end, and the wait before the next; returns the attempts so far."""
        began_s = trio.current_time()
        cause: Exception
        try:
            async with self._open_wire() as wire:
                began_s = trio.current_time()
                cause = await self._serve(wire)
                if trio.current_time() - began_s >= STABLE_S:
                    attempt = 0
        except TransportError as exc:
            if self._reconnect is None or (isinstance(exc, HandshakeRejected) and exc.status in _FINAL):
                raise
            cause = exc
        if self._reconnect is None:
            return attempt
        self._outbox.limit_audio(self._reconnect.max_queued_audio_secs)
        attempt += 1
        if self._reconnect.max_attempts is not None and attempt > self._reconnect.max_attempts:
            raise TransportError(f"gave up after {attempt - 1} attempts to connect to {self._address}: {cause}")
        delay_s = self._reconnect.delay_s(attempt, random.random())
        self._events.emit(Reconnecting(attempt, delay_s, cause))
        await trio.sleep(delay_s)
        return attempt

    @property
    def _registry_target(self) -> str | None:
        return self._remote

    @asynccontextmanager
    async def _dial(self) -> AsyncIterator[Wire]:
        """Dial and upgrade, both within ``connect_timeout``, which does not reach into the body."""
        settings, address = self._settings, self._address
        with trio.CancelScope(deadline=trio.current_time() + settings.connect_timeout) as limit:
            stream = await dial(address, settings.ssl_context)
            async with self._engine.connect(
                stream,
                url=str(address),
                host=address.host_header,
                resource=address.resource,
                headers=self._headers,
                subprotocols=self._subprotocols,
                settings=WireSettings(
                    max_message_bytes=settings.max_message_bytes,
                    ping_interval_s=settings.ping_interval,
                    ping_timeout_s=settings.ping_timeout,
                ),
            ) as wire:
                limit.deadline = float("inf")
                yield wire
        if limit.cancelled_caught:
            raise TransportError(f"no connection to {address} within connect_timeout ({settings.connect_timeout:g} s)")
