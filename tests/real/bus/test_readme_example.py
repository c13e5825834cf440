"""The proxy pair that the README shows."""

import trio

from tests.real.bus import readme_example


async def test_the_proxy_pair_of_the_readme() -> None:
    """The word comes back from the worker on the other side."""
    with trio.fail_after(20):
        assert await readme_example.main(0) == "hello"
