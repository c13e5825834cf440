"""One direction of one connection, with its faults.

Rules
1. Two tasks: one reads, and notes when each piece is due at the other side; the other waits until then and writes.
   What is on its way between them is bounded, so that whoever reads slowly is felt at the other end.
2. Order is kept whatever the delay, as TCP keeps it.
3. Faults strike by the position in the stream. A piece is cut where one strikes in the middle of it.
"""

from collections.abc import Iterable, Iterator
from math import inf
from random import Random
from typing import Final, TypeVar, final

import trio
from attrs import define, field

from .plan import Bandwidth, Coalesce, Corrupt, Delay, Fault, HalfClose, Reset, Split, Stall

F = TypeVar("F")

_READ_BYTES: Final = 16 * 1024
_PIECES_ON_THE_WAY: Final = 64


class ResetNow(Exception):
    """The plan says that the connection is reset here."""


@final
@define(eq=False)
class Flow:
    """From one socket to the other, as the faults have it."""

    faults: tuple[Fault, ...]
    random: Random
    passed_bytes: int = field(default=0, init=False)
    """How many bytes were written to the other side."""
    struck: dict[str, int] = field(factory=dict, init=False)
    """How often each kind of fault has struck."""
    _read_bytes: int = field(default=0, init=False)
    _due_s: float = field(default=-inf, init=False)
    _next_flip: float = field(default=inf, init=False)

    def __attrs_post_init__(self) -> None:
        for fault in self._of(Corrupt):
            self._next_flip = fault.after_bytes + self.random.expovariate(1 / fault.every_bytes)

    async def run(self, source: trio.SocketStream, sink: trio.SocketStream) -> None:
        """Carry bytes until the source ends. Raises ResetNow where the plan says so."""
        send, receive = trio.open_memory_channel[tuple[float, bytes]](_PIECES_ON_THE_WAY)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read, source, send)
            await self._write(receive, sink)
            nursery.cancel_scope.cancel()

    async def _read(self, source: trio.SocketStream, send: trio.MemorySendChannel[tuple[float, bytes]]) -> None:
        with send:
            while data := await source.receive_some(_READ_BYTES):
                data = self._corrupted(data)
                self._read_bytes += len(data)
                self._due_s = max(self._due_s, self._arrival_s(trio.current_time()))
                await send.send((self._due_s, data))

    async def _write(self, receive: trio.MemoryReceiveChannel[tuple[float, bytes]], sink: trio.SocketStream) -> None:
        marks = sorted(
            (fault for fault in self.faults if isinstance(fault, Stall | Reset | HalfClose)),
            key=lambda fault: fault.after_bytes,
        )
        async for due_s, data in receive:
            await trio.sleep_until(due_s)
            while marks and marks[0].after_bytes <= self.passed_bytes + len(data):
                fault = marks.pop(0)
                before, data = (
                    data[: fault.after_bytes - self.passed_bytes],
                    data[fault.after_bytes - self.passed_bytes :],
                )
                await self._pass(before, sink)
                self._count(fault)
                match fault:
                    case Stall(for_s=for_s):
                        await trio.sleep_until(trio.current_time() + for_s)
                    case Reset():
                        raise ResetNow
                    case HalfClose():
                        await sink.send_eof()
                        await _drain(receive)
                        return
            await self._pass(data, sink)
        await sink.send_eof()

    async def _pass(self, data: bytes, sink: trio.SocketStream) -> None:
        for piece in self._split(data):
            await sink.send_all(piece)
            self.passed_bytes += len(piece)
            for fault in self._of(Bandwidth):
                self._count(fault)
                await trio.sleep(len(piece) / fault.bytes_per_s)

    def _arrival_s(self, now_s: float) -> float:
        due_s = now_s
        for delay in self._of(Delay):
            self._count(delay)
            due_s += delay.delay_s + delay.jitter_s * self.random.random()
        for window in self._of(Coalesce):
            self._count(window)
            due_s = (due_s // window.for_s + 1) * window.for_s
        return due_s

    def _split(self, data: bytes) -> Iterator[bytes]:
        faults = self._of(Split)
        most = min((fault.max_bytes for fault in faults), default=len(data))
        at = 0
        while at < len(data):
            size = self.random.randint(1, most) if faults else most
            yield data[at : at + size]
            at += size
            for fault in faults:
                self._count(fault)

    def _corrupted(self, data: bytes) -> bytes:
        end = self._read_bytes + len(data)
        if self._next_flip >= end:
            return data
        flipped = bytearray(data)
        (fault, *_) = self._of(Corrupt)
        while self._next_flip < end:
            place = int(self._next_flip) - self._read_bytes
            flipped[place] ^= 1 << self.random.randrange(8)
            self._count(fault)
            self._next_flip = max(self._next_flip + 1, self._next_flip + self.random.expovariate(1 / fault.every_bytes))
        return bytes(flipped)

    def _of(self, kind: type[F]) -> list[F]:
        return [fault for fault in self.faults if isinstance(fault, kind)]

    def _count(self, fault: Fault) -> None:
        name = type(fault).__name__
        self.struck[name] = self.struck.get(name, 0) + 1


async def _drain(receive: trio.MemoryReceiveChannel[tuple[float, bytes]]) -> None:
    """Take what still comes, so that the sender does not notice."""
    async for _ in receive:
        pass


def in_direction(faults: Iterable[Fault], direction: str) -> tuple[Fault, ...]:
    """Those faults that strike this way."""
    return tuple(fault for fault in faults if fault.direction in (direction, "both"))
