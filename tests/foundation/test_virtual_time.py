"""What the tests in virtual time rely on."""

import pytest
import trio
import trio.testing

from tests.virtual_time import not_in_vain


async def test_who_waits_in_vain_fails_at_once(autojump_clock: trio.testing.MockClock) -> None:
    """Whatever it has begun is cancelled."""
    cancelled = list[str]()

    async def waits(name: str) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            try:
                await trio.Event().wait()
            finally:
                cancelled.append(name)

    with pytest.raises(pytest.fail.Exception, match="nothing will wake them"):
        await not_in_vain(waits)("a")
    assert cancelled == ["a"]


async def test_who_does_not_is_left_alone(autojump_clock: trio.testing.MockClock) -> None:
    """However long it takes, and however it ends."""

    async def takes_a_day(fails: bool) -> None:
        await trio.sleep(24 * 3600)
        if fails:
            raise KeyError

    await not_in_vain(takes_a_day)(False)
    with pytest.raises(KeyError):
        await not_in_vain(takes_a_day)(True)
