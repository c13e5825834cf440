"""Whether what came back is what was asked for: every message of every session, byte for byte.

Rules
1. An echo must give each chunk once, whole, in order, in a message of its own, in the format it was sent in.
2. A chunk of pure silence is allowed and counted: a transport may fill a gap (no chunk that is sent is silent).
3. A chunk that is missing while later ones came is lost. Chunks that never came at the end are judged by the caller,
   who knows whether the server was still busy.
4. Every other difference is altered audio. The first few are described, all are counted.
"""

import random
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

_PCM_KEY: Final = b"\x1a\x80\x05"
"""The key and length before 640 bytes of PCM in ``AudioRawFrame.audio``."""


def ring() -> list[bytes]:
    """The chunks: noise, none silent, no two alike, the same in every run."""
    noise = random.Random(20)
    return [noise.randbytes(CHUNK_BYTES) for _ in range(RING)]


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
        "_positions",
        "_ring",
        "_size",
        "_start",
        "_suffix",
        "expected",
        "sent",
        "silent",
    )

    def __init__(self, chunks: list[bytes], positions: dict[bytes, int], session: int, faults: Faults) -> None:
        self._ring = chunks
        self._positions = positions
        self._offset = session * 37
        self._faults = faults
        self._size = -1
        self._start = 0
        self._head = b""
        self._suffix = b""
        self.expected = 0
        self.sent = 0
        self.silent = 0

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
            self._altered("PCM that was never sent")
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
