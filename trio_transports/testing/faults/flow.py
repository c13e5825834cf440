"""One direction of one connection, with its faults.

Rules
1. Two tasks: one reads, and notes when each piece is due at the other side; the other waits until then and writes.
   What is on its way between them is bounded, so that whoever reads slowly is felt at the other end.
2. Order is kept whatever the delay, as TCP keeps it.
3. Faults strike by the position in the stream. A piece is cut where one strikes in the middle of it. What chance has to
   do with it is in ``luck.py``.
"""

from collections.abc import Iterable, Iterator
from math import inf
from random import Random
from typing import Final, TypeAlias, TypeVar, final

import trio
from attrs import define, field

from .luck import SEGMENT_BYTES, Cuts, Flips, Jitter
from .plan import Bandwidth, Coalesce, Corrupt, Delay, Fault, HalfClose, Reset, Split, Stall

F = TypeVar("F")
Piece: TypeAlias = tuple[float, bytes]
"""When it is due at the other side, and what it is."""

_READ_BYTES: Final = 16 * 1024
_BYTES_ON_THE_WAY: Final = 1024 * 1024


class ResetNow(Exception):
    """The plan says that the connection is reset here."""


@final
@define(eq=False)
class Flow:
    """From one socket to the other, as the faults have it."""

    faults: tuple[Fault, ...]
    seed: str
    passed_bytes: int = field(default=0, init=False)
    """How many bytes were written to the other side."""
    struck: dict[str, int] = field(factory=dict, init=False)
    """How often each kind of fault has struck."""
    _read_bytes: int = field(default=0, init=False)
    _taken_bytes: int = field(default=0, init=False)
    _reader: trio.lowlevel.ParkingLot = field(factory=trio.lowlevel.ParkingLot, init=False)
    _due_s: float = field(default=-inf, init=False)
    _flips: list[Flips] = field(init=False)
    _cuts: list[Cuts] = field(init=False)
    _jitters: list[Jitter] = field(init=False)

    def __attrs_post_init__(self) -> None:
        def luck(kind: type[Fault], number: int) -> Random:
            return Random(f"{self.seed} {kind.__name__} {number}")

        self._flips = [Flips(fault, luck(Corrupt, number)) for number, fault in enumerate(self._of(Corrupt))]
        self._cuts = [Cuts(fault, luck(Split, number)) for number, fault in enumerate(self._of(Split))]
        self._jitters = [Jitter(fault, luck(Delay, number)) for number, fault in enumerate(self._of(Delay))]

    async def run(self, source: trio.abc.ReceiveStream, sink: trio.abc.HalfCloseableStream) -> None:
        """Carry bytes until the source ends. Raises ResetNow where the plan says so."""
        send, receive = trio.open_memory_channel[Piece](inf)  # bounded in bytes
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read, source, send)
            await self._write(receive, sink)
            nursery.cancel_scope.cancel()

    @property
    def _is_jittery(self) -> bool:
        return any(jitter.fault.jitter_s for jitter in self._jitters)

    async def _read(self, source: trio.abc.ReceiveStream, send: trio.MemorySendChannel[Piece]) -> None:
        with send:
            while data := await source.receive_some(_READ_BYTES):
                now_s, flipped = trio.current_time(), bytearray(data)
                for flips in self._flips:
                    self._count(flips.fault, flips.strike(flipped, self._read_bytes))
                for piece in self._segments(bytes(flipped)):
                    self._due_s = max(self._due_s, self._arrival_s(now_s))
                    self._read_bytes += len(piece)
                    await send.send((self._due_s, piece))
                while self._read_bytes - self._taken_bytes > _BYTES_ON_THE_WAY:
                    await self._reader.park()

    def _segments(self, data: bytes) -> Iterator[bytes]:
        """What is late by the same jitter; without any, all of it."""
        at = 0
        while at < len(data):
            rest = SEGMENT_BYTES - (self._read_bytes % SEGMENT_BYTES) if self._is_jittery else len(data)
            yield data[at : at + rest]
            at += rest

    async def _write(self, receive: trio.MemoryReceiveChannel[Piece], sink: trio.abc.HalfCloseableStream) -> None:
        marks = sorted(
            (fault for fault in self.faults if isinstance(fault, Stall | Reset | HalfClose)),
            key=lambda fault: fault.after_bytes,
        )
        async for due_s, data in receive:
            await trio.sleep_until(due_s)
            self._taken_bytes += len(data)
            self._reader.unpark()
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
                        await self._drain(receive)
                        return
            await self._pass(data, sink)
        await sink.send_eof()

    async def _drain(self, receive: trio.MemoryReceiveChannel[Piece]) -> None:
        """Take what still comes, so that the sender does not notice."""
        async for _, data in receive:
            self._taken_bytes += len(data)
            self._reader.unpark()

    async def _pass(self, data: bytes, sink: trio.abc.SendStream) -> None:
        for piece in self._split(data):
            await sink.send_all(piece)
            self.passed_bytes += len(piece)
            for fault in self._of(Bandwidth):
                self._count(fault)
                await trio.sleep(len(piece) / fault.bytes_per_s)

    def _arrival_s(self, now_s: float) -> float:
        due_s = now_s
        for jitter in self._jitters:
            self._count(jitter.fault)
            due_s += jitter.late_s(self._read_bytes)
        for window in self._of(Coalesce):
            self._count(window)
            due_s = (due_s // window.for_s + 1) * window.for_s
        return due_s

    def _split(self, data: bytes) -> Iterator[bytes]:
        start, end = self.passed_bytes, self.passed_bytes + len(data)
        at = start
        while at < end:
            cut = min((cuts.after(at) for cuts in self._cuts), default=end)
            yield data[at - start : cut - start]
            at = min(cut, end)
            for cuts in self._cuts:
                self._count(cuts.fault)

    def _of(self, kind: type[F]) -> list[F]:
        return [fault for fault in self.faults if isinstance(fault, kind)]

    def _count(self, fault: Fault, times: int = 1) -> None:
        if times:
            name = type(fault).__name__
            self.struck[name] = self.struck.get(name, 0) + times


def in_direction(faults: Iterable[Fault], direction: str) -> tuple[Fault, ...]:
    """Those faults that strike this way."""
    return tuple(fault for fault in faults if fault.direction in (direction, "both"))
