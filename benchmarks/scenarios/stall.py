"""A live source with holes in it: how late its echo is before, during and after them."""

from ..bench import Bench, Case, Part, Rounds
from ..load.jobs import StallJob
from ..processes import Server
from ..tables import CURVE

CASE = Case(sessions=5)
HOLES = ((1.5, 0.3), (3.5, 0.3))
LASTING_S = 6.0
MANY_HOLES = (*HOLES, (5.5, 0.15), (7.0, 0.3))
MANY_LASTING_S = 9.5


def _holes(bench: Bench) -> tuple[tuple[tuple[float, float], ...], float]:
    return (HOLES, LASTING_S) if bench.quick else (MANY_HOLES, MANY_LASTING_S)


def plan(bench: Bench) -> list[Part]:
    each_s = 1.8 + _holes(bench)[1]
    return [Part(case=CASE, peers=bench.peers_in("stall"), rounds=bench.rounds(1, 2), each_s=each_s)]


def run(bench: Bench) -> None:
    holes, lasting_s = _holes(bench)

    def one(rounds: Rounds, server: Server, part: Part) -> None:
        case, peer = part.case, server.peer
        job = StallJob(target=server.target, sessions=5, seconds=lasting_s, holes=holes)
        outcome = bench.apply(rounds, "stall", server, case, job, within_s=60)
        if not outcome:
            return
        numbers = outcome.numbers
        rounds.add(peer, case, "a second after a hole", numbers["second_after_ms"], unit="ms")
        rounds.add(peer, case, "before", numbers["before_ms"], unit="ms")
        more_ms = numbers["second_after_ms"] - numbers["before_ms"]
        rounds.add(peer, case, "later than before", more_ms, unit="ms")
        rounds.add(peer, case, "just after a hole", numbers["just_after_ms"], unit="ms")
        rounds.add(peer, case, "came back", numbers["came_back"] * 100, unit="%", better="neither")
        for at_s, age_ms in zip(outcome.lists["at_s"], outcome.lists["age_ms"], strict=True):
            rounds.add(peer, Case(sessions=5, name=CURVE), f"{at_s:.2f}", age_ms, unit="ms")

    bench.measure("stall", plan(bench), one)
