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
from tests.real.edge.h2_attacks import NOT_SAID, play_h2
from tests.real.edge.h2_attacks import right_answers as right_h2_answers
from tests.real.edge.hosts import FOREIGN, H2_HOSTS, HOSTS, Found, Host

WAIT_IN_VAIN_S: Final = 1.5
PRINTED: Final = Path(__file__).with_suffix(".md")


async def column(name: str) -> list[str]:
    """A host's answers, each attack on a connection of its own."""
    async with HOSTS[name]() as found:
        return [await answer(name, found, attack) for attack in ATTACKS]


async def answer(name: str, found: Found, attack: Attack) -> str:
    """What the host of that name, which is found there, answers."""
    try:
        if name in H2_HOSTS:
            return await play_h2(found, attack)
        return await play(found.port, attack, found.path, found.tls)
    except trio.TooSlowError:
        return "no answer"


def right_answers(name: str, attack: Attack) -> tuple[str, ...]:
    """What it may answer."""
    return right_h2_answers(attack) if name in H2_HOSTS else attack.right


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
                return await answer("", found, attack)
            return "no answer"
    except (Exception, BaseExceptionGroup):  # whatever ends a server that is not ours is its answer
        return "the server ended"


def table(columns: dict[str, list[str]]) -> list[str]:
    """The matrix as lines of Markdown."""
    lines = ["| attack | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    for attack, *answers in zip(ATTACKS, *columns.values(), strict=True):
        shown = (
            answer if answer in right_answers(name, attack) else f"**{answer}**"
            for name, answer in zip(columns, answers, strict=True)
        )
        lines.append(f"| {attack.name} | " + " | ".join(shown) + " |")
    return lines


def columns_in(printed: str) -> dict[str, dict[str, str]]:
    """Each host's answer to each attack, from a table that was printed."""
    head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in printed.splitlines())
    return {name: {row[0]: row[at] for row in rows} for at, name in enumerate(head) if at}


def summary(columns: dict[str, dict[str, str]]) -> list[str]:
    """How many attacks each host answers in which way, as lines of Markdown."""
    lines = [
        f"| {len(ATTACKS)} attacks on | refused | ended with a Close | harmless, let in | cannot be said | wrong |",
        "|---|---|---|---|---|---|",
    ]
    for name, answers in columns.items():
        right = [answer for answer in answers.values() if "**" not in answer]
        closes = sum(answer.startswith("close ") for answer in right)
        let_in, not_said = right.count("101"), right.count(NOT_SAID)
        counts = (len(right) - closes - let_in - not_said, closes, let_in, not_said, len(answers) - len(right))
        lines.append(f"| {name} | " + " | ".join(map(str, counts)) + " |")
    return lines


async def main() -> int:
    columns = {name: await column(name) for name in HOSTS}
    foreign = {name: await foreign_column(host) for name, host in FOREIGN.items()}
    print("\n".join(table({**columns, **foreign})))
    return int(
        any(
            answer not in right_answers(name, attack)
            for name, each in columns.items()
            for attack, answer in zip(ATTACKS, each, strict=True)
        )
    )


if __name__ == "__main__":
    sys.exit(trio.run(main))
