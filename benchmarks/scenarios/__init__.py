"""What is measured: one module for each scenario, each with ``run(bench)`` and the ``plan(bench)`` that it follows."""

from collections.abc import Callable, Sequence
from typing import final

from attrs import frozen

from ..bench import Bench, Part
from . import bus, capacity, churn, echo, hostile, imports, memory, micro, playback, serve, stall


@final
@frozen
class Scenario:
    name: str
    what: str
    run: Callable[[Bench], None]
    plan: Callable[[Bench], Sequence[Part]]
    """Who is measured how often, and about how long it takes."""

    def takes_s(self, bench: Bench) -> float:
        return sum(part.takes_s for part in self.plan(bench))

    def steps(self, bench: Bench) -> int:
        return sum(part.steps for part in self.plan(bench))


SCENARIOS = (
    Scenario("echo", "CPU per echoed 20 ms frame and round trip, 50 paced sessions", echo.run_echo, echo.plan_echo),
    Scenario(
        "pacing",
        "how exactly played audio keeps time, and what playing it costs",
        playback.run_pacing,
        playback.plan_pacing,
    ),
    Scenario("capacity", "how many sessions one server process holds, by bisection", capacity.run, capacity.plan),
    Scenario("churn", "connect, one frame there and back, close: calls per second", churn.run, churn.plan),
    Scenario("memory", "memory of an idle and of an active session", memory.run, memory.plan),
    Scenario("stall", "how late a live source's echo is before, during and after holes in it", stall.run, stall.plan),
    Scenario("bus", "jobs and messages through a proxy pair", bus.run, bus.plan),
    Scenario("import", "what the first import takes", imports.run, imports.plan),
    Scenario("hostile", "memory and time that one hostile peer can take", hostile.run, hostile.plan),
    Scenario("micro", "serializers, audio, telephony and bus, function by function", micro.run, micro.plan),
    Scenario(
        "interruption",
        "from the caller's interruption to the last byte of what was playing",
        playback.run_interruption,
        playback.plan_interruption,
    ),
    Scenario("growth", "the echo's CPU and round trip from 1 to 200 sessions", echo.run_growth, echo.plan_growth),
    Scenario("serve", "the serve command with one worker and with two", serve.run, serve.plan),
    Scenario(
        "pictures",
        "a picture of 640x480, raw and as JPEG, and 20 ms of Opus, piece by piece",
        micro.run_pictures,
        micro.plan_pictures,
    ),
)
"""In the order of a run: what the promises are about comes first, should it be cut short."""


def chosen(names: list[str]) -> list[Scenario]:
    """The scenarios of those names; none named is all."""
    known = {scenario.name: scenario for scenario in SCENARIOS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"no such scenario: {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[name] for name in names] or [*SCENARIOS]
