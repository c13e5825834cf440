"""The README's figures: rows of the report, put where the README has its markers and nowhere else."""

from pathlib import Path

import pytest

from benchmarks import cli
from benchmarks.report import figures_block, write_figures, write_report
from benchmarks.results import Measurement, Results, save
from benchmarks.targets import FIGURES, PROMISES, promise_table


def measured() -> Results:
    results = Results(started="", quick=False, machine={}, scenarios=["memory", "churn"])
    results.measurements += [
        Measurement(scenario="memory", metric="idle session", peer=peer, unit="KiB", values=(value,))
        for peer, value in (("ours-direct", 10.0), ("ours-server", 30.0), ("pipecat-fastapi", 100.0))
    ]
    return results


def test_the_figures_are_promises() -> None:
    """Five that there are."""
    assert len(FIGURES) == 5
    assert set(FIGURES) <= {promise.what for promise in PROMISES}


def test_every_row_that_was_to_be_measured_is_judged() -> None:
    """What a full run did not measure is not held, and says why; what it did not go through has no row."""
    results = measured()
    table = promise_table(results)
    assert table is not None
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["memory per idle session: ours-direct"] == ("at most 0.15x pipecat-fastapi", "0.10x", "yes")
    assert rows["memory per idle session: ours-server"][1:] == ("0.30x", "NO")
    assert rows["memory per idle session: ours-asgi"][1:] == ("not measured", "NO")
    assert {row[0].partition(":")[0] for row in table.rows} == {
        "memory per idle session",
        "connect, first frame, close",
    }


def test_they_are_written_between_the_markers(tmp_path: Path) -> None:
    """Twice, the second time over the first; they are rows of the report; a README without markers stays as it is."""
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- figures: old.json -->\n| old |\n<!-- /figures -->\nafter\n")
    block = figures_block(measured(), "full.json")
    for _ in range(2):
        assert write_figures(readme, block)
    assert readme.read_text() == f"before\n{block}\nafter\n"
    report = write_report(measured(), tmp_path)[0].read_text().splitlines()
    assert [line for line in block.splitlines() if line not in report] == [
        "<!-- figures: full.json -->",
        "<!-- /figures -->",
    ]
    assert not write_figures(readme, "")
    readme.write_text("nothing")
    assert not write_figures(readme, block)
    assert readme.read_text() == "nothing"
    assert not write_figures(tmp_path / "none.md", block)


def test_only_kept_results_reach_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report of a run that lies elsewhere, or goes elsewhere, prints its figures and leaves the README alone."""
    kept, readme = tmp_path / "results", tmp_path / "README.md"
    monkeypatch.setattr(cli, "RESULTS", kept)
    monkeypatch.setattr(cli, "README", readme)
    empty = "<!-- figures: none -->\n<!-- /figures -->\n"
    for path, to, is_written in (
        (tmp_path / "r.json", kept, False),
        (kept / "local-1.json", kept, False),
        (kept / "full.json", tmp_path / "elsewhere", False),
        (kept / "full.json", kept, True),
    ):
        readme.write_text(empty)
        save(measured(), path)
        assert cli.main(["report", str(path), "--to", str(to)]) == 0
        assert (readme.read_text() != empty) is is_written, path
