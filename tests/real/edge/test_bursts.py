"""Bursts of HTTP/2 streams that are opened and reset, and the round trips of a healthy call meanwhile.

On the clock on the wall, in another process; what a machine that is busy with other things adds is what a call at a
twin of the server has to wait, which nobody attacks.
"""

from typing import Final

import pytest
import trio

from tests.real.asgi.test_asgi_h2_floods import opened_and_reset
from tests.real.edge.bursts import GROWTH_BYTES, KINDS, WORST_S, endure, host_named
from tests.real.edge.siege import ask, caller

pytestmark = pytest.mark.alone

TRIES: Final = 3
APART_S: Final = {"requests": 1.0, "WebSockets": 0.3}


@pytest.mark.parametrize("count", [1, 10])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_healthy_call_is_answered_and_memory_stays(kind: str, count: int) -> None:
    """Of 990 streams at once, and of ten such bursts a second apart or less: within 150 ms, and within 32 MB."""
    data = opened_and_reset(KINDS[kind], at_once=1)
    seen: list[tuple[float, float]] = []
    with host_named("serve_asgi") as server, host_named("serve_asgi") as twin:
        for _ in range(TRIES):
            beside_s: list[float] = []
            async with caller(twin.port) as wire, trio.open_nursery() as nursery:

                @nursery.start_soon
                async def keep_asking() -> None:
                    while True:
                        beside_s.append(await ask(wire))  # noqa: B023 - it ends with this turn
                        await trio.sleep(0.005)

                felt = await endure(server, data, count, APART_S[kind])
                nursery.cancel_scope.cancel()
            assert felt.grown[0] < GROWTH_BYTES
            seen.append((max(felt.meanwhile), max(beside_s)))
            if seen[-1][0] < WORST_S + 2 * seen[-1][1]:
                return
    pytest.fail(f"the longest round trips in seconds, and at a twin meanwhile: {seen}")
