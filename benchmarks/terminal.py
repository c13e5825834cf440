"""How far a run is: a bar on a terminal, and where there is none a line now and then."""

import time
from collections.abc import Callable
from typing import final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table as RichTable

from .tables import Table

EVERY_S = 10.0
"""A line about as often, where there is no terminal: only the end of a step can write one."""


def show(console: Console, table: Table) -> None:
    rich = RichTable(title=table.title, title_justify="left", header_style="bold")
    for index, column in enumerate(table.columns):
        rich.add_column(column, justify="left" if index < 2 else "right", overflow="fold")
    for index, row in enumerate(table.rows):
        rich.add_row(*row, style="cyan" if index in table.ours else "")
    console.print(rich)


def clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


@final
class Terminal:
    """What a run says while it lasts; ``planned_s`` is how long it should."""

    def __init__(self, console: Console, *, now: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self.planned_s = 0.0
        self._now = now
        self._began = self._told_at = now()
        self._scenario, self._steps, self._at = "", 0, 0
        self._bar = Progress(
            TextColumn("[bold]{task.fields[scenario]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task("", total=None, scenario="starting")

    def __enter__(self) -> "Terminal":
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._console.is_terminal:
            self._bar.stop()

    def scenario(self, name: str, steps: int) -> None:
        self._scenario, self._steps, self._at = name, steps, 0
        self._bar.reset(self._task, total=steps, scenario=name, description="")
        if not self._console.is_terminal:
            self._told_at = self._now()
            self._line(f"{name}, {steps} steps")

    def step(self, what: str) -> None:
        self._at += 1
        self._bar.update(self._task, advance=1, description=what)
        if not self._console.is_terminal and self._now() - self._told_at >= EVERY_S:
            self._told_at = self._now()
            self._line(f"{self._scenario} {self._at}/{self._steps}: {what}")

    def say(self, what: str) -> None:
        self._console.print(what, style="yellow", markup=False)

    def _line(self, what: str) -> None:
        planned = f" of about {clock(self.planned_s)}" if self.planned_s else ""
        self._console.print(f"{clock(self._now() - self._began)}{planned}  {what}", markup=False, highlight=False)
