"""What ``serve`` can be told: TLS, parameters, another program while it runs; and the same app in one's own FastAPI."""

import json
import signal
import ssl
import subprocess
import sys
from functools import partial
from pathlib import Path

import trio
import trustme
from fastapi import FastAPI

from tests.real.serve.command import PATIENCE_S, served
from tests.real.serve.live_echo import bot
from tests.real.serve.test_rolling_restart import BOT, PIECE, client
from tests.tools import requires_module
from trio_transports import AudioFrame, TextFrame, WebsocketClientParams, WebsocketClientTransport
from trio_transports.audio.format import AudioFormat
from trio_transports.audio.wav import write_wav
from trio_transports.cli.json_output import FAILURE, OBJECTS
from trio_transports.playground.serving import serve_app
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.serve import bot_app
from trio_transports.testing import speech_like

TRIES = 3
"""A probe waits two seconds for a pong, which a server on a busy machine may once be late."""


async def test_tls_and_parameters(tmp_path: Path) -> None:
    """wss:// with a certificate of one's own; and what the file says holds: a call ends after its time."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    (tmp_path / "bot.toml").write_text('session_timeout = 0.5\nsession_timeout_action = "close"\n', "utf-8")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    tls = ("--tls", str(tmp_path / "cert.pem"), str(tmp_path / "key.pem"))
    async with served(BOT, *tls, "--params", str(tmp_path / "bot.toml")) as server:
        assert server.ready["url"].startswith("https://127.0.0.1:")
        params = WebsocketClientParams(serializer=JSONFrameSerializer(), audio_in_enabled=True, ssl_context=context)
        with trio.fail_after(PATIENCE_S):
            async with WebsocketClientTransport(server.ws_url, params).session() as session:
                assert [frame async for frame in session.input if isinstance(frame, AudioFrame)] == []
        server.tell(signal.SIGTERM)
        assert await server.ended() == 0


BOT_SAYS = """
from trio_transports import Session, TextFrame

async def bot(session: Session) -> None:
    async for frame in session.input:
        await session.output.send(TextFrame(text="WORD"))
"""


async def says(url: str) -> str:
    async with client(url).session() as session:
        await session.output.send(TextFrame(text="?"))
        async for frame in session.input:
            if isinstance(frame, TextFrame):
                return frame.text
    return ""


async def until_says(url: str, word: str) -> None:
    with trio.fail_after(PATIENCE_S):
        while await says(url) != word:  # noqa: ASYNC110 - the next answer may be another process's
            await trio.sleep(0.1)


async def test_a_changed_file_is_served_anew(tmp_path: Path) -> None:
    """Changed twice; in between a program that does not start leaves the one before it running."""
    requires_module("watchfiles", extra="reload")
    file = tmp_path / "says_bot.py"
    file.write_text(BOT_SAYS.replace("WORD", "one"), "utf-8")
    async with served("says_bot.py", "--reload", cwd=tmp_path) as server:
        assert await says(server.ws_url) == "one"
        file.write_text(BOT_SAYS.replace("WORD", "two"), "utf-8")
        await until_says(server.ws_url, "two")
        file.write_text("this is no program", "utf-8")
        await trio.sleep(2)
        assert await says(server.ws_url) == "two"
        file.write_text(BOT_SAYS.replace("WORD", "three"), "utf-8")
        await until_says(server.ws_url, "three")
        server.tell(signal.SIGTERM)
        assert await server.ended() == 0


async def test_the_same_app_in_ones_own(tmp_path: Path) -> None:
    """Mounted below a path of a FastAPI: its page, its callers, its figures; the rest is the application's."""
    app = FastAPI()
    app.mount("/voice", bot_app(bot))

    @app.get("/own")
    async def own() -> str:
        return "mine"

    async with serve_app("127.0.0.1", 0, app) as url:
        async with client(f"{url.replace('http', 'ws', 1)}/voice/ws").session() as session:
            for _ in range(2):
                await session.output.send(PIECE)
                with trio.fail_after(PATIENCE_S):
                    async for frame in session.input:
                        if isinstance(frame, AudioFrame):
                            break
            told = await trio.to_thread.run_sync(partial(fetched, f"{url}/voice/metrics"))
            assert "\ntrio_transports_sessions 1.0\n" in told
        assert "<title>" in await trio.to_thread.run_sync(partial(fetched, f"{url}/voice/"))
        assert json.loads(await trio.to_thread.run_sync(partial(fetched, f"{url}/own"))) == "mine"


def fetched(url: str) -> str:
    return subprocess.run(["curl", "-fsS", url], capture_output=True, text=True, check=True, timeout=60).stdout


async def test_what_probe_and_call_print(tmp_path: Path) -> None:
    """With ``--json`` the names that are documented, against a server; and exit codes 0, and 1 when it has gone."""
    speech = speech_like(0.5)
    write_wav(tmp_path / "in.wav", AudioFormat(speech.sample_rate), speech.audio)

    async def run(*arguments: str) -> tuple[int, dict[str, object]]:
        command = [sys.executable, "-m", "trio_transports", *arguments, "--json"]
        with trio.fail_after(PATIENCE_S):
            done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
        return done.returncode, json.loads(done.stdout)

    async with served(BOT) as server:
        probe = ("probe", server.ws_url, "--pings", "3", "--audio", "0.2")
        call = ("call", server.ws_url, "--in", str(tmp_path / "in.wav"), "--tail", "5")
        for _ in range(TRIES):
            code, told = await run(*probe)
            if not told.get("lost"):
                break
        assert (code, set(told)) == (0, set(OBJECTS["probe"]))
        code, told = await run(*call)
        assert (code, set(told)) == (0, set(OBJECTS["call"]))
        assert set(server.ready) == set(OBJECTS["serve"])
        server.tell(signal.SIGTERM)
        assert await server.ended() == 0
    for arguments in (probe, call):
        code, told = await run(*arguments)
        assert (code, set(told)) == (1, set(FAILURE))


async def test_who_ignores_a_hang_up_serves_on_when_the_terminal_is_closed() -> None:
    """As ``nohup`` has it; without it a hang-up is the end, in good order."""
    for ignored in (True, False):
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
        try:
            async with served(BOT) as server:
                server.tell(signal.SIGHUP)
                for _ in range(10 if ignored else 0):
                    await trio.sleep(0.1)
                    assert (await server.get("/health"))[0] == 200
                if ignored:
                    server.tell(signal.SIGTERM)
                assert await server.ended() == 0
        finally:
            signal.signal(signal.SIGHUP, before)
