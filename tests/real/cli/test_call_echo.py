"""``call`` against ``echo``: what is recorded is what was said."""

import base64
import json
import os
import pty
import re
import select
import signal
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import trio
from trio_websocket import open_websocket_url

from tests.real.cli.programs import PATIENCE_S, PROGRAM, Outcome, run, serving
from tests.tools import requires_module
from trio_transports import Session, WebsocketServerTransport
from trio_transports.audio.format import AudioFormat
from trio_transports.audio.wav import read_wav, write_wav
from trio_transports.cli.json_output import OBJECTS
from trio_transports.frames import AudioFrame, TextFrame
from trio_transports.params import WebsocketClientParams, WebsocketServerParams
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.transports.client import WebsocketClientTransport

TRIES = 3
"""A probe waits a second or two, which a server on a busy machine may once be late."""


def noise(audio_format: AudioFormat, duration_s: float) -> bytes:
    samples = audio_format.samples_in(duration_s) * audio_format.num_channels
    return np.random.default_rng(7).integers(-20000, 20000, samples).astype("<i2").tobytes()


async def has_heard(capture: Path) -> None:
    """Wait until a call has kept so much of what it heard: some 0.4 s."""
    with trio.fail_after(PATIENCE_S):
        while kept_bytes(capture) < 20_000:  # noqa: ASYNC110 - another process tells nobody
            await trio.sleep(0.05)


def kept_bytes(capture: Path) -> int:
    return capture.stat().st_size if capture.exists() else 0


async def test_the_recording_equals_what_was_said(tmp_path: Path) -> None:
    """Sample for sample, in any dialect and format; only the last frame is padded with silence."""
    requires_module("google.protobuf", extra="protobuf")
    cases = (("json", 16000, 1), ("json", 44100, 2), ("protobuf", 8000, 1), ("pcm", 16000, 1))
    async with trio.open_nursery() as nursery:
        for number, (serializer, rate, channels) in enumerate(cases):
            folder = tmp_path / str(number)
            folder.mkdir()
            nursery.start_soon(_call_and_compare, serializer, AudioFormat(rate, channels), folder)


async def _call_and_compare(serializer: str, audio_format: AudioFormat, folder: Path) -> None:
    said = noise(audio_format, 0.79)
    write_wav(folder / "a.wav", audio_format, said)
    options = ("--serializer", serializer, "--channels", str(audio_format.num_channels))
    async with serving("echo", "--port", "0", *options) as server:
        url = (await server.next("ready"))["url"]
        paths = ("--in", str(folder / "a.wav"), "--out", str(folder / "b.wav"))
        called = await run("call", url, *paths, "--serializer", serializer, "--tail", "5", "--json")
        assert called.code == 0, called.err
        gone = await server.next("disconnected")
    recorded_format, heard = read_wav(folder / "b.wav")
    assert recorded_format == audio_format
    assert heard[: len(said)] == said
    assert not any(heard[len(said) :])
    assert len(heard) - len(said) < audio_format.size_bytes(audio_format.samples_in(0.02))
    report = json.loads(called.out)
    assert report["ok"] is True
    assert report["heard_frames"] == 40
    assert set(report) == set(OBJECTS["call"])
    assert report["ended_by"] == "local"
    assert (gone["code"], gone["initiator"]) == (1000, "remote")


async def test_what_was_captured_can_be_inspected(tmp_path: Path) -> None:
    """The messages that call --capture wrote decode to the same audio."""
    audio_format = AudioFormat(16000)
    said = noise(audio_format, 0.4)
    write_wav(tmp_path / "a.wav", audio_format, said)
    capture, wav = str(tmp_path / "capture.txt"), tmp_path / "c.wav"
    async with serving("echo", "--port", "0", "--once") as server:
        url = (await server.next("ready"))["url"]
        called = await run("call", url, "--in", str(tmp_path / "a.wav"), "--capture", capture, "--tail", "5")
        assert called.code == 0, called.err
        assert "said    0.40 s" in called.out
        # --once: it has ended by itself
        with trio.fail_after(PATIENCE_S):
            await server.process.wait()
    inspected = await run("inspect", capture, "--wav", str(wav))
    assert inspected.code == 0, inspected.err
    assert "20 messages, 0 malformed, 20 audio frames of 0.40 s" in inspected.out
    assert read_wav(wav) == (audio_format, said)


async def test_a_server_that_hangs_up_early_is_a_failure(tmp_path: Path) -> None:
    """The line tells how far it came; what was heard until then is kept."""
    write_wav(tmp_path / "a.wav", AudioFormat(16000), noise(AudioFormat(16000), 30))
    async with serving("echo", "--port", "0") as server, trio.open_nursery() as nursery:
        url = (await server.next("ready"))["url"]

        async def interrupt() -> None:
            await server.next("connected")
            await has_heard(tmp_path / "capture.txt")
            server.interrupt()

        nursery.start_soon(interrupt)
        paths = ("--in", str(tmp_path / "a.wav"), "--out", str(tmp_path / "b.wav"))
        called = await run("call", url, *paths, "--capture", str(tmp_path / "capture.txt"), "--quiet")
    assert called.code == 1
    assert called.out == ""
    (line,) = called.err.splitlines()
    told = re.fullmatch(r"trio-transports: the server hung up after (.+) of 30\.0 s, code 1001: .+", line)
    assert told is not None, line
    heard_format, heard = read_wav(tmp_path / "b.wav")
    assert 0 < heard_format.duration_s(len(heard)) <= float(told[1]) + 0.1 < 30


async def test_a_capture_on_a_full_disk_costs_nothing_else(tmp_path: Path) -> None:
    """The call and its recording are whole; the line names the file, and the exit code is 1."""
    said = noise(AudioFormat(16000), 0.2)
    write_wav(tmp_path / "a.wav", AudioFormat(16000), said)
    async with serving("echo", "--port", "0") as server:
        url = (await server.next("ready"))["url"]
        paths = ("--in", str(tmp_path / "a.wav"), "--out", str(tmp_path / "b.wav"), "--capture", "/dev/full")
        called = await run("call", url, *paths, "--tail", "5", "--quiet")
    assert (called.code, called.out) == (1, "")
    assert called.err == "trio-transports: the capture /dev/full is not whole: No space left on device\n"
    assert read_wav(tmp_path / "b.wav")[1] == said


async def test_an_echo_of_text_first() -> None:
    """A client that begins with text hears its audio at the rate that the echo was given."""
    params = WebsocketClientParams(
        audio_in_enabled=True, audio_out_enabled=True, audio_out_sample_rate=8000, serializer=JSONFrameSerializer()
    )
    async with serving("echo", "--port", "0", "--rate", "8000") as server:
        url = (await server.next("ready"))["url"]
        async with WebsocketClientTransport(url, params).session() as session:
            await session.output.send(TextFrame(text="first"))
            await session.output.send(AudioFrame(audio=b"\1\0" * 800, sample_rate=8000))
            with trio.fail_after(60):
                heard = [await session.input.receive()]
                while not isinstance(heard[-1], AudioFrame):
                    heard.append(await session.input.receive())
    assert TextFrame(text="first") in heard
    assert heard[-1].sample_rate == 8000


async def probe(url: str, *options: str) -> Outcome:
    """One by which the server was on time, if there is one."""
    for _ in range(TRIES):
        probed = await run("probe", url, *options)
        if probed.code == 0 and is_on_time(probed.out):
            break
    return probed


def is_on_time(told: str) -> bool:
    if not told.startswith("{"):
        return "not answered" not in told
    report = json.loads(told)
    return report["close_answered_ms"] is not None and report["audio"]["received_s"] > 0.39


async def test_probe_measures_an_echo() -> None:
    """Round trips, the echo of the audio and the answered close are in the report."""
    async with serving("echo", "--port", "0") as server:
        url = (await server.next("ready"))["url"]
        probed = await probe(url, "--pings", "5", "--interval", "0.01", "--audio", "0.4", "--json")
        in_words = await probe(url, "--pings", "3", "--interval", "0.01")
    assert probed.code == 0, probed.err
    report = json.loads(probed.out)
    assert report["ok"] is True
    assert report["pings"] == 5
    assert set(report) == set(OBJECTS["probe"])
    assert report["lost"] == 0
    assert 0 < report["round_trip"]["least_ms"] <= report["round_trip"]["median_ms"] <= report["round_trip"]["most_ms"]
    assert report["audio"]["received_s"] == pytest.approx(0.4)
    assert report["close_answered_ms"] is not None
    assert in_words.code == 0
    assert "round trip  least" in in_words.out
    assert "closing     answered after" in in_words.out


def _all_that_was_drawn(terminal: int) -> bytes:
    """A terminal hands on what was written to it piece by piece, and on a busy machine later than it was written."""
    drawn = b""
    while select.select([terminal], [], [], 0.5)[0]:
        drawn += os.read(terminal, 65536)
    return drawn


async def test_meters_are_drawn_on_a_terminal_only(tmp_path: Path) -> None:
    """With stderr on a terminal both levels are drawn; the report on stdout stays clean."""
    write_wav(tmp_path / "a.wav", AudioFormat(16000), noise(AudioFormat(16000), 0.5))
    ours, theirs = pty.openpty()
    try:
        async with serving("echo", "--port", "0") as server:
            url = (await server.next("ready"))["url"]
            command = [*PROGRAM, "call", url, "--in", str(tmp_path / "a.wav"), "--tail", "5"]
            environment = os.environ | {"TERM": "xterm", "COLUMNS": "100", "PYTHONIOENCODING": "utf-8"}
            with trio.fail_after(PATIENCE_S):
                done = await trio.run_process(command, capture_stdout=True, stderr=theirs, env=environment)
        drawn = _all_that_was_drawn(ours)
    finally:
        os.close(ours)
        os.close(theirs)
    assert b"\x1b[" not in done.stdout
    assert drawn.count(b"you ") >= 4
    assert b"\x1b[33m" in drawn or b"\x1b[31m" in drawn
    assert drawn.endswith(b"\r\x1b[K")


async def test_a_telephone_hears_itself() -> None:
    """The echo finds out which provider calls, and answers in its protocol, byte for byte."""
    payload = base64.b64encode(bytes(range(128, 256)) + bytes(range(128, 160))).decode()
    async with serving("echo", "--port", "0", "--serializer", "telephone") as server:
        url = (await server.next("ready"))["url"]
        async with open_websocket_url(url) as caller:
            start = {"streamSid": "MZ1", "callSid": "CA1", "accountSid": "AC1", "customParameters": {}}
            for message in (
                {"event": "connected", "protocol": "Call", "version": "1.0.0"},
                {"event": "start", "streamSid": "MZ1", "start": start},
                {"event": "media", "streamSid": "MZ1", "media": {"payload": payload, "track": "inbound"}},
            ):
                await caller.send_message(json.dumps(message))
            with trio.fail_after(60):
                while (answer := json.loads(await caller.get_message()))["event"] != "media":
                    pass
    assert answer == {"event": "media", "streamSid": "MZ1", "media": {"payload": payload}}


async def test_ctrl_c_hangs_up_and_keeps_the_recording(tmp_path: Path) -> None:
    """The server sees a proper goodbye, and what was heard so far is on disk."""
    write_wav(tmp_path / "a.wav", AudioFormat(16000), noise(AudioFormat(16000), 20))
    async with serving("echo", "--port", "0") as server, trio.open_nursery() as nursery:
        url = (await server.next("ready"))["url"]
        paths = ("--in", str(tmp_path / "a.wav"), "--out", str(tmp_path / "b.wav"))
        command = [*PROGRAM, "call", url, *paths, "--capture", str(tmp_path / "capture.txt"), "--json"]
        with (tmp_path / "report.json").open("wb") as output:
            call = await nursery.start(partial(trio.run_process, command, stdout=output, check=False))
            await server.next("connected")
            await has_heard(tmp_path / "capture.txt")
            call.send_signal(signal.SIGINT)
            with trio.fail_after(PATIENCE_S):
                assert await call.wait() == 130
        gone = await server.next("disconnected")
    assert gone["code"] in (1000, 1001)
    assert gone["initiator"] == "remote"
    report = json.loads((tmp_path / "report.json").read_text())
    assert 0.2 < report["heard_s"] < 20
    assert read_wav(tmp_path / "b.wav")[0] == AudioFormat(16000)


async def test_a_probe_that_is_cut_short_says_so() -> None:
    """A server that closes in the middle is one line with its code and reason, and exit code 1."""

    async def hang_up(session: Session) -> None:
        await trio.sleep(0.1)
        await session.aclose(1011, "overloaded")

    params = WebsocketServerParams(serializer=JSONFrameSerializer())
    async with trio.open_nursery() as nursery:
        listening = await nursery.start(WebsocketServerTransport(params, host="127.0.0.1", port=0).serve, hang_up)
        probed = await run("probe", f"ws://127.0.0.1:{listening.port}", "--pings", "1000", "--interval", "0.05")
        nursery.cancel_scope.cancel()
    assert probed.code == 1
    assert probed.err == "trio-transports: the probe was cut short: closed by the peer, code 1011: overloaded\n"
    assert "closing     not answered" in probed.out
