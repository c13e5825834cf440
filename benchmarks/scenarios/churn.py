"""Callers that come and go."""

from ..bench import Bench, Case
from ..load.jobs import ChurnJob

WORKERS = 8


def run(bench: Bench) -> None:
    warm_s, window_s = (0.2, 0.8) if bench.quick else (0.5, 3.0)
    case = Case(name=f"{WORKERS} callers at once")
    with bench.collecting("churn") as rounds:
        all_rounds = bench.rounds(2, 3)
        bench.progress.scenario("churn", len(all_rounds) * len(bench.peers))
        for _ in all_rounds:
            for peer in bench.peers:
                bench.progress.step(peer.name)
                if rounds.is_ruled_out(peer, case):
                    continue
                with bench.server("churn", peer, clients=WORKERS) as server:
                    if server is None:
                        continue
                    job = ChurnJob(target=server.target, workers=WORKERS, warm_s=warm_s, window_s=window_s)
                    outcome = bench.apply(rounds, "churn", server, case, job, within_s=60)
                    if outcome and outcome.numbers["calls"]:
                        numbers = outcome.numbers
                        rate = numbers["calls"] / numbers["window_s"]
                        rounds.add(peer, case, "calls per second", rate, unit="1/s", better="higher")
                        cpu_ms = numbers["server_cpu_s"] / numbers["calls"] * 1e3
                        rounds.add(peer, case, "server CPU per call", cpu_ms, unit="ms")
                        rounds.add(peer, case, "call p99", numbers["call_p99_ms"], unit="ms")
