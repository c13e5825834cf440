"""The suite end to end on real processes and sockets: one honest peer, one lying one, and everything ended after."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.bench import Bench, Case
from benchmarks.catalogue import PEERS, Peer
from benchmarks.load.jobs import ChurnJob, EchoJob, FloodJob, HoldJob, InterruptionJob, Job, PlaybackJob, Target
from benchmarks.processes import ROOT, DidNotStart, apply_load, serving
from benchmarks.results import Results
from benchmarks.scenarios.serve import PEERS as SERVED

HONEST = Peer(name="honest", title="honest", program="trio_websocket_bare")
TRIES = 4
"""What was shortened while the machine stood still is nobody's fault, and the suite says so."""
LIAR = Peer(name="liar", title="liar", program="liar")


class Quiet:
    def scenario(self, name: str, steps: int) -> None: ...

    def step(self, what: str) -> None: ...

    def say(self, what: str) -> None: ...


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def jobs(target: Target) -> list[Job]:
    return [
        EchoJob(target=target, sessions=3, warm_s=0.1, window_s=1.0),
        PlaybackJob(target=target, sessions=2, seconds=0.5),
        InterruptionJob(target=target, sessions=2, after_s=0.1, quiet_s=3.0),
        ChurnJob(target=target, workers=2, warm_s=0.1, window_s=0.2),
        HoldJob(target=target, few=1, many=3, talk_s=0.1, settle_s=0.05),
    ]


def test_every_job_against_an_honest_server() -> None:
    """Each load finds nothing wrong with a true echo, measures something, and the server is gone afterwards."""
    with serving(HONEST, sys.executable) as server:
        pid = server.target.pid
        outcomes = [apply_load(job, within_s=100) for job in jobs(server.target)]
    for outcome in outcomes:
        assert (outcome.failure, outcome.altered, outcome.lost) == ("", 0, 0), outcome
        assert outcome.numbers
    echo = outcomes[0].numbers
    assert echo["received"] > 0
    assert echo["server_cpu_s"] > 0
    assert not is_alive(pid)


@pytest.mark.parametrize(
    "name", ["ours-functions", "ours-untapped", "ours-observed", "ours-anycorn", "picows", "serve-2"]
)
def test_peers_answer_as_the_suite_asks(name: str) -> None:
    """Every chunk comes back as it was sent, a call closes with 1000, and the program ends with the suite."""
    [peer] = [peer for peer in (*PEERS, *SERVED) if peer.name == name]
    assert peer.missing() == []
    with serving(peer, sys.executable, clients=2) as server:
        pids = server.target.pids
        assert len(pids) == (2 if name == "serve-2" else 1)
        echo = apply_load(EchoJob(target=server.target, sessions=2, warm_s=0.1, window_s=1.0), within_s=60)
        churn = apply_load(ChurnJob(target=server.target, workers=2, warm_s=0.1, window_s=0.2), within_s=60)
    for outcome in (echo, churn):
        assert (outcome.failure, outcome.altered, outcome.lost) == ("", 0, 0), outcome
    assert echo.numbers["received"] > 0
    assert abs(echo.numbers["clock_moved_s"]) < 1
    until = time.monotonic() + 30
    while any(map(is_alive, pids)) and time.monotonic() < until:
        time.sleep(0.02)
    assert not any(map(is_alive, pids))


def test_a_flood_is_measured() -> None:
    """What the server took at most while it lasted, and its longest step; the server lives on."""
    [peer] = [peer for peer in PEERS if peer.name == "ours-direct"]
    with serving(peer, sys.executable, watched="longest") as server:
        for _ in range(2):
            outcome = apply_load(FloodJob(target=server.target, kind="many parts"), within_s=60)
            assert outcome.failure == ""
            assert outcome.numbers["sent"] > 0
            assert outcome.numbers["peak_bytes"] >= outcome.numbers["before_bytes"] > 0
            assert server.ask()["longest step"][1] > 0
        assert server.is_running


@pytest.mark.parametrize("lie", ["shorten", "alter", "lose", "join"])
def test_a_lying_server_is_found_out(monkeypatch: pytest.MonkeyPatch, lie: str) -> None:
    """A server that shortens, alters, loses or joins messages is reported as wrong, and has no figures."""
    monkeypatch.setenv("TT_BENCH_LIE", lie)
    results = Results(started="", quick=True, machine={})
    with (
        Bench(peers=[LIAR], quick=True, results=results, progress=Quiet()) as bench,
        bench.collecting("x") as rounds,
        bench.server("x", LIAR) as server,
    ):
        assert server is not None
        job = EchoJob(target=server.target, sessions=2, warm_s=0.1, window_s=0.4)
        for _ in range(TRIES):
            assert bench.apply(rounds, "x", server, Case(sessions=2), job, within_s=60) is None
            if results.wrong:
                break
    [wrong] = results.wrong
    assert wrong.peer == "liar"
    assert "messages" in wrong.what
    assert results.measurements == []


def test_a_server_that_cannot_start() -> None:
    """It is named with its last words."""
    broken = Peer(name="broken", title="broken", program="no_such_program")
    with pytest.raises(DidNotStart, match="no_such_program"), serving(broken, sys.executable):
        raise AssertionError("it started")


def test_servers_end_with_a_killed_suite() -> None:
    """Even a suite that is killed leaves no server behind: its stdin closes and it ends."""
    program = (
        "import sys, time\n"
        "from benchmarks.catalogue import Peer\n"
        "from benchmarks.processes import serving\n"
        "with serving(Peer(name='h', title='h', program='trio_websocket_bare'), sys.executable) as server:\n"
        "    print(server.target.pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=ROOT) as suite:
        assert suite.stdout is not None
        pid = int(suite.stdout.readline())
        assert is_alive(pid)
        suite.kill()
        suite.wait()
        until = time.monotonic() + 60
        while is_alive(pid) and time.monotonic() < until:
            time.sleep(0.02)
        assert not is_alive(pid)


def test_the_command_line(tmp_path: Path) -> None:
    """A run of one scenario writes its file, exits with 0, and reports."""
    out = tmp_path / "r.json"
    command = [sys.executable, "-m", "benchmarks"]
    run = [*command, "run", "interruption", "--quick", "--peers", "trio-websocket", "--out", str(out)]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert out.exists()
    report = [*command, "report", str(out), "--to", str(tmp_path)]
    assert subprocess.run(report, cwd=ROOT, capture_output=True, timeout=60, check=False).returncode == 0
    assert "interruption" in (tmp_path / "r.md").read_text()
    refused = subprocess.run([*command, "run", "nothing"], cwd=ROOT, capture_output=True, timeout=60, check=False)
    assert refused.returncode == 2
