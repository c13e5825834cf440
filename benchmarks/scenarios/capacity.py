"""How many paced sessions one server process holds before it falls behind.

Rules
1. A level is held when at least 99 of 100 chunks sent in the window were answered in it and the 99th percentile of the
   round trip is at most one chunk, 20 ms. A transport that paces what it sends may by design hold a chunk until its
   time has come, so it is allowed one chunk more.
2. A level that is not held is tried again when the server had to wait for a core: the time went to somebody else.
3. From ``FIRST`` on levels are doubled while they are held, halved while they are not. Then the distance between the
   last one held and the first one not held is halved, until it is a twelfth of what is held, or five sessions.
4. Where the load itself is at the end of its core, no level proves anything: the search ends, and the last level held
   is a lower bound, which is told.
"""

from collections.abc import Callable
from typing import Final

from ..bench import Bench, Case, Part, Rounds
from ..catalogue import Peer
from ..judging import CALM, disturbance
from ..load.jobs import EchoJob, Outcome
from ..messages import CHUNK_MS
from ..processes import Server
from .echo import AROUND_S, OPENING_S

FIRST: Final = 60
MOST: Final = 960
CLOSE: Final = 1 / 12
LEAST_STEP: Final = 5
LOAD_AT_ITS_END: Final = 0.95
WARM_S, WINDOW_S, GRACE_S = 0.8, 1.5, 0.5
LEVELS: Final = 6
"""About what a search takes, at a hundred sessions or so; see ``plan``."""
SEARCH: Final = "search"


class LoadAtItsEnd(Exception):
    """Rule 4."""


def search(holds: Callable[[int], bool], *, close: float = CLOSE) -> int:
    """The last level held, 0 for none; rule 3."""
    held, failed, level = 0, MOST + 1, FIRST
    while level < failed:
        if holds(level):
            held = level
        else:
            failed = level
        if failed > MOST:
            level = held * 2
        elif not held:
            level = failed // 2 if failed > LEAST_STEP else failed
        elif failed - held <= max(LEAST_STEP, held * close):
            break
        else:
            middle = (held + failed) / 2
            level = max(held + 1, round(middle / LEAST_STEP) * LEAST_STEP)
    return held


def plan(bench: Bench) -> list[Part]:
    each_s = AROUND_S + 120 * OPENING_S + WARM_S + WINDOW_S + GRACE_S
    return [Part(peers=bench.peers_in("capacity"), rounds=1, each_s=each_s * (5 if bench.quick else LEVELS))]


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


def _try(bench: Bench, rounds: Rounds, server: Server, case: Case, job: EchoJob) -> Outcome | None:
    """One level; rule 2. None when the peer was wrong."""
    outcome = None
    for _ in range(1 if bench.quick else 2):
        outcome = bench.apply(
            rounds, "capacity", server, case, job, within_s=60.0 + job.sessions, overload=True, tries=1
        )
        if outcome is None or not why_not_held(outcome, server.peer) or disturbance(outcome) <= CALM:
            break
    return outcome


def _one(bench: Bench, rounds: Rounds, server: Server, _part: Part) -> None:
    peer = server.peer
    wrong = False

    def holds(sessions: int) -> bool:
        nonlocal wrong
        case = Case(sessions=sessions, name=SEARCH)
        job = EchoJob(target=server.target, sessions=sessions, warm_s=WARM_S, window_s=window_s, grace_s=GRACE_S)
        outcome = _try(bench, rounds, server, case, job)
        if outcome is None:
            wrong = True
            return False
        numbers = outcome.numbers
        load = numbers.get("load_cpu_s", 0.0) / numbers.get("window_s", 1.0)
        if load > LOAD_AT_ITS_END:
            raise LoadAtItsEnd(f"{sessions} sessions: the load itself used {load:.0%} of a core")
        if why := why_not_held(outcome, peer):
            bench.progress.say(f"{peer.name} does not hold {sessions} sessions: {why}")
            return False
        best.append(sessions)
        share = numbers["server_cpu_s"] / numbers["window_s"] * 100
        per_frame_us = numbers["server_cpu_s"] / max(1.0, numbers["received"]) * 1e6
        rounds.add(peer, case, "server CPU", share, unit="% core")
        rounds.add(peer, case, "server CPU per frame", per_frame_us, unit="us")
        rounds.add(peer, case, "round trip p99", numbers["round_trip_p99_ms"], unit="ms")
        return True

    best: list[int] = []
    window_s = 0.7 if bench.quick else WINDOW_S
    try:
        held = search(holds, close=0.5 if bench.quick else CLOSE)
    except LoadAtItsEnd as exc:
        held = max(best, default=0)
        bench.skip("capacity", peer, f"{exc}; what it holds is at least {held}")
    if not wrong:
        rounds.add(peer, Case(), "sessions held", held, unit="sessions", better="higher")


def run(bench: Bench) -> None:
    bench.measure("capacity", plan(bench), lambda rounds, server, part: _one(bench, rounds, server, part))
