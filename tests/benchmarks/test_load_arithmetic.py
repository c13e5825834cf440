"""Rates, gaps, percentiles and phases, on arrivals that are made up."""

import json

import pytest

from benchmarks.load import jobs
from benchmarks.load.__main__ import read_job, write_job
from benchmarks.load.echo import percentile, phases_ns
from benchmarks.load.jobs import ChurnJob, EchoJob, HoldJob, InterruptionJob, Job, PlaybackJob, Target
from benchmarks.load.playback import gap_errors_ms, rate_error

TARGET = Target(ports=(4001, 4002), pid=77)


def arrivals(count: int, step_ns: float) -> list[int]:
    return [1_700_000_000_000_000_000 + round(at * step_ns) for at in range(count)]


@pytest.mark.parametrize("error", [0.0, 1e-3, -1e-4, 5e-6])
def test_rate_is_found_to_a_millionth(error: float) -> None:
    """A drift is measured as it is."""
    assert rate_error(arrivals(200, 20_000_000 * (1 + error))) == pytest.approx(error, abs=1e-7)


def test_a_stall_that_is_made_up_for_is_not_a_drift() -> None:
    """A machine that stood still for a while moves the rate of nobody who catches up."""
    stalled = arrivals(400, 20_000_000)
    for at in range(390, 396):
        stalled[at] = stalled[396]
    assert abs(rate_error(stalled)) < 1e-9


def test_a_stall_after_which_all_is_late_is_a_drift() -> None:
    """A clock that starts anew after a stall has lost that time."""
    stalled = arrivals(400, 20_000_000)
    for at in range(200, 400):
        stalled[at] += 60_000_000
    assert 0.06 / 8 < rate_error(stalled) < 0.06 / 4


def test_gaps() -> None:
    """A late chunk makes one gap too long and one too short."""
    late = arrivals(5, 20_000_000)
    late[2] += 3_000_000
    assert gap_errors_ms(late) == pytest.approx([0, 0, 3, 3])


def test_percentiles() -> None:
    """The nearest rank, and 0 of nothing."""
    values = [float(value) for value in range(100)]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile(values, 1.0)) == (50, 99, 99)
    assert percentile([], 0.5) == 0


def test_phases() -> None:
    """Callers come at moments of their own, the same in every run, or all at one."""
    spread_out = phases_ns(50, "random")
    assert spread_out == phases_ns(50, "random") == sorted(spread_out)
    assert len(set(spread_out)) == 50
    assert all(0 <= phase < 20_000_000 for phase in spread_out)
    assert phases_ns(3, "together") == [0, 0, 0]


@pytest.mark.parametrize(
    "job",
    [
        EchoJob(target=TARGET, sessions=2, warm_s=0.1, window_s=0.2, arrivals="together"),
        PlaybackJob(target=TARGET, sessions=2, seconds=1.0),
        InterruptionJob(target=TARGET, sessions=2, after_s=0.1, quiet_s=0.5),
        ChurnJob(target=TARGET, workers=2, warm_s=0.1, window_s=0.2),
        HoldJob(target=TARGET, few=1, many=2, talk_s=0.1, settle_s=0.1),
    ],
)
def test_jobs_cross_a_pipe(job: Job) -> None:
    """What is written on one line is read as it was."""
    line = write_job(job)
    assert "\n" not in line
    assert read_job(line) == job
    assert json.loads(line)["job"] == type(job).__name__


def test_a_port_for_each_session() -> None:
    """Sessions go round the ports of a server that takes one client on each."""
    assert [TARGET.port(session) for session in range(3)] == [4001, 4002, 4001]


def test_a_server_that_waits_for_a_core_is_not_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has not answered is late, not lost: time that somebody else had counts as work, of all its processes."""
    cpu_ns, waited_ns = {1: 5, 2: 7}, {1: 1000, 2: 2000}
    monkeypatch.setattr(jobs, "process_cpu_ns", cpu_ns.__getitem__)
    monkeypatch.setattr(jobs, "waited_ns", waited_ns.__getitem__)
    assert Target(ports=(1,), pid=9, workers=(1, 2)).busy_ns() == 3012
    assert Target(ports=(1,), pid=2).busy_ns() == 2007
