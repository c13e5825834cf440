"""What the machine does to a measurement: told, repeated, and never timed where the clock was set."""

from collections.abc import Iterator
from itertools import chain, repeat

import pytest

from benchmarks import bench as bench_module
from benchmarks.bench import Bench, Case, Rounds
from benchmarks.catalogue import Peer
from benchmarks.judging import CALM, is_spoiled
from benchmarks.load.clocks import wall_clock_offset_ns
from benchmarks.load.jobs import EchoJob, Outcome, Target
from benchmarks.processes import Server
from benchmarks.results import Results
from benchmarks.tables import noise_table

PEER = Peer(name="made-up", title="made up", program="none")
JOB = EchoJob(target=Target(ports=(1,), pid=1), sessions=1, warm_s=0, window_s=1)
CASE = Case(sessions=1)


class Quiet:
    def scenario(self, name: str, steps: int) -> None: ...

    def step(self, what: str) -> None: ...

    def say(self, what: str) -> None: ...


class FakeServer:
    peer = PEER
    is_running = True


def outcome(waited_s: float = 0.0, *, moved_s: float = 0.0, **numbers: float) -> Outcome:
    usual = {"window_s": 1.0, "load_cpu_s": 0.1, "server_waited_s": waited_s, "clock_moved_s": moved_s}
    return Outcome(numbers=usual | numbers)


class Applied:
    """A bench whose load gives these outcomes, one after another, the last one for ever."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *outcomes: Outcome, quick: bool = False) -> None:
        self.results = Results(started="", quick=quick, machine={})
        self.bench = Bench(peers=[PEER], quick=quick, results=self.results, progress=Quiet())
        self.rounds = Rounds("echo", self.results)
        self.left: Iterator[Outcome] = chain(outcomes, repeat(outcomes[-1]))
        self.applied = 0

        def apply_load(_job: object, *, within_s: float) -> Outcome:
            self.applied += 1
            return next(self.left)

        monkeypatch.setattr(bench_module, "apply_load", apply_load)

    def apply(self) -> Outcome | None:
        server: Server = FakeServer()  # type: ignore[assignment]  # what is asked of it
        return self.bench.apply(self.rounds, "echo", server, CASE, JOB, within_s=1)


def test_a_calm_measurement_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is repeated that nobody disturbed."""
    run = Applied(monkeypatch, outcome(CALM / 2))
    assert run.apply() is not None
    assert run.applied == 1
    assert (run.results.noise["echo"].measured, run.results.noise["echo"].repeated) == (1, 0)


def test_a_disturbed_one_is_repeated_and_the_calmest_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few times at most; that it was disturbed all the same is counted."""
    run = Applied(monkeypatch, outcome(0.3), outcome(0.1, received=7), outcome(0.2))
    kept = run.apply()
    assert kept is not None
    assert kept.numbers["received"] == 7
    assert run.applied == 3
    noise = run.results.noise["echo"]
    assert (noise.measured, noise.repeated, noise.disturbed, noise.waited_most) == (1, 2, 1, 0.1)


def test_a_run_without_time_to_spare_only_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """A noisy machine does not make a run last for ever."""
    run = Applied(monkeypatch, outcome(0.3))
    run.bench.spare_s = 0
    assert run.apply() is not None
    assert run.applied == 1
    assert run.results.noise["echo"].disturbed == 1


@pytest.mark.parametrize("moved_s", [0.015, -2.0])
@pytest.mark.parametrize("quick", [False, True])
def test_a_step_of_the_clock_spoils_a_round_and_no_figure(
    monkeypatch: pytest.MonkeyPatch, moved_s: float, *, quick: bool
) -> None:
    """Twice: each time the next try counts, forward and back."""
    run = Applied(
        monkeypatch,
        outcome(moved_s=moved_s, round=1),
        outcome(round=2),
        outcome(moved_s=moved_s, round=3),
        outcome(round=4),
        quick=quick,
    )
    assert [kept.numbers["round"] if (kept := run.apply()) else None for _ in range(2)] == [2, 4]
    assert run.results.noise["echo"].spoiled == 2


def test_a_clock_that_is_set_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said, nothing is timed, and the peer is measured again in the next round."""
    run = Applied(monkeypatch, outcome(moved_s=1.0))
    assert run.apply() is None
    [skipped] = run.results.skipped
    assert "the clock of this machine was set" in skipped.why
    assert not run.rounds.is_ruled_out(PEER, CASE)


def test_slow_and_disturbed_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks that were late on a busy machine rule nobody out, if the next try has them all."""
    run = Applied(monkeypatch, outcome(0.5, behind=3), outcome(0.0))
    assert run.apply() is not None
    assert not run.rounds.is_ruled_out(PEER, CASE)
    still = Applied(monkeypatch, outcome(0.0, behind=3))
    assert still.apply() is None
    assert still.applied == 1
    assert still.rounds.is_ruled_out(PEER, CASE)


def test_the_offset_of_the_clocks() -> None:
    """Of several readings the one counts that nothing came between; a clock that was set is seen."""
    monotonic = iter([0, 10, *(moment for at in range(100, 900, 100) for moment in (at, at + 90))])
    wall = iter([1005, *range(5000, 13000, 1000)])
    assert wall_clock_offset_ns(lambda: next(monotonic), lambda: next(wall)) == 1000
    here_ns = wall_clock_offset_ns()
    assert abs(wall_clock_offset_ns() - here_ns) < 100_000_000
    assert is_spoiled(outcome(moved_s=0.001))
    assert not is_spoiled(outcome(moved_s=0.0001))


def test_the_table_of_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row for each scenario, and none where nothing was applied."""
    run = Applied(monkeypatch, outcome(0.3), outcome(0.0))
    assert noise_table(run.results) is None
    run.apply()
    table = noise_table(run.results)
    assert table is not None
    assert table.rows == (("echo", "1", "1", "0", "0", "0.0%"),)
