"""The README's example of an agent adapter, against an agent that speaks its protocol."""

import json
from base64 import b64decode, b64encode
from pathlib import Path

import pytest
import trio

from tests.real.agent import readme_example
from tests.real.agent.backend import Backend, backend
from trio_transports.audio.format import AudioFormat
from trio_transports.audio.wav import split_wav_header

ANSWER = b"\x10\x10" * 12000


async def answer_once(caller: Backend) -> None:
    """An agent that waits for half a second of speech and answers with half a second."""
    heard = 0
    while heard < 24000:
        heard += len(b64decode(json.loads(await caller.receive())["speech"]))
    await caller.send_json(thinking=True)
    await caller.send_json(speech=b64encode(ANSWER).decode())
    await caller.listen_until_closed()


async def test_the_readme_example(tmp_path: Path) -> None:
    """It hears the whole answer and keeps a stereo recording of both sides."""
    path = tmp_path / "conversation.wav"
    with trio.fail_after(10):
        async with backend(answer_once) as url:
            answer = await readme_example.main(url, str(path))
    assert answer.audio.data == ANSWER
    assert answer.ended_by == "tail_silence"
    audio_format, pcm = split_wav_header(path.read_bytes())
    assert audio_format == AudioFormat(24000, 2)
    assert len(pcm) / audio_format.bytes_per_second == pytest.approx(1.0, abs=0.3)
