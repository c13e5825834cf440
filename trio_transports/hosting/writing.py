"""Where all of a connection's bytes leave: one after another, whoever writes.

Rules
1. What ``write_now`` has begun is finished before anything else is written, by a task of the connection or by whoever
   writes next.
2. A write that fails or is cut off aborts the socket: half of it may be on its way, and nothing may follow.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import final

import trio
from attrs import define, field

from ..wire.stream import OwnedStream


@final
@define(eq=False)
class Writing:
    _socket: OwnedStream
    _stream: "OwnedStream | trio.SSLStream[OwnedStream]"
    _start_soon: Callable[[Callable[[], Awaitable[object]]], None]
    _turn: trio.Lock = field(factory=trio.Lock, init=False)
    _rest: bytes = field(default=b"", init=False)
    """Of what ``write_now`` has begun."""

    async def write(self, data: bytes) -> bool:
        """Write it all; False where the connection is broken."""
        written = False
        try:
            try:
                self._turn.acquire_nowait()
            except trio.WouldBlock:
                await self._turn.acquire()
            try:
                await self._write(data)
                written = True
            finally:
                self._turn.release()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            if not written:
                self._socket.abort()
        return written

    def write_now(self, data: bytes) -> bool | None:
        """Write what needs no waiting: True is all of it, None a beginning, False nothing. Not for TLS.

        False too where the connection is broken: ``write`` is to find that, and tell it.
        """
        if self._rest or self._turn.locked() or self._stream is not self._socket:
            return False
        try:
            written = self._socket.writes.write_now(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return False
        if written == len(data):
            return True
        if not written:
            return False
        self._rest = data[written:]
        self._start_soon(self.flushed)
        return None

    async def flushed(self) -> bool:
        """Wait until what was begun is written; False where the connection is broken. Cancelling it aborts."""
        return await self.write(b"")

    @asynccontextmanager
    async def finished(self) -> AsyncIterator[None]:
        """Nothing is half written, and nobody writes, while the block runs."""
        async with self._turn:
            await self._write(b"")
            yield

    async def _write(self, data: bytes) -> None:
        if self._rest:
            data, self._rest = self._rest + data, b""
        if data:
            await self._stream.send_all(data)
