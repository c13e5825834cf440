"""Pipecat's own Python RTVI client, in Pipecat's own Python, calls a bot that is served here."""

import json
from functools import partial
from pathlib import Path

import pytest
import trio

from tests.real.rtvi.bots import Bot
from tests.tools import pipecat_python
from trio_transports import Session
from trio_transports.playground import bot_routes, routed
from trio_transports.playground.serving import serve_app


async def test_it_is_greeted_heard_and_spoken_to() -> None:
    """Its handshake is answered in its own framing, its audio is heard, and every frame it knows comes out of it."""
    program, bots = pipecat_python(), list[Bot]()

    async def answer(session: Session) -> None:
        bots.append(Bot(session))
        await bots[-1].run()

    async with serve_app("127.0.0.1", 0, routed(bot_routes(answer))) as url:
        script = Path(__file__).with_name("pipecat_client.py")
        command = [str(program), str(script), f"{url.replace('http', 'ws', 1)}/ws"]
        run = partial(trio.run_process, command, capture_stdout=True, capture_stderr=True, check=False)
        with trio.fail_after(120):
            done = await run()
    assert done.returncode == 0, (done.stderr or b"").decode()[-3000:]
    told = [json.loads(line) for line in done.stdout.decode().splitlines()]
    frames = [each["frame"] for each in told]
    assert frames[0] == "bot-ready"
    for name in (
        "LLMFullResponseStartFrame",
        "LLMTextFrame",
        "TTSTextFrame",
        "BotStartedSpeakingFrame",
        "BotStoppedSpeakingFrame",
        "LLMFullResponseEndFrame",
        "FunctionCallInProgressFrame",
    ):
        assert name in frames, (name, told)
    assert {each["text"] for each in told if each["frame"] == "TTSTextFrame"} == {"A tone."}
    (bot,) = bots
    assert bot.rate == 16000
    assert bot.heard.count(b"\1\2") == pytest.approx(16000, rel=0.01)  # Pipecat ends with silence of its own
    assert bot.session.start is not None
    about = bot.session.start.parameters["about"]
    assert isinstance(about, dict)
    assert about["library"] == "pipecat"
