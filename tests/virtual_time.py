"""A test in virtual time that waits for what never comes fails at once, where it would hang for good.

Where all tasks wait the clock jumps to the next deadline. Where there is none it has nowhere to jump to; with one that
no test reaches otherwise it has.
"""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Final

import pytest
import trio

NEVER_S: Final = 1e5


def not_in_vain(test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    @wraps(test)
    async def limited(*args: object, **kwargs: object) -> None:
        with trio.move_on_after(NEVER_S) as limit:
            await test(*args, **kwargs)
        if limit.cancelled_caught:
            pytest.fail("all of its tasks wait, and nothing will wake them", pytrace=False)

    return limited
