"""What waits for one run of the app: bounded, and never in the way of a connection whose app has gone.

Rules
1. A full queue holds back the connection's reader, as hypercorn's does.
2. Once the app has returned, what arrives for it is dropped: the reader is never stuck behind an app that is gone.
3. A session that takes its messages by the short way (``short_way``) puts them here too, as they are: the order is one.
4. The news that the peer is gone never waits for room. It comes after what was queued, and stays: every later
   ``receive`` gives it again, where hypercorn's own queue would wait for ever.
5. What was queued before a session said how much a message may be is left to ``receive``, and so to who measures it.
"""

from collections import deque
from collections.abc import Callable, Sequence
from math import inf
from typing import Any, TypeAlias, final

import trio
from attrs import define, field
from trio.lowlevel import ParkingLot

ASGIEvent: TypeAlias = dict[str, Any]


@final
@define(eq=False)
class AppQueue:
    _limit: int
    on_receive: Callable[[], None] | None = field(default=None, init=False)
    """Called when the app waits for an event."""
    max_message_bytes: float = field(default=inf, init=False)
    _asking: int = field(default=0, init=False)
    """How many tasks wait in ``receive``."""
    _events: deque[ASGIEvent | str | bytes] = field(factory=deque, init=False)
    _disconnect: ASGIEvent | None = field(default=None, init=False)
    _app_returned: bool = field(default=False, init=False)
    _getters: ParkingLot = field(factory=ParkingLot, init=False)
    _putters: ParkingLot = field(factory=ParkingLot, init=False)

    async def put(self, event: ASGIEvent) -> None:
        """Add an event: a checkpoint only when the queue is full, as its one caller has just waited for the socket."""
        while len(self._events) >= self._limit and not self._is_over:
            await self._putters.park()
        if not self._is_over:
            self._events.append(event)
            self._getters.unpark()

    async def receive(self) -> ASGIEvent:
        """Give the next event; cancelling it loses nothing."""
        if self.has_something:  # a deadline that passes in this turn of the loop leaves nothing here
            await trio.lowlevel.checkpoint_if_cancelled()
            event = self._next()
            await trio.lowlevel.cancel_shielded_checkpoint()
            return event
        while not self._events:
            if self._disconnect is not None:
                return self._disconnect
            if self.on_receive is not None:
                self.on_receive()
            self._asking += 1
            try:
                await self._getters.park()
            finally:
                self._asking -= 1
        return self._next()

    def _next(self) -> ASGIEvent:
        if not self._events:
            assert self._disconnect is not None
            return self._disconnect
        self._putters.unpark()
        event = self._events.popleft()
        if isinstance(event, str):
            return {"type": "websocket.receive", "bytes": None, "text": event}
        if isinstance(event, bytes):
            return {"type": "websocket.receive", "bytes": event, "text": None}
        return event

    # Rule 3. Of these, ``wait`` alone is a checkpoint.

    @property
    def has_something(self) -> bool:
        return bool(self._events) or self._disconnect is not None

    @property
    def is_asked(self) -> bool:
        """The app waits in ``receive``."""
        return self._asking > 0

    async def wait(self) -> None:
        """Wait for an event, or to be woken."""
        await self._getters.park()

    def wake(self) -> None:
        self._getters.unpark_all()

    def put_messages(self, messages: Sequence[str | bytes]) -> None:
        """Add what its receiver has read itself: it holds no reader back."""
        if not self._is_over:
            self._events += messages
            self._getters.unpark(count=len(messages))

    def take_message(self) -> str | bytes | None:
        """Give the first if it is a message; None where it is anything else, which ``receive`` gives."""
        first = self._events[0] if self._events else None
        if isinstance(first, dict):
            if first["type"] != "websocket.receive":
                return None
            text: str | None = first.get("text")
            first = first["bytes"] if text is None else text
            if (1 if text is None else 4) * len(first) > self.max_message_bytes:  # rule 5
                return None
        if first is not None:
            self._events.popleft()
            self._putters.unpark()
        return first

    def disconnect(self, event: ASGIEvent) -> None:
        """Tell the app the end, behind what waits; only the first end counts."""
        if self._disconnect is None:
            self._disconnect = event
            self._putters.unpark_all()
            self._getters.unpark_all()

    def app_returned(self) -> None:
        """Nobody reads any more: what comes is dropped, and who waits for room goes on."""
        self._app_returned = True
        self._putters.unpark_all()

    @property
    def _is_over(self) -> bool:
        return self._app_returned or self._disconnect is not None
