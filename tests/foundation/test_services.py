"""Service tasks under a body."""

import trio

from trio_transports._nursery import open_services


async def test_a_body_that_ends_before_its_service_has_begun() -> None:
    """The service is cancelled all the same: however the scheduler orders them, nothing waits for ever."""
    with trio.fail_after(5):
        for _ in range(50):
            async with open_services() as services:
                services.start_soon(trio.sleep_forever, name="late")
