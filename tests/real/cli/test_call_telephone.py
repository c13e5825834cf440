"""``call`` as a telephone's provider calls, through standard input and output, and against a server that is silent."""

import json
from pathlib import Path

import numpy as np
import trio

from tests.real.cli.programs import PROGRAM, ROOT, run, serving
from tests.real.hosting import hosted
from trio_transports import (
    BotStoppedSpeakingFrame,
    Disconnected,
    EndFrame,
    Frame,
    Session,
    TextFrame,
    TranscriptionFrame,
)
from trio_transports.audio.format import AudioFormat
from trio_transports.audio.wav import parse_wav, read_wav, write_wav
from trio_transports.cli.json_output import OBJECTS
from trio_transports.serializers.detect import DetectingFrameSerializer
from trio_transports.testing import speech_like

LINES = ("twilio", "genesys", "asterisk")
"""JSON, numbered transactions, and bare audio; every line is called in virtual time, in ``tests/cli``."""


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


async def test_a_phone_from_the_command_line(tmp_path: Path) -> None:
    """Each is heard as a call of that provider, the echo comes back, and the call is ended in order."""
    speech = speech_like(0.6, sample_rate=8000)
    write_wav(tmp_path / "a.wav", AudioFormat(8000), speech.audio)

    async def echo(session: Session) -> None:
        async for frame in session.input:
            await session.output.send(frame)

    async def call(url: str, line: str) -> None:
        paths = ("--in", str(tmp_path / "a.wav"), "--out", str(tmp_path / f"{line}.wav"))
        called = await run("call", url, *paths, "--serializer", line, "--tail", "5", "--json")
        assert called.code == 0, (line, called.err)
        assert json.loads(called.out)["ended_by"] == "local", line

    settings = {"serializer": DetectingFrameSerializer(), "audio_in_enabled": True, "audio_out_enabled": True}
    settings["audio_out_auto_silence"] = False  # a caller that is late leaves no gap to fill
    async with hosted("direct", echo, **settings) as host:
        async with trio.open_nursery() as nursery:
            for line in LINES:
                nursery.start_soon(call, host.url, line)
        with trio.fail_after(20):
            await host.until(Disconnected, len(LINES))
        assert [end.code for end in host.ends] == [1000] * len(LINES)
    for line in LINES:
        _, heard = read_wav(tmp_path / f"{line}.wav")
        assert likeness(speech.audio, heard) > 0.9, line


async def test_a_line_of_text_from_the_command_line(tmp_path: Path) -> None:
    """What the file says is answered turn by turn, and written down; a bot that hangs up early makes it a failure."""
    heard: list[Frame] = []

    async def clerk(session: Session) -> None:
        await session.output.send(TextFrame(text="Welcome."))
        await session.output.send(BotStoppedSpeakingFrame())
        async for frame in session.input:
            heard.append(frame)
            if isinstance(frame, TranscriptionFrame) and frame.text == "bye":
                await session.output.send(EndFrame())
            elif isinstance(frame, TranscriptionFrame):
                await session.output.send(TextFrame(text=frame.text))
                await session.output.send(TextFrame(text="?"))
                await session.output.send(BotStoppedSpeakingFrame())

    settings = {"serializer": DetectingFrameSerializer(), "audio_in_enabled": True, "audio_out_enabled": True}
    (tmp_path / "a.txt").write_text("hello\nagain\n")
    (tmp_path / "b.txt").write_text("bye\nhello\n")
    async with hosted("direct", clerk, **settings) as host:
        options = ("--serializer", "relay", "--tail", "5", "--limit", "20", "--json")
        out = tmp_path / "out.txt"
        called = await run("call", host.url, "--in", str(tmp_path / "a.txt"), "--out", str(out), *options)
        assert called.code == 0, called.err
        report = json.loads(called.out)
        assert (report["said_lines"], report["heard"]) == (2, ["Welcome.", "hello?", "again?"])
        assert set(report) == set(OBJECTS["call"])
        assert (report["close_code"], report["ended_by"]) == (1000, "local")
        assert out.read_text() == "Welcome.\nhello?\nagain?\n"
        capture = tmp_path / "captured.txt"
        await run("call", host.url, "--in", str(tmp_path / "a.txt"), "--capture", str(capture), *options)
        kinds = [json.loads(line)["type"] for line in capture.read_text().splitlines()]
        assert set(kinds) == {"text"}
        assert len(kinds) >= 3
        full = await run("call", host.url, "--in", str(tmp_path / "a.txt"), "--capture", "/dev/full", *options)
        assert full.code == 1
        assert "the capture /dev/full is not whole" in full.err
        short = await run("call", host.url, "--in", str(tmp_path / "b.txt"), *options)
        assert short.code == 1
        assert "the server hung up after 1 of 2 lines" in short.err
        assert set(json.loads(short.out)) == {*OBJECTS["call"], "error"}
    assert TranscriptionFrame(text="hello") in heard


async def test_standard_input_and_output(tmp_path: Path) -> None:
    """A file can be piped in, and the recording out: the report stands aside, on standard error."""
    speech = speech_like(0.4)
    write_wav(tmp_path / "a.wav", AudioFormat(16000), speech.audio)
    async with serving("echo", "--port", "0") as server:
        url = (await server.next("ready"))["url"]
        with trio.fail_after(60):
            done = await trio.run_process(
                [*PROGRAM, "call", url, "--in", "-", "--out", "-", "--tail", "5", "--json"],
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


async def test_a_call_that_hears_nothing_is_a_failure(tmp_path: Path) -> None:
    """Silence that comes back is nothing heard, unless that is said to be all right."""
    write_wav(tmp_path / "a.wav", AudioFormat(16000), bytes(6400))

    async def call(url: str, *options: str) -> None:
        called = await run("call", url, "--in", str(tmp_path / "a.wav"), "--tail", "0.5", "--json", *options)
        quiet_ok = bool(options)
        assert called.code == (0 if quiet_ok else 1)
        assert json.loads(called.out)["ok"] is quiet_ok
        assert ("nothing was heard but silence" in called.err) is not quiet_ok

    async with serving("echo", "--port", "0") as server, trio.open_nursery() as nursery:
        url = (await server.next("ready"))["url"]
        nursery.start_soon(call, url)
        nursery.start_soon(call, url, "--quiet-ok")
