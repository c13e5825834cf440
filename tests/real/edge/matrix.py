"""Print what every host answers to every attack: ``python -m tests.real.edge.matrix``.

The table is Markdown. An answer that is not among the right ones is in bold; the exit code is then 1, unless it is that
of a server that is not ours. ``matrix.md`` is what it printed last, and the guide counts what stands there.
"""

import sys
from collections.abc import Collection
from math import inf
from pathlib import Path
from typing import Final

import trio

from tests.real.edge.attacks import ATTACKS, Attack, play
from tests.real.edge.hosts import FOREIGN, HOSTS, Host

WAIT_IN_VAIN_S: Final = 1.5
PRINTED: Final = Path(__file__).with_suffix(".md")


async def column(host: Host) -> list[str]:
    """A host's answers, each attack on a connection of its own."""
    async with host() as found:
        return [await _answer(found.port, attack, found.path) for attack in ATTACKS]


async def foreign_column(host: Host, unanswered: Collection[str] = ()) -> list[str]:
    """As ``column``, with a server of its own for each attack: some end it.

    The answer to those that are named ``unanswered`` is not waited for as long as to the others.
    """
    return [
        await _answer_or_end(host, attack, WAIT_IN_VAIN_S if attack.name in unanswered else inf) for attack in ATTACKS
    ]


async def _answer_or_end(host: Host, attack: Attack, wait_s: float) -> str:
    try:
        async with host() as found:
            with trio.move_on_after(wait_s):
                return await _answer(found.port, attack, found.path)
            return "no answer"
    except (Exception, BaseExceptionGroup):  # whatever ends a server that is not ours is its answer
        return "the server ended"


async def _answer(port: int, attack: Attack, path: bytes) -> str:
    try:
        return await play(port, attack, path)
    except trio.TooSlowError:
        return "no answer"


def table(columns: dict[str, list[str]]) -> list[str]:
    """The matrix as lines of Markdown."""
    lines = ["| attack | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    for attack, *answers in zip(ATTACKS, *columns.values(), strict=True):
        shown = (answer if answer in attack.right else f"**{answer}**" for answer in answers)
        lines.append(f"| {attack.name} | " + " | ".join(shown) + " |")
    return lines


def columns_in(printed: str) -> dict[str, dict[str, str]]:
    """Each host's answer to each attack, from a table that was printed."""
    head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in printed.splitlines())
    return {name: {row[0]: row[at] for row in rows} for at, name in enumerate(head) if at}


def summary(columns: dict[str, dict[str, str]]) -> list[str]:
    """How many attacks each host answers in which way, as lines of Markdown."""
    lines = [
        f"| {len(ATTACKS)} attacks on | refused | ended with a Close | harmless, let in | wrong |",
        "|---|---|---|---|---|",
    ]
    for name, answers in columns.items():
        right = [answer for answer in answers.values() if "**" not in answer]
        closes, let_in = sum(answer.startswith("close ") for answer in right), right.count("101")
        counts = (len(right) - closes - let_in, closes, let_in, len(answers) - len(right))
        lines.append(f"| {name} | " + " | ".join(map(str, counts)) + " |")
    return lines


async def main() -> int:
    columns = {name: await column(host) for name, host in HOSTS.items()}
    foreign = {name: await foreign_column(host) for name, host in FOREIGN.items()}
    print("\n".join(table({**columns, **foreign})))
    return int(
        any(
            answer not in attack.right
            for each in columns.values()
            for attack, answer in zip(ATTACKS, each, strict=True)
        )
    )


if __name__ == "__main__":
    sys.exit(trio.run(main))
