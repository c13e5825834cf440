"""Callers that come and go."""

from ..bench import Bench, Case, Part, Rounds
from ..load.jobs import ChurnJob
from ..processes import Server

WORKERS = 8
CASE = Case(name=f"{WORKERS} callers at once")
WARM_S = 0.4


def window_s(bench: Bench) -> float:
    return 0.8 if bench.quick else 2.0


def plan(bench: Bench) -> list[Part]:
    each_s = 0.6 + WARM_S + window_s(bench)
    return [Part(case=CASE, peers=bench.peers_in("churn"), rounds=bench.rounds(2, 3), each_s=each_s)]


def measure(
    bench: Bench, scenario: str, rounds: Rounds, server: Server, case: Case, *, tries: int | None = None
) -> None:
    """Keep what one window of calls costs."""
    job = ChurnJob(target=server.target, workers=WORKERS, warm_s=WARM_S, window_s=window_s(bench))
    outcome = bench.apply(rounds, scenario, server, case, job, within_s=60, tries=tries)
    if not outcome or not outcome.numbers["calls"]:
        return
    numbers, peer = outcome.numbers, server.peer
    rounds.add(peer, case, "calls per second", numbers["calls"] / numbers["window_s"], unit="1/s", better="higher")
    rounds.add(peer, case, "server CPU per call", numbers["server_cpu_s"] / numbers["calls"] * 1e3, unit="ms")
    rounds.add(peer, case, "call p99", numbers["call_p99_ms"], unit="ms")
    load = numbers["load_cpu_s"] / numbers["window_s"] * 100
    rounds.add(peer, case, "load CPU", load, unit="% core", better="neither")


def run(bench: Bench) -> None:
    def one(rounds: Rounds, server: Server, part: Part) -> None:
        measure(bench, "churn", rounds, server, part.case)

    bench.measure("churn", plan(bench), one, clients=WORKERS)
