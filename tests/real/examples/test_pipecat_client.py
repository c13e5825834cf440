"""The Pipecat client of the examples, asking a bot on the real Pipecat."""

from pathlib import Path

import numpy as np
import pytest
import trio

from tests.real.agent.test_pipecat_agent import pipecat_agent, tone
from trio_transports.audio.format import AudioFormat
from trio_transports.audio.wav import read_wav, write_wav
from trio_transports.examples import pipecat_client


async def test_it_asks_and_writes_down_the_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The bot's 700 Hz are in the file, for as long as it played them, and its message was shown."""
    question, answer = tmp_path / "question.wav", tmp_path / "answer.wav"
    write_wav(question, AudioFormat(24000, 1), tone(0.4, 300.0))
    with trio.fail_after(60):
        async with pipecat_agent("protobuf") as url:
            assert await pipecat_client.main(url, str(question), str(answer)) > 0.4
    audio_format, pcm = read_wav(answer)
    assert audio_format.sample_rate == 24000
    samples = np.frombuffer(pcm, "<i2").astype(float)
    peak = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))).argmax() * 24000 / len(samples)
    assert peak == pytest.approx(700.0, abs=10.0)
    assert 0.44 < np.count_nonzero(np.abs(samples) > 500) / 24000 < 0.56
    assert "message: {'heard': 'a tone'}" in capsys.readouterr().out
