"""What a run leaves behind: measurements, what was wrong, and the machine, as one JSON file.

Rules
1. A measurement keeps the value of every repeat, in order; summaries are made when it is read.
2. What was wrong is a result of its own, never a number: a peer that lost, shortened or altered messages has no time.
3. Nothing in the file names the host, a user or a path.
"""

import json
from pathlib import Path
from statistics import median
from typing import Literal, final

from attrs import Factory, define, frozen
from cattrs import BaseValidationError, transform_error
from cattrs.preconf.json import make_converter

from .micro.timing import Figure

FORMAT: Literal[1] = 1
CALM = 0.03
"""A server that had to wait for a core for more than this share of the time was disturbed by somebody else."""
Better = Literal["lower", "higher", "neither"]


@final
@frozen(kw_only=True)
class Measurement:
    """One thing measured of one peer in one scenario; ``case`` tells apart what else was varied."""

    scenario: str
    metric: str
    peer: str
    unit: str
    values: tuple[float, ...]
    better: Better = "lower"
    sessions: int | None = None
    case: str = ""

    @property
    def middle(self) -> float:
        return median(self.values)

    @property
    def key(self) -> tuple[str, str, str, int | None]:
        """What is measured, whoever was measured: those with the same key may be compared."""
        return self.scenario, self.metric, self.case, self.sessions


@final
@frozen(kw_only=True)
class Wrong:
    """What a peer did wrong. Its figures of that case are left out."""

    scenario: str
    peer: str
    what: str
    sessions: int | None = None


@final
@frozen(kw_only=True)
class Skipped:
    """What was not measured, and why: a peer that is not installed, a load too busy to be believed."""

    scenario: str
    peer: str
    why: str


@final
@define(kw_only=True)
class Noise:
    """What the machine did to the measurements of a scenario."""

    measured: int = 0
    repeated: int = 0
    """Tries that were made because somebody else had the server's core in the one before, or the clock was set."""
    spoiled: int = 0
    """Tries in which the wall clock was set; they are never timed."""
    disturbed: int = 0
    """Measurements that were kept though the server waited for a core for more than a small share of the time."""
    waited_most: float = 0.0
    """The largest such share."""

    def add(self, waited: float) -> None:
        """Count a measurement that was kept, with the share of time for which its server waited for a core."""
        self.measured += 1
        self.disturbed += waited > CALM
        self.waited_most = max(self.waited_most, waited)


@final
@frozen(kw_only=True)
class PeerFacts:
    """Who was measured: its title, what it does for each frame, and the versions it ran on."""

    title: str
    ours: bool
    decodes: bool
    paces: bool
    python: str = ""
    versions: dict[str, str] = Factory(dict)


@final
@define(kw_only=True)
class Results:
    started: str
    quick: bool
    machine: dict[str, str]
    format: Literal[1] = FORMAT
    peers: dict[str, PeerFacts] = Factory(dict)
    measurements: list[Measurement] = Factory(list)
    figures: list[Figure] = Factory(list)
    wrong: list[Wrong] = Factory(list)
    skipped: list[Skipped] = Factory(list)
    noise: dict[str, Noise] = Factory(dict)
    """By scenario."""
    scenarios: list[str] = Factory(list)
    """Those that were gone through to their end."""
    unfinished: list[str] = Factory(list)
    """Those that were asked for and not gone through: the run was cut short."""
    planned_s: float = 0.0
    took_s: float = 0.0

    def of(self, scenario: str, metric: str | None = None) -> list[Measurement]:
        """The measurements of a scenario, and of one metric where it is named."""
        return [m for m in self.measurements if m.scenario == scenario and metric in (None, m.metric)]

    def find(self, like: Measurement, peer: str) -> Measurement | None:
        """The same thing measured of another peer."""
        return next((m for m in self.measurements if m.peer == peer and m.key == like.key), None)


_CONVERTER = make_converter(forbid_extra_keys=True)


def save(results: Results, path: Path) -> None:
    """Write the file anew, whole or not at all: a run writes it after each scenario, and may be cut short."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(json.dumps(_CONVERTER.unstructure(results), indent=1) + "\n")
    beside.replace(path)


def load(path: Path) -> Results:
    """Read a file of results; one that is not such a file is a ValueError that says so."""
    try:
        return _CONVERTER.structure(json.loads(path.read_text()), Results)
    except OSError as exc:
        raise ValueError(f"{path} cannot be read: {exc.strerror}") from exc
    except (ValueError, AttributeError, BaseValidationError) as exc:  # cattrs takes for granted that it is a dict
        why = "; ".join(transform_error(exc)) if isinstance(exc, BaseValidationError) else str(exc)
        raise ValueError(f"{path} is not a file of benchmark results of format {FORMAT}: {why}") from exc
