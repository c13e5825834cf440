"""The figures of several workers, asked of one of them while others come and go."""

import errno
import json
import logging
import os
import socket
import threading
from pathlib import Path

import pytest
import trio
import trio.testing
from attrs import evolve

from trio_transports.observe import ServerFigures
from trio_transports.serve import gathering
from trio_transports.serve.gathering import Gathering


def counted(calls: int) -> ServerFigures:
    return ServerFigures(sessions_begun=calls)


async def test_sums_never_fall_while_workers_leave(tmp_path: Path) -> None:
    """Two workers end in the moment in which they are asked, one after the other: what they counted is told."""
    asked = Gathering(tmp_path, lambda: counted(1))
    paths = [tmp_path / f"{number}.sock" for number in (1, 2)]

    async def leave_when_asked(path: Path, listening: socket.socket) -> None:
        other = trio.socket.from_stdlib_socket(listening)
        other.listen()
        connection, _ = await other.accept()
        await trio.to_thread.run_sync(Gathering(tmp_path, ServerFigures)._leave, path, counted(10))
        other.close()
        connection.close()

    async with trio.open_nursery() as nursery:
        for path in paths:
            listening = socket.socket(socket.AF_UNIX)
            listening.bind(str(path))
            nursery.start_soon(leave_when_asked, path, listening)
        await trio.testing.wait_all_tasks_blocked()
        figures, processes = await asked.gather()
    assert figures.sessions_begun == 21
    assert len(processes) == 1
    assert json.loads((tmp_path / "ended.json").read_text("utf-8"))["sessions_begun"] == 20


def written(folder: Path) -> dict[str, dict[str, int]]:
    return {each.name: json.loads(each.read_text("utf-8")) for each in folder.glob("*.json")}


def killed(folder: Path, calls: int | None) -> Path:
    """What is left of a worker that was killed: its socket, where nobody listens, and what it has written down."""
    path = folder / "3.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
    if calls is not None:
        path.with_suffix(".json").write_text(json.dumps(evolve(counted(calls), sessions=2).to_json()), "utf-8")
    return path


async def test_what_a_killed_one_has_written_down_counts_on(tmp_path: Path) -> None:
    """Twice, and by several who find it at the same time: it is added up once, and its calls are none any more."""
    for number in (1, 2):
        path = killed(tmp_path, 10)
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                figures, processes = await Gathering(tmp_path, lambda: counted(1)).gather()
                assert (figures.sessions_begun, figures.sessions) == (10 * number + 1, 0)  # noqa: B023
                assert len(processes) == 1

            for _ in range(5):
                nursery.start_soon(ask)
        assert not path.exists()


async def test_nobody_is_told_more_than_is_written_down(tmp_path: Path) -> None:
    """What was told of a worker is there after it was killed the very next moment."""
    calls = 0

    def count() -> ServerFigures:
        nonlocal calls
        calls += 1
        return counted(calls)

    worker = Gathering(tmp_path, count)
    async with worker.open():
        for _ in range(3):
            figures, _ = await worker.gather()
            (noted,) = written(tmp_path).values()
            assert noted["sessions_begun"] >= figures.sessions_begun
    assert list(written(tmp_path)) == ["ended.json"]


async def test_one_that_hangs_counts_with_what_it_has_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It listens and does not answer: asked twice, it is not added to those that have ended."""
    monkeypatch.setattr(gathering, "ASK_S", 0.05)
    killed(tmp_path, 10).unlink()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "3.sock"))
        listening.listen()
        for _ in range(2):
            figures, processes = await Gathering(tmp_path, lambda: counted(1)).gather()
            assert (figures.sessions_begun, len(processes)) == (11, 1)
    assert not (tmp_path / "ended.json").exists()


async def test_one_that_was_killed_before_it_wrote_anything_is_left_out(tmp_path: Path) -> None:
    """Its socket is there and nobody answers: the others are told, twice."""
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(tmp_path / "3.sock"))
    for _ in range(2):
        figures, _ = await Gathering(tmp_path, lambda: counted(1)).gather()
        assert figures.sessions_begun == 1


async def test_an_older_note_never_replaces_a_newer_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two notes at once, of which the thread of the first is late, twice: the newer one stays written down."""
    calls = 0
    worker = Gathering(tmp_path, lambda: counted(calls))
    write = gathering._write
    never = threading.Event()

    def late_at_first(path: Path, text: str) -> None:
        if json.loads(text)["sessions_begun"] % 2:
            never.wait(0.2)
        write(path, text)

    monkeypatch.setattr(Gathering, "_write_note", lambda gathered, text: late_at_first(tmp_path / "note.json", text))
    for _ in range(2):
        async with trio.open_nursery() as nursery:
            calls += 1
            nursery.start_soon(worker._note)
            await trio.testing.wait_all_tasks_blocked()
            calls += 1
            told = await worker._note()
        assert told == counted(calls)
        assert written(tmp_path)["note.json"]["sessions_begun"] == calls


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOSPC])
async def test_figures_that_cannot_be_written_end_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    """Twice over: it starts, goes on and tells its figures, says so once, and writes them again once that goes."""
    caplog.set_level(logging.INFO, "trio_transports.serve")
    monkeypatch.setattr(gathering, "NOTE_S", 0.01)
    write, fails, calls = Gathering._write_note, True, 0

    def may_fail(self: Gathering, text: str) -> None:
        if fails:
            raise OSError(number, os.strerror(number))
        write(self, text)

    def count() -> ServerFigures:
        nonlocal calls
        calls += 1
        return counted(calls)

    monkeypatch.setattr(Gathering, "_write_note", may_fail)
    worker = Gathering(tmp_path, count)
    async with worker.open():
        for turn in (1, 2):
            fails, begun = True, calls
            while calls < begun + 5:  # noqa: ASYNC110 - a task of the worker's counts
                await trio.sleep(0.01)
            told, _ = await gathering._told_by(worker._own)
            assert told.sessions_begun >= begun
            fails, begun = False, calls
            while calls < begun + 3:  # noqa: ASYNC110 - as above
                await trio.sleep(0.01)
            assert written(tmp_path)[worker._own.with_suffix(".json").name]["sessions_begun"] >= begun
            assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"] * turn


async def test_what_cannot_be_added_up_at_the_end_is_added_up_by_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that leaves raises nothing; who is asked next finds what it had counted, as of a killed one."""
    worker = Gathering(tmp_path, lambda: counted(7))
    write = gathering._write

    def full(path: Path, text: str) -> None:
        if path.name == "ended.json":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, text)

    async with worker.open():
        monkeypatch.setattr(gathering, "_write", full)
    monkeypatch.undo()
    monkeypatch.setattr(Gathering, "_own", tmp_path / "another.sock")
    figures, _ = await Gathering(tmp_path, ServerFigures).gather()
    assert figures.sessions_begun == 7
