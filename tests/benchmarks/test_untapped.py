"""The server without places for observers: they are gone from it, and it goes on echoing."""

import ast
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from benchmarks.peers.ours_untapped import MODULES
from benchmarks.results import Measurement, Results
from benchmarks.targets import promise_table
from trio_transports import session

TOLD: Final = """
import trio
from trio.testing import MockClock
from tests.observe.test_costs_nothing import CHUNK, Nobody
from tests.session.helpers import params
from trio_transports import AudioFrame, MessageFrame
from trio_transports.testing import memory_session

class Somebody(Nobody):
    told = []
    def received(self, frame, now_s): self.told.append("received")
    def sent(self, frame, now_s): self.told.append("sent")
    def left(self, pcm, audio_format, destination, now_s): self.told.append("left")
    def taken_back(self, duration_s, destination, now_s): self.told.append("taken back")
    def interrupted(self, now_s): self.told.append("interrupted")

async def main():
    async with memory_session(params()) as (session, peer):
        with session.tapped(Somebody()):
            for _ in range(2):
                await peer.send(CHUNK)
                await peer.send(MessageFrame(message={"a": 1}))
                await session.output.send(await session.input.receive())
                await session.output.send(await session.input.receive())
                await trio.sleep(0.01)
                await session.output.interrupt()
    assert peer.recorder.of(AudioFrame) and peer.recorder.of(MessageFrame)

trio.run(main, clock=MockClock(autojump_threshold=0))
print(sorted(set(Somebody.told)))
"""
TAKE_OUT: Final = "from benchmarks.peers.ours_untapped import take_out_taps\ntake_out_taps()\n"


ROOM: Final = Path(session.__file__).parent


def asks(module: ast.Module) -> bool:
    return any(isinstance(node, ast.Attribute) and node.attr in ("taps", "_taps") for node in ast.walk(module))


def run(program: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("before", "told"),
    [("", "['interrupted', 'left', 'received', 'sent', 'taken back']"), (TAKE_OUT, "[]")],
    ids=["as it is", "out"],
)
def test_nobody_is_told_where_the_places_are_taken_out(before: str, told: str) -> None:
    """Twice in a row, so that no cache of the one is read by the other."""
    for _ in range(2):
        done = run(before + TOLD)
        assert done.stdout.strip() == told, done.stderr


def test_a_session_that_was_imported_before_is_told() -> None:
    """Else it would be measured with its places, and show that they cost nothing."""
    done = run("import trio_transports.session.output\n" + TAKE_OUT)
    assert done.returncode == 1
    assert "trio_transports.session.output was imported with its taps" in done.stderr.replace("\n", " ")


def test_a_module_without_such_a_place_is_told() -> None:
    program = TAKE_OUT.replace("take_out_taps\n", "take_out_taps, _Loader\n", 1)
    done = run(program + "import trio_transports.errors as m\n_Loader(m.__name__, m.__file__).get_code(m.__name__)")
    assert done.returncode == 1
    assert "trio_transports.errors asks for no taps" in done.stderr


def test_every_module_that_asks_for_taps_is_named() -> None:
    """A new place in a module that is not named would be in both."""
    holding = {"run", "session", "parts", "taps"}  # these hand the list on, and do nothing for a frame
    asking = {path.stem for path in ROOM.glob("*.py") if asks(ast.parse(path.read_text(encoding="utf-8")))}
    assert {f"trio_transports.session.{name}" for name in asking - holding} == MODULES


@pytest.mark.parametrize(("costs", "held"), [(102.0, "yes"), (104.0, "NO")])
def test_the_promise_is_judged(costs: float, held: str) -> None:
    """At most three hundredths of what it takes without places for observers."""
    results = Results(started="", quick=True, machine={})
    for peer, value in (("ours-untapped", 100.0), ("ours-direct", costs)):
        results.measurements.append(
            Measurement(
                scenario="echo", metric="server CPU per frame", peer=peer, unit="us", values=(value,) * 3,
                better="lower", sessions=50, case="",
            )
        )  # fmt: skip
    table = promise_table(results)
    assert table is not None
    [row] = [row for row in table.rows if row[0].startswith("observing that is not used")]
    assert row[1:] == ("at most 1.03x ours-untapped", f"{costs / 100:.2f}x", held)
