"""The opening handshake of the direct engine at the socket, both sides, with peers that get it wrong."""

from collections.abc import Sequence

import pytest
import trio

from tests.real.wire.engines import everybody, stream_pair
from trio_transports import ConnectionClosed, HandshakeRejected, TransportError
from trio_transports.wire import Peer
from trio_transports.wire.dialling import Address
from trio_transports.wire.direct import accept_wire, connect_wire
from trio_transports.wire.engines import ENGINES, engine_named
from trio_transports.wire.refusal import Refusal
from trio_transports.wire.settings import WireSettings
from trio_transports.wire.sockets import reset_socket

HEADERS = (
    b"Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)
SECOND_KEY = b"Sec-WebSocket-Key: BBBBBBBBBBBBBBBBBBBBBA==\r\n"


async def answer_to(request: bytes, refusal: Refusal | None = None) -> tuple[bytes, list[Peer]]:
    """What a server says to a request, up to its end or its first blank line if it lets the caller in."""
    asked: list[Peer] = []

    async def admit(peer: Peer) -> Refusal | None:
        asked.append(peer)
        return refusal

    async with stream_pair() as (near, far), trio.open_nursery() as nursery:

        async def serve() -> None:
            try:
                async with accept_wire(far, admit=admit, settings=WireSettings()) as wire:
                    await wire.receive()
            except (HandshakeRejected, ConnectionClosed):
                return

        nursery.start_soon(serve)
        got = b""
        with trio.fail_after(30):
            await near.send_all(request)
            while data := await near.receive_some():
                got += data
                if got.startswith(b"HTTP/1.1 101"):
                    break
        await near.aclose()
    return got, asked


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"GET / HTTP/1.0\r\n" + HEADERS + b"\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + HEADERS + SECOND_KEY + b"\r\n", 400),
        (b"GET * HTTP/1.1\r\n" + HEADERS + b"\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + HEADERS + b"Content-Length: 4\r\n\r\nGET ", 400),
        (b"GET / HTTP/1.1\r\n" + HEADERS + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (
            b"GET / HTTP/1.1\r\n" + HEADERS + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n" + bytes(300_000), 405),
    ],
    ids=[
        "HEAD",
        "HTTP/1.0",
        "two keys",
        "no path",
        "a body",
        "a chunked body",
        "a length and an encoding",
        "a long body",
    ],
)
async def test_what_is_refused(request_: bytes, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that is none for a WebSocket gets its status, in whole, also while it is still being sent."""
    monkeypatch.setattr("trio_transports.wire.closing.LINGER_S", 30)  # a busy machine may send the rest late
    got, asked = await answer_to(request_)
    assert got.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\n\r\n" in got
    assert asked == []


@pytest.mark.parametrize(("method", "status"), [(b"HEAD", 405), (b"GET", 304)])
async def test_answers_without_a_body(method: bytes, status: int) -> None:
    """To HEAD, and with 304, there is no body, whatever the refusal says."""
    got, _ = await answer_to(method + b" / HTTP/1.1\r\n" + HEADERS + b"\r\n", Refusal(status=304, body="not for you"))
    assert got.startswith(b"HTTP/1.1 %d " % status)
    assert got.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"http://x/a/b?c=://d", "/a/b", "c=://d"),
        (b"http://x", "/", ""),
        (b"http://x?c", "/", "c"),
        (b"/a://b", "/a://b", ""),
    ],
)
async def test_the_target(target: bytes, path: str, query: str) -> None:
    """A target in absolute form is its path and query."""
    got, (peer,) = await answer_to(b"GET " + target + b" HTTP/1.1\r\n" + HEADERS + b"\r\n")
    assert got.startswith(b"HTTP/1.1 101 ")
    assert (peer.path, peer.query_string) == (path, query)


@pytest.mark.parametrize("status", [101, 200, 204, 299, 600, 0, True])
def test_the_status_of_a_refusal(status: int) -> None:
    """A refusal has a status that refuses."""
    with pytest.raises(ValueError, match=r"Refusal\.status must be an HTTP status from 300 to 599, not "):
        Refusal(status=status)


# The client


async def test_a_refusal_without_an_end() -> None:
    """An answer with no length, on a connection that stays open, is told with what came of it."""
    async with stream_pair() as (near, far), trio.open_nursery() as nursery:

        @nursery.start_soon
        async def serve() -> None:
            while b"\r\n\r\n" not in await far.receive_some():
                pass
            await far.send_all(b"HTTP/1.1 401 Unauthorized\r\nX-Why: because\r\n\r\nwho are you?")

        with trio.fail_after(30), pytest.raises(HandshakeRejected) as caught:
            async with connect_wire(near, url="ws://x/", host="x", resource="/", settings=WireSettings()):
                pass
    assert (caught.value.status, caught.value.body) == (401, b"who are you?")
    assert ("x-why", "because") in caught.value.headers


@pytest.mark.parametrize("headers", [(("X-Name", "Zoë"),), (("X-Nämé", "Zoe"),)])
async def test_headers_that_cannot_be_written(headers: Sequence[tuple[str, str]]) -> None:
    """A header that is not ASCII is named."""
    async with stream_pair() as (near, _):
        with pytest.raises(TransportError, match=rf"ws://x/ cannot be written: header '{headers[0][0]}' is not ASCII"):
            async with connect_wire(
                near, url="ws://x/", host="x", resource="/", headers=headers, settings=WireSettings()
            ):
                pass


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ws://x/ä", "its path or query has 'ä'; write %C3%A4 for it"),
        ("ws://x/?q=a b", "its path or query has ' '; write %20 for it"),
        ("ws://" + "ä" * 70 + "/", "idna"),
    ],
)
def test_urls_that_cannot_be_asked_for(url: str, why: str) -> None:
    """What an address has that cannot be written is named, with what to write."""
    with pytest.raises(ValueError, match="is not a WebSocket URL: ") as caught:
        Address.parse(url)
    assert why in str(caught.value)


def test_a_host_in_its_own_script() -> None:
    """A name that is not ASCII is asked for by its other form."""
    assert Address.parse("ws://bücher.example/").host_header == "xn--bcher-kva.example"


# Both engines


@pytest.mark.parametrize("engine", list(ENGINES))
async def test_a_broken_frame_is_an_error(engine: str) -> None:
    """A peer that breaks the rules has not closed the connection: it ends with 1002 and the initiator "error"."""
    async with stream_pair() as (near, far), trio.open_nursery() as nursery:

        @nursery.start_soon
        async def serve() -> None:
            async with engine_named(engine).accept(far, admit=everybody, settings=WireSettings()) as wire:
                with pytest.raises(ConnectionClosed) as caught:
                    await wire.receive()
                assert (caught.value.code, caught.value.initiator) == (1002, "error")

        await near.send_all(b"GET / HTTP/1.1\r\n" + HEADERS + b"\r\n")
        await near.receive_some()
        await near.send_all(b"\x83\x80abcd")
        while await near.receive_some():
            pass
        await near.aclose()


@pytest.mark.parametrize("engine", list(ENGINES))
@pytest.mark.parametrize("says", [b"", b"HTTP/1.1 503 Full\r\nContent-Length: 0\r\n\r\n"])
async def test_a_server_that_has_gone_before_it_is_asked(engine: str, says: bytes) -> None:
    """The request cannot be written: that is told as a connection that could not be made, also after a last word."""
    async with stream_pair() as (near, far):
        assert isinstance(far, trio.SocketStream)
        await far.send_all(says)
        reset_socket(far)
        with trio.fail_after(30), pytest.raises(TransportError):
            async with engine_named(engine).connect(
                near, url="ws://x/", host="x", resource="/", settings=WireSettings()
            ):
                pass
