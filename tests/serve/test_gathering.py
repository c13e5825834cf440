"""The figures of several workers, asked of one of them while others come and go."""

import json
import socket
from pathlib import Path

import trio
import trio.testing

from trio_transports.observe import ServerFigures
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


async def test_one_that_was_killed_is_left_out(tmp_path: Path) -> None:
    """Its socket is there and nobody answers: the others are told, twice."""
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(tmp_path / "3.sock"))
    for _ in range(2):
        figures, _ = await Gathering(tmp_path, lambda: counted(1)).gather()
        assert figures.sessions_begun == 1
