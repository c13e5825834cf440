"""How a peer writes 20 ms of audio: the frames that are sent to it, and the check of what it answers.

Rules
1. Frames are made once, beforehand: what a dialect costs the load is the same for each.
2. ``protobuf`` is every peer's whose work the suite defines. A peer that speaks one dialect only is spoken to in that,
   and its row says so: it does other work for a frame.
"""

import base64
import itertools
import json
import os
from typing import Final, Protocol, final

from ..messages import CHUNK_BYTES
from .verify import RING, EchoCheck, Faults, echo_frames, ring
from .websocket import TEXT, masked_frame

_CALLS: Final = itertools.count()


class Check(Protocol):
    """The answers of one session; ``verify.EchoCheck`` says what its numbers mean."""

    expected: int
    sent: int
    silent: int
    shortened: int

    def slot(self, number: int) -> int: ...

    def answer(self, message: bytes) -> int | None: ...


class Dialect(Protocol):
    frames: list[bytes]
    """One for each slot of the ring."""

    def greeting(self) -> bytes:
        """What a session says first; it may be nothing."""

    def check(self, session: int, faults: Faults) -> Check: ...


@final
class Protobuf:
    def __init__(self) -> None:
        self._chunks = ring()
        self._positions = {chunk: at for at, chunk in enumerate(self._chunks)}
        self.frames = echo_frames(self._chunks)

    def greeting(self) -> bytes:
        return b""

    def check(self, session: int, faults: Faults) -> Check:
        return EchoCheck(self._chunks, self._positions, session, faults)


@final
class ExactCheck:
    """An echo whose every answer is known to the byte: each once, in order."""

    def __init__(self, answers: dict[bytes, int], session: int, faults: Faults) -> None:
        self._answers = answers
        self._offset = session * 37
        self._faults = faults
        self.expected = self.sent = self.silent = self.shortened = 0

    def slot(self, number: int) -> int:
        return (number + self._offset) % RING

    def answer(self, message: bytes) -> int | None:
        """The number of the chunk that ``message`` answers, or None when it answers none."""
        position = self._answers.get(message)
        if position is None:
            self._altered(f"a message that was not expected: {message[:60]!r}")
            return None
        ahead = (position - self.slot(self.expected)) % RING
        if ahead >= self.sent - self.expected:
            self._altered("a chunk that was already answered, or another session's")
            return None
        if ahead:
            self._faults.lost += ahead
            self._faults.add(f"{ahead} chunks missing before chunk {self.expected + ahead}")
        self.expected += ahead + 1
        return self.expected - 1

    def _altered(self, what: str) -> None:
        self._faults.altered += 1
        self._faults.add(what)


@final
class FastRTC:
    """mu-law as base64 in JSON. Without the code of minus zero, which comes back as that of zero."""

    def __init__(self) -> None:
        messages = [
            json.dumps(
                {"event": "media", "media": {"payload": base64.b64encode(_mulaw(chunk)).decode()}},
                separators=(",", ":"),
            ).encode()
            for chunk in ring()
        ]
        self.frames = [masked_frame(message, TEXT) for message in messages]
        self._answers = {message: at for at, message in enumerate(messages)}

    def greeting(self) -> bytes:
        name = f"{os.getpid()}-{next(_CALLS)}"
        return masked_frame(json.dumps({"event": "start", "websocket_id": name}).encode(), TEXT)

    def check(self, session: int, faults: Faults) -> Check:
        return ExactCheck(self._answers, session, faults)


def _mulaw(chunk: bytes) -> bytes:
    return chunk[: CHUNK_BYTES // 2].replace(b"\x7f", b"\x7e")


DIALECTS: Final[dict[str, type[Protobuf] | type[FastRTC]]] = {"protobuf": Protobuf, "fastrtc": FastRTC}
