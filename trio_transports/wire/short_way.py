"""The common message's way past the tasks of an engine: on a server, while what a peer sends is ordinary.

Rules
1. Whole messages, each one frame, are read here and handed to whoever receives (``receiver``); the engine is given
   every other frame, whole (``incoming``), and so still answers pings and counts pongs.
2. The first frame that is not ordinary ends the short way for good: from it on all bytes are the engine's, which judges
   them. So does this side's own goodbye.
3. What arrived before that is received first, so the order stays.
4. No more is read while a message waits and nobody receives: a peer that is not listened to feels it. Once none waits
   its pings are answered, whether somebody receives or not.
5. A message that needs no waiting is written by who sends it, as a frame of its own. What the kernel did not take of it
   is written ahead of whatever the engine writes next.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import final

import trio
from attrs import define, field

from .._sleeper import Sleeper
from .backlog import Backlog
from .incoming import Incoming
from .receiver import Receiver, Take
from .rfc6455 import Opcode, encode_frame
from .stream import OwnedStream


@final
@define(eq=False)
class ShortWay(trio.abc.Stream):
    """Stands between an engine and its stream, which gives the engine what ``incoming`` is made with for it first.

    ``begin`` opens the way, once the stream shares its wakes. Until then nothing is read.
    """

    _stream: OwnedStream
    incoming: Incoming
    backlog: Backlog = field(init=False)
    is_open: bool = field(default=True, init=False)
    on_begun: Callable[[], object] | None = field(default=None, init=False)
    """Called when a message was written in part: somebody has to write the rest."""
    _has_begun: bool = field(default=False, init=False)
    _receiver: Receiver = field(factory=Receiver, init=False)
    _reading: Sleeper = field(factory=Sleeper, init=False)

    def __attrs_post_init__(self) -> None:
        self.backlog = Backlog(self._stream)

    def begin(self, first: bytes) -> None:
        """Read what comes here from now on; ``first`` came with the handshake."""
        self._has_begun = True
        self._stream.descriptor.on_end = self.leave
        if not self.incoming.part(first):
            self.leave()
        self._reading.wake()

    def leave(self) -> None:
        """Leave everything to the engine from now on; rule 2."""
        if self.is_open:
            self.is_open = False
            self.incoming.leave_to_engine()
            self._reading.wake()
            self._receiver.wake()
            self._stream.reads.stop_hearing()

    # The side of whoever receives

    async def receive_each(self, take: Take) -> bool:
        """Hand over what comes until ``take`` answers True, or until there is something else to be done first."""
        self._reading.wake()
        return await self._receiver.receive_each(take)

    def next_arrived(self) -> str | bytes:
        """Take the first of those that wait; with the last of them taken, reading goes on."""
        message = self.incoming.arrived.popleft()
        if not self.incoming.arrived:
            self._reading.wake()
        return message

    def send_now(self, message: str | bytes) -> bool | None:
        """As ``protocol.SendsNow``; it raises what the stream raises."""
        if self.backlog or self._stream.descriptor.is_writing:
            return False
        if isinstance(message, str):
            frame = encode_frame(Opcode.TEXT, message.encode(), masked=False)
        else:
            frame = encode_frame(Opcode.BINARY, message, masked=False)
        written = self._stream.writes.write_now(frame)
        if written == len(frame):
            return True
        if not written:
            return False
        self.backlog.append(frame[written:])
        if self.on_begun is not None:
            self.on_begun()
        return None

    async def write_rest(self) -> None:
        """Write what is begun; an end meanwhile is told by whoever reads."""
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self.backlog.flush()

    # The engine's side

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        incoming = self.incoming
        while True:
            if incoming.for_engine:
                data = bytes(incoming.for_engine)
                incoming.for_engine.clear()
                await trio.lowlevel.checkpoint()
                return data
            if not self.is_open:
                return await self._stream.receive_some(max_bytes)
            if not self._has_begun or (incoming.arrived and self._receiver.take is None):
                await self._reading.sleep()  # rule 4
            elif incoming.arrived:
                self._receiver.hand_over(incoming.arrived)
            elif self._stream.reads.shares_wakes:
                await self._stream.reads.hear(self._heard)
            else:  # the last read was filled whole: there is more
                await trio.lowlevel.checkpoint()
                self._heard()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self.backlog:
            await self.backlog.flush()
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()

    def _heard(self) -> bool:
        """Read once; whether the engine's task has something to do, or to wait for."""
        reads, incoming = self._stream.reads, self.incoming
        data = reads.read_at_wake()
        if data is None:
            return False
        if not data:
            self.leave()
            return True
        if not incoming.part(data):
            self.leave()
        self._receiver.hand_over(incoming.arrived)
        return bool(incoming.for_engine or incoming.arrived) or not self.is_open or reads.has_more
