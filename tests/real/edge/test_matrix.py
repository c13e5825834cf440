"""Every host gives every attack a right answer, and serves the next caller."""

import pytest
import trio

from tests.real.edge.attacks import ATTACKS, GOOD, Attack, play
from tests.real.edge.hosts import HOSTS
from tests.real.edge.matrix import table

# The rows of serve_asgi stand with the tests of hosting.
OURS = [name for name in HOSTS if not name.startswith("serve_asgi")]


@pytest.mark.parametrize("name", OURS)
async def test_every_attack_gets_its_answer(name: str) -> None:
    """Twice, all at the same time; a good caller is let in between and after."""
    welcome = Attack("a good request", GOOD, ("101",))
    wrong: list[str] = []
    async with HOSTS[name]() as found:

        async def attack(each: Attack) -> None:
            answer = await play(found.port, each, found.path)
            if answer not in each.right:
                wrong.append(f"{each.name}: {answer}, not {' or '.join(each.right)}")

        for _ in range(2):
            async with trio.open_nursery() as nursery:
                for each in ATTACKS:
                    nursery.start_soon(attack, each)
            await attack(welcome)
    assert wrong == []


def test_the_table_shows_what_is_wrong() -> None:
    """A wrong answer is in bold."""
    right = [attack.right[0] for attack in ATTACKS]
    assert "**" not in "".join(table({"right": right}))
    assert sum("**101**" in line for line in table({"right": right, "wrong": ["101", *right[1:]]})) == 1
