"""``call``: say a WAV file to a server in real time, and record what comes back.

Rules
1. The file leaves in pace, as a microphone would give it. The last frame is padded with silence to a whole one.
2. What is heard is recorded from its first frame on, in the format of the file; the time before that is only told.
3. Ctrl-C, or SIGTERM, hangs up: what was heard is recorded and reported, and the exit code is that of an interruption.
4. The call ends when nothing was heard for ``tail`` seconds after the file's end, ``limit`` seconds after it, or
   when the server ends it. If that is before the whole file was said it is a failure; what was heard is kept.
   Only time in which this process could have heard something counts as silence: what arrived while the machine was
   busy elsewhere is read before the tail goes on. A server that has not taken the call after ``ANSWER_S``, in a dialect
   in which it has to, ends it too.
5. A capture is written beside it: see ``capture.py``.
6. By the name of a telephone's provider it calls as that provider does, and tells the bot which of its marks it played.
7. A call in which nothing but silence was heard is a failure, unless that is said to be all right.
8. On a line that carries text the file is text: see ``text_call.py``.
9. ``-`` is standard input for the file, and standard output for the recording: the report then goes to standard error.
"""

import json
import os
import signal
import sys
from collections.abc import Sequence
from functools import partial
from math import inf
from pathlib import Path
from typing import Final, final

import numpy as np
import trio
from attrs import define, field, frozen

from .._showing import shown_text
from ..audio.format import AudioFormat
from ..audio.wav import add_wav_header, parse_wav, read_wav, write_wav
from ..demo.timing import Arrivals, in_ms
from ..errors import ConnectionClosed
from ..frames import (
    AudioFrame,
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    Frame,
    InterruptionFrame,
    JSONValue,
    MarkFrame,
)
from ..params import WebsocketClientParams
from ..session.events import Disconnected
from ..session.session import Session
from ..transports.client import WebsocketClientTransport
from . import text_call
from .call_report import call_report, how_it_ended
from .capture import UNWRITTEN, Capture
from .dialects import carries_text, make_caller
from .dialling import header_map, parse_url, tls
from .failure import INTERRUPTED, Failure
from .failure import run as run_trio
from .meters import Meters
from .telephone import MarkTeller

STANDARD: Final = "-"
"""The path that means standard input or output."""
SILENCE: Final = 16
"""The greatest sample value of what counts as silence: mu-law and A-law have no exact nought."""
FRAME_S: Final = 0.02
ANSWER_S: Final = 30.0
_POLL_S: Final = 0.02


@final
@frozen(kw_only=True)
class CallPlan:
    """When a call ends by itself."""

    tail_s: float
    limit_s: float


@final
@define(eq=False)
class Call:
    """One call: what is said, what is heard, and when."""

    audio_format: AudioFormat
    pcm: bytes
    plan: CallPlan
    meters: Meters
    heard: bytearray = field(factory=bytearray, init=False)
    arrivals: Arrivals = field(factory=Arrivals, init=False)
    interruptions: int = field(default=0, init=False)
    other_frames: int = field(default=0, init=False)
    said_bytes: int = field(default=0, init=False)
    started_at_s: float = field(default=0.0, init=False)
    is_interrupted: bool = field(default=False, init=False)
    is_unanswered: bool = field(default=False, init=False)
    patience: trio.CancelScope = field(factory=trio.CancelScope, init=False)
    marks: MarkTeller = field(factory=MarkTeller, init=False)

    async def run(self, session: Session) -> None:
        """Talk and listen until rule 3 or 4 ends it."""
        self.started_at_s = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.meters.run)
            nursery.start_soon(self._talk_then_wait, session, nursery.cancel_scope)
            nursery.start_soon(self._until_interrupted, nursery.cancel_scope)
            nursery.start_soon(self.marks.run, session)
            await self._listen(session)
            nursery.cancel_scope.cancel()

    async def _until_interrupted(self, scope: trio.CancelScope) -> None:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                self.is_interrupted = True
                scope.cancel()

    async def _listen(self, session: Session) -> None:
        async for frame in session.input:
            self._hear(frame)

    @property
    def heard_something(self) -> bool:
        samples = np.frombuffer(bytes(self.heard), "<i2")
        return bool(len(samples)) and int(np.abs(samples.astype(np.int32)).max()) > SILENCE

    def _hear(self, frame: Frame) -> None:
        self.marks.hear(frame)
        match frame:
            case AudioFrame():
                self.heard += frame.audio
                self.arrivals.add(trio.current_time(), frame.duration_s)
                self.meters.hear("peer", frame.audio)
            case InterruptionFrame():
                self.interruptions += 1
            case BotStartedSpeakingFrame() | BotStoppedSpeakingFrame() | MarkFrame():
                pass  # what this session tells of its own output, and what only a player cares about
            case _:
                self.other_frames += 1

    async def _talk_then_wait(self, session: Session, scope: trio.CancelScope) -> None:
        try:
            with trio.move_on_after(ANSWER_S) as self.patience:
                await self._talk(session)
                await session.output.drain()
        except ConnectionClosed:
            return  # the listener finds the end of the input, and that ends the call
        self.is_unanswered = self.patience.cancelled_caught
        if not self.is_unanswered:
            await self._quiet()
        scope.cancel()

    async def _quiet(self) -> None:
        """Wait until the file's end is ``limit`` seconds ago, or nothing was heard since for ``tail`` of them."""
        ended_at_s = looked_at_s = trio.current_time()
        heard, quiet_s = self.arrivals.count, 0.0
        while quiet_s < self.plan.tail_s and looked_at_s - ended_at_s < self.plan.limit_s:
            await trio.sleep(_POLL_S)
            now_s = trio.current_time()
            quiet_s += min(now_s - looked_at_s, 2 * _POLL_S)  # rule 4: a longer look away was not one at silence
            if self.arrivals.count != heard:
                heard, quiet_s = self.arrivals.count, 0.0
            looked_at_s = now_s

    async def _talk(self, session: Session) -> None:
        step = self.audio_format.size_bytes(self.audio_format.samples_in(FRAME_S))
        total_s = self.audio_format.duration_s(len(self.pcm))
        rate, channels = self.audio_format.sample_rate, self.audio_format.num_channels
        for start in range(0, len(self.pcm), step):
            piece = self.pcm[start : start + step]
            await session.output.send(AudioFrame(audio=piece, sample_rate=rate, num_channels=channels))
            self.patience.deadline = inf  # it leaves: rule 4
            self.said_bytes += len(piece)
            self.meters.hear("you", piece)
            said_s = self.audio_format.duration_s(self.said_bytes)
            self.meters.status = f"{said_s:5.1f} / {total_s:.1f} s"

    def report(self, url: str, ending: Disconnected | None) -> dict[str, JSONValue]:
        first_at_s = self.arrivals.first_at_s
        found: dict[str, JSONValue] = {
            "format": str(self.audio_format),
            "said_s": round(self.audio_format.duration_s(self.said_bytes), 3),
            "heard_s": round(self.audio_format.duration_s(len(self.heard)), 3),
            "heard_frames": self.arrivals.count,
            "first_audio_ms": None if first_at_s is None else in_ms(first_at_s - self.started_at_s),
            "jitter_ms": in_ms(self.arrivals.jitter_s),
            "interruptions": self.interruptions,
            "other_frames": self.other_frames,
        }
        return call_report(url, ending, found)


def run(
    *,
    url: str,
    headers: Sequence[tuple[str, str]],
    ca_file: str | None,
    connect_timeout: float,
    source: str,
    recording: str | None,
    capture: str | None,
    serializer: str,
    rate: int,
    tail: float,
    limit: float,
    quiet: bool,
    quiet_ok: bool,
    as_json: bool,
) -> int:
    address = parse_url(url)
    audio_format, pcm = (AudioFormat(rate), b"") if carries_text(serializer) else _read(source)
    for path in filter(None, (recording, capture)):
        if path != STANDARD or path is capture:
            _check_writable(path)
    params = WebsocketClientParams(
        serializer=make_caller(serializer, AudioFormat(rate)),
        audio_in_enabled=True,
        audio_out_enabled=True,
        audio_in_sample_rate=audio_format.sample_rate,
        audio_in_channels=audio_format.num_channels,
        audio_out_sample_rate=audio_format.sample_rate,
        audio_out_channels=audio_format.num_channels,
        audio_out_10ms_chunks=2,
        audio_out_max_queue_secs=0.2,
        audio_out_auto_silence=False,
        additional_headers=header_map(headers),
        ssl_context=tls(address, ca_file),
        connect_timeout=max(connect_timeout, 0.001),
    )
    captured = None if capture is None else Capture(capture)
    if carries_text(serializer):
        return text_call.run(
            url,
            params,
            source=source,
            recording=recording,
            capture=captured,
            tail=tail,
            limit=limit,
            quiet=quiet,
            quiet_ok=quiet_ok,
            as_json=as_json,
        )
    shows_meters = not quiet and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    call = Call(
        audio_format,
        pcm,
        CallPlan(tail_s=tail, limit_s=limit),
        Meters(is_on=shows_meters, colours="NO_COLOR" not in os.environ),
    )
    transport = WebsocketClientTransport(url, params)
    ending = run_trio(partial(_call, transport, call, captured))
    if recording is not None:
        _write(recording, audio_format, bytes(call.heard))
    report = call.report(url, ending)
    complaint = _complaint(call, ending) or (None if captured is None else captured.failure)
    if complaint is None and not (quiet_ok or call.is_interrupted or call.heard_something):
        complaint = "nothing was heard but silence: does the server speak this dialect? (--quiet-ok if that is right)"
    told_to = sys.stderr if recording == STANDARD else sys.stdout
    if as_json:
        print(json.dumps(report if complaint is None else report | {"ok": False, "error": complaint}), file=told_to)
    elif not quiet:
        print(_in_words(report, recording), file=told_to)
    if complaint is None:
        return INTERRUPTED if call.is_interrupted else 0
    print(f"trio-transports: {complaint}", file=sys.stderr)
    return 1


async def _call(transport: WebsocketClientTransport, call: Call, capture: Capture | None) -> Disconnected | None:
    events = transport.events()
    async with trio.open_nursery() as nursery:
        if capture is not None:
            nursery.start_soon(capture.run, transport.messages(UNWRITTEN))
        async with transport.session() as session:
            await call.run(session)
    return await how_it_ended(events)


def _complaint(call: Call, ending: Disconnected | None) -> str | None:
    if call.is_unanswered:
        return f"the server has not taken the call within {ANSWER_S:g} s: does it speak this dialect?"
    if ending is None or ending.initiator == "local":
        return None
    said_s, total_s = (call.audio_format.duration_s(size) for size in (call.said_bytes, len(call.pcm)))
    if call.said_bytes < len(call.pcm) or ending.code not in (1000, 1001, 1005):
        who = "the server hung up" if ending.initiator == "remote" else "the connection was lost"
        because = f": {shown_text(ending.reason)}" if ending.reason else ""
        return f"{who} after {said_s:.1f} of {total_s:.1f} s, code {ending.code}{because}"
    return None


def _read(path: str) -> tuple[AudioFormat, bytes]:
    try:
        if path == STANDARD:
            audio_format, pcm = parse_wav(sys.stdin.buffer.read(), "standard input")
        else:
            audio_format, pcm = read_wav(path)
    except OSError as exc:
        raise Failure(f"cannot read {path}: {exc.strerror or exc}") from exc
    except ValueError as exc:
        raise Failure(str(exc)) from exc
    if not pcm:
        raise Failure(f"{path} holds no audio")
    return audio_format, pcm


def _check_writable(path: str) -> None:
    """Find out before the call, without touching a file that may be there."""
    folder = Path(path).absolute().parent
    target = Path(path) if Path(path).exists() else folder
    if not folder.is_dir():
        raise Failure(f"cannot write {path}: there is no folder {folder}")
    if Path(path).is_dir() or not os.access(target, os.W_OK):
        raise Failure(f"cannot write {path}: it is a folder, or this user may not write there")


def _write(path: str, audio_format: AudioFormat, pcm: bytes) -> None:
    try:
        if path == STANDARD:
            sys.stdout.buffer.write(add_wav_header(pcm, audio_format))
            sys.stdout.buffer.flush()
        else:
            write_wav(path, audio_format, pcm)
    except OSError as exc:
        raise Failure(f"cannot write {path}: {exc.strerror or exc}") from exc


def _in_words(report: dict[str, JSONValue], recording: str | None) -> str:
    first = (
        "is the server's serializer the same?"
        if report["first_audio_ms"] is None
        else f"first after {report['first_audio_ms']:.0f} ms"
    )
    lines = [
        f"said    {report['said_s']:.2f} s at {report['format']}",
        f"heard   {report['heard_s']:.2f} s in {report['heard_frames']} frames, {first}, "
        f"jitter {report['jitter_ms']} ms",
        f"ended   by {report['ended_by']}, code {report['close_code']}"
        + (f": {report['close_reason']}" if report["close_reason"] else ""),
    ]
    if recording is not None:
        lines.append(f"written {recording}")
    return "\n".join(lines)
