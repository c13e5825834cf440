"""What one process reads from Redis: a channel of published messages, and streams of stored ones.

Published messages
1. They are given to the subscribers at once; one that is slow loses its own oldest.
2. A number that was skipped is told as a ``BusGapMessage`` in that place. When the subscription itself was lost, a
   ``BusGapMessage`` that knows no number is told as soon as it is back.

Stored messages
3. Each reader of a stream has a group there, which remembers where it was. What was read and not acknowledged, also in
   an earlier life of the process, is read again first; then what is new. So a message comes at least once.
4. A message waits for room with every subscriber that wants it. It is acknowledged when each has come back for its
   next message, or one has ended with this one in hand; at once if nobody here wants it or it cannot be read. What one
   that has ended would have wanted, ``Left`` keeps.
5. In a group of its own a reader drops what was stored twice, and is told a gap when numbers are missing (the stream
   was cut at its maximum length) or the whole stream is (the server came back without it). Where several readers
   share a group each sees a part of the numbers, so none of that applies; what another one left lying for
   ``claim_idle_s`` is taken over.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Final, final

import trio
from attrs import define, field

from ..._nursery import open_services
from ...errors import RemoteProtocolError
from ..codec.frames import UnknownTypeError
from ..codec.json import MessageSerializer
from ..messages import (
    BusActivateWorkerMessage,
    BusCancelMessage,
    BusCancelWorkerMessage,
    BusDeactivateWorkerMessage,
    BusEndMessage,
    BusEndWorkerMessage,
    BusGapMessage,
    BusMessage,
    BusWorkerErrorMessage,
    BusWorkerReadyMessage,
    BusWorkerRegistryMessage,
)
from ..names import check_names
from ..subscription import Fanout
from .connection import GroupExistsError, NoGroupError, RedisConnection
from .group import Group
from .left import KEEP_S, Left
from .sequence import Sequences, unstamp
from .writer import RedisWriter

CHANNEL_LOST: Final = "the connection to Redis was lost: what was published meanwhile is missing"
KEEPALIVE_S: Final = 15.0
BLOCK_S: Final = 5.0
COUNT: Final = 64

_OF_ONE_LIFE: Final = (
    BusEndMessage,
    BusEndWorkerMessage,
    BusCancelMessage,
    BusCancelWorkerMessage,
    BusActivateWorkerMessage,
    BusDeactivateWorkerMessage,
    BusWorkerErrorMessage,
    BusWorkerReadyMessage,
    BusWorkerRegistryMessage,
)
"""What is for one life of its reader, or told by one of somebody: kept, it would end the next one, or be false."""

logger = logging.getLogger(__name__)


@final
@define(eq=False, kw_only=True)
class BusIntake:
    """What the readers of one bus share: who gets what is read, and what is counted."""

    name: str
    publisher: str
    serializer: MessageSerializer
    fanout: Fanout
    received: int = field(default=0, init=False)
    malformed: int = field(default=0, init=False)
    unknown: int = field(default=0, init=False)
    missed: int = field(default=0, init=False)
    duplicates: int = field(default=0, init=False)
    _has_logged: bool = field(default=False, init=False)

    def decode(self, data: bytes) -> BusMessage | None:
        """Read a message, or count that it cannot be read or has a name that is too long."""
        try:
            message = self.serializer.decode(data)
            check_names(message)
        except UnknownTypeError:
            self.unknown += 1
            return None
        except RemoteProtocolError as exc:
            self.malformed += 1
            if not self._has_logged:
                self._has_logged = True
                logger.warning("%s: a message cannot be read; more are only counted: %s", self.name, exc)
            return None
        self.received += 1
        return message

    def tell_gap(self, missed: int | None, reason: str, publisher: str | None = None) -> None:
        """Give the subscribers a ``BusGapMessage``; ``missed`` None where nobody knows how many."""
        self.missed += missed or 0
        self.fanout.deliver(BusGapMessage(source=self.name, missed=missed, publisher=publisher, reason=reason))


@final
@define(eq=False, kw_only=True)
class ChannelReader:
    channel: str
    reply_timeout: float
    incoming: BusIntake
    on_subscribed: Callable[[], None]
    _sequences: Sequences = field(factory=Sequences, init=False)
    _was_subscribed: bool = field(default=False, init=False)

    async def use(self, connection: RedisConnection) -> None:
        """Read the channel on one connection until it is lost."""
        connection.send(b"SUBSCRIBE", self.channel)
        subscribed = trio.Event()

        def handle(push: list[Any]) -> None:
            if push[0] == b"message":
                self._take(bytes(push[2]))
            elif push[0] == b"subscribe":
                subscribed.set()
                self._begin()

        async with open_services() as services:
            services.start_soon(self._keep_alive, connection, subscribed, name="redis keepalive")
            await connection.pushes(handle)

    def _begin(self) -> None:
        if self._was_subscribed:
            self.incoming.tell_gap(None, CHANNEL_LOST)
        self._was_subscribed = True
        self.on_subscribed()

    def _take(self, data: bytes) -> None:
        seen, data = unstamp(data)
        if seen is not None:
            if seen.publisher == self.incoming.publisher:
                return  # our own, which our subscribers have had
            missed = self._sequences.missed(seen)
            if missed is None:
                self.incoming.duplicates += 1
                return
            if missed:
                self.incoming.tell_gap(missed, "published while nobody listened here, or dropped", seen.publisher)
        message = self.incoming.decode(data)
        if message is not None:
            self.incoming.fanout.deliver(message)

    async def _keep_alive(self, connection: RedisConnection, subscribed: trio.Event) -> None:
        with trio.move_on_after(self.reply_timeout) as limit:
            await subscribed.wait()
        if limit.cancelled_caught:
            raise TimeoutError(f"Redis did not confirm the subscription to {self.channel}")
        while True:
            await trio.sleep(KEEPALIVE_S)
            await connection.request(b"PING")


@final
@define(eq=False)
class _Receipt:
    """Settles an entry when the last of its readers has handled it, or leaves it where one of them has.

    What one of them ended over is settled: it would end the others in each life.
    """

    _settle: Callable[[], None]
    _leave: Callable[[], None]
    _remaining: int
    _was_left: bool = False
    _ended_one: bool = False

    def handled(self) -> None:
        self._remaining -= 1
        if self._remaining == 0:
            (self._leave if self._was_left and not self._ended_one else self._settle)()

    def left(self, *, in_hand: bool = False) -> None:
        self._was_left = True
        self._ended_one = self._ended_one or in_hand
        self.handled()


@final
@define(eq=False, kw_only=True)
class StreamReader:
    key: str
    group: Group
    reply_timeout: float
    incoming: BusIntake
    writer: RedisWriter
    released: trio.Event
    on_ready: Callable[[], None]
    _sequences: Sequences = field(factory=partial(Sequences, reads_again=True), init=False)
    _held: set[bytes] = field(factory=set, init=False)
    """Entries that were read and are not acknowledged yet."""
    _left: Left = field(init=False)
    _had_group: bool = field(default=False, init=False)
    _claimed_at_s: float = field(default=float("-inf"), init=False)

    def __attrs_post_init__(self) -> None:
        # Half the time: what another one of the group may have taken over is not for this one to acknowledge.
        self._left = Left(min(KEEP_S, self.group.claim_idle_s / 2) if self.group.is_shared else KEEP_S)

    async def use(self, connection: RedisConnection) -> None:
        """Read the stream on one connection until it is lost."""
        await self._make_group(connection)
        self.on_ready()
        await self.released.wait()
        after = b"0-0"
        while entries := await self._read(connection, after):
            cut = sum(data is None and entry not in self._held for entry, data in entries)
            if cut:
                self.incoming.tell_gap(cut, f"the stream {self.key} was cut before it was read")
            for entry, data in entries:
                after = entry
                await self._deliver(entry, data)
        self._sequences.reads_again = False
        while True:
            if self.group.is_shared and trio.current_time() - self._claimed_at_s >= self.group.claim_idle_s / 2:
                await self._claim(connection)
            for entry, data in await self._read(connection, b">"):
                await self._deliver(entry, data)

    async def _make_group(self, connection: RedisConnection) -> None:
        # A group that is new begins with what is stored from now on; one that was lost with its stream begins with all
        # that came since.
        start = b"0" if self._had_group else b"$"
        try:
            await connection.request(b"XGROUP", b"CREATE", self.key, self.group.name, start, b"MKSTREAM")
        except GroupExistsError:
            pass
        else:
            if self._had_group:
                self._held.clear()
                self.incoming.tell_gap(None, f"Redis came back without the stream {self.key}")
        self._had_group = True

    async def _read(self, connection: RedisConnection, after: bytes) -> list[tuple[bytes, bytes | None]]:
        """The next entries: those of ours that are pending after ``after``, or, for ``>``, what is new."""
        self._left.settle_due()
        block_s = min(BLOCK_S, self.group.claim_idle_s / 2) if self.group.is_shared else BLOCK_S
        block: tuple[bytes | int, ...] = (b"BLOCK", max(1, int(block_s * 1000))) if after == b">" else ()
        try:
            reply = await connection.request(
                b"XREADGROUP",
                *(b"GROUP", self.group.name, self.group.consumer, b"COUNT", COUNT, *block),
                *(b"STREAMS", self.key, after),
                timeout_s=BLOCK_S + self.reply_timeout,
            )
        except NoGroupError:
            await self._make_group(connection)
            return []
        if not reply:
            return []
        streams = reply.items() if isinstance(reply, dict) else reply
        return [_entry(raw) for _, raws in streams for raw in raws]

    async def _claim(self, connection: RedisConnection) -> None:
        """Take over what another reader of the group has left lying."""
        self._claimed_at_s = trio.current_time()
        start: bytes = b"0-0"
        while True:
            idle_ms = int(self.group.claim_idle_s * 1000)
            reply = await connection.request(
                b"XAUTOCLAIM", self.key, self.group.name, self.group.consumer, idle_ms, start, b"COUNT", COUNT
            )
            for raw in reply[1]:
                entry, data = _entry(raw)
                await self._deliver(entry, data)
            start = bytes(reply[0])
            if start == b"0-0":
                return

    async def _deliver(self, entry: bytes, data: bytes | None) -> None:
        if entry in self._held:
            return
        self._held.add(entry)

        def settle() -> None:
            self.writer.acknowledge(self.key, entry, lambda: self._held.discard(entry))

        def leave() -> None:
            if isinstance(message, _OF_ONE_LIFE):
                settle()
            else:
                self._left.put(settle)

        message = self._decode(data) if data else None
        if message is None:
            settle()
            return
        fanout = self.incoming.fanout
        answers = [(reader, reader.wants(message)) for reader in fanout.concerned(message)]
        readers = [reader for reader, wants_it in answers if wants_it]
        if not readers:
            was_dealt_with = any(wants_it is None for _, wants_it in answers)
            is_for_the_gone = message.target in fanout.gone if message.target is not None else bool(fanout.gone)
            (leave if is_for_the_gone and not was_dealt_with else settle)()
            return
        receipt = _Receipt(settle, leave, len(readers))
        for reader in readers:
            await reader.put_with_receipt(message, receipt)

    def _decode(self, data: bytes) -> BusMessage | None:
        seen, data = unstamp(data)
        if seen is not None and not self.group.is_shared:
            missed = self._sequences.missed(seen)
            if missed is None:
                self.incoming.duplicates += 1
                return None
            if missed:
                self.incoming.tell_gap(missed, f"the stream {self.key} was cut before it was read", seen.publisher)
        return self.incoming.decode(data)


def _entry(raw: Any) -> tuple[bytes, bytes | None]:  # noqa: ANN401 - a reply of Redis
    """The id and the message of an entry: None if it was cut away, nothing in what somebody else wrote."""
    entry, fields = raw
    if fields is None:
        return bytes(entry), None
    if isinstance(fields, dict):
        return bytes(entry), fields.get(b"m", b"")
    names = fields[::2]
    return bytes(entry), bytes(fields[2 * names.index(b"m") + 1]) if b"m" in names else b""
