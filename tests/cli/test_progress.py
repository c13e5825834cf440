"""How far a command is: on a terminal, in one line that is gone at the end; elsewhere nothing."""

import io
import os
import pty
import subprocess
import sys

import pytest
import trio
from trio.testing import MockClock

from trio_transports import ConnectionClosed
from trio_transports.audio.format import AudioFormat
from trio_transports.cli.probe import Probe, ProbePlan
from trio_transports.cli.progress import progress
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.wire.dialling import Address
from trio_transports.wire.memory import MemoryWire, memory_wire_pair


def test_what_is_no_terminal_gets_nothing() -> None:
    out = io.StringIO()
    with progress(out) as show:
        show("half")
    assert out.getvalue() == ""


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("demo", "--self-test", "--json"), ("page: loading it", "barge-in: talking over")),
        (("probe", "ws://127.0.0.1:9", "--connect-timeout", "5"), ("connecting to ws://127.0.0.1:9",)),
    ],
)
def test_a_terminal_sees_how_far_it_is(arguments: tuple[str, ...], told: tuple[str, ...]) -> None:
    """Standard output is a pipe and has nothing of it; the terminal's last line is empty or the error."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "trio_transports", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        seen = b""
        try:
            while more := os.read(ours, 4096):
                seen += more
        except OSError:
            pass  # Linux says so when the other end of a terminal is closed
        assert process.stdout is not None
        out = process.stdout.read()
    os.close(ours)
    for each in told:
        assert f"\r{each}".encode() in seen
        assert each.encode() not in out
    assert b"\r\x1b[K" in seen


class Pinged:
    """A wire in memory, whose peer answers pings too."""

    def __init__(self, wire: MemoryWire) -> None:
        self.receive, self.send, self.aclose = wire.receive, wire.send, wire.aclose

    async def ping(self) -> None:
        await trio.sleep(0.01)


async def _say_back(wire: MemoryWire) -> None:
    while True:
        try:
            await wire.send(await wire.receive())
        except ConnectionClosed:
            return


async def test_a_probe_tells_of_each_ping_and_of_its_audio(autojump_clock: MockClock) -> None:
    """Pings by their number, audio by its seconds, five times in a second; the next probe begins anew."""
    for _ in range(2):
        told: list[str] = []
        plan = ProbePlan(
            address=Address.parse("ws://memory/"), headers=(), ca_file=None, connect_timeout_s=1, pings=3,
            interval_s=0.1, audio_s=0.5, serializer=JSONFrameSerializer(), audio_format=AudioFormat(16000),
        )  # fmt: skip
        probe = Probe(plan, told.append)
        near, far = memory_wire_pair()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_say_back, far)
            await probe._look(Pinged(near))  # type: ignore[arg-type]
        assert told == [
            "ping 1 of 3 ...",
            "ping 2 of 3 ...",
            "ping 3 of 3 ...",
            "audio 0.0 of 0.5 s ...",
            "audio 0.2 of 0.5 s ...",
            "audio 0.4 of 0.5 s ...",
        ]
        assert probe.echoes.count == 25
