"""Who tries to get in without having been to ``/start``: each refused as documented, and counted."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

import pytest
import trio

from tests.real.asgi.apps import AUDIO_MESSAGE
from tests.real.asgi.hosts import Hosted, hosted
from tests.real.asgi.raw_peer import TEXT, frame, raw_peer
from tests.real.edge.attacks import asking
from tests.real.edge.hosts import echo
from tests.real.edge.test_callers import _page
from trio_transports.playground import StartTokens
from trio_transports.serve import bot_app

TTL_S: Final = 30.0


class Clock:
    """One that a test sets."""

    now_s = 1_000_000.0

    def __call__(self) -> float:
        return self.now_s


async def started(server: Hosted) -> str:
    """A token, as a client gets it."""
    async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
        await stream.send_all(
            b"POST /start HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
        told = b"".join([data async for data in stream])
    return str(json.loads(told.partition(b"\r\n\r\n")[2])["ws_url"]).partition("?token=")[2]


async def status(server: Hosted, query: bytes, *headers: bytes) -> int:
    """What a caller that brings this is answered."""
    async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
        await stream.send_all(asking(*headers)(b"/ws" + query))
        return int((await stream.receive_some(4000))[9:12])


async def counted(server: Hosted, name: str) -> int:
    text = await _page(server, b"/metrics")
    return sum(int(float(line.split()[-1])) for line in text.splitlines() if line.startswith(f"trio_transports_{name}"))


async def hears_itself(server: Hosted, path: str) -> None:
    async with raw_peer(server.port) as peer:
        await peer.upgrade(path)
        await peer.send(frame(TEXT, AUDIO_MESSAGE))
        assert await peer.read_frame() is not None


def forged(token: str, place: int) -> str:
    """One bit of it turned."""
    whole = bytearray(urlsafe_b64decode(token + "="))
    whole[place] ^= 1
    return urlsafe_b64encode(whole).decode().rstrip("=")


@pytest.mark.parametrize("round_number", [1, 2])
async def test_who_brings_no_token_of_ours_is_refused(round_number: int) -> None:
    """401 for each, none of them a session, every one of them counted; who has been to /start gets in between."""
    clock = Clock()
    with trio.fail_after(60):
        async with hosted(bot_app(echo, tokens=StartTokens(ttl_s=TTL_S, now_s=clock))) as server:
            old = await started(server)
            clock.now_s += TTL_S
            good = await started(server)
            of_another_worker = StartTokens(ttl_s=TTL_S, now_s=clock).issue()
            named = [
                f"?token={each}".encode() for each in (old, of_another_worker, good[:-1], good + "A", good.swapcase())
            ]
            named += [f"?token={forged(good, place)}".encode() for place in (0, 7, 8, 15, 16, 31)]
            named += [
                b"",
                b"?token=",
                b"?token",
                b"?Token=" + good.encode(),
                b"?token=%C3%A9",
                b"?token=%00",
                b"?token=%FF",
            ]
            named += [b"?token=" + b"A" * 4000, b"?" + b"token=x&" * 400]
            for query in named:
                assert await status(server, query) == 401, query
            brought = [f"Authorization: {each}\r\n".encode() for each in (f"Basic {good}x", f"Bearer {old}", "Bearer ")]
            brought.append(b"Authorization: Bearer \xe9\xff\r\n")
            for header in brought:
                assert await status(server, b"", header) == 401, header
            tried = len(named) + len(brought)
            assert await counted(server, 'turned_away_total{cause="app"}') == tried
            assert await counted(server, "sessions_begun_total") == 0
            await hears_itself(server, f"/ws?token={good}")
            assert await counted(server, 'turned_away_total{cause="app"}') == tried
            assert await counted(server, "sessions_begun_total") == 1


async def test_a_token_is_of_a_time_and_not_of_a_call() -> None:
    """Within its time one lets in again: a client that lost its connection comes back by the address it was given."""
    clock = Clock()
    with trio.fail_after(60):
        async with hosted(bot_app(echo, tokens=StartTokens(ttl_s=TTL_S, now_s=clock))) as server:
            token = await started(server)
            for _ in range(2):
                await hears_itself(server, f"/ws?token={token}")
            clock.now_s += TTL_S
            assert await status(server, f"?token={token}".encode()) == 401


async def test_workers_that_share_a_secret_take_each_others() -> None:
    """Told at one, let in at the other, both ways; a worker of another secret takes neither."""
    with trio.fail_after(60):
        secret = b"0123456789abcdef"
        here, there, stranger = (
            bot_app(echo, tokens=StartTokens(secret=each)) for each in (secret, secret, secret[::-1])
        )
        async with hosted(here) as one, hosted(there) as other, hosted(stranger) as third:
            for told, asked in ((one, other), (other, one)):
                token = await started(told)
                await hears_itself(asked, f"/ws?token={token}")
                assert await status(third, f"?token={token}".encode()) == 401
