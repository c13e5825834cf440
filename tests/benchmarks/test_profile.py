"""Profiles, from stacks that are made up."""

from benchmarks.profile import profile_tables, read_folded

STACKS = """main (a.py:1);run (b.py:2);send (c.py:3) 6
main (a.py:1);run (b.py:2);run (b.py:2) 2
main (a.py:1) 2
bootstrap (t.py:1);_end_with_parent (program.py:9) 50
not a stack
"""


def test_samples_are_added_up() -> None:
    """By where the program was, and by what that was called from; a recursion counts once, the suite's thread never."""
    profile = read_folded(STACKS)
    assert profile.total == 10
    assert profile.itself == {"send (c.py:3)": 6, "run (b.py:2)": 2, "main (a.py:1)": 2}
    assert profile.below == {"main (a.py:1)": 10, "run (b.py:2)": 8, "send (c.py:3)": 6}


def test_tables() -> None:
    """The dearest first."""
    itself, below = profile_tables(read_folded(STACKS), top=1)
    assert itself.rows == (("60.0%", "send (c.py:3)"),)
    assert below.rows == (("100.0%", "main (a.py:1)"),)
