"""Profiles, from stacks that are made up."""

from benchmarks.profile import profile_tables, read_folded, steps_table

STACKS = """main (a.py:1);run (b.py:2);send (c.py:3) 6
main (a.py:1);run (b.py:2);run (b.py:2) 2
main (a.py:1) 2
bootstrap (t.py:1);_obey_parent (program.py:9) 50
not a stack
"""


def test_samples_are_added_up() -> None:
    """By where the program was, and by what that was called from; a recursion counts once, the suite's thread never."""
    profile = read_folded(STACKS)
    assert profile.total == 10
    assert profile.itself == {"send (c.py:3)": 6, "run (b.py:2)": 2, "main (a.py:1)": 2}
    assert profile.below == {"main (a.py:1)": 10, "run (b.py:2)": 8, "send (c.py:3)": 6}


def test_samples_belong_to_the_nearest_module_of_ours() -> None:
    """What a module of ours calls in an engine is its own cost; a stack without us is the engine's."""
    stacks = (
        "run (lib/site-packages/trio/_run.py:1);put (trio_transports/session/outbox.py:9);write (os.py:3) 5\n"
        "run (lib/site-packages/trio/_run.py:1);sleep (time.py:3) 2\n"
    )
    assert read_folded(stacks).modules == {"trio_transports/session/outbox.py": 5, "trio/_run.py": 2}


def test_tables() -> None:
    """The dearest first."""
    itself, below, _ = profile_tables(read_folded(STACKS), top=1)
    assert itself.rows == (("60.0%", "send (c.py:3)"),)
    assert below.rows == (("100.0%", "main (a.py:1)"),)


def test_steps_are_counted_for_each_frame() -> None:
    """The difference of two counts; what hardly happens and what did not run are left out."""
    before = {"send": [100, 1_000_000], "main": [7, 5_000]}
    after = {"send": [300, 9_000_000], "main": [8, 6_000], "receive": [100, 2_000_000], "(waiting for I/O)": [50, 1]}
    table = steps_table(before, after, frames=200)
    assert table.rows == (
        ("send", "1.00", "40.0"),
        ("receive", "0.50", "10.0"),
        ("(waiting for I/O)", "0.25", "0.0"),
        ("all tasks", "1.50", "50.0"),
    )
