"""What ``import trio_transports`` takes, beside the import of what it is made of, each time in a new process.

CPU time is what counts: a new process waits for the disk and for a core as the machine pleases. What a package does not
load until it is asked for is not free, so the names that a first server takes are imported too.

Nothing is compiled in a round: the compiled modules stand in a folder of the run's own, whatever the environment says
about them. With ``PYTHONDONTWRITEBYTECODE`` every round would compile all of ours, and none of the parts.
"""

import os
import subprocess
import sys
from tempfile import TemporaryDirectory

from ..bench import Bench, Case, Part
from ..catalogue import Peer
from ..processes import ROOT

CASE = Case()
PEERS = (
    Peer(name="ours-import", title="import trio_transports", program="", ours=True),
    Peer(
        name="ours-first-server",
        title="from trio_transports import AudioFrame, WebsocketServerParams, WebsocketServerTransport",
        program="",
        ours=True,
    ),
    Peer(name="parts-import", title="import trio, numpy, trio_websocket", program=""),
)
_MEASURED = """
import time
began, cpu = time.perf_counter(), time.process_time()
{statement}
print(time.perf_counter() - began, time.process_time() - cpu)
"""


def plan(bench: Bench) -> list[Part]:
    return [Part(case=CASE, peers=PEERS, rounds=bench.rounds(5, 11), each_s=0.5)]


def took_s(statement: str, compiled: str) -> tuple[float, float]:
    """Seconds by the clock and of CPU, with the compiled modules in this folder."""
    command = [sys.executable, "-c", _MEASURED.format(statement=statement)]
    settings = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    settings["PYTHONPYCACHEPREFIX"] = compiled
    done = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, check=True, timeout=60)
    clock_s, cpu_s = map(float, done.stdout.split())
    return clock_s, cpu_s


def run(bench: Bench) -> None:
    [part] = plan(bench)
    bench.progress.scenario("import", part.steps)
    with TemporaryDirectory() as compiled, bench.collecting("import") as rounds:
        for peer in PEERS:
            took_s(peer.title, compiled)  # so that no round compiles anything
            bench.results.peers[peer.name] = peer.facts()
        for _ in range(part.rounds):
            for peer in PEERS:
                bench.progress.step(peer.title)
                clock_s, cpu_s = took_s(peer.title, compiled)
                rounds.add(peer, CASE, "CPU", cpu_s * 1e3, unit="ms")
                rounds.add(peer, CASE, "time", clock_s * 1e3, unit="ms")
