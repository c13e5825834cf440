"""The one task of a connection that reads, and gives hypercorn's protocol what comes.

Rules
1. When it ends, for any reason, the protocol is told that the connection is closed.
2. Timers are its deadline (``phase``, ``patience``), not tasks.
3. What one read has brought is worked on in pieces of ``PIECE_BYTES``, and the other connections have their turn
   between them: the smallest frames, many to a read, cost a hundred times what one big one does.
4. To a session that takes messages by the short way (``short_way``) the socket is lent between two reads.
"""

from typing import final

import trio
from attrs import define, field
from hypercorn.events import Closed, RawData

from ..wire.stream import OwnedStream
from .app_queue import AppQueue
from .closing import Closing
from .host import Host
from .patience import Patience
from .phase import Phase
from .protocols import Protocols
from .runs import Runs
from .short_way import PIECE_BYTES, READ_BYTES, Frames, HostedShortWay
from .websocket import HostedWebsocket
from .writing import Writing


@final
@define(eq=False)
class Reader:
    """One connection's."""

    _host: Host
    _socket: OwnedStream
    _stream: "OwnedStream | trio.SSLStream[OwnedStream]"
    protocol: Protocols
    _phase: Phase
    _runs: Runs
    _closing: Closing
    _patience: Patience = field(init=False)
    _short_way: HostedShortWay | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._patience = Patience(self._host.config.read_timeout, self._host.limits.body_timeout_s)

    async def read(self, began_s: float) -> None:
        """Read until the end, or until it is time to end; the first head is due since ``began_s``."""
        phase, protocol, is_gone = self._phase, self.protocol, False
        with phase.reading:
            phase.begin(began_s)
            await protocol.initiate()
            is_patient = self._host.config.read_timeout is None
            while True:
                if await self._lent():
                    continue
                try:
                    if is_patient and not protocol.is_reading_body:
                        data = await self._stream.receive_some(READ_BYTES)
                    else:
                        data = await self._receive_in_time()
                except (trio.ClosedResourceError, trio.BrokenResourceError):
                    is_gone = True
                    break
                except trio.TooSlowError:
                    if protocol.is_reading_body:
                        self._host.counting.refuse("time")
                    break
                if len(data) > PIECE_BYTES:
                    await self._take_in_pieces(bytes(data))
                elif not phase.is_closing:
                    await protocol.handle(RawData(bytes(data)))
                    if self._runs.refused:
                        await self._end_refused()
                if not data:
                    is_gone = True
                    break
                if phase.is_idle and not phase.has_begun_head:
                    phase.expect_head(trio.current_time())
        if phase.was_too_slow:
            self._host.counting.refuse("time")
        elif is_gone and not phase.has_answered:
            self._host.counting.refuse("cut off")
        await protocol.handle(Closed())

    async def _receive_in_time(self) -> bytes:
        is_reading_body, began = self.protocol.is_reading_body, trio.current_time()
        with trio.fail_after(self._patience.limit_s(is_reading_body=is_reading_body)):
            data = bytes(await self._stream.receive_some(READ_BYTES))
        self._patience.has_read(len(data), trio.current_time() - began)
        return data

    async def _take_in_pieces(self, data: bytes) -> None:
        for start in range(0, len(data), PIECE_BYTES):
            if start:
                await trio.lowlevel.checkpoint()
            if self._phase.is_closing:
                return
            await self.protocol.handle(RawData(data[start : start + PIECE_BYTES]))
            if self._runs.refused:
                await self._end_refused()

    async def _end_refused(self) -> None:
        for run in self._runs.refused:
            run.peer_left("it sent data before its upgrade was answered")
            await self._closing.begin()

    # Rule 4

    def open_short_way(
        self, websocket: HostedWebsocket, writing: Writing, queue: AppQueue, frames: Frames
    ) -> HostedShortWay:
        self._short_way = HostedShortWay(self._socket, writing, queue, frames, websocket.handle_rest)
        return self._short_way

    async def _lent(self) -> bool:
        """Whether the socket was with a session meanwhile."""
        way = self._short_way
        if way is None or self._phase.is_closing or not await way.lend():
            return False
        await way.handle_rest()
        return True
