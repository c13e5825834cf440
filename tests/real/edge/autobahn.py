"""Autobahn's fuzzing client through a session, on every engine: ``python -m tests.real.edge.autobahn WSTEST [CASES]``.

``WSTEST`` is its program, from an environment of its own: the package ``autobahntestsuite`` is for Python 2.7. Without
cases it runs all but those for compression (12 and 13), which no engine offers. It prints a line for each engine, and
the cases that did not go well. Each of those is run again by itself, since the fuzzer gives an answer a second, also on
a machine that is busy with other things: the exit code is 1 where one goes wrong again.
"""

import json
import subprocess
import sys
import tempfile
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import trio

from tests.real.hosting import WAYS_IN, hosted
from trio_transports import AudioFormat, Frame, MessageFrame, Session

GOOD: Final = frozenset({"OK", "NON-STRICT", "INFORMATIONAL"})
WITHOUT: Final = ("12.*", "13.*")
LARGEST_BYTES: Final = 16 * 1024 * 1024
"""Of what the cases say; as a text in a document it takes a third more, and may take twice that in memory."""


class Raw:
    """Every message is a frame, and comes back as the same message."""

    audio_format: AudioFormat | None = None

    def encode(self, frame: Frame) -> Sequence[str | bytes]:
        match frame:
            case MessageFrame(message={"text": str(text)}):
                return [text]
            case MessageFrame(message={"data": str(data)}):
                return [b64decode(data)]
        return []

    def decode(self, message: str | bytes) -> Sequence[Frame]:
        if isinstance(message, str):
            return [MessageFrame(message={"text": message})]
        return [MessageFrame(message={"data": b64encode(message).decode()})]


async def echo(session: Session) -> None:
    async for frame in session.input:
        await session.output.send(frame)


@asynccontextmanager
async def target(way_in: str) -> AsyncIterator[str]:
    sizes = {"max_message_bytes": LARGEST_BYTES, "max_unread_bytes": 4 * LARGEST_BYTES}
    async with hosted(way_in, echo, serializer=Raw, **sizes) as host:
        yield host.url


async def fuzz(wstest: str, way_in: str, cases: Sequence[str], folder: Path) -> dict[str, dict[str, str]]:
    """The report on each case of one engine."""
    async with target(way_in) as url:
        spec = {
            "outdir": str(folder),
            "servers": [{"agent": way_in, "url": url, "options": {"version": 18}}],
            "cases": list(cases) or ["*"],
            "exclude-cases": [] if cases else list(WITHOUT),
            "exclude-agent-cases": {},
        }
        (folder / "spec.json").write_text(json.dumps(spec))
        command = [wstest, "--mode", "fuzzingclient", "--spec", str(folder / "spec.json")]
        await trio.run_process(command, stdout=subprocess.DEVNULL, cwd=folder)
    return dict(json.loads((folder / "index.json").read_text())[way_in])


async def main(wstest: str, cases: Sequence[str]) -> int:
    bad = 0
    for way_in in WAYS_IN:
        with tempfile.TemporaryDirectory() as folder:
            report = await fuzz(wstest, way_in, cases, Path(folder))
        counts = Counter(each["behavior"] for each in report.values())
        closes = Counter(each["behaviorClose"] for each in report.values())
        print(f"{way_in}: {len(report)} cases, {dict(counts)}; closing {dict(closes)}", flush=True)
        for case, each in sorted(report.items()):
            if not is_good(each):
                with tempfile.TemporaryDirectory() as folder:
                    alone = (await fuzz(wstest, way_in, [case], Path(folder)))[case]
                bad += not is_good(alone)
                print(f"  {case}: {in_words(each)}; again, alone: {in_words(alone)}", flush=True)
    return int(bad > 0)


def is_good(report: dict[str, str]) -> bool:
    return report["behavior"] in GOOD and report["behaviorClose"] in GOOD


def in_words(report: dict[str, str]) -> str:
    return f"{report['behavior']}, closing {report['behaviorClose']}"


if __name__ == "__main__":
    sys.exit(trio.run(partial(main, sys.argv[1], sys.argv[2:])))
