"""What a session takes in memory, in a server that is started for this alone."""

from ..bench import Bench, Part, Rounds
from ..load.jobs import HoldJob
from ..processes import Server

STARTING_S = 2.5
"""About what a server program takes to start and to end."""


def _sizes(bench: Bench) -> tuple[int, int, float]:
    """The sessions that are there first, those that there are at last, and how long it talks and settles."""
    return (10, 60, 0.4) if bench.quick else (20, 120, 0.8)


def plan(bench: Bench) -> list[Part]:
    _, many, settle_s = _sizes(bench)
    each_s = STARTING_S + 1.2 + many * 0.008 + 3 * settle_s
    return [Part(peers=bench.peers_in("memory"), rounds=bench.rounds(1, 2), each_s=each_s)]


def run(bench: Bench) -> None:
    few, many, settle_s = _sizes(bench)

    def one(rounds: Rounds, server: Server, part: Part) -> None:
        case, peer = part.case, server.peer
        job = HoldJob(target=server.target, few=few, many=many, talk_s=settle_s, settle_s=settle_s)
        outcome = bench.apply(rounds, "memory", server, case, job, within_s=120)
        if outcome:
            numbers = outcome.numbers
            rounds.add(peer, case, "idle session", numbers["idle_session_bytes"] / 1024, unit="KiB")
            rounds.add(peer, case, "active session", numbers["active_session_bytes"] / 1024, unit="KiB")
            rounds.add(peer, case, "process", numbers["process_bytes"] / 2**20, unit="MiB")

    bench.measure("memory", plan(bench), one, fresh=True, clients=many)
