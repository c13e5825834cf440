"""Several processes behind one socket, tried with a worker that says its process id to whoever connects."""

import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio

from trio_transports.serve import supervisor as supervising
from trio_transports.serve.supervisor import Supervisor, WorkerFailed

WORKER = """
import os, signal, socket, sys, trio
from trio_transports.serve.worker import Control

MODE = sys.argv[3] if len(sys.argv) > 3 else ""

async def main():
    control = Control.inherited(int(sys.argv[1]))
    if MODE == "fails":
        raise SystemExit(3)
    if MODE == "hangs":
        await trio.sleep(60)
    listener = trio.SocketListener(trio.socket.from_stdlib_socket(socket.socket(fileno=int(sys.argv[2]))))

    async def answer(stream):
        await stream.send_all(str(os.getpid()).encode())
        await stream.aclose()

    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async with trio.open_nursery() as answering, trio.open_nursery() as accepting:

            async def accept():
                await trio.serve_listeners(answer, [listener], handler_nursery=answering)

            async def orphaned():
                await control.until_orphaned()
                accepting.cancel_scope.cancel()

            accepting.start_soon(accept)
            accepting.start_soon(orphaned)
            await control.ready()
            async for _ in signals:
                if MODE != "stubborn":
                    accepting.cancel_scope.cancel()
                    break

trio.run(main)
"""


@asynccontextmanager
async def supervised(
    workers: int, *mode: str, grace_s: float = 5.0, ready_timeout_s: float = 30.0
) -> AsyncIterator[tuple[Supervisor, int]]:
    """A supervisor of ``workers``, and the port of its socket; ended with the block if the test has not.

    Each start takes one ``mode`` more, and the last of them again and again; an "absent" program cannot be started.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:
        modes = list(mode or [""])

        def command(control: int) -> Sequence[str]:
            now = modes.pop(0) if len(modes) > 1 else modes[0]
            program = "/there/is/none" if now == "absent" else sys.executable
            return [program, "-c", WORKER, str(control), str(listening.fileno()), now]

        supervisor = Supervisor(command, [listening], workers, grace_s, ready_timeout_s)
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                await nursery.start(supervisor.run)
                yield supervisor, listening.getsockname()[1]
                supervisor.stop()


async def who_answers(port: int) -> int:
    """The process that answers; the connection is never refused."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        return int(b"".join([data async for data in stream]))


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what another process brings about."""
    while not condition():  # noqa: ASYNC110 - nothing tells of it
        await trio.sleep(0.01)


def _renewed(supervisor: Supervisor, before: frozenset[int]) -> bool:
    return not before & set(supervisor.pids)


async def test_every_worker_takes_calls_and_all_end() -> None:
    """Two processes answer, and when they are told to stop both are gone."""
    async with supervised(2) as (supervisor, port):
        pids = supervisor.pids
        assert len(pids) == 2
        answered: set[int] = set()
        while len(answered) < 2:
            answered.add(await who_answers(port))
        assert answered == set(pids)
    assert not supervisor.pids
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_a_worker_that_dies_is_started_again_twice() -> None:
    """Killed, and killed again: another process takes its place, and the socket never refuses anybody."""
    async with supervised(1) as (supervisor, port):
        seen = [await who_answers(port)]
        for _ in range(2):
            os.kill(seen[-1], signal.SIGKILL)
            seen.append(await who_answers(port))
        assert len(set(seen)) == 3
        assert supervisor.restarts == 2


async def test_workers_are_renewed_without_refusing_anybody() -> None:
    """Two renewals under load: every connection is answered, and every process is another one."""
    async with supervised(2) as (supervisor, port):
        answered: list[int] = []
        renewed = 0
        async with trio.open_nursery() as nursery:

            async def load() -> None:
                while True:
                    answered.append(await who_answers(port))

            nursery.start_soon(load)
            for _ in range(2):
                before = frozenset(supervisor.pids)
                await supervisor.renew()
                await until(partial(_renewed, supervisor, before))
                assert len(supervisor.pids) == 2
                await until(lambda: set(supervisor.pids) <= set(answered))
                renewed += 1
            count = len(answered)
            await until(lambda: len(answered) >= count + 5)
            nursery.cancel_scope.cancel()
        assert renewed == 2
        assert len(set(answered)) >= 4


async def test_a_program_that_cannot_start_ends_the_supervisor() -> None:
    """The error names the exit code, and nothing is left."""
    with pytest.RaisesGroup(WorkerFailed, flatten_subgroups=True) as caught:
        async with supervised(1, "fails"):
            pass
    assert "ended with exit code 3 before it was ready" in str(caught.value.exceptions)


async def test_a_worker_that_is_never_ready_has_failed() -> None:
    with pytest.RaisesGroup(WorkerFailed, flatten_subgroups=True) as caught:
        async with supervised(1, "hangs", ready_timeout_s=1.0):
            pass
    assert "not ready within 1 s" in str(caught.value.exceptions)


async def test_a_renewal_that_fails_leaves_the_old_worker(caplog: pytest.LogCaptureFixture) -> None:
    """The new program is broken: the old process goes on answering, and the log says why."""
    async with supervised(1, "", "fails") as (supervisor, port):
        before = await who_answers(port)
        await supervisor.renew()
        assert await who_answers(port) == before
    assert "is not replaced, it goes on as it is" in caplog.text


async def test_a_worker_that_does_not_end_is_killed(caplog: pytest.LogCaptureFixture) -> None:
    """One that ignores SIGTERM is killed after the grace."""
    async with supervised(1, "stubborn", grace_s=0.5) as (supervisor, port):
        pid = await who_answers(port)
    assert not supervisor.pids
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert "did not end in time: killed" in caplog.text


async def test_a_second_signal_need_not_wait() -> None:
    """``kill`` ends stubborn workers at once, however long the grace."""
    async with supervised(1, "stubborn", grace_s=1000) as (supervisor, _):
        supervisor.stop()
        await trio.sleep(0.1)
        assert supervisor.pids
        supervisor.kill()


async def test_stopped_while_the_first_are_starting() -> None:
    """Two workers that need a minute to be ready: told to stop before, all ends at once, without an error."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def command(control: int) -> Sequence[str]:
            return [sys.executable, "-c", WORKER, str(control), str(listening.fileno()), "hangs"]

        supervisor = Supervisor(command, [listening], 2, grace_s=1000)
        with trio.fail_after(50):
            async with trio.open_nursery() as nursery, trio.open_nursery() as serving:
                nursery.start_soon(until_pids_then_stop, supervisor)
                await serving.start(supervisor.run)
    assert supervisor.is_stopping
    assert not supervisor.pids


async def until_pids_then_stop(supervisor: Supervisor) -> None:
    await until(lambda: len(supervisor.pids) == 2)
    supervisor.stop()


@pytest.mark.parametrize("when", ["renewed", "started again"])
async def test_stopped_while_a_worker_is_being_made(when: str) -> None:
    """The word comes after all were told, and before the new one is there: it is told too, and nobody waits for it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        made = 0

        def command(control: int) -> Sequence[str]:
            nonlocal made
            made += 1
            if made == 2:
                supervisor.stop()
            return [sys.executable, "-c", WORKER, str(control), str(listening.fileno())]

        supervisor = Supervisor(command, [listening], 1, grace_s=1000)
        with trio.fail_after(50):
            async with trio.open_nursery() as nursery:
                await nursery.start(supervisor.run)
                if when == "renewed":
                    await supervisor.renew()
                else:
                    os.kill(supervisor.pids[0], signal.SIGKILL)
    assert made == 2
    assert not supervisor.pids


async def test_who_cannot_be_started_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    """The system refuses a process, twice: the supervisor goes on, and the third time it is there."""
    async with supervised(1, "", "absent", "absent", "") as (supervisor, port):
        first = await who_answers(port)
        await supervisor.renew()
        assert await who_answers(port) == first
        assert "it goes on as it is: worker 0 could not be started" in caplog.text
        os.kill(first, signal.SIGKILL)
        assert await who_answers(port) != first
    assert supervisor.restarts == 2


async def test_a_renewal_ends_the_pause_of_a_dead_worker(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It died young, and nobody wants to wait out what that costs when the program has been mended. Twice."""
    for name in ("YOUNG_S", "FIRST_PAUSE_S", "MAX_PAUSE_S"):
        monkeypatch.setattr(supervising, name, 1000.0)
    async with supervised(1, "", "absent", "") as (supervisor, port):
        for turn in (1, 2):
            dead = await who_answers(port)
            os.kill(dead, signal.SIGKILL)
            await until(lambda: caplog.text.count("started again") == turn)  # noqa: B023
            if turn == 1:
                await supervisor.renew()
                assert "worker 0 could not be started" in caplog.text
            await supervisor.renew()
            assert await who_answers(port) != dead
    assert supervisor.restarts == 3


async def test_a_worker_that_dies_while_another_is_renewed_is_not_left_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its pause ends when it is its turn, as if it had died before."""
    for name in ("YOUNG_S", "FIRST_PAUSE_S", "MAX_PAUSE_S"):
        monkeypatch.setattr(supervising, name, 1000.0)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        modes = ["", "", "hangs", ""]

        def command(control: int) -> Sequence[str]:
            return [sys.executable, "-c", WORKER, str(control), str(listening.fileno()), modes.pop(0)]

        supervisor = Supervisor(command, [listening], 2, grace_s=5)
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                await nursery.start(supervisor.run)
                first = supervisor.pids
                async with trio.open_nursery() as renewing:
                    renewing.start_soon(supervisor.renew)
                    await until(lambda: len(supervisor.pids) == 3)
                    (hung,) = set(supervisor.pids) - set(first)
                    number = tuple(supervisor._renewals)[-1]
                    (last,) = (worker.pid for worker in supervisor._alive if worker.number == number)
                    os.kill(last, signal.SIGKILL)
                    await until(lambda: f"worker {number} ended" in caplog.text)
                    os.kill(hung, signal.SIGKILL)
                assert (modes, supervisor.restarts, len(supervisor.pids)) == ([], 1, 2)
                assert set(supervisor.pids) & set(first) == set(first) - {last}
                supervisor.stop()


async def test_whoever_renews_does_not_wait_for_a_supervisor_that_has_ended() -> None:
    """Cancelled in the middle of a renewal; and after that there is nothing to renew."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        modes = ["", "hangs"]

        def command(control: int) -> Sequence[str]:
            return [sys.executable, "-c", WORKER, str(control), str(listening.fileno()), modes.pop(0)]

        supervisor = Supervisor(command, [listening], 1, grace_s=5)
        with trio.fail_after(60):
            async with trio.open_nursery() as renewing, trio.open_nursery() as running:
                await running.start(supervisor.run)
                renewing.start_soon(supervisor.renew)
                await until(lambda: len(supervisor.pids) == 2)
                running.cancel_scope.cancel()
            await supervisor.renew()
    assert (modes, supervisor.pids) == ([], ())


async def test_workers_end_with_a_supervisor_that_was_killed() -> None:
    """Its control socket closed, a worker ends by itself."""
    async with supervised(1) as (supervisor, port):
        pid = await who_answers(port)
        (worker,) = supervisor._alive
        await worker._control.aclose()
        await worker.process.wait()
        assert await who_answers(port) != pid
