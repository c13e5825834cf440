"""Microbenchmarks: how figures of several rounds become one, and that every area gives some."""

from benchmarks.micro.__main__ import AREAS
from benchmarks.micro.timing import Figure, microseconds
from benchmarks.scenarios.micro import best


def test_the_least_value_of_each_figure() -> None:
    """Noise only ever adds, so the least is the truest; order and peers are kept."""
    values = [("f", "ours", 3.0), ("f", "theirs", 9.0), ("g", "ours", 1.0), ("f", "ours", 2.0), ("g", "ours", 5.0)]
    found = best(Figure(group="x", name=name, peer=peer, value=value) for name, peer, value in values)
    assert [(one.name, one.peer, one.value) for one in found] == [
        ("f", "ours", 2.0),
        ("f", "theirs", 9.0),
        ("g", "ours", 1.0),
    ]


def test_a_function_is_timed() -> None:
    """Something that does more takes longer."""
    assert 0 < microseconds(lambda: None, quick=True) < microseconds(lambda: sum(range(1000)), quick=True)


def test_areas() -> None:
    """Every module of microbenchmarks is an area."""
    assert {"audio", "serializers", "telephony"} <= set(AREAS)
    assert "timing" not in AREAS
