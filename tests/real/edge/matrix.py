"""Print what every host answers to every attack: ``python -m tests.real.edge.matrix``.

The table is Markdown. An answer that is not among the right ones is in bold; the exit code is then 1, unless it is that
of a server that is not ours.
"""

import sys

import trio

from tests.real.edge.attacks import ATTACKS, Attack, play
from tests.real.edge.hosts import FOREIGN, HOSTS, Host


async def column(host: Host) -> list[str]:
    """A host's answers, each attack on a connection of its own."""
    async with host() as found:
        return [await _answer(found.port, attack, found.path) for attack in ATTACKS]


async def foreign_column(host: Host) -> list[str]:
    """As ``column``, with a server of its own for each attack: some end it."""
    return [await _answer_or_end(host, attack) for attack in ATTACKS]


async def _answer_or_end(host: Host, attack: Attack) -> str:
    try:
        async with host() as found:
            return await _answer(found.port, attack, found.path)
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
