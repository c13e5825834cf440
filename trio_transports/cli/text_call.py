"""``call`` on a line that carries text: each line of the file is said in its turn, and each answer written down.

Rules
1. The next line is said when the bot has ended its turn, or has said nothing for ``tail`` seconds; a greeting is waited
   for as long.
2. The call ends after the last answer, ``limit`` seconds after the last line, or when the bot ends it. If that is
   before all was said it is a failure, and so is hearing nothing, unless that is said to be all right.
3. Ctrl-C, or SIGTERM, hangs up; what was heard is written and reported, and the exit code is that of an interruption.
"""

import json
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import final

import trio
from attrs import define, field

from ..errors import ConnectionClosed
from ..frames import BotStoppedSpeakingFrame, TextFrame
from ..params import WebsocketClientParams
from ..session.events import Disconnected
from ..session.session import Session
from ..transports.client import WebsocketClientTransport
from .call_report import call_report, how_it_ended
from .capture import UNWRITTEN, Capture
from .failure import INTERRUPTED, Failure
from .failure import run as run_trio

STANDARD = "-"


@final
@define(eq=False)
class TextCall:
    """One call: what is said, and what is heard, turn by turn."""

    lines: Sequence[str]
    tail_s: float
    limit_s: float
    said: int = field(default=0, init=False)
    heard: list[str] = field(factory=list, init=False)
    is_interrupted: bool = field(default=False, init=False)
    is_over: bool = field(default=False, init=False)
    """The bot has ended the call."""

    async def run(self, transport: WebsocketClientTransport) -> None:
        async with transport.session() as session, trio.open_nursery() as nursery:
            nursery.start_soon(self._until_interrupted, nursery.cancel_scope)
            await self._hear(session, self.tail_s)
            for line in self.lines:
                if self.is_over:
                    break
                try:
                    await session.output.send(TextFrame(text=line))
                except ConnectionClosed:
                    break
                self.said += 1
                await self._hear(session, self.limit_s if self.said == len(self.lines) else self.tail_s)
            nursery.cancel_scope.cancel()

    async def _hear(self, session: Session, patience_s: float) -> None:
        """Hear a turn of the bot's; rule 1."""
        words = ""
        while True:
            with trio.move_on_after(self.tail_s if words else patience_s) as quiet:
                try:
                    frame = await session.input.receive()
                except trio.EndOfChannel:
                    self.is_over = True
                    break
            if quiet.cancelled_caught:
                break
            if isinstance(frame, TextFrame):
                words += frame.text
            elif isinstance(frame, BotStoppedSpeakingFrame) and not frame.notice and words:
                break
        if words:
            self.heard.append(words)

    async def _until_interrupted(self, scope: trio.CancelScope) -> None:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                self.is_interrupted = True
                scope.cancel()

    def complaint(self, *, quiet_ok: bool) -> str | None:
        """What went wrong, if anything did."""
        if self.is_interrupted:
            return None
        if self.said < len(self.lines):
            return f"the server hung up after {self.said} of {len(self.lines)} lines"
        if not (self.heard or quiet_ok):
            return "nothing was heard: does the server answer in text? (--quiet-ok if that is right)"
        return None


def run(
    url: str,
    params: WebsocketClientParams,
    *,
    source: str,
    recording: str | None,
    capture: Capture | None,
    tail: float,
    limit: float,
    quiet: bool,
    quiet_ok: bool,
    as_json: bool,
) -> int:
    """Play the call, and give the exit code."""
    call = TextCall(_lines(source), tail, limit)
    ending = run_trio(partial(_play, call, WebsocketClientTransport(url, params), capture))
    if recording is not None:
        _write(recording, call.heard)
    complaint = call.complaint(quiet_ok=quiet_ok) or (None if capture is None else capture.failure)
    report = call_report(url, ending, {"said_lines": call.said, "heard": list(call.heard)})
    if complaint is not None:
        report |= {"ok": False, "error": complaint}
    told_to = sys.stderr if recording == STANDARD else sys.stdout
    if as_json:
        print(json.dumps(report), file=told_to)
    elif not quiet:
        print(f"said    {call.said} lines\nheard   {len(call.heard)} turns", file=told_to)
        for turn in call.heard if recording is None else ():
            print(f"        {turn}", file=told_to)
    if complaint is None:
        return INTERRUPTED if call.is_interrupted else 0
    print(f"trio-transports: {complaint}", file=sys.stderr)
    return 1


async def _play(call: TextCall, transport: WebsocketClientTransport, capture: Capture | None) -> Disconnected | None:
    events = transport.events()
    async with trio.open_nursery() as nursery:
        if capture is not None:
            nursery.start_soon(capture.run, transport.messages(UNWRITTEN))
        await call.run(transport)
    return await how_it_ended(events)


def _lines(source: str) -> list[str]:
    try:
        text = sys.stdin.read() if source == STANDARD else Path(source).read_text(encoding="utf-8")
    except OSError as exc:
        raise Failure(f"cannot read {source}: {exc.strerror or exc}") from exc
    except UnicodeDecodeError as exc:
        raise Failure(f"{source} is no text, and this line carries text: write a line for each turn") from exc
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise Failure(f"{source} holds no text")
    return lines


def _write(path: str, turns: Sequence[str]) -> None:
    text = "".join(f"{turn}\n" for turn in turns)
    try:
        if path == STANDARD:
            sys.stdout.write(text)
            sys.stdout.flush()
        else:
            Path(path).write_text(text, encoding="utf-8")
    except OSError as exc:
        raise Failure(f"cannot write {path}: {exc.strerror or exc}") from exc
