"""One run of the suite: the servers it keeps, the loads it applies, and the judgement on what came back.

Rules
1. Repeats are interleaved: in each round every peer is measured once, in the same order (A B C A B C).
2. A server stays up for the whole run and idles while others are measured, except one that serves a single client
   (its program is started for as many as will come) and where a scenario asks for a fresh one.
3. A measurement during which the server had to wait for a core is repeated, a few times at most: what the neighbours of
   this machine do is not the peer's doing. How long it waited stands beside the figures.
4. Altered or lost messages make a result wrong: it is reported and not timed, and the run fails. Slowness (chunks still
   on their way, calls that took too long, an overloaded load) makes it missing, says so, and fails nothing.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Protocol, final

from attrs import define, field, frozen

from .catalogue import Peer
from .environment import NotInstalled, pipecat_python
from .load.jobs import Job, Outcome
from .processes import DidNotStart, Server, apply_load, serving
from .results import Better, Measurement, Results, Skipped, Wrong

LOAD_LIMIT = 0.85
"""The share of a core above which the load itself is no longer believed."""
HOLE_MS = 40.0
"""A chunk that was sent so late left a gap of sixty milliseconds: a transport may take that for a hole."""
NO_CORE_S = 0.3
"""A server that waited for a core for so long may have stood still for longer than a burst can make up for."""
CALM = 0.03
"""A server that had to wait for a core for more than this share of the window was disturbed by somebody else."""


class Progress(Protocol):
    """Where a run tells how far it is."""

    def scenario(self, name: str, steps: int) -> None: ...

    def step(self, what: str) -> None: ...

    def say(self, what: str) -> None: ...


@final
@frozen(kw_only=True)
class Case:
    """What is varied inside a scenario."""

    sessions: int | None = None
    name: str = ""

    def __str__(self) -> str:
        words = [] if self.sessions is None else [f"{self.sessions} sessions"]
        return ", ".join(words + ([self.name] if self.name else []))


@final
@define(eq=False)
class Rounds:
    """The values of one scenario, collected round by round; a peer that was wrong once in a case has none there."""

    _scenario: str
    _results: Results
    _values: dict[tuple[str, str, Case], list[float]] = field(factory=dict, init=False)
    _how: dict[str, tuple[str, Better]] = field(factory=dict, init=False)
    _ruled_out: set[tuple[str, Case]] = field(factory=set, init=False)

    def add(self, peer: Peer, case: Case, metric: str, value: float, *, unit: str, better: Better = "lower") -> None:
        self._how[metric] = (unit, better)
        self._values.setdefault((peer.name, metric, case), []).append(value)

    def rule_out(self, peer: Peer, case: Case) -> None:
        self._ruled_out.add((peer.name, case))

    def is_ruled_out(self, peer: Peer, case: Case) -> bool:
        return (peer.name, case) in self._ruled_out

    def values(self, peer: Peer, case: Case, metric: str) -> Sequence[float]:
        return self._values.get((peer.name, metric, case), ())

    def finish(self) -> None:
        for (peer, metric, case), values in self._values.items():
            if (peer, case) in self._ruled_out:
                continue
            unit, better = self._how[metric]
            self._results.measurements.append(
                Measurement(
                    scenario=self._scenario,
                    metric=metric,
                    peer=peer,
                    unit=unit,
                    values=tuple(values),
                    better=better,
                    sessions=case.sessions,
                    case=case.name,
                )
            )


@final
@define(eq=False)
class Bench:
    """What a scenario works with."""

    peers: Sequence[Peer]
    quick: bool
    results: Results
    progress: Progress
    rounds_override: int | None = None
    _kept: dict[str, Server] = field(factory=dict, init=False)
    _absent: set[str] = field(factory=set, init=False)
    _stack: ExitStack = field(factory=ExitStack, init=False)

    def __enter__(self) -> "Bench":
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def rounds(self, quick: int, full: int) -> range:
        return range(self.rounds_override or (quick if self.quick else full))

    @contextmanager
    def collecting(self, scenario: str) -> Iterator[Rounds]:
        rounds = Rounds(scenario, self.results)
        yield rounds
        rounds.finish()

    def skip(self, scenario: str, peer: Peer, why: str) -> None:
        known = Skipped(scenario=scenario, peer=peer.name, why=why)
        if known in self.results.skipped:
            return
        self.results.skipped.append(known)
        self.progress.say(f"{peer.name}: not measured in {scenario}: {why}")

    def _interpreter(self, peer: Peer) -> str:
        if peer.interpreter == "pipecat":
            return pipecat_python(make=not self.quick, say=self.progress.say)
        return sys.executable

    def _start(self, stack: ExitStack, scenario: str, peer: Peer, clients: int) -> Server | None:
        if peer.name in self._absent:
            return None
        if missing := peer.missing():
            self._absent.add(peer.name)
            self.skip(scenario, peer, f"it needs {', '.join(missing)}")
            return None
        try:
            server = stack.enter_context(serving(peer, self._interpreter(peer), clients=clients))
        except NotInstalled as exc:
            self._absent.add(peer.name)
            self.skip(scenario, peer, str(exc))
            return None
        except DidNotStart as exc:
            self._absent.add(peer.name)
            if str(exc).startswith("ModuleNotFoundError") and not peer.ours:
                self.skip(scenario, peer, str(exc))
            else:
                self.wrong(scenario, peer, Case(), f"its program did not start: {exc}")
            return None
        self.results.peers[peer.name] = peer.facts(server.python, server.versions)
        return server

    @contextmanager
    def server(self, scenario: str, peer: Peer, *, clients: int = 1, fresh: bool = False) -> Iterator[Server | None]:
        """The peer's server, kept for the whole run where it may be; None when it cannot be measured."""
        if fresh or peer.one_client:
            with ExitStack() as stack:
                yield self._start(stack, scenario, peer, clients)
            return
        kept = self._kept.get(peer.name)
        if kept is None or not kept.is_running:
            if kept is not None:
                self.progress.say(f"{peer.name} had ended ({kept.last_words()}); it is started again")
            kept = self._start(self._stack, scenario, peer, clients)
            if kept is not None:
                self._kept[peer.name] = kept
        yield kept

    def wrong(self, scenario: str, peer: Peer, case: Case, what: str) -> None:
        known = Wrong(scenario=scenario, peer=peer.name, what=what, sessions=case.sessions)
        if known not in self.results.wrong:
            self.results.wrong.append(known)
            self.progress.say(f"WRONG: {peer.name} in {scenario} {case}: {what}")

    def apply(
        self,
        rounds: Rounds,
        scenario: str,
        server: Server,
        case: Case,
        job: Job,
        *,
        within_s: float,
        overload: bool = False,
    ) -> Outcome | None:
        """Apply a load and judge it; None when its numbers must not be used.

        With ``overload`` the scenario seeks the point where a server fails, and lost messages are such a point.
        """
        outcome = apply_load(job, within_s=within_s)
        verdict = judge(outcome, overload=overload)
        if verdict.wrong:
            died = "" if server.is_running else f" (the server ended: {server.last_words()})"
            self.wrong(scenario, server.peer, case, verdict.wrong + died)
        elif verdict.slow and not overload:
            self.skip(scenario, server.peer, f"{case}: {verdict.slow}")
        if verdict.wrong or (verdict.slow and not overload):
            rounds.rule_out(server.peer, case)
            return None
        return outcome

    def apply_calmly(
        self,
        rounds: Rounds,
        scenario: str,
        server: Server,
        case: Case,
        job: Job,
        *,
        within_s: float,
        overload: bool = False,
    ) -> Outcome | None:
        """Apply a load until nobody else took the server's core, a few times at most; the calmest outcome counts."""
        calmest: Outcome | None = None
        for _ in range(1 if self.quick else 3):
            outcome = self.apply(rounds, scenario, server, case, job, within_s=within_s, overload=overload)
            if outcome is None or disturbance(outcome) <= CALM:
                return outcome
            if calmest is None or disturbance(outcome) < disturbance(calmest):
                calmest = outcome
        return calmest


def disturbance(outcome: Outcome) -> float:
    """The share of the window in which the server was ready to run and had no core."""
    window_s = outcome.numbers.get("window_s", 0.0)
    return outcome.numbers.get("server_waited_s", 0.0) / window_s if window_s else 0.0


def stood_still(outcome: Outcome) -> bool:
    """Whether the load was late enough for a hole, before anything was missing, or the server had no core."""
    numbers = outcome.numbers
    return numbers.get("load_late_before_loss_ms", 0.0) >= HOLE_MS or numbers.get("server_waited_s", 0.0) >= NO_CORE_S


@final
@frozen(kw_only=True)
class Verdict:
    wrong: str = ""
    slow: str = ""


def judge(outcome: Outcome, *, overload: bool) -> Verdict:
    """Whether an outcome may be timed."""
    if outcome.failure:
        return Verdict(slow=outcome.failure) if outcome.slow or overload else Verdict(wrong=outcome.failure)
    examples = "; ".join(outcome.examples)
    shortened = outcome.numbers.get("shortened", 0)
    if shortened and stood_still(outcome):
        # There was a hole in what was sent, or the server had no core for longer than a burst can take back. Then a
        # transport may leave audio out, and from there on nobody can tell what is right: it is not timed.
        return Verdict(slow=f"{shortened:.0f} messages were shortened after a standstill: {examples}")
    if outcome.altered:
        return Verdict(wrong=f"{outcome.altered} messages altered: {examples}")
    if outcome.lost and not overload:
        return Verdict(wrong=f"{outcome.lost} messages lost: {examples}")
    numbers = outcome.numbers
    if numbers.get("slow_calls"):
        return Verdict(slow=f"{numbers['slow_calls']:.0f} calls took too long: {examples}")
    if numbers.get("behind"):
        return Verdict(slow=f"{numbers['behind']:.0f} chunks were still on their way when time was up")
    window_s = numbers.get("window_s", 0.0)
    if window_s and numbers["load_cpu_s"] > LOAD_LIMIT * window_s:
        return Verdict(slow=f"the load itself used {numbers['load_cpu_s'] / window_s:.0%} of a core")
    return Verdict()
