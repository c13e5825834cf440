"""The paced echo, at chosen numbers of sessions: what a frame costs, how long it takes, and how both grow."""

from ..bench import Bench, Case, Part, Rounds
from ..judging import disturbance
from ..load.jobs import EchoJob, Outcome
from ..processes import Server

TOGETHER = "all at one moment"
SESSIONS = 50
OBSERVING = frozenset({"ours-untapped", "ours-observed"})
"""Beside ours-direct, which nobody observes: asked once, where chunks arrive at random."""
GROWTH = (1, 100, 200)
"""Besides the fifty of the echo."""
KEEPING_UP = 0.97
FALLING_BEHIND = 0.85
"""A rival that comes so near to the rate is told, with CPU per frame sent: a lower bound of what it would take."""
UNDER_WAY = 4
"""Chunks of one session that may be under way at the end of a window without the server being behind."""
WARM_S = 1.3
"""Before the window: a transport that follows a live source's jitter has found it by then."""
GRACE_S = 3.0
AROUND_S = 0.8
OPENING_S = 0.008
"""What the load's own start and end take, and opening and closing one session; see ``plan_echo``."""


def window_s(bench: Bench) -> float:
    return 0.8 if bench.quick else 2.2


def takes_s(bench: Bench, sessions: int) -> float:
    return AROUND_S + sessions * OPENING_S + WARM_S + window_s(bench)


def plan_echo(bench: Bench) -> list[Part]:
    peers = bench.peers_in("echo")
    compared = [peer for peer in peers if peer.quick and peer.name not in OBSERVING]
    each_s = takes_s(bench, SESSIONS)
    return [
        Part(case=Case(sessions=SESSIONS), peers=peers, rounds=bench.rounds(2, 3), each_s=each_s),
        Part(
            case=Case(sessions=SESSIONS, name=TOGETHER),
            peers=peers if bench.named else compared,
            rounds=bench.rounds(1, 3),
            each_s=each_s,
        ),
    ]


def plan_growth(bench: Bench) -> list[Part]:
    peers = bench.peers_in("growth")
    levels = GROWTH[:1] if bench.quick else GROWTH
    return [
        Part(case=Case(sessions=n), peers=peers, rounds=bench.rounds(1, 1), each_s=takes_s(bench, n)) for n in levels
    ]


def run_echo(bench: Bench) -> None:
    def one(rounds: Rounds, server: Server, part: Part) -> None:
        _one(bench, "echo", rounds, server, part)

    bench.measure("echo", plan_echo(bench), one)


def run_growth(bench: Bench) -> None:
    behind: set[str] = set()

    def one(rounds: Rounds, server: Server, part: Part) -> None:
        if server.peer.name in behind:
            bench.skip("growth", server.peer, f"{part.case}: it did not keep up with fewer")
        elif not _one(bench, "growth", rounds, server, part):
            behind.add(server.peer.name)

    bench.measure("growth", plan_growth(bench), one)


def _one(bench: Bench, scenario: str, rounds: Rounds, server: Server, part: Part) -> bool:
    """Measure and keep one window; False when the server did not keep up."""
    sessions = part.case.sessions or 1
    job = EchoJob(
        target=server.target,
        sessions=sessions,
        warm_s=WARM_S,
        window_s=window_s(bench),
        arrivals="together" if part.case.name else "random",
        grace_s=GRACE_S,
    )
    outcome = bench.apply(rounds, scenario, server, part.case, job, within_s=60 + sessions)
    return outcome is not None and _record(bench, scenario, rounds, server, part.case, outcome)


def _record(bench: Bench, scenario: str, rounds: Rounds, server: Server, case: Case, outcome: Outcome) -> bool:
    numbers, peer = outcome.numbers, server.peer
    missing = numbers["sent"] - numbers["received"]
    came, frames = numbers["received"] / numbers["sent"], max(1.0, numbers["received"])
    if missing > max((1 - KEEPING_UP) * numbers["sent"], UNDER_WAY * (case.sessions or 1)):
        # What a server spends on a frame that it has not finished cannot be told from what it spends on the others.
        if peer.ours or came < FALLING_BEHIND:
            bench.skip(scenario, peer, f"{case}: only {came:.0%} of the rate came back")
            return False
        bench.skip(scenario, peer, f"{case}: {came:.0%} of the rate came back; its CPU is told as if all had")
        frames = numbers["sent"]
    rounds.add(peer, case, "server CPU per frame", numbers["server_cpu_s"] / frames * 1e6, unit="us")
    rounds.add(peer, case, "server CPU", numbers["server_cpu_s"] / numbers["window_s"] * 100, unit="% core")
    rounds.add(peer, case, "round trip p50", numbers["round_trip_p50_ms"], unit="ms")
    rounds.add(peer, case, "round trip p99", numbers["round_trip_p99_ms"], unit="ms")
    load = numbers["load_cpu_s"] / numbers["window_s"] * 100
    rounds.add(peer, case, "load CPU", load, unit="% core", better="neither")
    waited = disturbance(outcome) * 100
    rounds.add(peer, case, "waited for a core", waited, unit="% of time", better="neither")
    rounds.add(peer, case, "silent chunks", numbers["silent_chunks"], unit="chunks", better="neither")
    return True
