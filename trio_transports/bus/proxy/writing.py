"""What one connection of a proxy writes: at once what it can, the rest in one system call for all that waits.

Rules
1. A message that is alone leaves in its sender's task. One that follows another within ``BURST_S``, with nothing read
   in between, waits until its sender has had its turn: all of that turn leaves together.
2. One task writes what waits. A write that makes no progress within ``send_timeout`` aborts the connection: a peer that
   stopped reading costs its own connection and nothing else.
3. What the wire took is written; the rest is put back into the outbox, for the next connection, or behind what is
   urgent and came meanwhile. Nothing is sent twice.
4. After ``finish`` nothing more is begun, and who ends the connection waits for the write under way: one cancelled
   midway leaves half a frame behind, and nothing could be said after it.
5. On TLS each message is a record, and a write of its own: to encrypt may have to wait for the peer, so nothing is
   taken at once there, and of a batch that is cut off midway nobody could say what had left.
"""

from typing import Final, final

import trio
from attrs import define, field

from ...errors import ConnectionClosed, Ending
from ...wire.protocol import Batches, SendsNow, Wire
from ..outbox import Outbox, Waiting
from .counters import ProxyCounters

BATCH_BYTES: Final = 64 * 1024
BURST_S: Final = 0.001


def _set_event() -> trio.Event:
    event = trio.Event()
    event.set()
    return event


@final
@define(eq=False, kw_only=True)
class LinkWriter:
    wire: Wire
    outbox: Outbox
    counters: ProxyCounters
    send_timeout: float
    failure: Ending | None = field(default=None, init=False)
    """Why this side has aborted the connection."""
    _now: SendsNow | None = field(default=None, init=False)
    _batches: Batches | None = field(default=None, init=False)
    _last_put_s: float = field(default=float("-inf"), init=False)
    _is_ending: bool = field(default=False, init=False)
    _idle: trio.Event = field(factory=_set_event, init=False)

    def __attrs_post_init__(self) -> None:
        self._now = self.wire if isinstance(self.wire, SendsNow) else None
        self._batches = self.wire if isinstance(self.wire, Batches) else None

    def put_now(self, data: bytes) -> bool:
        """Write it at once if that needs no waiting, and rule 1 lets it; else it has to wait in the outbox."""
        now_s = trio.current_time()
        is_alone = now_s - self._last_put_s > BURST_S
        self._last_put_s = now_s
        return is_alone and self._write_now(data)

    def has_read(self) -> None:
        """Something came from the peer: what is put next may well be all that there is to say to it."""
        self._last_put_s = float("-inf")

    def _write_now(self, data: bytes) -> bool:
        if self.outbox or self.outbox.is_begun or self._is_ending or not self._idle.is_set() or self._now is None:
            return False
        try:
            done = self._now.send_now(data)
        except ConnectionClosed:
            return False  # the reader hears of it too; it waits for the next connection
        if done is False:
            return False
        self.counters.sent += 1
        if done is None:
            self.outbox.begun()
        return True

    async def write(self) -> None:
        """Write what waits until the connection has ended, or ``finish``."""
        while not self._is_ending:
            batch = await self.outbox.take(BATCH_BYTES)
            self._idle = trio.Event()
            try:
                await self._write_batch(batch)
            except ConnectionClosed:
                return  # the reader is told too, and says how it ended
            except trio.TooSlowError:
                reason = f"the peer did not take a message within send_timeout ({self.send_timeout:g} s)"
                self.failure = Ending(1006, reason)
                self.wire.abort()
                return
            finally:
                self._idle.set()
            if not self._is_ending:
                self.outbox.put_back()

    async def _write_batch(self, batch: list[Waiting]) -> None:
        if not batch:
            await self._flushed()
            self.outbox.flushed()
        while batch and not self._is_ending and not (self.outbox.has_urgent and not batch[0].is_system):
            taken = self._batches.send_several_now([each.data for each in batch]) if self._batches is not None else 0
            if taken:
                self._count(batch, taken)
                await self._flushed()
            else:
                with trio.fail_after(self.send_timeout):
                    await self.wire.send(batch[0].data)
                self._count(batch, 1)

    def _count(self, batch: list[Waiting], written: int) -> None:
        self.counters.sent += written
        self.outbox.written(written)
        del batch[:written]

    async def _flushed(self) -> None:
        if self._now is not None:
            with trio.fail_after(self.send_timeout):
                await self._now.flushed()

    async def finish(self) -> None:
        """Begin nothing more, and wait for the write under way."""
        self._is_ending = True
        await self._idle.wait()
