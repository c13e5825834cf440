"""How fast a caller may send, once it is in.

Rules
1. Messages and bytes are each counted in a bucket that holds ``BURST_S`` seconds' worth: what the network held up and
   delivers at once is no attack.
2. A caller that sends more is told 1008 and why, and that is the end of its connection. The message that was too much
   is not delivered.
3. ``on_too_fast`` is told of that once, so that it can be counted.
4. Without limits a wire is used as it is, and costs nothing more.
"""

from collections.abc import Callable, Sequence
from typing import Final, cast, final

import trio
from attrs import define, field

from ..._offers import offers
from ...errors import Ending
from ..peer import Peer
from ..protocol import Batches, BytesLike, SendsNow, Wire

BURST_S: Final = 5.0
GOODBYE_S: Final = 1.0


@final
@define(eq=False)
class _Bucket:
    _rate: float
    _level: float = field(init=False)
    _filled_at_s: float = field(factory=trio.current_time, init=False)

    def __attrs_post_init__(self) -> None:
        self._level = self._depth

    @property
    def _depth(self) -> float:
        return max(1.0, self._rate * BURST_S)

    def takes(self, amount: float, now_s: float) -> bool:
        """Take an amount out, also one that is not there; whether it was."""
        self._level = min(self._depth, self._level + (now_s - self._filled_at_s) * self._rate)
        self._filled_at_s = now_s
        self._level -= amount
        return self._level >= 0


@define(eq=False)
class _RatedWire:
    """A wire whose peer is measured."""

    _wire: Wire
    _messages: _Bucket | None
    _bytes: _Bucket | None
    _why: str
    _on_too_fast: Callable[[], object]
    _ending: Ending | None = field(default=None, init=False)

    @property
    def peer(self) -> Peer:
        return self._wire.peer

    async def receive(self) -> str | bytes:
        if self._ending is None:
            message = await self._wire.receive()
            if self._is_within(len(message)):
                return message
            self._ending = Ending(1008, self._why, "local")
            self._on_too_fast()
            with trio.move_on_after(GOODBYE_S):
                await self._wire.aclose(1008, self._why)
            self._wire.abort()
        raise self._ending.error()

    async def send(self, message: str | BytesLike) -> None:
        await self._wire.send(message)

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        await self._wire.aclose(code, reason)

    def abort(self) -> None:
        self._wire.abort()

    def _is_within(self, size: int) -> bool:
        now_s = trio.current_time()
        has_room = self._messages is None or self._messages.takes(1, now_s)
        return (self._bytes is None or self._bytes.takes(size, now_s)) and has_room


@define(eq=False)
class _RatedSendingNow(_RatedWire):
    def send_now(self, message: str | bytes) -> bool | None:
        return cast(SendsNow, self._wire).send_now(message)

    async def flushed(self) -> None:
        await cast(SendsNow, self._wire).flushed()


@final
@define(eq=False)
class _RatedBatches(_RatedSendingNow):
    def send_several_now(self, messages: Sequence[str | bytes]) -> int:
        return cast(Batches, self._wire).send_several_now(messages)

    async def receive_several(self) -> list[str | bytes]:
        return [await self.receive()]  # each is counted at its own time


def rated(
    wire: Wire,
    *,
    max_messages_per_second: float | None = None,
    max_bytes_per_second: float | None = None,
    on_too_fast: Callable[[], object] = lambda: None,
) -> Wire:
    """The same wire, with a peer that may send no more than that."""
    if max_messages_per_second is None and max_bytes_per_second is None:
        return wire
    told = [
        f"{most:g} {what}"
        for most, what in ((max_messages_per_second, "messages"), (max_bytes_per_second, "bytes"))
        if most is not None
    ]
    make = _RatedBatches if offers(wire, Batches) else _RatedSendingNow if offers(wire, SendsNow) else _RatedWire
    return make(
        wire,
        None if max_messages_per_second is None else _Bucket(max_messages_per_second),
        None if max_bytes_per_second is None else _Bucket(max_bytes_per_second),
        f"more than {' or '.join(told)} a second",
        on_too_fast,
    )
