"""Every program in the README, run as it stands there against a real peer."""

from pathlib import Path

import pytest
import trio

from tests import readme
from tests.real.readme_drivers import DRIVERS

DEADLINE_S = 60


@pytest.mark.parametrize("name", readme.snippets())
async def test_a_snippet_does_what_the_readme_says(name: str, tmp_path: Path) -> None:
    """It runs, its peer sees what it should, and it ends."""
    with trio.fail_after(DEADLINE_S):
        await DRIVERS[name](readme.load(name, tmp_path))
