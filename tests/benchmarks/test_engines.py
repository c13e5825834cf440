"""What an engine does for a frame: counts and samples that are made up, and what is made of them."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks import engines
from benchmarks.catalogue import chosen
from benchmarks.engines import EngineProfile, Profiles, engine_tables, take_profiles, trees_of, write_profiles
from benchmarks.rooms import by_room, room_of
from benchmarks.syscalls import read_perf, read_strace

SITE = "lib/python3.11/site-packages"


@pytest.mark.parametrize(
    ("path", "room"),
    [
        ("trio_transports/wire/stream.py", "wire"),
        ("/elsewhere/an-earlier-tree/trio_transports/session/track.py", "session"),
        ("/home/trio_transports/trio_transports/hosting/short_way.py", "hosting"),
        ("trio_transports/_sleeper.py", "foundation"),
        (f"{SITE}/trio/_core/_run.py", "trio"),
        (f"/usr/{SITE}/trio_websocket/_impl.py", "trio_websocket"),
        (f"{SITE}/wsproto/frame_protocol.py", "wsproto"),
        (f"{SITE}/outcome/_impl.py", "other packages"),
        ("/usr/lib/python3.11/contextlib.py", "stdlib"),
        ("benchmarks/peers/ours.py", "handler"),
    ],
)
def test_a_stack_is_in_the_room_of_its_innermost_file(path: str, room: str) -> None:
    """Whatever called it: an installed package, a room of ours in this tree or another, or neither."""
    assert room_of(["run (trio_transports/session/run.py:1)", f"work ({path}:12)"]) == room


def test_samples_are_added_up_by_room() -> None:
    """The suite's own thread in the program is left out, and so is what is no stack."""
    folded = (
        "process 1;main (a.py:1);put (trio_transports/wire/direct.py:9) 5\n"
        f"main (a.py:1);run ({SITE}/trio/_run.py:2) 2\n"
        "boot (t.py:1);_obey_parent (benchmarks/peers/program.py:9) 50\n"
        "main (a.py:1);x (trio_transports/wire/b.py:1) 1\n"
        "nonsense\n"
    )
    assert by_room(folded) == {"wire": 6, "trio": 2}


def test_what_perf_counts() -> None:
    """Each kind by its name; what was asked for by no name is the difference to all."""
    said = (
        "# started\n\n100,,raw_syscalls:sys_enter,2236556,100.00,,\n60,,syscalls:sys_enter_read,1,100.00,,\n"
        "0,,syscalls:sys_enter_futex,1,100.00,,\n<not counted>,,syscalls:sys_enter_close,0,100.00,,\n"
        "37,,syscalls:sys_enter_epoll_wait,1,100.00,,\n"
    )
    assert read_perf(said) == {"read": 60, "epoll_wait": 37, "others": 3}
    assert read_perf("Error: no permission\n") == {}


def test_what_strace_counts() -> None:
    """With a column of errors and without."""
    said = """% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 89.71    0.000976           9        98           epoll_wait
 10.29    0.000112           1        12         3 read
------ ----------- ----------- --------- --------- ----------------
100.00    0.001088           5       110         3 total
"""
    assert read_strace(said) == {"epoll_wait": 98, "read": 12}
    assert read_strace("") == {}


class Quiet:
    """Takes down how far a run is."""

    def __init__(self) -> None:
        self.planned, self.steps = 0, list[str]()

    def scenario(self, name: str, steps: int) -> None:
        self.planned = steps

    def step(self, what: str) -> None:
        self.steps.append(what)

    def say(self, what: str) -> None: ...


def made_up(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Put looks that know their answers in the place of the real ones; returns the trees that were looked at."""
    looked: list[Path] = []
    waits = iter([0.5, 0.2, 0.4])

    def cpu(_peer: object, tree: Path, *_: object) -> tuple[dict[str, Any], float]:
        looked.append(tree)
        waited = next(waits, 0.01)
        return {"cpu_us": 100 + waited, "round_trip_p50_ms": 1.0}, waited

    monkeypatch.setattr(engines, "_cpu", cpu)
    monkeypatch.setattr(engines, "_steps", lambda *_: ({"steps": {"clock": 1.2, "(waiting for I/O)": 0.4}}, 0.0))
    monkeypatch.setattr(engines, "_calls", lambda *_: ({"calls": {"read": 1.0}, "counted_by": "perf stat"}, 0.0))
    monkeypatch.setattr(engines, "_samples", lambda *_: ({"samples": {"trio": 3, "wire": 1}}, 0.0))
    return looked


def test_a_look_at_a_starved_server_is_repeated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Three times at most, and the calmest counts; trees take turns, and how starved a server was is told."""
    looked = made_up(monkeypatch)
    progress = Quiet()
    profiles = Profiles(command="engines", sessions=50, machine={"cores": "2"})
    trees = {"before": tmp_path, "now": Path()}
    take_profiles(profiles, chosen(["ours-direct"], quick=False), trees, progress, seconds=1, rounds=2)
    assert looked == [tmp_path, tmp_path, tmp_path, Path(), tmp_path, Path()]
    assert len(progress.steps) == progress.planned == 2 * 5
    before, now = profiles.found
    assert before.cpu_us == [100.2, 100.01]
    assert (before.waited, now.waited) == (0.2, 0.01)


def test_tables_and_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Samples share out the undisturbed microseconds; waiting is no task; files say how they were made."""
    one = EngineProfile(peer="ours-direct", tree="now", cpu_us=[80.0, 200.0, 84.0], round_trip_p50_ms=[1.5])
    one.add({"steps": {"clock": 1.2, "(waiting for I/O)": 0.4}, "calls": {"read": 1.0}, "counted_by": "perf"}, 0.01)
    one.add({"samples": {"trio": 3, "wire": 1}}, 0.0)
    profiles = Profiles(command="python -m benchmarks engines", sessions=50, machine={"cores": "2"}, found=[one])
    whole, steps, calls, rooms = engine_tables(profiles)
    assert [row[1] for row in whole.rows] == ["84", "1.20", "1.00", "1.50", "1.0%"]
    assert steps.rows == (("clock", "1.20"), ("(waiting for I/O)", "0.40"))
    assert calls.rows == (("read", "1.00"),)
    assert rooms.rows == (("trio", "63.0"), ("wire", "21.0"))
    _, beside = write_profiles(profiles, tmp_path / "profiles.json")
    text = beside.read_text()
    assert "python -m benchmarks engines" in text
    assert "4 samples" in text


def test_a_tree_that_is_none(tmp_path: Path) -> None:
    """It is said where it should come from."""
    with pytest.raises(ValueError, match="git worktree add"):
        trees_of(tmp_path)
    assert [*trees_of(None)] == ["now"]
