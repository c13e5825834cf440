"""One connection of a proxy: a reader, a writer, and how it ends.

Rules
1. One task reads the wire and never waits for the peer. What can be written at once is, by whoever sends it; the rest
   one task writes, each write within ``send_timeout``. A write that passes it aborts the connection: a peer that
   stopped reading costs its own connection and nothing else.
2. A message that cannot be read is counted, logged once for each connection, and skipped. ``max_malformed`` of them in
   a row close the connection with 1008. One that is well formed and not known is only counted.
3. The link ends when the connection does, whichever side ended it; ``ending`` then says how. Cancelling it finishes the
   write under way and says goodbye, both within ``close_timeout``, then aborts.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Final, final

import trio
from attrs import asdict, define, field, frozen

from ..._documented import documented
from ..._nursery import open_services
from ...errors import ConnectionClosed, RemoteProtocolError
from ...wire.protocol import SendsNow, Wire
from ..codec.frames import UnknownTypeError
from ..codec.json import MessageSerializer
from ..messages import BusMessage
from ..outbox import Outbox, Waiting

FLUSH: Final = Waiting(b"", is_system=True)
"""In the outbox it stands for what the wire has begun and writes by itself: wait for that before the next."""

log = logging.getLogger(__name__)


@documented
@final
@frozen(kw_only=True)
class ProxyStatistics:
    """What a proxy has counted so far, over all its connections."""

    connections: int = 0
    sent: int = 0
    received: int = 0
    dropped: int = 0
    """Messages for the peer that did not fit into the outbox, or came too fast for the proxy."""
    malformed: int = 0
    """Messages from the peer that could not be read."""
    unknown: int = 0
    """Messages from the peer that are well formed, of a kind that is not known here."""
    refused: int = 0
    """Messages from the peer that the routing rules do not let in."""
    unsendable: int = 0
    """Messages for the peer that the serializer could not write."""
    waiting: int = 0


@final
@define(eq=False)
class Counters:
    connections: int = 0
    sent: int = 0
    received: int = 0
    dropped: int = 0
    malformed: int = 0
    unknown: int = 0
    refused: int = 0
    unsendable: int = 0

    def snapshot(self, waiting: int, dropped: int) -> ProxyStatistics:
        counted = asdict(self)
        counted["dropped"] += dropped
        return ProxyStatistics(**counted, waiting=waiting)


def _set_event() -> trio.Event:
    event = trio.Event()
    event.set()
    return event


@final
@define(eq=False, kw_only=True)
class Link:
    name: str
    wire: Wire
    serializer: MessageSerializer
    outbox: Outbox
    counters: Counters
    deliver: Callable[[BusMessage], bool]
    """Whether it took the message; else ``deliver_later`` has to be awaited."""
    deliver_later: Callable[[BusMessage], Awaitable[None]]
    send_timeout: float
    close_timeout: float
    max_malformed: int
    ending: ConnectionClosed | None = field(default=None, init=False)
    _now: SendsNow | None = field(default=None, init=False)
    _goodbye: tuple[int, str] = field(default=(1001, "the proxy was cancelled"), init=False)
    _has_logged: bool = field(default=False, init=False)
    _is_ending: bool = field(default=False, init=False)
    _written: trio.Event = field(factory=_set_event, init=False)
    _close_by_s: float = field(default=0.0, init=False)

    def __attrs_post_init__(self) -> None:
        self._now = self.wire if isinstance(self.wire, SendsNow) else None

    async def run(self) -> None:
        """Run until the connection has ended."""
        try:
            async with open_services() as services:
                services.start_soon(self._write, name=f"{self.name} writer")
                try:
                    await self._read()
                finally:
                    await self._finish_writing()
        except ConnectionClosed as exc:
            self.ending = self.ending or exc
        except Exception:
            self._goodbye = (1011, "the proxy failed")
            raise
        finally:
            self.outbox.put_back()
            await self._close()

    async def finish(self, reason: str, code: int = 1000) -> None:
        """Write what waits; ``code`` and ``reason`` are what the end then says. Cancelled, the rest is not written."""
        self._goodbye = (code, reason)
        await self.outbox.wait_empty()

    def put(self, waiting: Waiting) -> None:
        """Write at once what needs no waiting, from the sender's task; the rest is the writer's."""
        if not self._write_now(waiting):
            self.outbox.put(waiting)

    def _write_now(self, waiting: Waiting) -> bool:
        if self.outbox or self._is_ending or not self._written.is_set() or self._now is None:
            return False
        try:
            done = self._now.send_now(waiting.data)
        except ConnectionClosed:
            return False  # the reader hears of it too; it waits for the next connection
        if done is False:
            return False
        self.counters.sent += 1
        if done is None:
            self.outbox.put(FLUSH)
        return True

    async def _read(self) -> None:
        in_a_row = 0
        while True:
            data = await self.wire.receive()
            try:
                message = self.serializer.decode(data)
            except UnknownTypeError:
                in_a_row = 0
                self.counters.unknown += 1
                continue
            except RemoteProtocolError as exc:
                in_a_row += 1
                self._count_malformed(exc)
                if in_a_row >= self.max_malformed:
                    self._goodbye = (1008, f"{in_a_row} messages in a row could not be read")
                    raise ConnectionClosed(*self._goodbye, initiator="local") from exc
                continue
            in_a_row = 0
            if not self.deliver(message):
                await self.deliver_later(message)

    def _count_malformed(self, exc: RemoteProtocolError) -> None:
        self.counters.malformed += 1
        if not self._has_logged:
            self._has_logged = True
            log.warning("%s: %s sent what cannot be read; more is only counted: %s", self.name, self.wire.peer, exc)

    async def _write(self) -> None:
        while not self._is_ending:
            waiting = await self.outbox.take()
            self._written = trio.Event()
            try:
                with trio.fail_after(self.send_timeout):
                    await self._send(waiting)
            except ConnectionClosed:
                return  # the reader is told too, and says how it ended
            except trio.TooSlowError:
                reason = f"the peer did not take a message within send_timeout ({self.send_timeout:g} s)"
                self.ending = ConnectionClosed(1006, reason, initiator="error")
                self.wire.abort()
                return
            finally:
                self._written.set()
            self.outbox.written()
            self.counters.sent += waiting is not FLUSH

    async def _send(self, waiting: Waiting) -> None:
        if waiting is not FLUSH:
            await self.wire.send(waiting.data)
        elif self._now is not None:
            await self._now.flushed()

    async def _finish_writing(self) -> None:
        # A write that is cancelled midway leaves half a frame behind, and nothing could be said after it.
        self._is_ending = True
        self._close_by_s = trio.current_time() + self.close_timeout
        with trio.CancelScope(shield=True, deadline=self._close_by_s):
            await self._written.wait()

    async def _close(self) -> None:
        code, reason = self._goodbye
        if self.ending is None:
            self.ending = ConnectionClosed(code, reason, initiator="local" if code < 1011 else "error")
        with trio.CancelScope(shield=True, deadline=self._close_by_s):
            await self.wire.aclose(code, reason)
        self.wire.abort()
