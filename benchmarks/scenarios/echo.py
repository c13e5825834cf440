"""The paced echo, at chosen numbers of sessions and up to the point of failure.

Rules of the search for capacity
1. A level is held when at least 99 of 100 chunks sent in the window were answered in it and the 99th percentile of the
   round trip is at most one chunk, 20 ms. A transport that paces what it sends may by design hold a chunk until its
   time has come, so it is allowed one chunk more.
2. A level that is not held is tried again when the server had to wait for a core: the time went to somebody else.
3. Levels grow by a quarter (in a quick run by more than half); the last level held is the result. A server is one
   process on one core.
"""

from ..bench import CALM, Bench, Case, Rounds, disturbance
from ..catalogue import Peer
from ..load.jobs import EchoJob, Outcome
from ..messages import CHUNK_MS
from ..processes import Server

QUICK = ((50, "random"), (50, "together"))
FULL = ((1, "random"), (10, "random"), (50, "random"), (50, "together"), (100, "random"))
MOST = 1000
KEEPING_UP = 0.97
UNDER_WAY = 4
"""Chunks of one session that may be under way at the end of a window without the server being behind."""
WARM_S = 1.3
"""Before the window: a transport that follows a live source's jitter has found it by then."""


def _case(sessions: int, arrivals: str) -> Case:
    return Case(sessions=sessions, name="" if arrivals == "random" else "all at one moment")


def _record(bench: Bench, rounds: Rounds, peer: Peer, case: Case, outcome: Outcome) -> None:
    numbers = outcome.numbers
    missing = numbers["sent"] - numbers["received"]
    if missing > max((1 - KEEPING_UP) * numbers["sent"], UNDER_WAY * (case.sessions or 1)):
        # What a server spends on a frame that it has not finished cannot be told from what it spends on the others.
        bench.skip("echo", peer, f"{case}: only {numbers['received'] / numbers['sent']:.0%} of the rate came back")
        return
    frames = max(1.0, numbers["received"])
    rounds.add(peer, case, "server CPU per frame", numbers["server_cpu_s"] / frames * 1e6, unit="us")
    rounds.add(peer, case, "server CPU", numbers["server_cpu_s"] / numbers["window_s"] * 100, unit="% core")
    rounds.add(peer, case, "round trip p50", numbers["round_trip_p50_ms"], unit="ms")
    rounds.add(peer, case, "round trip p99", numbers["round_trip_p99_ms"], unit="ms")
    load = numbers["load_cpu_s"] / numbers["window_s"] * 100
    rounds.add(peer, case, "load CPU", load, unit="% core", better="neither")
    waited = disturbance(outcome) * 100
    rounds.add(peer, case, "waited for a core", waited, unit="% of time", better="neither")
    rounds.add(peer, case, "silent chunks", numbers["silent_chunks"], unit="chunks", better="neither")


def run_echo(bench: Bench) -> None:
    levels = QUICK if bench.quick else FULL
    warm_s, window_s = (WARM_S, 0.8) if bench.quick else (WARM_S, 3.0)
    with bench.collecting("echo") as rounds:
        all_rounds = bench.rounds(2, 3)
        bench.progress.scenario("echo", len(levels) * len(all_rounds) * len(bench.peers))
        for sessions, arrivals in levels:
            case = _case(sessions, arrivals)
            for _ in all_rounds:
                for peer in bench.peers:
                    bench.progress.step(f"{peer.name}, {case}")
                    if rounds.is_ruled_out(peer, case):
                        continue
                    with bench.server("echo", peer, clients=sessions) as server:
                        if server is None:
                            continue
                        job = EchoJob(
                            target=server.target,
                            sessions=sessions,
                            warm_s=warm_s,
                            window_s=window_s,
                            arrivals=arrivals,
                        )
                        outcome = bench.apply_calmly(rounds, "echo", server, case, job, within_s=60 + sessions)
                        if outcome:
                            _record(bench, rounds, peer, case, outcome)


def limit_ms(peer: Peer) -> int:
    return CHUNK_MS * 2 if peer.paces else CHUNK_MS


def why_not_held(outcome: Outcome, peer: Peer) -> str:
    """What a level failed by; empty when it was held."""
    numbers = outcome.numbers
    if outcome.failure:
        return outcome.failure
    if outcome.lost:
        return f"{outcome.lost} chunks lost"
    if numbers["received"] < 0.99 * numbers["sent"]:
        return f"{numbers['received'] / numbers['sent']:.0%} of the rate"
    if numbers["round_trip_p99_ms"] > limit_ms(peer):
        return f"round trip p99 {numbers['round_trip_p99_ms']:.0f} ms"
    return ""


def _levels(first: int, growth: float) -> list[int]:
    levels = [first]
    while levels[-1] < MOST:
        levels.append(round(levels[-1] * growth / 5) * 5)
    return levels


def _try_level(bench: Bench, rounds: Rounds, server: Server, case: Case, job: EchoJob) -> Outcome | None:
    """One level, again where somebody else took the server's time; None when the peer was wrong."""
    outcome = None
    for _ in range(1 if bench.quick else 3):
        within_s = 60.0 + job.sessions
        outcome = bench.apply(rounds, "capacity", server, case, job, within_s=within_s, overload=True)
        if outcome is None or not why_not_held(outcome, server.peer) or disturbance(outcome) <= CALM:
            break
    return outcome


def _climb(bench: Bench, rounds: Rounds, server: Server, levels: list[int]) -> int:
    """The last level held, 0 for none."""
    held, peer = 0, server.peer
    warm_s, window_s = (0.3, 0.7) if bench.quick else (0.8, 2.0)
    for sessions in levels:
        bench.progress.step(f"{peer.name}, {sessions} sessions")
        case = Case(sessions=sessions, name="search")
        job = EchoJob(target=server.target, sessions=sessions, warm_s=warm_s, window_s=window_s)
        outcome = _try_level(bench, rounds, server, case, job)
        if outcome is None:
            return held
        if why := why_not_held(outcome, peer):
            bench.progress.say(f"{peer.name} does not hold {sessions} sessions: {why}")
            return held
        share = outcome.numbers["server_cpu_s"] / outcome.numbers["window_s"] * 100
        rounds.add(peer, case, "server CPU", share, unit="% core")
        rounds.add(peer, case, "round trip p99", outcome.numbers["round_trip_p99_ms"], unit="ms")
        held = sessions
    return held


def run_capacity(bench: Bench) -> None:
    levels = _levels(60, 1.6 if bench.quick else 1.25)
    peers = [peer for peer in bench.peers if not peer.one_client]
    with bench.collecting("capacity") as rounds:
        bench.progress.scenario("capacity", len(peers) * 5)
        for peer in peers:
            with bench.server("capacity", peer) as server:
                if server is None:
                    continue
                held = _climb(bench, rounds, server, levels)
                if not any(rounds.is_ruled_out(peer, Case(sessions=n, name="search")) for n in levels):
                    rounds.add(peer, Case(), "sessions held", held, unit="sessions", better="higher")
