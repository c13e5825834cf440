"""Cutting a stream of bytes of any sizes into pieces of exactly one size.

Rules
1. Bytes come out in the order they went in, none lost and none twice.
2. ``pad`` completes the last partial piece with zeros (silence), and does nothing on a boundary.
3. A piece that arrives whole leaves as the same object: no copy.
"""

from collections import deque
from typing import final

from attrs import define, field, setters

from .._documented import documented

__all__ = ["Chunker"]


@documented
@final
@define(eq=False, on_setattr=setters.NO_OP)  # an empty hook, too, would cost a microsecond at each change
class Chunker:
    """A queue of bytes that is read in pieces of ``size_bytes``."""

    size_bytes: int = field()
    """How long each piece is, in bytes."""
    _pieces: deque[bytes] = field(factory=deque, init=False)
    _offset: int = field(default=0, init=False)
    pending_bytes: int = field(default=0, init=False)
    """Everything that was pushed and not popped, whole pieces and the rest."""

    @size_bytes.validator
    def _positive(self, _attribute: object, value: int) -> None:
        if value < 1:
            raise ValueError(f"size_bytes must be at least 1, not {value}")

    @property
    def has_chunk(self) -> bool:
        """Whether a whole piece is there."""
        return self.pending_bytes >= self.size_bytes

    @property
    def partial_bytes(self) -> int:
        """Bytes past the last whole piece."""
        return self.pending_bytes % self.size_bytes

    def push(self, data: bytes) -> None:
        """Put bytes at the end."""
        if data:
            self._pieces.append(data)
            self.pending_bytes += len(data)

    def pop(self) -> bytes | None:
        """Take the next piece, or None while it is not complete."""
        wanted = self.size_bytes
        if self.pending_bytes < wanted:
            return None
        self.pending_bytes -= wanted
        pieces = self._pieces
        first = pieces[0]
        available = len(first) - self._offset
        if available == wanted:
            pieces.popleft()
            offset, self._offset = self._offset, 0
            return first[offset:] if offset else first
        if available > wanted:
            start = self._offset
            self._offset = start + wanted
            return first[start : start + wanted]
        return self._gather(wanted)

    def _gather(self, wanted: int) -> bytes:
        parts = []
        while wanted:
            piece = self._pieces.popleft()
            taken = piece[self._offset : self._offset + wanted]
            parts.append(taken)
            wanted -= len(taken)
            if self._offset + len(taken) < len(piece):
                self._offset += len(taken)
                self._pieces.appendleft(piece)
            else:
                self._offset = 0
        return b"".join(parts)

    def peek(self, size_bytes: int) -> bytes:
        """The next bytes, which stay: as many as there are, up to ``size_bytes``."""
        parts, missing, offset = [], size_bytes, self._offset
        for piece in self._pieces:
            if missing <= 0:
                break
            part = piece[offset : offset + missing]
            parts.append(part)
            missing -= len(part)
            offset = 0
        return b"".join(parts)

    def drain(self) -> bytes:
        """Take everything, whole pieces and the rest."""
        data = b"".join(self._pieces)[self._offset :]
        self.clear()
        return data

    def pad(self) -> int:
        """Complete the partial piece; return how many zeros that took."""
        partial = self.partial_bytes
        if not partial:
            return 0
        missing = self.size_bytes - partial
        self.push(bytes(missing))
        return missing

    def clear(self) -> int:
        """Drop everything; return how many bytes that was."""
        dropped, self.pending_bytes, self._offset = self.pending_bytes, 0, 0
        self._pieces.clear()
        return dropped
