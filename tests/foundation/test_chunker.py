"""Cutting a stream into pieces of one size, against the simplest model of it: one long bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from trio_transports.audio.chunking import Chunker


@given(size=st.integers(1, 50), pieces=st.lists(st.binary(max_size=120), max_size=30), greedy=st.booleans())
def test_the_same_bytes_come_out_however_they_went_in(size: int, pieces: list[bytes], greedy: bool) -> None:
    """All bytes come out in order, in pieces of exactly the size, the rest padded with zeros."""
    chunker, out = Chunker(size), []
    for piece in pieces:
        chunker.push(piece)
        while greedy and (chunk := chunker.pop()) is not None:
            out.append(chunk)
    padding = chunker.pad()
    while (chunk := chunker.pop()) is not None:
        out.append(chunk)
    whole = b"".join(pieces)
    assert b"".join(out) == whole + bytes(padding)
    assert {len(chunk) for chunk in out} <= {size}
    assert padding == -len(whole) % size
    assert chunker.pending_bytes == 0


class ChunkerModel(RuleBasedStateMachine):
    """Any order of calls, beside a plain bytes that is cut at its front."""

    @initialize(size=st.integers(1, 20))
    def begin(self, size: int) -> None:
        self.size, self.chunker, self.kept = size, Chunker(size), b""

    @rule(data=st.binary(max_size=60))
    def push(self, data: bytes) -> None:
        self.chunker.push(data)
        self.kept += data

    @rule()
    def pop(self) -> None:
        expected = self.kept[: self.size] if len(self.kept) >= self.size else None
        assert self.chunker.pop() == expected
        if expected is not None:
            self.kept = self.kept[self.size :]

    @rule()
    def pad(self) -> None:
        missing = -len(self.kept) % self.size
        assert self.chunker.pad() == missing
        self.kept += bytes(missing)

    @rule()
    def clear(self) -> None:
        assert self.chunker.clear() == len(self.kept)
        self.kept = b""

    @invariant()
    def tells_what_it_has(self) -> None:
        if hasattr(self, "chunker"):
            assert self.chunker.pending_bytes == len(self.kept)
            assert self.chunker.partial_bytes == len(self.kept) % self.size
            assert self.chunker.has_chunk is (len(self.kept) >= self.size)


TestChunkerModel = ChunkerModel.TestCase


def test_a_piece_that_fits_is_not_copied() -> None:
    """What arrives whole leaves as the same object."""
    chunker, piece = Chunker(640), bytes(range(128)) * 5
    chunker.push(piece)
    assert chunker.pop() is piece


@pytest.mark.parametrize("size", [0, -1])
def test_pieces_of_nothing(size: int) -> None:
    """A size below one is an error that says so."""
    with pytest.raises(ValueError, match=f"size_bytes must be at least 1, not {size}"):
        Chunker(size)
