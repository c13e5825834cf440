"""Whether the peer of a hosted WebSocket is still there: it is pinged, and answers in time.

A ping that is being written is not cut short by the end of the connection: that would take along the answer to the
peer's close, which waits behind it.
"""

from typing import final

import trio
from attrs import define, field
from hypercorn.protocol.events import Data
from hypercorn.protocol.ws_stream import WSStream
from wsproto.events import Ping
from wsproto.utilities import LocalProtocolError


@final
@define(eq=False)
class Keepalive:
    """One WebSocket's."""

    _stream: WSStream
    _pong: trio.Event = field(factory=trio.Event, init=False)
    _pinging: trio.CancelScope = field(factory=trio.CancelScope, init=False)

    def pong_received(self) -> None:
        self._pong.set()

    def stop(self) -> None:
        """Ping no more: the connection is over."""
        self._pinging.cancel()

    async def missed_a_pong(self, interval_s: float, timeout_s: float) -> bool:
        """Ping until an answer is missing, which is True, or until ``stop``, or until this side is closing."""
        with self._pinging:
            while True:
                await trio.sleep(interval_s)
                self._pong = trio.Event()
                with trio.move_on_after(timeout_s) as waiting:
                    if not await self._ping(waiting.deadline):
                        return False
                    await self._pong.wait()
                if waiting.cancelled_caught:
                    return True
        return False

    async def _ping(self, deadline_s: float) -> bool:
        try:
            data = self._stream.connection.send(Ping())
        except LocalProtocolError:  # this side is closing, and a close is bounded by whoever began it
            return False
        with trio.CancelScope(shield=True, deadline=deadline_s):
            await self._stream.send(Data(stream_id=self._stream.stream_id, data=data))
        return True
