"""What is kept of an echo that did not keep up: nothing of ours, a lower bound of a rival's, nothing of a lost one."""

from io import StringIO

import pytest
from rich.console import Console

from benchmarks import bench as bench_module
from benchmarks.bench import Bench
from benchmarks.catalogue import PEERS, Peer
from benchmarks.load.jobs import Outcome
from benchmarks.results import Results
from benchmarks.scenarios import chosen
from benchmarks.svg import COLOURS, STYLE
from benchmarks.terminal import Terminal

OURS, PIPECAT = (next(peer for peer in PEERS if peer.name == name) for name in ("ours-direct", "pipecat-fastapi"))


def outcome(came: float) -> Outcome:
    names = ("load_cpu_s", "server_waited_s", "round_trip_p50_ms", "round_trip_p99_ms", "silent_chunks")
    numbers = {"sent": 10_000, "received": 10_000 * came, "server_cpu_s": 1.0, "window_s": 2.0}
    return Outcome(numbers=dict.fromkeys(names, 0.0) | numbers)


@pytest.mark.parametrize(
    ("peer", "came", "expected_us"),
    [(OURS, 1.0, 100), (PIPECAT, 0.98, 102.0), (PIPECAT, 0.9, 100), (OURS, 0.9, None), (PIPECAT, 0.7, None)],
)
def test_cpu_per_frame(monkeypatch: pytest.MonkeyPatch, peer: Peer, came: float, expected_us: float | None) -> None:
    """By what was answered; by what was sent for a rival that nearly kept up, which flatters it and is said."""
    results = Results(started="", quick=False, machine={})
    bench = Bench(peers=[peer], quick=False, results=results, progress=Terminal(Console(file=StringIO())))
    monkeypatch.setattr(bench_module, "apply_load", lambda _job, *, within_s: outcome(came))

    class Fake:
        target = None
        is_running = True

    fake = Fake()
    fake.peer = peer  # type: ignore[attr-defined]
    monkeypatch.setattr(Bench, "server", lambda *_arguments, **_options: Given(fake))
    [echo] = chosen(["echo"])
    echo.run(bench)
    found = results.of("echo", "server CPU per frame")
    assert {round(one.middle) for one in found} == (set() if expected_us is None else {round(expected_us)})
    assert bool(results.skipped) is (came < 0.97)


class Given:
    """A server that needs no starting."""

    def __init__(self, server: object) -> None:
        self._server = server

    def __enter__(self) -> object:
        return self._server

    def __exit__(self, *exc: object) -> None: ...


def test_every_peer_has_a_colour() -> None:
    """In both themes; a line without one is not seen."""
    assert len(PEERS) <= COLOURS + 1
    for at in range(COLOURS + 1):
        assert STYLE.count(f".s{at} ") == 2
