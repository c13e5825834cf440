"""Level meters, and how regularly audio arrives."""

import io

import numpy as np
import pytest
import trio
from trio.testing import MockClock

from trio_transports.cli.meters import FLOOR_DB, Meters, level_db
from trio_transports.demo.timing import Arrivals, spread_ms


def sine(amplitude: float) -> bytes:
    return (amplitude * 32767 * np.sin(np.linspace(0, 40 * np.pi, 3200))).astype("<i2").tobytes()


@pytest.mark.parametrize(
    ("pcm", "level"), [(sine(1.0), -3.0), (sine(0.1), -23.0), (b"", FLOOR_DB), (bytes(640), FLOOR_DB)]
)
def test_levels_are_rms(pcm: bytes, level: float) -> None:
    """A full-scale sine is 3 dB below full scale; silence is the floor."""
    assert level_db(pcm) == pytest.approx(level, abs=0.1)


@pytest.mark.parametrize("columns", [20, 60, 80, 200])
def test_the_line_fits(columns: int) -> None:
    """Without colour codes the line is no longer than the terminal is wide, down to 54 columns."""
    meters = Meters(out=io.StringIO(), colours=False, status="  3.2 / 8.0 s")
    meters.hear("you", sine(0.5))
    assert len(meters.line(columns)) <= max(columns, 54)


def test_a_terminal_without_blocks_gets_ascii() -> None:
    """The bars are made of what the terminal's encoding has."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    meters = Meters(out=out, colours=False)
    meters.hear("peer", sine(1.0))
    assert meters.line(80).isascii()


async def test_levels_fall_and_the_line_is_cleared(autojump_clock: MockClock) -> None:
    """A level decays between sounds; nothing is left on the terminal at the end."""
    out = io.StringIO()
    meters = Meters(out=out, colours=False)
    meters.hear("you", sine(1.0))
    with trio.move_on_after(1.05):
        await meters.run()
    drawn = [part for part in out.getvalue().split("\r") if "dB" in part]
    assert len(drawn) == 11
    levels = [int(part.split(" dB")[0].split()[-1]) for part in drawn]
    assert levels == sorted(levels, reverse=True)
    assert levels[0] == -3
    assert levels[-1] == -33
    assert out.getvalue().endswith("\r\x1b[K")


async def test_meters_that_are_off_draw_nothing() -> None:
    """Not a byte goes to what is no terminal."""
    out = io.StringIO()
    meters = Meters(out=out, is_on=False)
    meters.hear("you", sine(1.0))
    await meters.run()
    assert out.getvalue() == ""


def test_jitter_of_regular_arrivals_is_nothing() -> None:
    """A frame that comes when the one before it has been played is on time; a pause begins anew."""
    arrivals = Arrivals()
    for number in range(50):
        arrivals.add(number * 0.02, 0.02)
    arrivals.add(100.0, 0.02)
    assert arrivals.jitter_s == pytest.approx(0)
    assert (arrivals.count, arrivals.first_at_s, arrivals.last_at_s) == (51, 0.0, 100.0)
    assert arrivals.audio_s == pytest.approx(51 * 0.02)


def test_jitter_converges_to_the_mean_deviation() -> None:
    """Frames that come 4 ms early and late in turn have a jitter of 8 ms between neighbours."""
    arrivals = Arrivals()
    for number in range(400):
        arrivals.add(number * 0.02 + (0.004 if number % 2 else -0.004), 0.02)
    assert arrivals.jitter_s == pytest.approx(0.008, rel=0.01)


def test_the_spread_of_round_trips() -> None:
    """Least, median, 95th percentile, most, and the mean step between neighbours."""
    assert spread_ms([0.001, 0.003, 0.002, 0.010]) == {
        "least_ms": 1.0,
        "median_ms": 2.5,
        "p95_ms": 10.0,
        "most_ms": 10.0,
        "jitter_ms": pytest.approx(11 / 3, abs=0.001),
    }
    assert spread_ms([0.005])["jitter_ms"] == 0.0
