"""Whether what came back is what was asked for: every message of every session, byte for byte.

Rules
1. An echo must give each chunk once, whole, in order, in a message of its own, in the format it was sent in.
2. A chunk of pure silence is allowed and counted: a transport may fill a gap (no chunk that is sent is silent).
3. A chunk that is missing while later ones came is lost. Chunks that never came at the end are judged by the caller,
   who knows whether the server was still busy.
4. A transport may leave audio out to be as quick again as before a stall. What is left is then found in pieces of the
   chunks, in their order, and joints between them. Such messages are counted as shortened, and the chunks that they are
   made of as lost. Where the load or the machine stood still, nobody is blamed for that, and it is not timed.
5. Every other difference is altered audio. The first few are described, all are counted.
"""

import random
from itertools import pairwise
from typing import Final, final

from ..messages import (
    CHUNK_BYTES,
    INTERRUPTION_TAG,
    NUM_CHANNELS,
    SAMPLE_RATE,
    audio_message,
    playback_index,
    read_audio,
)
from .websocket import masked_frame

RING: Final = 512
"""How many different chunks an echo cycles through: ten seconds, so an answer names the chunk it answers."""

_PROBE: Final = 16
_JOINT: Final = 2 * 160 + 64
_LEAST: Final = 0.1
"""So much of a message must be found: a joint spoils five milliseconds, and a message may have three."""

_PCM_KEY: Final = b"\x1a\x80\x05"
"""The key and length before 640 bytes of PCM in ``AudioRawFrame.audio``."""


def ring() -> list[bytes]:
    """The chunks: noise, none silent, no two alike, the same in every run."""
    noise = random.Random(20)
    return [noise.randbytes(CHUNK_BYTES) for _ in range(RING)]


@final
class Pieces:
    """Finds what is left of chunks in audio that is cut and put together otherwise; rule 4."""

    __slots__ = ("_audio",)

    def __init__(self, chunks: list[bytes]) -> None:
        joined = b"".join(chunks)
        self._audio = joined + joined[:_PROBE]

    def first_and_last(self, pcm: bytes, near: int, *, is_first: bool) -> tuple[int, int] | None:
        """In which chunks of the ring, counted from ``near`` on, this begins and ends; None if it is not theirs."""
        known = [
            (at, place)
            for at in range(0, len(pcm) - _PROBE + 1, _PROBE)
            if (place := self._place(pcm[at : at + _PROBE], near)) is not None
        ]
        if len(known) * _PROBE < len(pcm) * _LEAST:
            return None
        joints = 0
        for (at, place), (next_at, next_place) in pairwise(known):
            step, leap = next_at - at, next_place - place
            if step > _PROBE and step < leap and step <= _JOINT + 2 * _PROBE:
                joints += 1
            elif step != leap or step > _PROBE:
                return None
        unknown = len(pcm) - (known[-1][0] + _PROBE - known[0][0])
        if unknown > _JOINT:
            return None
        if is_first and not joints and unknown <= _PROBE and (known[0][1] - known[0][0]) % CHUNK_BYTES == 0:
            return None  # a chunk as it was sent, but for what is not known of it
        return known[0][1] // CHUNK_BYTES, known[-1][1] // CHUNK_BYTES

    def _place(self, probe: bytes, near: int) -> int | None:
        begin = near % RING * CHUNK_BYTES
        at = self._audio.find(probe, begin)
        if at < 0:
            at = self._audio.find(probe)
        return None if at < 0 or at % 2 else near * CHUNK_BYTES + (at - begin) % (len(self._audio) - _PROBE)


@final
class Faults:
    """What was wrong, counted, with the first few said in words."""

    __slots__ = ("altered", "examples", "lost")

    def __init__(self) -> None:
        self.altered = 0
        self.lost = 0
        self.examples: list[str] = []

    def add(self, example: str) -> None:
        if len(self.examples) < 5:
            self.examples.append(example)


@final
class EchoCheck:
    """The answers of one session. ``expected`` is the number of the chunk that must come next."""

    __slots__ = (
        "_faults",
        "_head",
        "_offset",
        "_pieces",
        "_positions",
        "_ring",
        "_size",
        "_start",
        "_suffix",
        "expected",
        "sent",
        "shortened",
        "silent",
    )

    def __init__(self, chunks: list[bytes], positions: dict[bytes, int], session: int, faults: Faults) -> None:
        self._ring = chunks
        self._positions = positions
        self._offset = session * 37
        self._faults = faults
        self._pieces: Pieces | None = None
        self._size = -1
        self._start = 0
        self._head = b""
        self._suffix = b""
        self.expected = 0
        self.sent = 0
        self.silent = 0
        self.shortened = 0

    def slot(self, number: int) -> int:
        """Where in the ring chunk ``number`` is. Each session starts elsewhere: one's audio is not another's."""
        return (number + self._offset) % RING

    def answer(self, message: bytes) -> int | None:
        """The number of the chunk that ``message`` answers, or None when it answers none."""
        start = self._start
        if (
            len(message) == self._size
            and message[start : start + CHUNK_BYTES] == self._ring[(self.expected + self._offset) % RING]
            and message[start - 3 : start] == _PCM_KEY
            and message[:3] == self._head
            and message[start + CHUNK_BYTES :] == self._suffix
        ):
            self.expected += 1
            return self.expected - 1
        return self._look_closely(message)

    def _look_closely(self, message: bytes) -> int | None:
        try:
            audio = read_audio(message)
        except ValueError as exc:
            self._altered(str(exc))
            return None
        if audio is None:
            if message[:1] == bytes((INTERRUPTION_TAG,)):
                return None
            self._altered(f"a message that is no audio: {message[:16].hex()}")
            return None
        if (audio.sample_rate, audio.num_channels) != (SAMPLE_RATE, NUM_CHANNELS):
            self._altered(f"audio of {audio.sample_rate} Hz and {audio.num_channels} channels")
            return None
        if not audio.pcm.strip(b"\0"):
            self.silent += 1
            return None
        if len(audio.pcm) != CHUNK_BYTES:
            self._altered(f"a message of {len(audio.pcm)} bytes of PCM where {CHUNK_BYTES} were sent")
            return None
        position = self._positions.get(audio.pcm)
        if position is None:
            self._take_shortened(audio.pcm)
            return None
        ahead = (position - self.slot(self.expected)) % RING
        if ahead >= self.sent - self.expected:
            self._altered("a chunk that was already answered, or another session's")
            return None
        if ahead:
            self._faults.lost += ahead
            self._faults.add(f"{ahead} chunks missing before chunk {self.expected + ahead}")
        self._size, self._start, self._head = len(message), audio.start, message[:3]
        self._suffix = message[audio.start + CHUNK_BYTES :]
        self.expected += ahead + 1
        return self.expected - 1

    def _take_shortened(self, pcm: bytes) -> None:
        """Rule 4. The last chunk of this message is the first of the next one."""
        self._pieces = self._pieces or Pieces(self._ring)
        span = self._pieces.first_and_last(pcm, self.slot(self.expected), is_first=not self.shortened)
        if span is None:
            self._altered("PCM that was never sent")
            return
        last = self.expected + span[1] - self.slot(self.expected)
        if last >= self.sent:
            self._altered("audio of chunks that were not sent yet, or another session's")
            return
        self._faults.lost += 1
        self._faults.add(f"audio left out, or divided otherwise, in chunks {self.expected} to {last}")
        self.shortened += 1
        self.expected = last

    def _altered(self, what: str) -> None:
        self._faults.altered += 1
        self._faults.add(what)


def echo_frames(chunks: list[bytes]) -> list[bytes]:
    """The ring as frames that are ready to be sent."""
    return [masked_frame(audio_message(chunk)) for chunk in chunks]


@final
class PlaybackCheck:
    """What one session plays: chunks from 0 up, each whole, in order, and in a message of its own."""

    __slots__ = ("_faults", "expected", "silent")

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self.expected = 0
        self.silent = 0

    def take(self, message: bytes) -> bool:
        """Whether ``message`` is a chunk of the playback; silence and control messages are not."""
        try:
            audio = read_audio(message)
        except ValueError as exc:
            return self._altered(str(exc))
        if audio is None:
            return False
        if (audio.sample_rate, audio.num_channels) != (SAMPLE_RATE, NUM_CHANNELS):
            return self._altered(f"audio of {audio.sample_rate} Hz and {audio.num_channels} channels")
        index = playback_index(audio.pcm)
        if index is None:
            if not audio.pcm.strip(b"\0"):
                self.silent += 1
                return False
            return self._altered(f"{len(audio.pcm)} bytes of PCM that are not one chunk of what is played")
        if index < self.expected:
            return self._altered(f"chunk {index} again or late, after chunk {self.expected - 1}")
        if index > self.expected:
            self._faults.lost += index - self.expected
            self._faults.add(f"{index - self.expected} chunks missing before chunk {index}")
        self.expected = index + 1
        return True

    def _altered(self, what: str) -> bool:
        self._faults.altered += 1
        self._faults.add(what)
        return False
