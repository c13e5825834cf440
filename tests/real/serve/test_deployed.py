"""What the files under ``examples/deploy`` rely on, shown by processes: health, drain, signals, and exit codes."""

import os
import signal
from contextlib import suppress
from typing import Final

import pytest
import trio

from tests.real.serve.command import Served, served
from tests.real.serve.test_rolling_restart import BOT, PIECE, client, workers_of
from trio_transports import AudioFrame, HandshakeRejected, Session, TextFrame

SOON_S: Final = 60
"""Beside a drain of 1000 s, and on a machine that is busy with other things."""


async def is_heard(session: Session) -> None:
    await session.output.send(PIECE)
    heard_s = 0.0
    with trio.fail_after(60):
        while heard_s < PIECE.duration_s - 0.001:
            frame = await session.input.receive()
            heard_s += frame.duration_s if isinstance(frame, AudioFrame) else 0.0


async def health_turns(server: Served, status: int) -> None:
    """Ask until that is the answer; a worker without calls that leaves cuts off who has asked it in that moment."""
    answered = 0
    with trio.fail_after(60):
        while answered != status:
            await trio.sleep(0.05)
            with suppress(trio.BrokenResourceError):
                answered, _ = await server.get("/health")


@pytest.mark.parametrize("workers", [(), ("--workers", "2")])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_told_to_stop_it_lets_calls_finish(workers: tuple[str, ...], number: signal.Signals) -> None:
    """Health turns 503, a new caller gets 503 as well, the call goes on; with its end the server does: exit code 0."""
    async with served(BOT, "--drain", "60", *workers) as server:
        assert (await server.get("/health"))[0] == 200
        async with client(server.ws_url).session() as session:
            await is_heard(session)
            server.tell(number)
            await health_turns(server, 503)
            with pytest.raises(HandshakeRejected) as refused:
                async with client(server.ws_url).session():
                    pytest.fail("it was let in")
            assert refused.value.status == 503
            await is_heard(session)
            assert server.process.returncode is None
        assert await server.ended() == 0


@pytest.mark.parametrize("workers", [(), ("--workers", "1")])
async def test_past_the_drain_calls_are_told_1001(workers: tuple[str, ...]) -> None:
    """A call that goes on hears goodbye, and the exit code is 0 all the same."""
    async with served(BOT, "--drain", "0.5", *workers) as server, client(server.ws_url).session() as session:
        await is_heard(session)
        server.tell(signal.SIGTERM)
        with trio.fail_after(60):
            async for _ in session.input:
                pass
        with pytest.raises(Exception, match="1001"):
            await session.output.send(PIECE)
        assert await server.ended() == 0


@pytest.mark.parametrize("workers", [(), ("--workers", "2")])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_need_not_wait(workers: tuple[str, ...], number: signal.Signals) -> None:
    """However long the drain and the call: all its processes are gone soon, and it has ended by that signal."""
    async with served(BOT, "--drain", "1000", *workers) as server, client(server.ws_url).session() as session:
        await is_heard(session)
        with trio.fail_after(SOON_S):
            while len(pids := await workers_of(server)) < max(1, len(workers)):  # noqa: ASYNC110 - one may be slow
                await trio.sleep(0.1)
        server.tell(number)
        await health_turns(server, 503)
        await trio.sleep(0.5)  # at once it would be taken for the same signal
        assert server.process.returncode is None
        server.tell(number)
        with trio.fail_after(SOON_S):
            assert await server.ended() == -number
        for pid in pids:
            with pytest.raises(ProcessLookupError):
                os.kill(int(pid), 0)


async def test_a_bot_that_cannot_be_loaded_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    """With and without workers: exit code 1, and a line that says what is wrong."""
    for workers in ((), ("--workers", "1")):
        async with served("no_such_module:bot", *workers) as server:
            assert server.ready["ok"] is False
            assert await server.ended() == 1
        told = capfd.readouterr().err
        assert "trio-transports: there is no module 'no_such_module'" in told
        assert "Traceback" not in told


@pytest.mark.parametrize("workers", [(), ("--workers", "1")])
async def test_what_was_imported_is_frozen(workers: tuple[str, ...]) -> None:
    """Alone and as a worker, no collection goes through the whole program while calls wait."""
    async with served("tests.real.serve.frozen:bot", *workers) as server, client(server.ws_url).session() as session:
        await session.output.send(PIECE)  # the bot hears by it what the caller speaks
        with trio.fail_after(60):
            told = next(
                frame.text for frame in [frame async for frame in session.input] if isinstance(frame, TextFrame)
            )
        assert int(told) > 10_000
