"""Files of results, tables, promises, comparisons and the report, from figures that are made up."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from benchmarks import svg
from benchmarks.bench import Case, Rounds
from benchmarks.catalogue import PEERS, chosen
from benchmarks.compare import changes, comparison_table
from benchmarks.machine import machine_facts
from benchmarks.micro.timing import Figure
from benchmarks.report import write_report
from benchmarks.results import Better, Measurement, PeerFacts, Results, Skipped, Wrong, load, save
from benchmarks.scenarios import chosen as chosen_scenarios
from benchmarks.tables import all_tables, markdown, scenario_tables, trouble_tables
from benchmarks.targets import promise_table

OURS, PIPECAT, BARE = "ours-server", "pipecat-fastapi", "trio-websocket"


def measurement(
    peer: str,
    *values: float,
    scenario: str = "echo",
    metric: str = "server CPU per frame",
    sessions: int | None = 50,
    better: Better = "lower",
    unit: str = "us",
) -> Measurement:
    return Measurement(
        scenario=scenario,
        metric=metric,
        peer=peer,
        unit=unit,
        values=values,
        sessions=sessions,
        better=better,
    )


def results(*measurements: Measurement) -> Results:
    facts = {
        peer.name: PeerFacts(title=peer.title, ours=peer.ours, decodes=peer.decodes, paces=peer.paces, python="3.11.7")
        for peer in PEERS
        if peer.name in (OURS, PIPECAT, BARE)
    }
    return Results(
        started="2026-01-02 03:04 UTC",
        quick=True,
        machine={"cores": "2"},
        peers=facts,
        measurements=[*measurements],
    )


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    """Nothing is lost on the way through the file."""
    written = results(measurement(OURS, 1.5, 2.5))
    written.figures.append(Figure(group="serializers", name="protobuf encode audio", peer="ours", value=1.2))
    written.wrong.append(Wrong(scenario="echo", peer=BARE, what="short", sessions=1))
    written.skipped.append(Skipped(scenario="micro", peer="pipecat", why="absent"))
    save(written, tmp_path / "r.json")
    assert load(tmp_path / "r.json") == written


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 2}', '{"format": 1, "started": "x"}'])
def test_another_file_is_refused(tmp_path: Path, text: str) -> None:
    """What is not a file of results says so, with its name."""
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"other\.json is not a file of benchmark results"):
        load(path)


def test_a_missing_file(tmp_path: Path) -> None:
    """A file that is not there is named."""
    with pytest.raises(ValueError, match=r"nothing\.json cannot be read"):
        load(tmp_path / "nothing.json")


def test_the_machine_is_described_without_its_name() -> None:
    """Nothing in the facts names the host or a path."""
    import socket

    text = json.dumps(machine_facts())
    assert socket.gethostname() not in text.replace('"', " ").split()
    assert "/" not in text.replace("CPU / ", "")


def test_a_peer_that_was_wrong_once_has_no_figures() -> None:
    """It is left out of that case, whatever it measured before and after; others are not."""
    found = results()
    [ours, _, bare] = chosen([OURS, PIPECAT, BARE], quick=False)
    rounds = Rounds("echo", found)
    fifty, ten = Case(sessions=50), Case(sessions=10)
    for case in (fifty, ten):
        for peer in (ours, bare):
            rounds.add(peer, case, "server CPU per frame", 5.0, unit="us")
    rounds.rule_out(bare, fifty)
    rounds.add(bare, fifty, "server CPU per frame", 5.0, unit="us")
    rounds.finish()
    assert {(one.peer, one.sessions) for one in found.measurements} == {(OURS, 50), (OURS, 10), (BARE, 10)}


def test_tables_put_ratios_first() -> None:
    """The first figure of a row says how many times Pipecat's it is; a floor says that it does less."""
    [table] = scenario_tables(
        results(measurement(PIPECAT, 200, 100), measurement(OURS, 100, 50), measurement(BARE, 50, 25)), "echo"
    )
    assert table.title == "echo: 50 sessions"
    assert table.columns[:3] == ("peer", "does", "server CPU per frame / pipecat-fastapi")
    assert [row[:3] for row in table.rows] == [
        (OURS, "decodes paces", "0.50x"),
        (PIPECAT, "decodes paces", "1.00x"),
        (BARE, "bytes only", "0.25x"),
    ]
    assert table.ours == frozenset({0})


def test_the_bus_is_held_against_pipecats() -> None:
    """Where no peer is the usual baseline, the column of ratios is not empty."""
    found = results()
    found.measurements += [
        measurement(peer, *values, scenario="bus", metric="job round trips", sessions=None, better="higher")
        for peer, values in (("ours-bus", (40.0, 30.0)), ("pipecat-bus", (10.0, 10.0)))
    ]
    [table] = scenario_tables(found, "bus")
    assert table.columns[2] == "job round trips / pipecat-bus"
    assert [row[2] for row in table.rows] == ["3.50x", "1.00x"]


def test_micro_tables() -> None:
    """A ratio is ours over the baseline's."""
    found = results()
    found.figures += [
        Figure(group="g", name="f", peer="ours", value=1.0),
        Figure(group="g", name="f", peer="theirs", value=4.0, baseline=True),
    ]
    [table] = all_tables(found)
    assert table.rows == (("f", "0.25x", "1.00 us", "4.00 us"),)


def test_trouble_is_shown() -> None:
    """What was wrong or not measured has tables of its own."""
    found = results()
    found.wrong.append(Wrong(scenario="echo", peer=BARE, what="3 messages altered", sessions=50))
    found.skipped.append(Skipped(scenario="echo", peer=PIPECAT, why="not installed"))
    wrong, skipped = trouble_tables(found)
    assert wrong.rows == ((BARE, "echo 50 sessions", "3 messages altered"),)
    assert skipped.rows == ((PIPECAT, "echo", "not installed"),)


def test_promises() -> None:
    """A promise that the run can judge is kept or broken; one that it cannot is not mentioned."""
    table = promise_table(results(measurement(PIPECAT, 200), measurement(OURS, 120), measurement(BARE, 100)))
    assert table is not None
    assert [row[1:] for row in table.rows] == [
        ("at most 0.55x pipecat-fastapi", "0.60x", "NO"),
        ("at most 1.10x trio-websocket", "1.20x", "NO"),
    ]
    assert promise_table(results()) is None


def test_promise_of_a_serializer() -> None:
    """Encode and decode count together."""
    found = results()
    for name, ours, theirs in (("encode", 1.0, 5.0), ("decode", 2.0, 5.0)):
        found.figures += [
            Figure(group="telephony", name=f"twilio {name} audio", peer="ours", value=ours),
            Figure(group="telephony", name=f"twilio {name} audio", peer="pipecat", value=theirs, baseline=True),
        ]
    table = promise_table(found)
    assert table is not None
    assert table.rows == (("twilio: encode + decode", "at most 0.4x pipecat", "0.30x", "yes"),)


def test_comparison_is_against_the_floor_of_each_run() -> None:
    """On a machine that became half as fast, code that did not change is the same."""
    before = results(measurement(OURS, 100, 102), measurement(BARE, 50, 51))
    after = results(measurement(OURS, 200, 204), measurement(BARE, 100, 102))
    [ours, bare] = changes(before, after)
    assert (round(ours.factor, 3), ours.against_floor, ours.verdict) == (1, True, "same")
    assert (round(bare.factor, 3), bare.against_floor, bare.verdict) == (2, False, "worse")


def test_comparison_knows_which_way_is_better() -> None:
    """Fewer microseconds are better, fewer calls a second are worse, and noise is neither."""
    before = results(
        measurement(OURS, 100, 100),
        measurement(OURS, 100, 100, metric="calls per second", better="higher"),
        measurement(OURS, 80, 120, metric="noisy"),
    )
    after = results(
        measurement(OURS, 50, 50),
        measurement(OURS, 50, 50, metric="calls per second", better="higher"),
        measurement(OURS, 90, 100, metric="noisy"),
    )
    assert [change.verdict for change in changes(before, after)] == ["better", "worse", "same"]
    assert comparison_table(before, after).rows[0][3] == "0.50x (absolute)"


def test_what_only_one_run_has_is_not_compared() -> None:
    """A peer that is new has no change."""
    assert changes(results(measurement(OURS, 1)), results(measurement(PIPECAT, 1))) == []


def test_report(tmp_path: Path) -> None:
    """One Markdown file with every table, and plots that are well-formed and follow the theme."""
    found = results(
        *(measurement(peer, 100.0 * at) for at, peer in enumerate((OURS, PIPECAT, BARE), 1)),
        *(
            measurement(OURS, 0.5 * sessions, metric="server CPU", unit="% core", sessions=sessions)
            for sessions in (1, 50, 100)
        ),
    )
    written = write_report(found, tmp_path, "r")
    text = (tmp_path / "r.md").read_text()
    assert "| peer | does |" in text
    assert "**ours-server**" in text
    assert str(tmp_path) not in text
    plots = [path for path in written if path.suffix == ".svg"]
    assert {path.name for path in plots} == {"r-echo.svg", "r-growth-cpu.svg"}
    for path in plots:
        assert path.name in text
        ET.fromstring(path.read_text())
        assert "prefers-color-scheme: dark" in path.read_text()


def test_markdown_escapes() -> None:
    """A bar in a cell does not end it."""
    [table] = trouble_tables(
        Results(started="", quick=True, machine={}, skipped=[Skipped(scenario="a|b", peer="p", why="w")])
    )
    assert "a\\|b" in markdown(table)


@pytest.mark.parametrize(("highest", "last"), [(0, 1), (1, 1), (7, 8), (100, 100), (101, 125), (0.03, 0.03)])
def test_ticks(highest: float, last: float) -> None:
    """Round numbers, from 0 to at least the highest value, few of them."""
    found = svg.ticks(highest)
    assert found[0] == 0
    assert found[-1] == pytest.approx(last)
    assert len(found) <= 7


def test_unknown_names() -> None:
    """A name that is not known is refused with those that are."""
    with pytest.raises(ValueError, match=r"no such peer: nobody; there are ours-server, "):
        chosen(["nobody"], quick=True)
    with pytest.raises(ValueError, match="no such scenario: nothing; there are echo, pacing, "):
        chosen_scenarios(["nothing"])


def test_choosing_peers() -> None:
    """All by default, a few for a quick run, and all when asked."""
    assert len(chosen(None, quick=False)) == len(chosen(["all"], quick=True)) == len(PEERS)
    quick = {peer.name for peer in chosen(None, quick=True)}
    assert {OURS, PIPECAT, BARE} <= quick
    assert len(quick) < len(PEERS)


def test_every_peer_has_its_program() -> None:
    """Each program is a file, and short."""
    for peer in PEERS:
        path = Path("benchmarks") / "peers" / f"{peer.program}.py"
        assert path.exists(), path
        assert len(path.read_text().splitlines()) < 100
