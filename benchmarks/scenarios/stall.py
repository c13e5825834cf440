"""A live source with holes in it: how late its echo is before, during and after them."""

from ..bench import Bench, Case
from ..load.jobs import StallJob
from ..tables import CURVE

HOLES = ((1.5, 0.3), (3.5, 0.3))
LASTING_S = 6.0
MANY_HOLES = (*HOLES, (5.5, 0.15), (7.5, 0.3), (9.0, 0.6), (11.5, 0.3))
MANY_LASTING_S = 14.0


def run(bench: Bench) -> None:
    holes, lasting_s = (HOLES, LASTING_S) if bench.quick else (MANY_HOLES, MANY_LASTING_S)
    case = Case(sessions=5)
    with bench.collecting("stall") as rounds:
        all_rounds = bench.rounds(1, 3)
        peers = [peer for peer in bench.peers if not peer.one_client]
        bench.progress.scenario("stall", len(all_rounds) * len(peers))
        for _ in all_rounds:
            for peer in peers:
                bench.progress.step(peer.name)
                if rounds.is_ruled_out(peer, case):
                    continue
                with bench.server("stall", peer, clients=5) as server:
                    if server is None:
                        continue
                    job = StallJob(target=server.target, sessions=5, seconds=lasting_s, holes=holes)
                    outcome = bench.apply_calmly(rounds, "stall", server, case, job, within_s=60)
                    if not outcome:
                        continue
                    numbers = outcome.numbers
                    rounds.add(peer, case, "a second after a hole", numbers["second_after_ms"], unit="ms")
                    rounds.add(peer, case, "before", numbers["before_ms"], unit="ms")
                    rounds.add(peer, case, "just after a hole", numbers["just_after_ms"], unit="ms")
                    rounds.add(peer, case, "came back", numbers["came_back"] * 100, unit="%", better="neither")
                    drawn = zip(outcome.lists["at_s"], outcome.lists["age_ms"], strict=True)
                    for at_s, age_ms in drawn:
                        rounds.add(peer, Case(sessions=5, name=CURVE), f"{at_s:.2f}", age_ms, unit="ms")
