"""The scenario of holes in a live source: its arithmetic and its plot."""

import pytest

from benchmarks.load.stall import between, curve, given_s
from benchmarks.report import stall_plot
from benchmarks.results import Measurement, Results
from benchmarks.scenarios import SCENARIOS
from benchmarks.tables import CURVE, all_tables

HOLES = ((1.0, 0.3), (2.0, 0.1))


@pytest.mark.parametrize(
    ("made_s", "expected_s"), [(0.0, 0.0), (0.99, 0.99), (1.0, 1.3), (1.29, 1.3), (1.3, 1.3), (2.05, 2.1), (5.0, 5.0)]
)
def test_what_was_made_in_a_hole_is_given_at_its_end(made_s: float, expected_s: float) -> None:
    """All else is given when it is made."""
    assert given_s(made_s, HOLES) == expected_s


def test_the_curve_is_of_medians() -> None:
    """Each twentieth of a second in which anything came has the median age of that; what is outside is left out."""
    points = [(-1.0, 99.0), (0.01, 1.0), (0.02, 3.0), (0.03, 2.0), (0.12, 7.0), (9.0, 99.0)]
    assert curve(points, 5.0) == [(0.0, 2.0), (pytest.approx(0.1), 7.0)]
    assert between(points, 0.0, 0.05) == 2.0
    assert between(points, 3.0, 4.0) == 0.0


def test_points_of_the_plot_are_in_no_table() -> None:
    """The plot has a line for each peer; the tables have what is told of a hole."""
    results = Results(started="", quick=True, machine={})
    for at_s in ("0.00", "0.05", "0.10"):
        results.measurements.append(
            Measurement(
                scenario="stall", metric=at_s, peer="ours-direct", unit="ms", values=(1.5,), sessions=5, case=CURVE
            )
        )
    results.measurements.append(
        Measurement(
            scenario="stall", metric="a second after a hole", peer="ours-direct", unit="ms", values=(1.5,), sessions=5
        )
    )
    plot = stall_plot(results)
    assert plot is not None
    assert plot.count("ours-direct") == 1
    [table] = all_tables(results)
    assert [column for column in table.columns if "0.05" in column] == []
    assert "a second after a hole (ms)" in table.columns
    assert stall_plot(Results(started="", quick=True, machine={})) is None
    assert "stall" in {scenario.name for scenario in SCENARIOS}
