"""What a session takes in memory, in a server that is started for this alone."""

from ..bench import Bench, Case
from ..load.jobs import HoldJob


def run(bench: Bench) -> None:
    few, many = (10, 60) if bench.quick else (20, 120)
    case = Case()
    with bench.collecting("memory") as rounds:
        all_rounds = bench.rounds(1, 3)
        bench.progress.scenario("memory", len(all_rounds) * len(bench.peers))
        for _ in all_rounds:
            for peer in bench.peers:
                bench.progress.step(peer.name)
                if rounds.is_ruled_out(peer, case):
                    continue
                with bench.server("memory", peer, clients=many, fresh=True) as server:
                    if server is None:
                        continue
                    settle_s = 0.4 if bench.quick else 1.0
                    job = HoldJob(
                        target=server.target, few=few, many=many, talk_s=0.5 if bench.quick else 1.0, settle_s=settle_s
                    )
                    outcome = bench.apply(rounds, "memory", server, case, job, within_s=120)
                    if outcome:
                        numbers = outcome.numbers
                        rounds.add(peer, case, "idle session", numbers["idle_session_bytes"] / 1024, unit="KiB")
                        rounds.add(peer, case, "active session", numbers["active_session_bytes"] / 1024, unit="KiB")
                        rounds.add(peer, case, "process", numbers["process_bytes"] / 2**20, unit="MiB")
