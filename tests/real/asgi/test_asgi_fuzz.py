"""10,000 random byte strings, before the upgrade, after it and instead of it: the server still answers."""

import random
from collections.abc import Callable
from typing import Final

import pytest
import trio

from tests.real.asgi.apps import WireApp, echo
from tests.real.asgi.hosts import Hosted, hosted
from tests.real.asgi.raw_peer import TEXT, close_frame, frame, raw_peer, upgrade_request

_STRINGS: Final = 10_000
_AT_ONCE: Final = 20
_PER_CONNECTION: Final = 25
"""Strings after an upgrade, each a whole frame, so that one bad one need not end the connection before the others."""


def noise(random: random.Random) -> bytes:
    return random.randbytes(random.choice((1, 2, 3, 7, 20, 100, 1000)))


def instead(random: random.Random) -> list[bytes]:
    """Noise, or a request line and headers with some of their bytes changed."""
    if random.random() < 0.5:
        return [noise(random)]
    request = bytearray(upgrade_request())
    for _ in range(random.randint(1, 5)):
        request[random.randrange(len(request))] = random.randrange(256)
    return [bytes(request)]


def before(random: random.Random) -> list[bytes]:
    """Noise, then a request; or a request with noise right behind it, in the same segment or in the next."""
    match random.randrange(3):
        case 0:
            return [noise(random) + upgrade_request()]
        case 1:
            return [upgrade_request() + noise(random)]
        case _:
            return [upgrade_request(), noise(random)]


def after(random: random.Random) -> list[bytes]:
    """Frames of random kinds and contents, and now and then bytes that are no frame at all."""
    strings = []
    for _ in range(_PER_CONNECTION):
        kind = random.randrange(20)
        if kind == 0:
            strings.append(noise(random))
        elif kind == 1:
            strings.append(frame(0, noise(random), first_byte=random.randrange(256)))
        elif kind < 8:
            strings.append(frame(random.choice((1, 2, 9, 10)), noise(random)[:125]))
        else:
            strings.append(frame(2, noise(random)))
    return strings


async def still_serves(server: Hosted) -> None:
    with trio.fail_after(5):
        async with raw_peer(server.port) as peer:
            await peer.upgrade()
            await peer.send(frame(TEXT, b"still there?"))
            answer = await peer.read_frame()
            assert answer is not None
            assert answer.payload == b"still there?"
            await peer.send(close_frame())


@pytest.mark.parametrize(
    ("strings", "upgraded", "connections"),
    [
        (instead, False, _STRINGS // 5),
        (before, False, _STRINGS // 5),
        (after, True, _STRINGS * 3 // 5 // _PER_CONNECTION),
    ],
)
async def test_the_server_outlives_any_bytes(
    strings: Callable[[random.Random], list[bytes]], *, upgraded: bool, connections: int
) -> None:
    """Whatever bytes come, the server answers the next caller, holds no app run, and ends at once when told to."""
    rng = random.Random(4)
    app = WireApp(echo)
    async with hosted(app, h11_max_incomplete_size=4096) as server:
        turns = trio.CapacityLimiter(_AT_ONCE)

        async def attack() -> None:
            async with turns:
                with trio.move_on_after(0.3):
                    async with raw_peer(server.port) as peer:
                        try:
                            if upgraded:
                                await peer.upgrade()
                            for string in strings(rng):
                                await peer.send(string)
                            if rng.random() < 0.1:
                                await peer.stream.receive_some()
                        except (trio.BrokenResourceError, EOFError):
                            pass

        async with trio.open_nursery() as nursery:
            for _ in range(connections):
                nursery.start_soon(attack)
        await still_serves(server)
        assert await server.stop() < 1.5
    assert app.running == 0
