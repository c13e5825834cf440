"""A session's messages between its tasks and the socket, with neither a task nor a queue of the server's in between.

An app on hypercorn hears of a message through two tasks, a queue, four layers of calls and a dictionary, and sends one
through as many. A session of this library reads the socket itself, by the same parser, and writes its frames itself.

Rules
1. Messages alone go this way. What else a peer sends (a ping, a close, a violation, the end) goes back to the
   connection's reader, which then does all it always does, and lends the socket again.
2. The reader lends between two reads, to who waits here for a message. So one of them reads at any time, and nothing
   overtakes what was read before.
3. Cancelling ``next_message`` loses nothing and leaves the socket lent: who asks next goes on. It is given back when
   the app returns, asks for an event in ASGI's way, or the connection ends; and where a read is under way, once that
   is over, since two tasks cannot wait for one socket. While an app waits in ASGI's way it is not lent again.
4. One read is worked on in pieces, and others have their turn between them (``reader``, rule 3).
5. Where connections share their wakes (``wire.wakes``), messages are handed over where they are read, a few at a time.
6. A write is one call of the kernel or goes the ordinary way; ``writing`` keeps both in order.
"""

from collections.abc import Awaitable, Callable
from typing import Final, Protocol, final

import trio
from attrs import define, field
from trio.lowlevel import ParkingLot

from ..wire.rfc6455 import Opcode, encode_frame
from ..wire.stream import OwnedStream
from .app_queue import AppQueue
from .writing import Writing

READ_BYTES: Final = 64 * 1024
PIECE_BYTES: Final = 4 * 1024
_AT_ONCE: Final = 4
"""How many messages of one read are handed over where they are read; the others wait for their reader."""


class Frames(Protocol):
    """The WebSocket whose frames these are."""

    @property
    def may_send(self) -> bool:
        """It is open, and this side has not begun to close it."""

    @property
    def has_rest(self) -> bool:
        """Something was taken that is no message."""

    def take_messages(self, data: bytes) -> list[str | bytes]:
        """Take bytes from the peer; give the messages that they complete, up to what is none."""


@final
@define(eq=False)
class HostedShortWay:
    """``wire.asgi.MessageWay`` of one WebSocket, and what its connection's reader lends the socket by."""

    _socket: OwnedStream
    _writing: Writing
    _queue: AppQueue
    _frames: Frames
    handle_rest: Callable[[], Awaitable[None]]
    """For the reader: work on what was read here and is no message."""
    _is_wanted: bool = field(default=False, init=False)
    _is_lent: bool = field(default=False, init=False)
    _is_reading: bool = field(default=False, init=False)
    _is_over: bool = field(default=False, init=False)
    _reader: ParkingLot = field(factory=ParkingLot, init=False)

    # -- for the session's wire ----------------------------------------------------------------------------------

    async def next_message(self) -> str | bytes | None:
        """Give the next message, or None where ASGI's own ``receive`` has something else to tell."""
        queue = self._queue
        if queue.has_something:
            await trio.lowlevel.checkpoint()
        while not queue.has_something:
            if self._is_lent:
                await self._read()
            else:
                self._is_wanted = True
                await queue.wait()
        return queue.take_message()

    async def receive_each(self, take: Callable[[str | bytes], bool]) -> bool:
        """Hand messages over until ``take`` answers True; False where ASGI's ``receive`` has something else to tell."""
        while True:
            if not self._is_lent or self._queue.has_something or not self._socket.reads.shares_wakes:
                message = await self.next_message()
                if message is None or take(message):
                    return message is not None
            elif await self._hear(take):
                return True

    def send_now(self, message: str | bytes) -> bool | None:
        """As a wire's: True is all of it, None a beginning, False nothing."""
        if not self._frames.may_send:
            return False
        if isinstance(message, str):
            return self._writing.write_now(encode_frame(Opcode.TEXT, message.encode(), masked=False))
        return self._writing.write_now(encode_frame(Opcode.BINARY, message, masked=False))

    async def flushed(self) -> bool:
        """Wait until what was begun is written; False where the connection is broken. Cancelling it aborts."""
        return await self._writing.flushed()

    async def _read(self) -> None:
        self._is_reading = True
        try:
            data = await self._socket.receive_some(READ_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            data = b""
        finally:
            self._stop_reading()
        self._has_read(data)

    def _stop_reading(self) -> None:
        self._is_reading = False
        if not self._is_wanted:
            self.give_back()  # rule 3

    def _has_read(self, data: bytes) -> None:
        if not data:
            self.close()  # the reader comes to the same end
            return
        if len(data) > PIECE_BYTES:  # rule 4
            self._socket.reads.put_back = data[PIECE_BYTES:]
            data = data[:PIECE_BYTES]
        self._queue.put_messages(self._frames.take_messages(data))
        if self._frames.has_rest:
            self.give_back()

    async def _hear(self, take: Callable[[str | bytes], bool]) -> bool:
        """Have messages handed over at shared wakes; whether ``take`` was done. Rule 5."""
        is_done = False
        failure: BaseException | None = None

        def heard() -> bool:
            nonlocal is_done, failure
            data = self._socket.reads.read_at_wake()
            if data is None:
                return False
            self._has_read(data)
            for _ in range(_AT_ONCE):
                message = self._queue.take_message()
                if message is None:
                    break
                try:
                    is_done = take(message)
                except BaseException as exc:  # the session's own, also where it looks like the stream's
                    failure = exc
                if is_done or failure is not None:
                    return True
            return self._has_to_stop or self._queue.has_something or not self._socket.reads.shares_wakes

        self._is_reading = True
        try:
            try:
                await self._socket.reads.hear(heard)
            finally:
                self._stop_reading()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.close()
        if failure is not None:
            raise failure
        return is_done

    @property
    def _has_to_stop(self) -> bool:
        return not (self._is_lent and self._is_wanted)

    # -- for the connection --------------------------------------------------------------------------------------

    async def lend(self) -> bool:
        """Lend the socket to who waits for a message; whether it was, once it is back."""
        if not self._is_wanted or self._is_over or self._queue.is_asked:
            return False
        self._is_lent = True
        self._queue.wake()
        try:
            while self._is_lent:
                await self._reader.park()
        finally:
            self._is_lent = False
        return True

    def give_back(self) -> None:
        """The socket is the connection's reader's again."""
        self._is_lent = False
        self._reader.unpark_all()

    def decline(self) -> None:
        """Have the reader read: somebody asks for events in ASGI's way. Rule 3."""
        self._is_wanted = False
        if not self._is_reading:
            self.give_back()

    def close(self) -> None:
        """Have the reader read from now on."""
        self._is_over = True
        self.decline()
