"""One hostile peer: what it sends is allowed by the protocol and made to cost, in memory or in time.

Rules
1. Every message is within the server's default limits. There are as many of each as would take far more than the bound
   that is promised if all of it were kept.
2. A flood is sent as fast as the server takes it, and what comes back is read, except where the flood is not to read.
3. Memory is the peak that the kernel noted since the flood began, above what the server had before the first one.
"""

import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ..messages import audio_message, varint
from .jobs import FloodJob, Outcome
from .websocket import BINARY, BrokenServer, Connection, masked_frame

MEGABYTE: Final = 1 << 20
BODY: Final = 780_000
PATIENCE_S: Final = 3.0
"""For a server that takes nothing more, and for what it does with what it took."""
SPEECH: Final = [audio_message(b"\x01\x02" * 8000)] * 140
"""Seventy seconds of audio: after that an echo waits until some of it was played."""


def _held(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def _document(text: str) -> bytes:
    return _held(4, _held(1, text.encode()))


def _many(unit: str) -> str:
    return "[" + ",".join([unit] * ((MEGABYTE - 60) // (len(unit) + 1))) + "]"


def wav(rate: int, size: int) -> bytes:
    """A WAV file of 16-bit mono silence whose header names that rate."""
    head = struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + size, b"WAVE", b"fmt ", 16, 1, 1, rate, 0, 2, 16, b"data", size
    )
    return head + bytes(size)


def _in_documents() -> list[bytes]:
    return [_document(json.dumps(["x" * 900_000, [{"a": 1}] * 3000]))] * 45


FLOODS: Final[dict[str, Callable[[], list[bytes]]]] = {
    "empty lists": lambda: [*SPEECH, *[_document(_many("[]"))] * 8],
    "empty strings": lambda: [*SPEECH, *[_document(_many('""'))] * 8],
    "documents": lambda: [*SPEECH, *_in_documents()],
    "depth": lambda: [_document("[" * 19_000 + "]" * 19_000)] * 40,
    "digits": lambda: [_document("1" * (MEGABYTE - 60))] * 8,
    "audio": lambda: [audio_message(bytes(BODY))] * 30,
    "a rate in a header": lambda: [audio_message(wav(4_290_000_000, BODY))] * 10,
    "many headers": lambda: [audio_message(wav(16_000, 2) * (BODY // 46))] * 10,
    "many parts": lambda: [_held(2, _held(3, b"\0\0") * (MEGABYTE // 6 - 10))] * 10,
    "unknown fields": lambda: [_held(9, b"") * (MEGABYTE // 2 - 10)] * 10,
    "never reads": lambda: [audio_message(b"\x01\x02" * 8000)] * 1500,
}
UNREAD: Final = "never reads"


def _status(pid: int, name: str) -> int:
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(next(line for line in text.splitlines() if line.startswith(name)).split()[1]) * 1024


def _forget_the_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")


def _read(connection: Connection) -> None:
    try:
        while connection.sock.recv(1 << 18):
            pass
    except OSError:
        pass


def send_all(connection: Connection, messages: list[bytes], *, reads: bool) -> int:
    """Send all that the server takes; how many messages that were."""
    connection.sock.settimeout(PATIENCE_S)
    reader = threading.Thread(target=_read, args=(connection,), daemon=True)
    if reads:
        reader.start()
    sent = 0
    try:
        for message in messages:
            connection.sock.sendall(masked_frame(message, BINARY))
            sent += 1
        connection.sock.shutdown(socket.SHUT_WR)
    except OSError:
        return sent  # it was shown the door, or is no longer read
    if reads:
        reader.join(PATIENCE_S)  # a server that has gone has read everything
    return sent


def flood(job: FloodJob) -> Outcome:
    pid = job.target.pid
    began = time.monotonic()
    messages = FLOODS[job.kind]()
    before_bytes = _status(pid, "VmRSS:")
    _forget_the_peak(pid)
    try:
        connection = Connection.open(job.target.port(0), 0, path=job.target.path)
    except BrokenServer as exc:
        return Outcome(failure=f"after a flood nobody is let in: {exc}")
    try:
        sent = send_all(connection, messages, reads=job.kind != UNREAD)
    finally:
        connection.sock.close()
    return Outcome(
        numbers={
            "sent": sent,
            "peak_bytes": _status(pid, "VmHWM:"),
            "before_bytes": before_bytes,
            "window_s": time.monotonic() - began,
            "load_cpu_s": 0.0,
        }
    )
