"""10,000 random byte strings, before the upgrade, after it and instead of it: the server still answers."""

import os
import random
from collections.abc import Callable
from typing import Final

import pytest
import trio

from tests.real.asgi.apps import WireApp, echo
from tests.real.asgi.healthy import still_serves
from tests.real.asgi.hosts import LATE_S, hosted
from tests.real.asgi.raw_peer import RawPeer, frame, raw_peer, upgrade_request

_STRINGS: Final = 10_000
_AT_ONCE: Final = 20
_PER_CONNECTION: Final = 25
"""Strings after an upgrade: mostly whole frames, so that one bad one need not end the connection at once."""


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


@pytest.mark.parametrize(
    ("strings", "upgraded", "count"),
    [(instead, False, _STRINGS // 5), (before, False, _STRINGS // 5), (after, True, _STRINGS * 3 // 5)],
)
async def test_the_server_outlives_any_bytes(
    strings: Callable[[random.Random], list[bytes]], *, upgraded: bool, count: int
) -> None:
    """Whatever bytes come, the server answers the next caller, holds no app run, and ends at once when told to."""
    rng = random.Random(4)
    app = WireApp(echo)
    taken = 0
    async with hosted(app, h11_max_incomplete_size=4096) as server:

        async def attack() -> None:
            nonlocal taken
            with trio.move_on_after(5):
                async with raw_peer(server.port) as peer:
                    try:
                        if upgraded:
                            await peer.upgrade()
                            assert peer.status == 101
                        for string in strings(rng):
                            if is_ended(peer):  # what is sent now would reach nobody, and does not count
                                return
                            await peer.send(string)
                            taken += 1
                            await trio.lowlevel.checkpoint()
                        if rng.random() < 0.1:
                            with trio.move_on_after(0.3):
                                await peer.stream.receive_some()
                    except (trio.BrokenResourceError, EOFError):
                        pass

        async def attack_on() -> None:
            while taken < count:
                await attack()

        async with trio.open_nursery() as nursery:
            for _ in range(_AT_ONCE):
                nursery.start_soon(attack_on)
        await still_serves(server)
        assert await server.stop() < 1.5 + LATE_S
    assert taken >= count
    assert app.running == 0


def is_ended(peer: RawPeer) -> bool:
    """Whether the server has ended the connection; what it has sent so far is read, and forgotten."""
    assert isinstance(peer.stream, trio.SocketStream)
    descriptor = peer.stream.socket.fileno()
    try:
        while data := os.read(descriptor, 65536):
            if data.startswith(b"\x88") or b"HTTP/1.1 4" in data:
                return True
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
