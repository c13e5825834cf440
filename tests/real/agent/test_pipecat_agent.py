"""The adapter calls an agent on the real Pipecat: protobuf, and Twilio's dialect."""

import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import trio

from tests.tools import pipecat_python
from trio_transports import WebsocketClientParams
from trio_transports.agent import AgentMessage, AudioChunk, TurnRules, WebSocketAgentAdapter, WebSocketProtocol
from trio_transports.agent.protocols import TwilioMediaStreamProtocol
from trio_transports.agent.protocols.pipecat import PipecatProtocol

PROGRAM = Path(__file__).with_name("pipecat_agent.py")
DEADLINE_S = 120
PROTOCOLS: dict[str, WebSocketProtocol] = {
    "protobuf": PipecatProtocol(),
    "twilio": TwilioMediaStreamProtocol(stream_sid="MZ1"),
}


@asynccontextmanager
async def pipecat_agent(dialect: str) -> AsyncIterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    command = [pipecat_python(), PROGRAM, dialect, str(port)]
    async with trio.open_nursery() as nursery:
        run = partial(trio.run_process, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        process = await nursery.start(run, command)
        async with process.stdin, process.stdout:
            said = b""
            while not said.endswith(b"ready\n"):
                said += await process.stdout.receive_some()
            yield f"ws://127.0.0.1:{port}"
        # Its standard input has ended, and so does it.


def tone(seconds: float, hz: float) -> bytes:
    time = np.arange(round(24000 * seconds)) / 24000
    return (np.sin(2 * np.pi * hz * time) * 9000).astype("<i2").tobytes()


@pytest.mark.parametrize("dialect", PROTOCOLS)
async def test_two_turns_with_pipecat(dialect: str) -> None:
    """Heard and answered, at the right pitch, without the headers that it puts on every chunk."""
    rules = TurnRules(first_audio_timeout_s=30, tail_silence_s=3)
    with trio.fail_after(DEADLINE_S):
        async with (
            pipecat_agent(dialect) as url,
            WebSocketAgentAdapter(url, PROTOCOLS[dialect], params=WebsocketClientParams()) as adapter,
        ):
            for _ in range(2):
                answer = await adapter.call(AudioChunk(tone(0.4, 300.0)), rules=rules)
                samples = np.frombuffer(answer.audio.data, "<i2").astype(float)
                peak = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))).argmax() * 24000 / len(samples)
                assert peak == pytest.approx(700.0, abs=5.0)
                # Its resampler to 8 kHz holds 0.1 s back for the next utterance.
                shortest_s = 0.44 if dialect == "protobuf" else 0.36
                assert shortest_s < np.count_nonzero(np.abs(samples) > 500) / 24000 < 0.56
                assert answer.events == (AgentMessage({"heard": "a tone"}),)
