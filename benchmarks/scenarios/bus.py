"""A proxy pair on loopback, ours beside Pipecat's: jobs there and back, and what a message costs.

Both ends run in one process, so a figure is the work of both. Every answer is compared with what was asked. A round is
short and round trips are in seconds of a clock, so that it takes several for a busy machine not to decide.
"""

import json
import subprocess
import sys

from ..bench import Bench, Case, Part
from ..catalogue import Peer
from ..environment import NotInstalled, pipecat_python
from ..processes import ROOT
from ..results import Skipped

WITHIN_S = 300

BUS_PEERS = (
    Peer(
        name="ours-bus",
        title="trio_transports proxy pair, serve_proxies",
        program="bus_ours",
        decodes=True,
        ours=True,
    ),
    Peer(
        name="pipecat-bus",
        title="Pipecat proxy pair, FastAPI on uvicorn",
        program="bus_pipecat",
        decodes=True,
        interpreter="pipecat",
    ),
)


def plan(bench: Bench) -> list[Part]:
    return [Part(peers=BUS_PEERS, rounds=bench.rounds(3, 5), each_s=1.8 if bench.quick else 4.0)]


def run(bench: Bench) -> None:
    commands = {peer: [sys.executable, "-m", f"benchmarks.peers.{peer.program}"] for peer in BUS_PEERS}
    for peer, command in [*commands.items()]:
        if peer.interpreter == "pipecat":
            try:
                command[0] = pipecat_python(make=not bench.quick, say=bench.progress.say)
            except NotInstalled as exc:
                bench.results.skipped.append(Skipped(scenario="bus", peer=peer.name, why=str(exc)))
                del commands[peer]
    with bench.collecting("bus") as rounds:
        [part] = plan(bench)
        bench.progress.scenario("bus", part.rounds * len(commands))
        for _ in range(part.rounds):
            for peer, command in commands.items():
                bench.progress.step(peer.name)
                done = subprocess.run(
                    [*command, *(["--quick"] if bench.quick else [])],
                    capture_output=True,
                    text=True,
                    cwd=ROOT,
                    timeout=WITHIN_S,
                    check=False,
                    stdin=subprocess.DEVNULL,
                )
                if done.returncode:
                    words = [line for line in done.stderr.splitlines() if line.strip()]
                    why = words[-1].replace(str(ROOT), ".") if words else f"exit status {done.returncode}"
                    bench.wrong("bus", peer, Case(), why)
                    continue
                bench.results.peers[peer.name] = peer.facts()
                for metric, case, value, unit, better in json.loads(done.stdout.splitlines()[-1]):
                    rounds.add(peer, Case(name=case), metric, value, unit=unit, better=better)
