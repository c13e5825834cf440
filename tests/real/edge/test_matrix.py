"""Every host gives every attack a right answer, and serves the next caller."""

import pytest
import trio

from tests.readme import ROOT
from tests.real.edge.attacks import ATTACKS, GOOD, Attack
from tests.real.edge.hosts import FOREIGN, HOSTS
from tests.real.edge.matrix import PRINTED, answer, columns_in, foreign_column, right_answers, summary, table


@pytest.mark.parametrize("name", HOSTS)
async def test_every_attack_gets_its_answer(name: str) -> None:
    """Twice, a dozen at a time; a good caller is let in between and after.

    All at once they would wait for each other on a busy machine until the host gives them up, which is another answer.
    """
    welcome = Attack("a good request", GOOD, ("101",))
    printed = {**columns_in(PRINTED.read_text(encoding="utf-8"))[name], welcome.name: "101"}
    wrong: list[str] = []
    dozen = trio.CapacityLimiter(12)
    async with HOSTS[name]() as found:

        async def attack(each: Attack) -> None:
            async with dozen:
                answered, right = await answer(name, found, each), right_answers(name, each)
            if answered not in right:
                wrong.append(f"{each.name}: {answered}, not {' or '.join(right)}")
            if answered != printed[each.name]:
                wrong.append(f"{each.name}: {answered}, and {PRINTED.name} says {printed[each.name]}: print it anew")

        for _ in range(2):
            async with trio.open_nursery() as nursery:
                for each in ATTACKS:
                    nursery.start_soon(attack, each)
            await attack(welcome)
    assert wrong == []


# What an app cannot mend under a server that is not ours; the guide says so.
_KEYS = {"a short key": "101", "a key that is not base64": "101", "Upgrade to something else": "101"}
_SILENT = {
    "a frame without a mask",
    "a reserved bit",
    "an unknown opcode",
    "an unknown control opcode",
    "a fragmented ping",
    "a ping of 126 bytes",
    "a continuation of nothing",
    "a message inside another",
    "text that is not UTF-8",
    "a close of one byte",
    "close code 1005",
    "a close reason that is not UTF-8",
    "an HTTP request after the upgrade",
}
_NOT_OURS = {**_KEYS, **dict.fromkeys(_SILENT, "closed"), "a message over the limit": "no answer"}
_ENDS_HYPERCORN = {"Content-Length with a body", "Content-Length with Transfer-Encoding", "Transfer-Encoding"}


@pytest.mark.leaves_system_task("a bare server holds a write that nobody waits for")
@pytest.mark.parametrize("name", FOREIGN)
async def test_what_another_server_answers(name: str) -> None:
    """What a bare hypercorn or anycorn answers wrongly is what is written here, and nothing else."""
    answers = await foreign_column(FOREIGN[name], [each for each in _NOT_OURS if _NOT_OURS[each] == "no answer"])
    wrong = {
        attack.name: answer
        for attack, answer in zip(ATTACKS, answers, strict=True)
        if answer not in attack.right
        and not (name == "a bare hypercorn" and attack.name in _ENDS_HYPERCORN and answer == "the server ended")
    }
    assert wrong == _NOT_OURS


def test_the_table_shows_what_is_wrong() -> None:
    """A wrong answer is in bold."""
    right = [attack.right[0] for attack in ATTACKS]
    assert "**" not in "".join(table({"right": right}))
    assert sum("**101**" in line for line in table({"right": right, "wrong": ["101", *right[1:]]})) == 1


def test_what_was_printed_is_of_these_attacks_on_these_hosts() -> None:
    """Each attack on each host, bold where it is wrong, which is nowhere on ours."""
    columns = columns_in(PRINTED.read_text(encoding="utf-8"))
    assert list(columns) == [*HOSTS, *FOREIGN]
    answers = {name: [answer.strip("*") for answer in column.values()] for name, column in columns.items()}
    assert table(answers) == PRINTED.read_text(encoding="utf-8").splitlines()
    assert not [name for name in HOSTS if "**" in "".join(columns[name].values())]


def test_the_readme_counts_what_was_printed() -> None:
    """Its table is the summary of the printed one."""
    lines = summary(columns_in(PRINTED.read_text(encoding="utf-8")))
    assert "\n".join(lines) in (ROOT / "trio_transports/docs/guides/deploying.md").read_text(encoding="utf-8")
    ours = next(line for line in lines if line.startswith("| serve_asgi |")).split("|")
    refused, closed, harmless, unsaid, wrong = (int(count) for count in ours[2:7])
    told = f"of {len(ATTACKS)} on each of the two engines, `serve_proxies`, `serve_asgi` and FastAPI, with TLS and "
    told += f"without, {refused} are refused, {closed} end with a Close, {harmless} is harmless, none is wrong"
    assert (unsaid, wrong) == (0, 0)
    assert told in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_summary_counts_each_answer_once() -> None:
    """By its class, and a wrong one as wrong whatever it is."""
    answers = {"a": "400", "b": "close 1002", "c": "101", "d": "**101**", "e": "**closed**", "f": "closed", "g": "-"}
    assert summary({"one": answers})[-1] == "| one | 2 | 1 | 1 | 1 | 2 |"
