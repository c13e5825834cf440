"""The plan of a run: short enough, told, followed, and what was measured is kept when a run is cut short."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import catalogue, cli, scenarios
from benchmarks.bench import Bench, Part
from benchmarks.environment import ENVIRONMENTS, REQUIREMENTS
from benchmarks.processes import LoadFailed
from benchmarks.results import Results, load
from benchmarks.scenarios import Scenario
from benchmarks.tables import trouble_tables
from benchmarks.terminal import EVERY_S, Terminal

HALF_AN_HOUR_S = 30 * 60


class Clock:
    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


def made_bench(*, quick: bool = False, peers: list[str] | None = None) -> Bench:
    return Bench(
        peers=catalogue.chosen(peers, quick=quick),
        named=peers is not None,
        quick=quick,
        results=Results(started="", quick=quick, machine={}),
        progress=Terminal(Console(file=StringIO())),
    )


def test_a_full_run_fits_into_half_an_hour() -> None:
    """With a sixth of it to spare, for what has to be measured again."""
    bench = made_bench()
    planned_s = sum(one.takes_s(bench) for one in scenarios.SCENARIOS) + cli.STARTING_S * len(bench.peers)
    assert planned_s < HALF_AN_HOUR_S * 5 / 6


def test_a_quick_run_fits_into_seven_minutes() -> None:
    bench = made_bench(quick=True)
    assert sum(one.takes_s(bench) for one in scenarios.SCENARIOS) + cli.STARTING_S * len(bench.peers) <= 7 * 60


def test_every_promise_has_a_scenario_and_peers_that_are_measured_there() -> None:
    """A full run can judge each of them."""
    from benchmarks.targets import PROMISES

    bench = made_bench()
    plans = {one.name: one.plan(bench) for one in scenarios.SCENARIOS}
    for promise in PROMISES:
        wanted = {promise.peer, promise.base} - {None}
        assert any(
            wanted <= {peer.name for peer in part.peers} and promise.sessions in (None, part.case.sessions)
            for part in plans[promise.scenario]
        ), promise.what


@pytest.mark.parametrize("quick", [True, False])
def test_what_observing_costs_is_asked_beside_who_is_not_observed(quick: bool) -> None:
    """The three of them one after the other, in each round of the same case, and in no other."""
    three = {"ours-direct", "ours-untapped", "ours-observed"}
    random, together = scenarios.chosen(["echo"])[0].plan(made_bench(quick=quick))
    names = [peer.name for peer in random.peers]
    first = min(map(names.index, three))
    assert set(names[first : first + 3]) == three
    assert {peer.name for peer in together.peers} & three == {"ours-direct"}


def test_who_is_named_is_measured_as_far_as_it_can_be() -> None:
    """FastRTC has no word for playing; a peer that is not measured somewhere by default is if it is named."""
    named = made_bench(peers=["fastrtc", "hypercorn"])
    assert [peer.name for peer in named.peers_in("memory")] == ["fastrtc", "hypercorn"]
    assert [peer.name for peer in named.peers_in("pacing")] == ["hypercorn"]
    assert "hypercorn" not in [peer.name for peer in made_bench().peers_in("memory")]


def test_what_was_measured_is_kept_whatever_ends_a_run(tmp_path: Path) -> None:
    """The file is written after each scenario, and says which were not gone through."""
    out = tmp_path / "r.json"
    seen: list[list[str]] = []

    def fine(bench: Bench) -> None:
        bench.results.machine["measured"] = "yes"

    def cut(_bench: Bench) -> None:
        seen.append(load(out).scenarios)
        raise KeyboardInterrupt

    def plan(_bench: Bench) -> list[Part]:
        return []

    chosen = [Scenario(name, "", run, plan) for name, run in (("one", fine), ("two", cut), ("three", fine))]
    with pytest.raises(KeyboardInterrupt):
        cli.go_through(made_bench(), chosen, out)
    assert seen == [["one"]]
    kept = load(out)
    assert (kept.scenarios, kept.unfinished) == (["one"], ["two", "three"])
    assert kept.machine["measured"] == "yes"
    assert [row[1] for row in trouble_tables(kept)[0].rows] == ["two", "three"]
    assert [path.name for path in tmp_path.iterdir()] == ["r.json"]


def test_a_scenario_that_breaks_costs_no_other(tmp_path: Path) -> None:
    """It is wrong, and not gone through; those after it are."""

    def breaks(_bench: Bench) -> None:
        raise LoadFailed("EchoJob: no memory")

    def fine(bench: Bench) -> None:
        bench.results.machine["measured"] = "yes"

    chosen = [Scenario(name, "", run, lambda _bench: []) for name, run in (("one", breaks), ("two", fine))]
    cli.go_through(made_bench(), chosen, tmp_path / "r.json")
    kept = load(tmp_path / "r.json")
    assert (kept.scenarios, kept.unfinished) == (["two"], ["one"])
    assert [(one.scenario, one.what) for one in kept.wrong] == [("one", "it broke off: LoadFailed")]


def test_values_of_a_scenario_that_was_cut_short_are_kept() -> None:
    """Those of its rounds that were measured."""
    bench = made_bench(peers=["ours-server"])
    [part] = scenarios.chosen(["churn"])[0].plan(bench)

    def cut_short() -> None:
        with bench.collecting("churn") as rounds:
            rounds.add(bench.peers[0], part.case, "calls per second", 5.0, unit="1/s")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut_short()
    assert [one.values for one in bench.results.measurements] == [(5.0,)]


def test_progress_where_there_is_no_terminal() -> None:
    """A line at the start of a scenario, and at the first step after every ten seconds, with the time and the plan."""
    text, clock = StringIO(), Clock()
    terminal = Terminal(Console(file=text, width=150), now=clock)
    terminal.planned_s = 1500
    with terminal:
        terminal.scenario("echo", 100)
        for _ in range(40):
            clock.s += EVERY_S / 4 + 0.01
            terminal.step("ours-server")
    lines = text.getvalue().splitlines()
    assert lines[0] == "0:00 of about 25:00  echo, 100 steps"
    assert lines[1] == "0:10 of about 25:00  echo 4/100: ours-server"
    assert len(lines) == 11


def test_the_plan_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """``plan`` measures nothing and names every scenario."""
    assert cli.main(["plan"]) == 0
    told = capsys.readouterr().out
    assert all(one.name in told for one in scenarios.SCENARIOS)


def test_foreign_packages_are_named_at_exact_versions() -> None:
    """What is measured today is what a newcomer measures."""
    for environment in ENVIRONMENTS.values():
        assert all("==" in requirement for requirement in environment.requirements)
    assert set(REQUIREMENTS) == set(ENVIRONMENTS["pipecat"].requirements)
    used = {peer.interpreter for peer in catalogue.PEERS} - {"here"}
    assert used == set(ENVIRONMENTS)
