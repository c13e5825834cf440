"""Playing audio: how exactly it keeps time, what it costs, and how fast it stops."""

from ..bench import Bench, Case, Part, Rounds
from ..judging import disturbance
from ..load.jobs import InterruptionJob, PlaybackJob
from ..processes import Server
from .echo import AROUND_S, OPENING_S

MANY = 200
"""So many are played to by ours, and by the engine under them; a rival that holds sixty is not asked."""


def seconds(bench: Bench) -> float:
    return 2.5 if bench.quick else 8.0


def plan_pacing(bench: Bench) -> list[Part]:
    peers = bench.peers_in("pacing")
    levels = (
        ((60, peers),)
        if bench.quick
        else ((60, peers), (MANY, [p for p in peers if p.is_in("churn") and (p.ours or not p.decodes)]))
    )
    return [
        Part(
            case=Case(sessions=sessions),
            peers=those,
            rounds=bench.rounds(1, 2),
            each_s=AROUND_S + sessions * OPENING_S + seconds(bench),
        )
        for sessions, those in levels
    ]


def run_pacing(bench: Bench) -> None:
    def one(rounds: Rounds, server: Server, part: Part) -> None:
        case, peer = part.case, server.peer
        sessions = case.sessions or 1
        job = PlaybackJob(target=server.target, sessions=sessions, seconds=seconds(bench))
        outcome = bench.apply(rounds, "pacing", server, case, job, within_s=90 + sessions)
        if not outcome:
            return
        numbers = outcome.numbers
        rounds.add(peer, case, "rate error, worst session", numbers["rate_error_worst"] * 1e6, unit="ppm")
        rounds.add(peer, case, "rate error, median", numbers["rate_error_median"] * 1e6, unit="ppm")
        for share in ("p50", "p99", "max"):
            rounds.add(peer, case, f"gap error {share}", numbers[f"gap_error_{share}_ms"], unit="ms")
        rounds.add(peer, case, "server CPU per chunk", numbers["server_cpu_s"] / numbers["chunks"] * 1e6, unit="us")
        waited = disturbance(outcome) * 100
        rounds.add(peer, case, "waited for a core", waited, unit="% of time", better="neither")

    bench.measure("pacing", plan_pacing(bench), one)


AFTER_S, QUIET_S = 0.4, 0.8


def plan_interruption(bench: Bench) -> list[Part]:
    sessions = 20 if bench.quick else 50
    each_s = AROUND_S + sessions * OPENING_S + 0.4 + AFTER_S + QUIET_S
    peers = bench.peers_in("interruption")
    return [Part(case=Case(sessions=sessions), peers=peers, rounds=bench.rounds(1, 3), each_s=each_s)]


def run_interruption(bench: Bench) -> None:
    def one(rounds: Rounds, server: Server, part: Part) -> None:
        sessions = part.case.sessions or 1
        job = InterruptionJob(target=server.target, sessions=sessions, after_s=AFTER_S, quiet_s=QUIET_S)
        outcome = bench.apply(rounds, "interruption", server, part.case, job, within_s=60 + sessions)
        if outcome:
            for share in ("p50", "p99", "max"):
                value = outcome.numbers[f"tail_{share}_ms"]
                rounds.add(server.peer, part.case, f"last byte after, {share}", value, unit="ms")

    bench.measure("interruption", plan_interruption(bench), one)
