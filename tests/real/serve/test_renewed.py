"""Workers that are told to be replaced at a bad moment: with a broken file, twice at once, while the server leaves."""

import os
import signal
from collections import Counter
from pathlib import Path

import trio
import trustme

from tests.real.serve.command import PATIENCE_S, Served, served
from tests.real.serve.test_options import BOT_SAYS, says, until_says
from tests.real.serve.test_rolling_restart import BOT, PIECE, client
from tests.tools import requires_module
from trio_transports import AudioFrame, Session


async def until_logged(log: Path, words: str, count: int = 1) -> str:
    with trio.fail_after(PATIENCE_S):
        while (text := await trio.Path(log).read_text("utf-8")).count(words) < count:  # noqa: ASYNC110
            await trio.sleep(0.05)
    return text


async def pids(server: Served) -> set[str]:
    return {label for name, label in await server.metrics() if name == "process_uptime_seconds"}


async def until_others_than(server: Served, before: set[str]) -> set[str]:
    with trio.fail_after(PATIENCE_S):
        while (now := await pids(server)) & before:  # noqa: ASYNC110 - a process tells nobody that it has gone
            await trio.sleep(0.1)
    return now


async def test_a_broken_file_replaces_nobody(tmp_path: Path) -> None:
    """Parameters, then a key that is another's: each is told with the file and what to do, without a traceback."""
    log, params = tmp_path / "log", tmp_path / "bot.toml"
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    params.write_text("session_timeout = 60\n", "utf-8")
    async with served(BOT, "--workers", "1", "--params", str(params), log=log) as server:
        before = await pids(server)
        params.write_text('session_timeout = 60\n\nsesion_timeout_action = "close"\n', "utf-8")
        for turn in (1, 2):
            server.tell(signal.SIGHUP)
            text = await until_logged(log, "it goes on as it is", turn)
            assert text.count(f"{params}, line 3: ") == turn
            assert "did you mean session_timeout_action?" in text
            assert "Traceback" not in text
            assert await pids(server) == before
        params.write_text("session_timeout = 61\n", "utf-8")
        server.tell(signal.SIGHUP)
        await until_others_than(server, before)
        server.tell(signal.SIGTERM)
        assert await server.ended() == 0
    certificates = [trustme.CA().issue_cert("127.0.0.1") for _ in range(2)]
    certificates[0].cert_chain_pems[0].write_to_path(str(cert))
    certificates[0].private_key_pem.write_to_path(str(key))
    async with served(BOT, "--workers", "1", "--tls", str(cert), str(key), log=log) as server:
        certificates[1].private_key_pem.write_to_path(str(key))
        server.tell(signal.SIGHUP)
        text = await until_logged(log, "it goes on as it is")
        assert f"{key} is not the key of the certificate in {cert}" in text
        assert "Traceback" not in text
        server.tell(signal.SIGTERM)
        assert await server.ended() == 0


async def test_told_twice_at_once_and_while_it_leaves(tmp_path: Path) -> None:
    """Two SIGHUPs are one renewal, or two; one after SIGTERM changes nothing: the call finishes, exit code 0."""
    async with served(BOT, "--workers", "2", "--drain", "60") as server:
        before = await pids(server)
        server.tell(signal.SIGHUP)
        server.tell(signal.SIGHUP)
        assert not await until_others_than(server, before) & before
        with trio.fail_after(PATIENCE_S):
            async with client(server.ws_url).session() as session:
                server.tell(signal.SIGTERM)
                await trio.sleep(0.5)
                for _ in range(2):
                    server.tell(signal.SIGHUP)
                    await trio.sleep(0.2)
                await session.output.send(PIECE)
                heard = await session.input.receive()
                while not isinstance(heard, AudioFrame):
                    heard = await session.input.receive()
        assert await server.ended() == 0


async def heard_back(session: Session) -> None:
    await session.output.send(PIECE)
    with trio.fail_after(PATIENCE_S):
        while not isinstance(await session.input.receive(), AudioFrame):
            pass


async def test_a_call_outlives_its_worker_past_the_drain() -> None:
    """SIGHUP, and a call goes on for four times the ``--drain`` in the process that has a successor; twice."""
    async with served(BOT, "--workers", "1", "--drain", "0.5") as server:
        for _ in range(2):
            before = await pids(server)
            assert len(before) == 1
            async with client(server.ws_url).session() as session:
                await heard_back(session)
                server.tell(signal.SIGHUP)
                with trio.fail_after(PATIENCE_S):
                    while not await pids(server) - before:  # noqa: ASYNC110 - a process tells nobody that it is there
                        await trio.sleep(0.1)
                await trio.sleep(2)
                await heard_back(session)
                with trio.fail_after(PATIENCE_S):
                    while not before < await pids(server):  # noqa: ASYNC110 - one without a core is not waited for
                        await trio.sleep(0.1)
            assert len(await until_others_than(server, before)) == 1
        server.tell(signal.SIGTERM)
        assert await server.ended() == 0


async def test_counts_outlive_killed_workers() -> None:
    """Two workers are killed one after the other, in the moment after their figures were told: no sum ever falls."""
    async with served(BOT, "--workers", "2") as server:
        sums: dict[tuple[str, str], float] = {}

        async def check() -> dict[tuple[str, str], float]:
            now = {key: value for key, value in (await server.metrics()).items() if key[0].endswith(("_total", "_sum"))}
            assert {key: now.get(key, 0.0) for key, value in sums.items() if now.get(key, 0.0) < value} == {}
            return now

        for turn in (1, 2):
            for _ in range(3):
                async with client(server.ws_url).session() as session:
                    await session.output.send(PIECE)
                    with trio.fail_after(PATIENCE_S):
                        await session.input.receive()
            before = await pids(server)
            sums = await check()
            assert sums["sessions_begun_total", ""] >= 3 * turn
            killed = min(before)
            os.kill(int(killed), signal.SIGKILL)
            with trio.fail_after(PATIENCE_S):
                while len((await pids(server)) - {killed}) < 2:
                    sums = await check()
            sums = await check()
        server.tell(signal.SIGTERM)
        assert await server.ended() == 0


BOT_TELLS = "import os\n" + BOT_SAYS.replace('"WORD"', "str(os.getpid())")


async def test_two_workers_add_up_while_one_is_restarted(tmp_path: Path) -> None:
    """Both have taken calls, and more come while one is killed and started again, twice: the sums are of all calls."""
    (tmp_path / "tells_bot.py").write_text(BOT_TELLS, "utf-8")
    async with served("tells_bot.py", "--workers", "2", cwd=tmp_path) as server:
        took: Counter[str] = Counter()

        async def sums() -> tuple[float, float, float]:
            """Calls that have begun, those that have ended, and the messages of all."""
            now = await server.metrics()
            ended = sum(value for (name, _), value in now.items() if name == "sessions_ended_total")
            return now["sessions_begun_total", ""], ended, now["messages_total", "in"]

        async def until_told() -> None:
            """The end of a call is heard of a little later."""
            with trio.fail_after(PATIENCE_S):
                while (now := await sums()) != (took.total(),) * 3:
                    assert max(now) <= took.total()
                    await trio.sleep(0.05)

        for _ in range(2):
            before = await pids(server)
            with trio.fail_after(PATIENCE_S):
                while min(took[pid] for pid in before) < 3:
                    took[await says(server.ws_url)] += 1
            await until_told()
            killed = min(before)
            os.kill(int(killed), signal.SIGKILL)
            with trio.fail_after(PATIENCE_S):
                while len((await pids(server)) - {killed}) < 2:
                    assert await sums() == (took.total(),) * 3
                    took[await says(server.ws_url)] += 1
                    await until_told()
            await until_told()
            assert took[killed] >= 3
        server.tell(signal.SIGTERM)
        assert await server.ended() == 0


async def test_reload_outlives_what_an_editor_does(tmp_path: Path) -> None:
    """A file that is wrong, then gone, then saved many times in a second: what is served is the last that starts."""
    requires_module("watchfiles", extra="reload")
    log, file = tmp_path / "log", tmp_path / "says_bot.py"
    file.write_text(BOT_SAYS.replace("WORD", "one"), "utf-8")
    async with served("says_bot.py", "--reload", cwd=tmp_path, log=log) as server:
        assert await says(server.ws_url) == "one"
        file.write_text("def bot(:\n", "utf-8")
        await until_logged(log, "it goes on as it is", 1)
        file.unlink()
        await until_logged(log, "it goes on as it is", 2)
        assert await says(server.ws_url) == "one"
        for number in range(20):
            file.write_text(BOT_SAYS.replace("WORD", f"number {number}"), "utf-8")
            await trio.sleep(0.05)
        await until_says(server.ws_url, "number 19")
        server.tell(signal.SIGTERM)
        assert await server.ended() == 0
