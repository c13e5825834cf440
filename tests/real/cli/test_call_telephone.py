"""``call`` as a telephone's provider calls, through standard input and output, and against a server that is silent."""

import json
from pathlib import Path

import numpy as np
import pytest
import trio

from tests.real.cli.programs import PROGRAM, ROOT, run, serving
from trio_transports.audio.format import AudioFormat
from trio_transports.audio.wav import parse_wav, read_wav, write_wav
from trio_transports.testing import speech_like

LINES = ("twilio", "telnyx", "plivo", "exotel", "vonage")


def likeness(said: bytes, heard: bytes) -> float:
    """How like the beginning of one is to the other, at the best of all delays up to 0.3 s of 8 kHz: 1 is the same."""
    wanted = np.frombuffer(said, "<i2").astype(np.float64)
    got = np.frombuffer(heard, "<i2").astype(np.float64)
    best = 0.0
    for delay in range(0, 2400, 4):
        piece = got[delay : delay + len(wanted)]
        known = wanted[: len(piece)]
        size = float(np.linalg.norm(piece) * np.linalg.norm(known))
        best = max(best, float(piece @ known) / size if size else 0.0)
    return best


@pytest.mark.parametrize("line", LINES)
async def test_a_phone_from_the_command_line(line: str, tmp_path: Path) -> None:
    """It is heard as a call of that provider, the echo comes back, and the call is ended in order."""
    speech = speech_like(0.6, sample_rate=8000)
    write_wav(tmp_path / "a.wav", AudioFormat(8000), speech.audio)
    async with serving("echo", "--port", "0", "--serializer", "telephone") as server:
        url = (await server.next("ready"))["url"]
        paths = ("--in", str(tmp_path / "a.wav"), "--out", str(tmp_path / "b.wav"))
        called = await run("call", url, *paths, "--serializer", line, "--tail", "2", "--json")
        assert called.code == 0, called.err
        gone = await server.next("disconnected")
    _, heard = read_wav(tmp_path / "b.wav")
    assert likeness(speech.audio, heard) > 0.9
    assert json.loads(called.out)["ended_by"] == "local"
    assert gone["code"] == 1000


async def test_standard_input_and_output(tmp_path: Path) -> None:
    """A file can be piped in, and the recording out: the report stands aside, on standard error."""
    speech = speech_like(0.4)
    write_wav(tmp_path / "a.wav", AudioFormat(16000), speech.audio)
    async with serving("echo", "--port", "0") as server:
        url = (await server.next("ready"))["url"]
        with trio.fail_after(60):
            done = await trio.run_process(
                [*PROGRAM, "call", url, "--in", "-", "--out", "-", "--tail", "2", "--json"],
                stdin=(tmp_path / "a.wav").read_bytes(),
                capture_stdout=True,
                capture_stderr=True,
                check=False,
                cwd=ROOT,
            )
    assert done.returncode == 0, done.stderr
    audio_format, heard = parse_wav(done.stdout)
    assert audio_format == AudioFormat(16000)
    assert heard[: len(speech.audio)] == speech.audio
    assert json.loads(done.stderr)["ok"] is True


async def test_what_is_no_wav_on_standard_input() -> None:
    """One line that says so."""
    done = await trio.run_process(
        [*PROGRAM, "call", "ws://127.0.0.1:1", "--in", "-"],
        stdin=b"hello",
        capture_stdout=True,
        capture_stderr=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 1
    assert b"standard input is not a WAV file" in done.stderr


@pytest.mark.parametrize("quiet_ok", [False, True])
async def test_a_call_that_hears_nothing_is_a_failure(quiet_ok: bool, tmp_path: Path) -> None:
    """Silence that comes back is nothing heard, unless that is said to be all right."""
    write_wav(tmp_path / "a.wav", AudioFormat(16000), bytes(6400))
    async with serving("echo", "--port", "0") as server:
        url = (await server.next("ready"))["url"]
        options = ("--quiet-ok",) if quiet_ok else ()
        called = await run("call", url, "--in", str(tmp_path / "a.wav"), "--tail", "0.5", "--json", *options)
    assert called.code == (0 if quiet_ok else 1)
    assert json.loads(called.out)["ok"] is quiet_ok
    assert ("nothing was heard but silence" in called.err) is not quiet_ok
