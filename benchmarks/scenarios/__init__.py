"""What is measured: one module for each scenario, each with ``run(bench)``."""

from collections.abc import Callable
from typing import final

from attrs import frozen

from ..bench import Bench
from .bus import run as run_bus
from .churn import run as run_churn
from .echo import run_capacity, run_echo
from .memory import run as run_memory
from .micro import run as run_micro
from .micro import run_pictures
from .playback import run_interruption, run_pacing
from .stall import run as run_stall


@final
@frozen
class Scenario:
    name: str
    what: str
    run: Callable[[Bench], None]


SCENARIOS = (
    Scenario("echo", "CPU per echoed 20 ms frame and round trip, by number of paced sessions", run_echo),
    Scenario("capacity", "how many sessions one server process holds before it falls behind", run_capacity),
    Scenario("pacing", "how exactly played audio keeps time, and what playing it costs", run_pacing),
    Scenario("interruption", "from the caller's interruption to the last byte of what was playing", run_interruption),
    Scenario("churn", "connect, one frame there and back, close: calls per second and CPU per call", run_churn),
    Scenario("memory", "memory of an idle and of an active session", run_memory),
    Scenario("stall", "how late a live source's echo is before, during and after holes in it", run_stall),
    Scenario("bus", "jobs and messages through a proxy pair", run_bus),
    Scenario("pictures", "a picture of 640x480, raw and as JPEG, and 20 ms of Opus, piece by piece", run_pictures),
    Scenario("micro", "serializers, audio, telephony and bus, function by function", run_micro),
)


def chosen(names: list[str]) -> list[Scenario]:
    """The scenarios of those names; none named is all."""
    known = {scenario.name: scenario for scenario in SCENARIOS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"no such scenario: {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[name] for name in names] or [*SCENARIOS]
