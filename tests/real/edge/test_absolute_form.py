"""A request that names its target in absolute form goes to the host of its target, whatever ``Host`` says."""

import pytest

from tests.real.edge.attacks import KEY, UPGRADE, VERSION, Attack, Request, play
from tests.real.edge.hosts import H2_HOSTS, HOSTS, PARAMS
from tests.real.hosting import hosted
from trio_transports import Session
from trio_transports.wire import Peer
from trio_transports.wire.engines import ENGINES


def asking(target: bytes, host: bytes, origin: bytes) -> Request:
    head = b"GET " + target + b" HTTP/1.1\r\nHost: " + host + b"\r\n" + UPGRADE + VERSION + KEY
    return lambda _path: head + b"Origin: " + origin + b"\r\n\r\n"


ASKED = {
    "another host, and a page of Host": (b"http://evil.example/call", b"localhost", b"http://localhost", "403"),
    "another host, and a page of its own": (b"http://evil.example/call", b"localhost", b"http://evil.example", "101"),
    "another Host, and a page of that": (b"http://localhost/call", b"evil.example", b"http://evil.example", "403"),
    "another Host, and a page of its own": (b"ws://localhost:80/call?a=1", b"evil.example", b"http://localhost", "101"),
    "a user at another host": (b"http://localhost@evil.example/call", b"localhost", b"http://localhost", "403"),
    "no host at all": (b"http:///call", b"localhost", b"http://localhost", "403"),
}


@pytest.mark.parametrize("name", [name for name in HOSTS if name not in H2_HOSTS])
async def test_the_origin_is_compared_with_the_host_of_the_target(name: str) -> None:
    """RFC 9112, 3.2.2; on every host the same, twice."""
    async with HOSTS[name]() as found:
        for _ in range(2):
            answers = {
                what: await play(found.port, Attack(what, asking(*asked), (right,)), found.path, found.tls)
                for what, (*asked, right) in ASKED.items()
            }
            assert answers == {what: right for what, (*_, right) in ASKED.items()}


@pytest.mark.parametrize("engine", ENGINES)
async def test_authorize_and_the_session_see_that_host(engine: str) -> None:
    """Who guards against DNS rebinding by ``Host`` is not shown another one."""
    seen: list[str | None] = []

    async def authorize(peer: Peer) -> bool:
        seen.append(peer.header("host"))
        return True

    async def bot(session: Session) -> None:
        seen.append(session.peer.header("host"))

    async with hosted(engine, bot, **PARAMS, authorize=authorize) as host:
        port = int(host.url.rsplit(":", 1)[1].partition("/")[0])
        sent = asking(b"http://evil.example:80/call", b"localhost", b"http://evil.example")
        assert await play(port, Attack("", sent, ("101",)), b"/call") == "101"
    assert seen == ["evil.example:80"] * 2
