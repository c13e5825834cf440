"""One run of the suite: the servers it keeps, the loads it applies, and the values that come of them.

Rules
1. Repeats are interleaved: in each round every peer is measured once, in the same order (A B C A B C).
2. A server stays up for the whole run and idles while others are measured, except one that serves a single client
   (its program is started for as many as will come) and where a scenario asks for a fresh one.
3. What the machine spoiled or disturbed is measured again, a few times at most (``judging``), and counted.
4. Altered or lost messages make a result wrong: it is reported and not timed, and the run fails. Slowness (chunks still
   on their way, calls that took too long, an overloaded load) makes it missing, says so, and fails nothing.
5. What was measured before a run is cut short is kept.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Protocol, final

from attrs import define, field, frozen

from .catalogue import Peer
from .environment import ENVIRONMENTS, NotInstalled
from .judging import CALM, disturbance, is_spoiled, judge
from .load.jobs import Job, Outcome
from .processes import DidNotStart, Server, apply_load, serving
from .results import Better, Measurement, Noise, Results, Skipped, Wrong

TRIES = 3
"""How often a measurement that the machine disturbs is made."""
ONE_CLIENT_S = 8.0
"""What it takes more to start fifty servers of one client each, for one measurement."""
SPOILED_TRIES = 2
"""How many more there may be where the wall clock was set in one."""


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
@frozen(kw_only=True)
class Part:
    """A part of a scenario: every peer of it in every round, and what one such measurement takes, all in all."""

    peers: Sequence[Peer]
    rounds: int
    each_s: float
    case: Case = Case()

    @property
    def steps(self) -> int:
        return len(self.peers) * self.rounds

    @property
    def takes_s(self) -> float:
        started_anew = sum(peer.one_client for peer in self.peers) * self.rounds
        return self.steps * self.each_s + started_anew * ONE_CLIENT_S


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
    named: bool = False
    """Whether the peers were asked for by name."""
    spare_s: float = float("inf")
    """How long it may measure again what was disturbed; after that it only says that it was."""
    _kept: dict[str, Server] = field(factory=dict, init=False)
    _absent: set[str] = field(factory=set, init=False)
    _stack: ExitStack = field(factory=ExitStack, init=False)

    def __enter__(self) -> "Bench":
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def rounds(self, quick: int, full: int) -> int:
        return self.rounds_override or (quick if self.quick else full)

    @contextmanager
    def collecting(self, scenario: str) -> Iterator[Rounds]:
        rounds = Rounds(scenario, self.results)
        try:
            yield rounds
        finally:
            rounds.finish()  # rule 5

    def measure(
        self,
        scenario: str,
        parts: Sequence[Part],
        one: "Callable[[Rounds, Server, Part], None]",
        *,
        fresh: bool = False,
        clients: int | None = None,
        watched: str = "",
    ) -> None:
        """Go through the rounds of every part with ``one``, which makes and keeps a single measurement; rule 1.

        ``clients`` come at once, where a case does not name how many.
        """
        self.progress.scenario(scenario, sum(part.steps for part in parts))
        with self.collecting(scenario) as rounds:
            for part in parts:
                count = part.case.sessions or clients or 1
                for _ in range(part.rounds):
                    for peer in part.peers:
                        self.progress.step(f"{peer.name}, {part.case}".rstrip(", "))
                        if rounds.is_ruled_out(peer, part.case):
                            continue
                        with self.server(scenario, peer, clients=count, fresh=fresh, watched=watched) as server:
                            if server is not None:
                                one(rounds, server, part)

    def peers_in(self, scenario: str) -> list[Peer]:
        """Who is measured there: those that were named, as far as they can; else those that the catalogue says."""
        if self.named:
            return [peer for peer in self.peers if scenario not in peer.cannot]
        return [peer for peer in self.peers if peer.is_in(scenario)]

    def skip(self, scenario: str, peer: Peer, why: str) -> None:
        known = Skipped(scenario=scenario, peer=peer.name, why=why)
        if known in self.results.skipped:
            return
        self.results.skipped.append(known)
        self.progress.say(f"{peer.name}: not measured in {scenario}: {why}")

    def _interpreter(self, peer: Peer) -> str:
        if peer.interpreter == "here":
            return sys.executable
        return ENVIRONMENTS[peer.interpreter].python(make=not self.quick, say=self.progress.say)

    def _start(self, stack: ExitStack, scenario: str, peer: Peer, clients: int, watched: str = "") -> Server | None:
        if peer.name in self._absent:
            return None
        if missing := peer.missing():
            self._absent.add(peer.name)
            self.skip(scenario, peer, f"it needs {', '.join(missing)}")
            return None
        try:
            server = stack.enter_context(serving(peer, self._interpreter(peer), clients=clients, watched=watched))
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
    def server(
        self, scenario: str, peer: Peer, *, clients: int = 1, fresh: bool = False, watched: str = ""
    ) -> Iterator[Server | None]:
        """The peer's server, kept for the whole run where it may be; None when it cannot be measured."""
        if fresh or peer.one_client:
            with ExitStack() as stack:
                yield self._start(stack, scenario, peer, clients, watched)
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
        tries: int | None = None,
    ) -> Outcome | None:
        """Apply a load until nobody disturbed it, a few times at most; the calmest outcome counts.

        None when there is nothing that may be used: a peer that was wrong, or slow each time, is ruled out. With
        ``overload`` the scenario seeks the point where a server fails, and lost messages are such a point.
        """
        noise = self.results.noise.setdefault(scenario, Noise())
        calmest: Outcome | None = None
        slow = ""
        tries = tries or (1 if self.quick or self.spare_s <= 0 else TRIES)
        for attempt in range(tries + SPOILED_TRIES):
            noise.repeated += attempt > 0
            began = time.monotonic()
            outcome = apply_load(job, within_s=within_s)
            self.spare_s -= time.monotonic() - began if attempt else 0
            if is_spoiled(outcome):
                noise.spoiled += 1
                continue
            verdict = judge(outcome, overload=overload)
            if verdict.wrong:
                died = "" if server.is_running else f" (the server ended: {server.last_words()})"
                self.wrong(scenario, server.peer, case, verdict.wrong + died)
                rounds.rule_out(server.peer, case)
                return None
            if verdict.slow and not overload:
                slow = verdict.slow
            elif calmest is None or disturbance(outcome) < disturbance(calmest):
                calmest = outcome
            tries -= 1
            if not tries or disturbance(outcome) <= CALM:
                break
        if calmest is not None:
            noise.add(disturbance(calmest))
        elif slow:
            self.skip(scenario, server.peer, f"{case}: {slow}")
            rounds.rule_out(server.peer, case)
        else:
            self.skip(scenario, server.peer, f"{case}: the clock of this machine was set in each try of a round")
        return calmest
