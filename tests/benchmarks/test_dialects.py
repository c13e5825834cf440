"""The dialects of the load: what is sent, and that every other answer than the right one is found."""

import json

import pytest

from benchmarks.load.dialects import DIALECTS, FastRTC
from benchmarks.load.flood import FLOODS, wav
from benchmarks.load.jobs import FloodJob, Target
from benchmarks.load.verify import RING, Faults
from benchmarks.load.websocket import FrameReader
from trio_transports.params.transport import TransportParams


def unmasked(frame: bytes) -> bytes:
    size_at = 4 if frame[1] & 0x7F == 126 else 2
    key = frame[size_at : size_at + 4]
    return bytes(byte ^ key[at % 4] for at, byte in enumerate(frame[size_at + 4 :]))


@pytest.mark.parametrize("name", DIALECTS)
def test_an_echo_is_right_and_all_else_is_not(name: str) -> None:
    """Each chunk once and in order; one again, one left out and one altered are found."""
    dialect = DIALECTS[name]()
    assert len(dialect.frames) == RING
    faults = Faults()
    check = dialect.check(3, faults)
    answers = [unmasked(dialect.frames[check.slot(number)]) for number in range(6)]
    check.sent = 6
    assert [check.answer(answers[number]) for number in (0, 1)] == [0, 1]
    assert (faults.altered, faults.lost) == (0, 0)
    assert check.answer(answers[1]) is None
    assert faults.altered == 1
    assert check.answer(answers[3]) == 3
    assert faults.lost == 1
    assert check.answer(answers[4][:-3] + b"xyz") is None
    assert faults.altered == 2


def test_fastrtc_is_greeted_under_a_name_of_its_own() -> None:
    """Each session says who it is; no two are the same."""
    dialect = FastRTC()
    names = [json.loads(unmasked(dialect.greeting()))["websocket_id"] for _ in range(3)]
    assert len(set(names)) == 3
    assert DIALECTS["protobuf"]().greeting() == b""
    assert FrameReader().feed(b"\x81\x02{}") == [b"{}"]


@pytest.mark.parametrize("kind", FLOODS)
def test_floods_are_within_the_limits(kind: str) -> None:
    """What is refused for its size alone would show nothing."""
    messages = FLOODS[kind]()
    assert max(map(len, messages)) <= TransportParams().max_message_bytes
    assert FloodJob(target=Target(ports=[1], pid=1, workers=[2, 3]), kind=kind).target.pids == (2, 3)


def test_a_header_names_the_rate_it_is_told() -> None:
    """The trap in it is the rate; the rest is a WAV file."""
    assert wav(4_290_000_000, 10)[24:28] == (4_290_000_000).to_bytes(4, "little")
    assert wav(16_000, 10)[:4] + wav(16_000, 10)[8:12] == b"RIFFWAVE"
