"""Playing audio: how exactly it keeps time, and how fast it stops."""

from ..bench import Bench, Case, disturbance
from ..load.jobs import InterruptionJob, PlaybackJob


def run_pacing(bench: Bench) -> None:
    levels = (60,) if bench.quick else (1, 60, 200)
    seconds = 2.5 if bench.quick else 8.0
    with bench.collecting("pacing") as rounds:
        all_rounds = bench.rounds(1, 2)
        bench.progress.scenario("pacing", len(levels) * len(all_rounds) * len(bench.peers))
        for sessions in levels:
            case = Case(sessions=sessions)
            for _ in all_rounds:
                for peer in bench.peers:
                    bench.progress.step(f"{peer.name}, {case}")
                    if rounds.is_ruled_out(peer, case):
                        continue
                    with bench.server("pacing", peer, clients=sessions) as server:
                        if server is None:
                            continue
                        job = PlaybackJob(target=server.target, sessions=sessions, seconds=seconds)
                        outcome = bench.apply_calmly(rounds, "pacing", server, case, job, within_s=90 + sessions)
                        if not outcome:
                            continue
                        numbers = outcome.numbers
                        rounds.add(
                            peer, case, "rate error, worst session", numbers["rate_error_worst"] * 1e6, unit="ppm"
                        )
                        rounds.add(peer, case, "rate error, median", numbers["rate_error_median"] * 1e6, unit="ppm")
                        for share in ("p50", "p99", "max"):
                            rounds.add(peer, case, f"gap error {share}", numbers[f"gap_error_{share}_ms"], unit="ms")
                        cpu_us = numbers["server_cpu_s"] / numbers["chunks"] * 1e6
                        rounds.add(peer, case, "server CPU per chunk", cpu_us, unit="us")
                        waited = disturbance(outcome) * 100
                        rounds.add(peer, case, "waited for a core", waited, unit="% of time", better="neither")


def run_interruption(bench: Bench) -> None:
    levels = (20,) if bench.quick else (10, 50)
    with bench.collecting("interruption") as rounds:
        all_rounds = bench.rounds(1, 3)
        bench.progress.scenario("interruption", len(levels) * len(all_rounds) * len(bench.peers))
        for sessions in levels:
            case = Case(sessions=sessions)
            for _ in all_rounds:
                for peer in bench.peers:
                    bench.progress.step(f"{peer.name}, {case}")
                    if rounds.is_ruled_out(peer, case):
                        continue
                    with bench.server("interruption", peer, clients=sessions) as server:
                        if server is None:
                            continue
                        job = InterruptionJob(target=server.target, sessions=sessions, after_s=0.4, quiet_s=0.8)
                        outcome = bench.apply(rounds, "interruption", server, case, job, within_s=60 + sessions)
                        if outcome:
                            for share in ("p50", "p99", "max"):
                                value = outcome.numbers[f"tail_{share}_ms"]
                                rounds.add(peer, case, f"last byte after, {share}", value, unit="ms")
