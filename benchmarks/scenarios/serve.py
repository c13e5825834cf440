"""``trio-transports serve`` with one worker and with two: what a second core gives.

Each peer here is the command itself. The load shares the machine: on two cores, what it takes two workers do not have,
so its own CPU stands beside the figures. Two workers and the load wait for each other's cores, which is
no disturbance here and nothing to repeat for.
"""

from ..bench import Bench, Case, Part, Rounds
from ..catalogue import Peer
from ..judging import disturbance
from ..load.jobs import EchoJob
from ..processes import Server
from .churn import CASE as CALLS
from .churn import WARM_S, measure, window_s
from .echo import AROUND_S, OPENING_S
from .echo import WARM_S as ECHO_WARM_S

SESSIONS = 80
ECHO = Case(sessions=SESSIONS)
PEERS = tuple(
    Peer(
        name=f"serve-{workers}",
        title=f"trio-transports serve --workers {workers}",
        program="served",
        decodes=True,
        paces=True,
        ours=True,
        needs=("google.protobuf", "fastapi"),
        arguments=(str(workers),),
    )
    for workers in (1, 2)
)


def plan(bench: Bench) -> list[Part]:
    rounds, around_s = bench.rounds(1, 3), AROUND_S + ECHO_WARM_S + SESSIONS * OPENING_S
    return [
        Part(case=CALLS, peers=PEERS, rounds=rounds, each_s=0.6 + WARM_S + window_s(bench)),
        Part(case=ECHO, peers=PEERS, rounds=rounds, each_s=around_s + window_s(bench)),
    ]


def run(bench: Bench) -> None:
    def one(rounds: Rounds, server: Server, part: Part) -> None:
        if part.case == CALLS:
            measure(bench, "serve", rounds, server, CALLS, tries=1)
            return
        job = EchoJob(target=server.target, sessions=SESSIONS, warm_s=ECHO_WARM_S, window_s=window_s(bench))
        outcome = bench.apply(rounds, "serve", server, ECHO, job, within_s=60 + SESSIONS, tries=1)
        if outcome is None:
            return
        numbers, peer = outcome.numbers, server.peer
        busiest = numbers["busiest_cpu_s"] / numbers["window_s"] * 100
        rounds.add(peer, ECHO, "busiest worker's CPU", busiest, unit="% core")
        rounds.add(peer, ECHO, "CPU of all workers", numbers["server_cpu_s"] / numbers["window_s"] * 100, unit="% core")
        rounds.add(peer, ECHO, "round trip p99", numbers["round_trip_p99_ms"], unit="ms")
        waited = disturbance(outcome) * 100
        rounds.add(peer, ECHO, "waited for a core", waited, unit="% of time", better="neither")

    bench.measure("serve", plan(bench), one)
