"""Autobahn's fuzzing client through a session, on every engine: ``python -m tests.real.edge.autobahn WSTEST [CASES]``.

``WSTEST`` is its program, from an environment of its own: the package ``autobahntestsuite`` is for Python 2.7. Without
cases it runs all but those for compression (12 and 13), which no engine offers. What it prints is a table in Markdown,
with a row for each engine; each case that did not go well is told beside it, on standard error. Such a case is run
again by itself, since the fuzzer gives an answer a second, also on a machine that is busy with other things: the table
counts what came of it then, and the exit code is 1 where it has failed again.

``autobahn.md`` is the table of the last run of all cases, which writes it. README and guide say what stands there.
"""

import json
import subprocess
import sys
import tempfile
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import trio

from tests.real.hosting import WAYS_IN, hosted
from trio_transports import AudioFormat, Frame, MessageFrame, Session

GOOD: Final = ("OK", "NON-STRICT", "INFORMATIONAL")
FAILED: Final = "FAILED"
PRINTED: Final = Path(__file__).with_suffix(".md")
HEAD: Final = (
    f"| server | cases | {' | '.join(GOOD)} | {FAILED} | run again |",
    "|---|" + "---|" * (len(GOOD) + 3),
)
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
    lines = list(HEAD)
    print("\n".join(lines), flush=True)
    failed = 0
    for way_in in WAYS_IN:
        report = await fuzz_in_a_folder(wstest, way_in, cases)
        again = sorted(case for case, each in report.items() if not is_good(each))
        for case in again:
            alone = (await fuzz_in_a_folder(wstest, way_in, [case]))[case]
            told = f"{in_words(report[case])}; again, alone: {in_words(alone)}"
            print(f"{way_in}, {case}: {told}", file=sys.stderr, flush=True)
            report[case] = alone
        failed += sum(not is_good(each) for each in report.values())
        lines.append(row(way_in, report, len(again)))
        print(lines[-1], flush=True)
    if not cases:
        PRINTED.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return int(failed > 0)


async def fuzz_in_a_folder(wstest: str, way_in: str, cases: Sequence[str]) -> dict[str, dict[str, str]]:
    with tempfile.TemporaryDirectory() as folder:
        return await fuzz(wstest, way_in, cases, Path(folder))


def row(server: str, report: Mapping[str, Mapping[str, str]], again: int) -> str:
    """How the cases went, as a line of the table; one whose closing went wrong has failed."""
    counts = Counter(each["behavior"] if is_good(each) else FAILED for each in report.values())
    numbers = (len(report), *(counts[behavior] for behavior in (*GOOD, FAILED)), again)
    return f"| {server} | {' | '.join(map(str, numbers))} |"


def is_good(report: Mapping[str, str]) -> bool:
    return report["behavior"] in GOOD and report["behaviorClose"] in GOOD


def in_words(report: Mapping[str, str]) -> str:
    return f"{report['behavior']}, closing {report['behaviorClose']}"


if __name__ == "__main__":
    sys.exit(trio.run(partial(main, sys.argv[1], sys.argv[2:])))
