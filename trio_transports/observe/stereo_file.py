"""A stereo WAV file of two sides that are written each at its own place. Synchronous: a worker thread's.

Rules
1. A piece is mixed down to one channel, brought to the file's rate, and put over what its side has there.
2. The file has no holes: what lies between is silence, written as it is passed.
3. A WAV file ends at 4 GiB. What would lie behind that is left out, and told as an OSError.
4. A file has one writer, of all processes: two calls in one file would be neither.
"""

import errno
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from os import PathLike, fspath
from typing import BinaryIO, Final, Literal, TypeAlias, final

import numpy as np
from attrs import define, field, frozen

from ..audio.convert import Converter
from ..audio.format import AudioFormat
from ..audio.wav import add_wav_header

Side: TypeAlias = Literal["peer", "here"]

_COLUMN: Final[dict[Side, int]] = {"peer": 0, "here": 1}
_HEADER_BYTES: Final = 44
_FRAME_BYTES: Final = 4
_MAX_FRAMES: Final = (0xFFFF_FFFF - 36) // _FRAME_BYTES
_FRESH_S: Final = 0.002
"""Pieces that follow each other more closely are one stream to the converter."""


@final
@frozen
class Piece:
    """Audio of one side and its place; without a format: what this side has from there on is cut off."""

    side: Side
    at_s: float
    pcm: bytes
    audio_format: AudioFormat | None


@final
@define(eq=False)
class _SideInFile:
    """Where one side is, in frames of the file."""

    converter: Converter | None = None
    ends_at_s: float = 0.0
    ends: int = 0


@final
@define(eq=False)
class StereoFile:
    """Made by ``create``; ``write`` and then ``finish`` are called one after the other."""

    path: str
    _rate: int
    _file: BinaryIO
    _frames: int = field(default=0, init=False)
    _lanes: dict[Side, _SideInFile] = field(factory=lambda: {"peer": _SideInFile(), "here": _SideInFile()}, init=False)

    @classmethod
    def create(cls, path: "str | PathLike[str]", sample_rate: int) -> "StereoFile":
        """Make the file, which must have a place to be; one of that name is replaced, unless it is being made."""
        with ExitStack() as kept:
            file = kept.enter_context(open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666), "r+b"))
            _take(file, fspath(path))
            if os.fstat(file.fileno()).st_size:
                file.truncate()
            made = cls(fspath(path), sample_rate, file)
            made._write_header()
            kept.pop_all()  # closed by ``finish``
        return made

    def write(self, pieces: Sequence[Piece]) -> None:
        """Put pieces into the file."""
        for piece in pieces:
            lane = self._lanes[piece.side]
            if piece.audio_format is None:
                self._cut(piece.side, lane, round(piece.at_s * self._rate))
            else:
                self._put(piece.side, lane, piece, piece.audio_format)
        self._write_header()

    def finish(self, pieces: Sequence[Piece] = ()) -> None:
        """Write the last pieces, bring out what the converters hold, and be done, whatever goes wrong with it."""
        with self._file:
            if pieces:
                self.write(pieces)
            for side, lane in self._lanes.items():
                self._finish(side, lane)
            self._write_header()

    def _put(self, side: Side, lane: _SideInFile, piece: Piece, audio_format: AudioFormat) -> None:
        goes_on = abs(piece.at_s - lane.ends_at_s) < _FRESH_S
        if lane.converter is None or lane.converter.source != audio_format or not goes_on:
            self._finish(side, lane)
            lane.converter = Converter(audio_format, AudioFormat(self._rate))
            lane.ends = round((piece.at_s - lane.converter.delay_s) * self._rate)
        lane.ends_at_s = piece.at_s + audio_format.duration_s(len(piece.pcm))
        self._lay(side, lane, lane.converter.process(piece.pcm))

    def _finish(self, side: Side, lane: _SideInFile) -> None:
        if lane.converter is not None:
            self._lay(side, lane, lane.converter.flush())
            lane.converter = None

    def _cut(self, side: Side, lane: _SideInFile, at: int) -> None:
        lane.converter = None
        lane.ends_at_s = at / self._rate
        if at < self._frames:
            lane.ends = at
            self._lay(side, lane, bytes(2 * (self._frames - at)))
        lane.ends = at

    def _lay(self, side: Side, lane: _SideInFile, pcm: bytes) -> None:
        """Put one side's samples at its place, beside what the other side has there."""
        samples = np.frombuffer(pcm, "<i2")
        if lane.ends < 0:  # a converter's delay before the first sample of all
            samples, lane.ends = samples[-lane.ends :], min(0, lane.ends + len(samples))
        if not len(samples):
            return
        if lane.ends + len(samples) > _MAX_FRAMES:
            raise OSError(errno.EFBIG, "a WAV file ends at 4 GiB", self.path)
        self._fill_up_to(lane.ends)
        there = min(len(samples), self._frames - lane.ends)
        both = np.zeros((len(samples), 2), "<i2")
        self._file.seek(_HEADER_BYTES + _FRAME_BYTES * lane.ends)
        if there:
            old = self._file.read(_FRAME_BYTES * there)
            both[:there] = np.frombuffer(old, "<i2").reshape(-1, 2)
            self._file.seek(_HEADER_BYTES + _FRAME_BYTES * lane.ends)
        both[:, _COLUMN[side]] = samples
        self._file.write(both.tobytes())
        lane.ends += len(samples)
        self._frames = max(self._frames, lane.ends)

    def _fill_up_to(self, frame: int) -> None:
        step = self._rate
        while self._frames < frame:
            self._file.seek(_HEADER_BYTES + _FRAME_BYTES * self._frames)
            missing = min(step, frame - self._frames)
            self._file.write(bytes(_FRAME_BYTES * missing))
            self._frames += missing

    def _write_header(self) -> None:
        self._file.seek(0)
        self._file.write(add_wav_header(b"", AudioFormat(self._rate, 2))[:_HEADER_BYTES])
        size = _FRAME_BYTES * self._frames
        self._file.seek(4)
        self._file.write((36 + size).to_bytes(4, "little"))
        self._file.seek(40)
        self._file.write(size.to_bytes(4, "little"))
        self._file.flush()


def _take(file: BinaryIO, path: str) -> None:
    """Rule 4, for as long as it is open, where the system has such locks."""
    if sys.platform == "win32":
        return
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise FileExistsError(errno.EEXIST, "another call is being recorded in this file", path) from None
    except OSError:
        return  # a file system that knows no locks
