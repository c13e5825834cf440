"""Every frame type of the real Pipecat: what becomes of it here, in a table that this test makes.

``python -m tests.real.bus.test_pipecat_frames`` writes the table anew, with ``TT_PIPECAT_PYTHON`` set.
"""

import json
import subprocess
from pathlib import Path

from tests.tools import pipecat_python
from trio_transports.bus import BusFrameMessage, BusOpaqueMessage, JSONMessageSerializer, UnknownTypeError

PEER = Path(__file__).with_name("pipecat_frames.py")
TABLE = Path(__file__).with_name("pipecat_frames.md")
HEAD = """# Pipecat's frames on the bus

Made by `test_pipecat_frames.py` of what the real Pipecat 1.14 writes. A frame that has no counterpart here is ignored
and counted; with `pass_unknown=True` it crosses unchanged.

| frame of Pipecat | here |
|---|---|
"""


def written() -> dict[str, bytes]:
    done = subprocess.run([pipecat_python(), PEER], capture_output=True, timeout=120, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {line["frame"]: line["written"].encode() for line in lines}


def fate(data: bytes) -> str:
    try:
        message = JSONMessageSerializer().decode(data)
    except UnknownTypeError:
        passed = JSONMessageSerializer(pass_unknown=True)
        opaque = passed.decode(data)
        assert isinstance(opaque, BusOpaqueMessage)
        assert (opaque.source, opaque.target) == ("near", "far")
        assert passed.encode(opaque) == data
        return "ignored, or passed on"
    assert isinstance(message, BusFrameMessage)
    role = f", role {message.role}" if message.role == "input" else ""
    return f"`{type(message.frame).__name__}`{role}"


def table(frames: dict[str, bytes]) -> str:
    return HEAD + "".join(f"| {name} | {fate(data)} |\n" for name, data in frames.items())


def test_every_frame_of_pipecats_maps_passes_or_is_ignored() -> None:
    """None of them is malformed, and the table says of each what becomes of it."""
    frames = written()
    assert len(frames) >= 139
    assert table(frames) == TABLE.read_text("utf-8"), "run python -m tests.real.bus.test_pipecat_frames"


if __name__ == "__main__":
    TABLE.write_text(table(written()), "utf-8")
