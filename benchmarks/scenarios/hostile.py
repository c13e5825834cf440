"""What one hostile peer can take: memory, and the loop's time by one message; in a server of its own.

The floods are in the dialect that the suite speaks; the library's tests hold the same bounds for more of them, in more
dialects. A step is one turn of one task, in CPU time: for so long nobody else's audio moves. Where one was long the
flood is sent again, and the least counts, since what disturbs a step only adds to it; of memory the most does.
"""

from ..bench import Bench, Case, Part, Rounds
from ..load.flood import FLOODS, PATIENCE_S
from ..load.jobs import FloodJob
from ..processes import Server
from .memory import STARTING_S

QUICK = ("empty lists", "many parts")
WORST = Case(name="the worst flood")
TRIES = 3
SHORT_MS = 8.0
"""A longest step below this is within what is promised, and not measured again."""


def _kinds(bench: Bench) -> tuple[str, ...]:
    return QUICK if bench.quick else tuple(FLOODS)


def plan(bench: Bench) -> list[Part]:
    peers = [peer for peer in bench.peers_in("hostile") if peer.ours]
    each_s = STARTING_S + len(_kinds(bench)) * (0.9 + PATIENCE_S / 6)
    return [Part(peers=peers, rounds=bench.rounds(1, 1), each_s=each_s)]


def run(bench: Bench) -> None:
    def one(rounds: Rounds, server: Server, part: Part) -> None:
        def flooded(kind: str) -> tuple[float, float] | None:
            """What the server had before, and what it had at most, in bytes; None when that cannot be told."""
            job = FloodJob(target=server.target, kind=kind)
            outcome = bench.apply(rounds, "hostile", server, part.case, job, within_s=60)
            return outcome and (outcome.numbers["before_bytes"], outcome.numbers["peak_bytes"])

        peer = server.peer
        first = flooded(_kinds(bench)[0])  # it warms up, and is not counted
        worst_mib = worst_ms = 0.0
        for kind in _kinds(bench) if first else ():
            longest_ms, most_mib = float("inf"), 0.0
            for _ in range(TRIES):
                server.ask()
                told = flooded(kind)
                if first is None or told is None:
                    return
                most_mib = max(most_mib, (told[1] - first[0]) / 2**20)
                longest_ms = min(longest_ms, server.ask()["longest step"][1] / 1e6)
                if longest_ms < SHORT_MS:
                    break
            case = Case(name=kind)
            rounds.add(peer, case, "memory taken", most_mib, unit="MiB")
            rounds.add(peer, case, "longest step", longest_ms, unit="ms")
            worst_mib, worst_ms = max(worst_mib, most_mib), max(worst_ms, longest_ms)
        if first:
            rounds.add(peer, WORST, "memory taken", worst_mib, unit="MiB")
            rounds.add(peer, WORST, "longest step", worst_ms, unit="ms")

    bench.measure("hostile", plan(bench), one, fresh=True, watched="longest")
