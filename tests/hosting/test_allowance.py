"""What a peer on HTTP/2 may do at once, and as time goes on."""

import trio
import trio.testing

from trio_transports.hosting.h2 import _Allowance


async def test_an_allowance_comes_back_with_time(autojump_clock: trio.testing.MockClock) -> None:
    """So much at once, then so much a second; never more than at first, however long nothing was done."""
    allowance = _Allowance(10, 2.0)
    for _ in range(2):
        assert allowance.take(10)
        assert not allowance.take(1)
        await trio.sleep(3)
        assert allowance.take(5)
        assert not allowance.take(1)
        await trio.sleep(100)
