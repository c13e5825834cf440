"""One connection of a proxy: what it reads, how it ends, and a ``LinkWriter`` for the other direction.

Rules
1. One task reads the wire and never waits for the peer. All that one read of the wire brought is delivered before the
   next; every ``TURN`` messages the others have their turn.
2. A message that cannot be read, or has a name over ``MAX_NAME`` characters, is counted, logged once for each
   connection, and skipped. ``max_malformed`` of them in a row close the connection with 1008. One that is well formed
   and not known is only counted, and breaks no row.
3. The link ends when the connection does, whichever side ended it; ``ending`` then says how. Cancelling it finishes the
   write under way and says goodbye, both within ``close_timeout``, then aborts.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import final

import trio
from attrs import define, field

from ..._documented import documented
from ..._nursery import open_services
from ...errors import ConnectionClosed, Ending, RemoteProtocolError
from ...wire.protocol import Batches, Wire
from ..codec.frames import UnknownTypeError
from ..codec.json import MessageSerializer
from ..messages import BusMessage
from ..names import check_names
from ..outbox import Outbox
from ..subscription import TURN
from .counters import ProxyCounters
from .writing import LinkWriter

logger = logging.getLogger(__name__)


@final
@define(eq=False)
class MalformedRow:
    """What could not be read on one connection; rule 2."""

    most: int
    in_a_row: int = field(default=0, init=False)
    has_logged: bool = field(default=False, init=False)


@documented
@final
@define(eq=False, kw_only=True)
class Link:
    name: str
    wire: Wire
    serializer: MessageSerializer
    outbox: Outbox
    counters: ProxyCounters
    deliver: Callable[[BusMessage], bool]
    """Whether it took the message; else ``deliver_later`` has to be awaited."""
    deliver_later: Callable[[BusMessage], Awaitable[None]]
    close_timeout: float
    malformed: MalformedRow
    writer: LinkWriter
    ending: Ending | None = field(default=None, init=False)
    """A value, for an exception keeps what was read last: HAZARDS 44."""
    _goodbye: tuple[int, str] = field(default=(1001, "the proxy was cancelled"), init=False)
    _close_by_s: float = field(default=0.0, init=False)

    async def run(self) -> None:
        """Run until the connection has ended."""
        try:
            async with open_services() as services:
                services.start_soon(self.writer.write, name=f"{self.name} writer")
                try:
                    await self._read()
                finally:
                    self._close_by_s = trio.current_time() + self.close_timeout
                    with trio.CancelScope(shield=True, deadline=self._close_by_s):
                        await self.writer.finish()
        except ConnectionClosed as exc:
            self.ending = self.writer.failure or exc.ending
        except Exception:  # the peer is told that it was not its fault; then it is raised again
            self._goodbye = (1011, "the proxy failed")
            raise
        finally:
            self.outbox.put_back()
            await self._close()

    async def finish(self, reason: str, code: int = 1000) -> None:
        """Write what waits; ``code`` and ``reason`` are what the end then says. Cancelled, the rest is not written."""
        self._goodbye = (code, reason)
        await self.outbox.wait_empty()

    async def _read(self) -> None:
        count = 0
        receive = self.wire.receive_several if isinstance(self.wire, Batches) else self._receive_one
        while True:
            received = await receive()
            self.writer.has_read()
            for data in received:
                count += 1
                if count % TURN == 0:
                    await trio.lowlevel.checkpoint()
                message = self._decode(data)
                if message is not None and not self.deliver(message):
                    await self.deliver_later(message)

    async def _receive_one(self) -> Sequence[str | bytes]:
        return (await self.wire.receive(),)

    def _decode(self, data: str | bytes) -> BusMessage | None:
        try:
            message = self.serializer.decode(data)
            check_names(message)
        except UnknownTypeError:
            self.counters.unknown += 1
            return None
        except RemoteProtocolError as exc:
            self._count_malformed(exc)
            return None
        self.malformed.in_a_row = 0
        return message

    def _count_malformed(self, exc: RemoteProtocolError) -> None:
        malformed = self.malformed
        self.counters.malformed += 1
        malformed.in_a_row += 1
        if not malformed.has_logged:
            malformed.has_logged = True
            logger.warning("%s: %s sent what cannot be read; more is only counted: %s", self.name, self.wire.peer, exc)
        if malformed.in_a_row >= malformed.most:
            self._goodbye = (1008, f"{malformed.in_a_row} messages in a row could not be read")
            raise ConnectionClosed(*self._goodbye, initiator="local") from exc

    async def _close(self) -> None:
        code, reason = self._goodbye
        if self.ending is None:
            self.ending = Ending(code, reason, "local" if code < 1011 else "error")
        with trio.CancelScope(shield=True, deadline=self._close_by_s):
            await self.wire.aclose(code, reason)
        self.wire.abort()
