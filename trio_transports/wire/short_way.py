"""The common message's way past the tasks of an engine: on a server, while what a peer sends is ordinary.

Rules
1. Whole messages, each one frame, are read here and handed to whoever receives; the engine is given every other frame,
   whole, and so still answers pings and counts pongs.
2. The first frame that is not ordinary ends the short way for good: a Close, a fragment, text that is not UTF-8, a
   message over the limit, anything that the RFC forbids. From it on all bytes are the engine's, which judges them. So
   does this side's own goodbye.
3. What arrived before that is received first, so the order stays.
4. No more is read while a message waits and nobody receives: a peer that is not listened to feels it. Once none waits
   its pings are answered, whether somebody receives or not.
5. A message that needs no waiting is written by who sends it, as a frame of its own. What the kernel did not take of it
   is written ahead of whatever the engine writes next.
6. What receiving raises is raised in the task that receives, not in the engine's.
"""

import struct
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final, final

import trio
from attrs import define, field
from trio.lowlevel import Abort, Task, current_task, reschedule, wait_task_rescheduled

from .._sleeper import Sleeper
from .backlog import Backlog
from .rfc6455 import Opcode, apply_mask, encode_frame
from .stream import OwnedStream

_AT_ONCE: Final = 4
"""How many messages of one read are handed over where they are read; the others wait for their receiver."""
_TEXT, _BINARY = 0x80 | Opcode.TEXT, 0x80 | Opcode.BINARY
_PING, _PONG = 0x80 | Opcode.PING, 0x80 | Opcode.PONG
_U16: Final = struct.Struct("!H")
_U64: Final = struct.Struct("!Q")

Take = Callable[[str | bytes], bool]


@final
@define(eq=False)
class ShortWay(trio.abc.Stream):
    """Stands between an engine and its stream, which gives the engine the ``_for_engine`` it is made with first.

    ``begin`` opens the way, once the stream shares its wakes. Until then nothing is read.
    """

    _stream: OwnedStream
    _max_message_bytes: int
    _for_engine: bytearray
    backlog: Backlog = field(init=False)
    arrived: deque[str | bytes] = field(factory=deque, init=False)
    is_open: bool = field(default=True, init=False)
    _rest: bytearray = field(factory=bytearray, init=False)
    """A frame's beginning."""
    _wanted: int = field(default=0, init=False)
    """How long that must be for another look at it."""
    on_begun: Callable[[], object] | None = field(default=None, init=False)
    """Called when a message was written in part: somebody has to write the rest."""
    _has_begun: bool = field(default=False, init=False)
    _take: Take | None = field(default=None, init=False)
    _receiver: Task | None = field(default=None, init=False)
    _error: BaseException | None = field(default=None, init=False)
    _is_done: bool = field(default=False, init=False)
    _reading: Sleeper = field(factory=Sleeper, init=False)

    def __attrs_post_init__(self) -> None:
        self.backlog = Backlog(self._stream)

    def begin(self, first: bytes) -> None:
        """Read what comes here from now on; ``first`` came with the handshake."""
        self._has_begun = True
        self._stream.descriptor.on_end = self.leave
        self._split(first)
        self._reading.wake()

    def leave(self) -> None:
        """Leave everything to the engine from now on; rule 2."""
        if self.is_open:
            self.is_open = False
            self._for_engine += self._rest
            self._rest.clear()
            self._reading.wake()
            self._wake_receiver()
            self._stream.reads.stop_hearing()

    # The side of whoever receives

    async def receive_each(self, take: Take) -> bool:
        """Hand over what comes until ``take`` answers True, or until there is something else to be done first."""
        self._begin_receiving(take)
        await wait_task_rescheduled(self._give_up)
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        return self._is_done

    def _begin_receiving(self, take: Take) -> None:
        self._take, self._receiver, self._is_done = take, current_task(), False
        self._error = None  # of one that was cancelled meanwhile
        self._reading.wake()

    def next_arrived(self) -> str | bytes:
        """Take the first of those that wait; with the last of them taken, reading goes on."""
        message = self.arrived.popleft()
        if not self.arrived:
            self._reading.wake()
        return message

    def _give_up(self, _raise_cancel: object) -> Abort:
        # Here, not when the task goes on: nothing may be handed over to one that is being cancelled.
        self._take = self._receiver = None
        return Abort.SUCCEEDED

    def _wake_receiver(self) -> None:
        receiver = self._receiver
        if receiver is not None:
            self._take = self._receiver = None
            reschedule(receiver)

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
        while True:
            if self._for_engine:
                data = bytes(self._for_engine)
                self._for_engine.clear()
                await trio.lowlevel.checkpoint()
                return data
            if not self.is_open:
                return await self._stream.receive_some(max_bytes)
            if not self._has_begun or (self.arrived and self._take is None):
                await self._reading.sleep()  # rule 4
            elif self.arrived:
                self._hand_over()
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

    # Reading

    def _heard(self) -> bool:
        """Read once; whether the engine's task has something to do, or to wait for."""
        data = self._stream.reads.read_at_wake()
        if data is None:
            return False
        if not data:
            self.leave()
            return True
        self._split(data)
        self._hand_over()
        return bool(self._for_engine or self.arrived) or not self.is_open or self._stream.reads.has_more

    def _hand_over(self) -> None:
        take, receiver = self._take, self._receiver
        if take is None or receiver is None or not self.arrived:
            return
        try:
            for _ in range(min(len(self.arrived), _AT_ONCE)):
                if receiver.context.run(take, self.arrived.popleft()):
                    self._is_done = True
                    break
        except BaseException as exc:  # whatever it is, it is the receiver's: rule 6
            self._error = exc
        if self._is_done or self._error is not None or self.arrived:
            self._wake_receiver()

    def _split(self, data: bytes) -> None:
        """Take the ordinary messages out of what came, and give the engine the rest; rules 1 and 2."""
        if self._rest:
            self._rest += data
            if len(self._rest) < self._wanted:
                return
            data = bytes(self._rest)
            self._rest.clear()
        start, end = 0, len(data)
        self._wanted = 2
        while end - start >= 2:
            first, size, body = data[start], data[start + 1] & 0x7F, start + 2
            if (
                first not in (_BINARY, _TEXT, _PING, _PONG)
                or not data[start + 1] & 0x80
                or (first > 0x88 and size > 125)
            ):
                break
            if size > 125:
                length = _U16 if size == 126 else _U64
                if end < body + length.size:
                    self._wanted = 2 + length.size
                    self._rest += data[start:]
                    return
                least = 126 if size == 126 else 65536
                size = length.unpack_from(data, body)[0]
                body += length.size
                if size < least:
                    break
            if size > self._max_message_bytes:
                break
            if end < body + 4 + size:
                self._wanted = body + 4 + size - start
                self._rest += data[start:]
                return
            stop = body + 4 + size
            if first in (_PING, _PONG):
                self._for_engine += data[start:stop]
            else:
                payload = apply_mask(data[body + 4 : stop], data[body : body + 4])
                if first == _BINARY:
                    self.arrived.append(payload)
                else:
                    try:
                        self.arrived.append(payload.decode())
                    except UnicodeDecodeError:
                        break
            start = stop
        self._rest += data[start:]
        if end - start >= 2:
            self.leave()
