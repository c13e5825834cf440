"""The opening handshake, both sides, with the other side's bytes played by the test."""

import base64
import hashlib
import re
from collections.abc import Sequence
from typing import cast

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_transports import ConnectionClosed, HandshakeRejected, TransportError
from trio_transports.wire.answering import upgrade_as_server
from trio_transports.wire.peer import Peer
from trio_transports.wire.refusal import Page, Refusal
from trio_transports.wire.stream import OwnedStream
from trio_transports.wire.upgrade import upgrade_as_client

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455, 1.3
GOOD = {
    "Host": "example.org",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}


class PlayedStream:
    """Gives the bytes that the test has, in these pieces, and keeps what is written."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)
        self.written = b""

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        return self.pieces.pop(0) if self.pieces else b""

    async def send_all(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        self.written += data

    def opened(self) -> None: ...

    def shut_writing(self) -> None: ...

    @property
    def owned(self) -> OwnedStream:
        return cast(OwnedStream, self)


def request(
    headers: dict[str, str], *, line: str = "GET /call?token=t HTTP/1.1", more: Sequence[tuple[str, str]] = ()
) -> bytes:
    lines = [line, *(f"{name}: {value}" for name, value in [*headers.items(), *more])]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


async def everybody(_peer: Peer) -> Refusal | None:
    await trio.lowlevel.checkpoint()
    return None


async def serve(stream: PlayedStream, subprotocols: Sequence[str] = ()) -> tuple[Peer, bytes]:
    return await upgrade_as_server(
        stream.owned, address="192.0.2.1", port=5, admit=everybody, subprotocols=subprotocols
    )


def answer(stream: PlayedStream) -> tuple[int, dict[str, str], bytes]:
    head, _, body = stream.written.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    return int(status.split(" ")[1]), {name.lower(): value for name, value in (li.split(": ") for li in lines)}, body


async def test_a_good_request() -> None:
    """The answer is that of RFC 6455's own example; who asked, and for what, is known."""
    stream = PlayedStream(request({**GOOD, "Origin": "https://example.org"}))
    peer, trailing = await serve(stream)
    status, headers, body = answer(stream)
    assert (status, headers["upgrade"].lower(), headers["connection"].lower()) == (101, "websocket", "upgrade")
    assert headers["sec-websocket-accept"] == ACCEPT
    assert "sec-websocket-protocol" not in headers
    assert "sec-websocket-extensions" not in headers
    assert (trailing, body) == (b"", b"")
    assert (peer.address, peer.port, peer.path, peer.query) == ("192.0.2.1", 5, "/call", {"token": ["t"]})
    assert peer.header("origin") == "https://example.org"


@settings(max_examples=40)
@given(cuts=st.lists(st.integers(1, 60), max_size=8), early=st.binary(max_size=20))
def test_however_it_arrives(cuts: list[int], early: bytes) -> None:
    """A request in any pieces is read, and the bytes right behind it belong to the connection."""

    async def main() -> None:
        data, pieces = request(GOOD), list[bytes]()
        for cut in cuts:
            pieces.append(data[:cut])
            data = data[cut:]
        pieces.append(data + early)
        stream = PlayedStream(*[piece for piece in pieces if piece])
        peer, trailing = await serve(stream)
        assert peer == Peer(address="192.0.2.1", port=5, path="/call", query_string="token=t", headers=HEADERS)
        assert trailing + b"".join(stream.pieces) == early
        assert answer(stream)[0] == 101

    trio.run(main)


HEADERS = tuple((name.lower(), value) for name, value in GOOD.items())


def without(*names: str, **changes: str) -> dict[str, str]:
    changed = {name.replace("_", "-"): value for name, value in changes.items()}
    return {name: value for name, value in {**GOOD, **changed}.items() if name not in names}


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request(GOOD, line="POST /call HTTP/1.1"), 405),
        (request(GOOD, line="HEAD / HTTP/1.1"), 405),
        (request({"Host": "example.org"}), 426),
        (request(without("Upgrade")), 426),
        (request(without(Upgrade="h2c")), 426),
        (request(without("Connection")), 426),
        (request(without(Connection="keep-alive")), 426),
        (request(without("Sec-WebSocket-Version")), 426),
        (request(without(Sec_WebSocket_Version="8")), 426),
        (request(without("Sec-WebSocket-Key")), 400),
        (request(without(Sec_WebSocket_Key="c2hvcnQ=")), 400),
        (request(without(Sec_WebSocket_Key=base64.b64encode(bytes(17)).decode())), 400),
        (request(without(Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ=!")), 400),
        (request(without(Sec_WebSocket_Key="dGhl!IHNhbXBsZSBub25jZQ==")), 400),
        (request(without(Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25j\xe9Q==")), 400),
        (request(GOOD, more=[("Content-Length", "5")]) + b"hello", 400),
        (request(GOOD, more=[("Transfer-Encoding", "chunked")]), 400),
        (request(without("Host")), 400),
        (request(GOOD, line="GET /"), 400),
        (request(GOOD, line="GET / HTTP/1.0"), 400),
        (request(GOOD, more=[("Sec-WebSocket-Key", KEY)]), 400),
        (request(GOOD, line="GET call HTTP/1.1"), 400),
        (request(GOOD, more=[("Host", "example.net")]), 400),
        (request(GOOD, more=[("bad header", "x")]), 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), 400),
    ],
)
async def test_a_bad_request(data: bytes, status: int) -> None:
    """What is no request for a WebSocket is answered in HTTP, with a status and a text that say why, and no upgrade."""
    stream = PlayedStream(data)
    with pytest.raises((HandshakeRejected, ConnectionClosed)) as caught:
        await serve(stream)
    got, headers, body = answer(stream)
    assert got == status
    assert headers["connection"] == "close"
    assert int(headers["content-length"]) > 0
    assert len(body) == (0 if data.startswith(b"HEAD") else int(headers["content-length"]))
    assert "sec-websocket-accept" not in headers
    if status == 405:
        assert headers["allow"] == "GET"
    if status == 426:
        assert (headers["upgrade"].lower(), headers["sec-websocket-version"]) == ("websocket", "13")
    if isinstance(caught.value, HandshakeRejected):
        assert caught.value.status == status


async def test_upper_and_lower_case() -> None:
    """Tokens are compared as HTTP does: in any case, in a list, among others."""
    stream = PlayedStream(request(without(Upgrade="foo, WebSocket", Connection="keep-alive, UPGRADE")))
    await serve(stream)
    assert answer(stream)[0] == 101


@pytest.mark.parametrize("data", [b"", b"GET /call HT", request(GOOD)[:-2]])
async def test_a_request_that_is_cut_off(data: bytes) -> None:
    """A caller that leaves midway is a lost connection."""
    stream = PlayedStream(*([data] if data else []))
    with pytest.raises(ConnectionClosed) as caught:
        await serve(stream)
    assert (caught.value.code, caught.value.initiator) == (1006, "error")


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [("b, a", "a"), ("b", "b"), ("c", None), ("A", None), (None, None)],
)
async def test_subprotocols(asked: str | None, chosen: str | None) -> None:
    """The server's first that the client offers is chosen, by its exact name."""
    stream = PlayedStream(request(GOOD if asked is None else {**GOOD, "Sec-WebSocket-Protocol": asked}))
    peer, _ = await serve(stream, subprotocols=("a", "b"))
    assert peer.subprotocol == chosen
    assert answer(stream)[1].get("sec-websocket-protocol") == chosen


async def test_a_caller_who_is_not_admitted() -> None:
    """The refusal is the answer, and admission is asked only of good requests."""
    asked: list[str] = []

    async def nobody(peer: Peer) -> Refusal | None:
        await trio.lowlevel.checkpoint()
        asked.append(peer.path)
        return Refusal(status=403, body="not you", headers=(("X-Why", "closed"),))

    for data, status in ((request(GOOD), 403), (request({"Host": "h"}), 426)):
        stream = PlayedStream(data)
        with pytest.raises(HandshakeRejected) as caught:
            await upgrade_as_server(stream.owned, address="", port=None, admit=nobody, subprotocols=())
        assert caught.value.status == answer(stream)[0] == status
    assert asked == ["/call"]


@settings(max_examples=100)
@given(st.lists(st.binary(min_size=1, max_size=40), max_size=6))
def test_any_bytes(pieces: list[bytes]) -> None:
    """Whatever arrives in place of a request, one of two errors comes of it."""

    async def main() -> None:
        with pytest.raises((HandshakeRejected, ConnectionClosed)):
            await serve(PlayedStream(*pieces))

    trio.run(main)


# The client's side


class Server(PlayedStream):
    """Answers the request that was written with what ``reply`` makes of its key."""

    def __init__(self, reply: str, *after: bytes, cut: int = 1 << 20) -> None:
        super().__init__()
        self.reply, self.after, self.cut = reply, after, cut

    async def send_all(self, data: bytes) -> None:
        await super().send_all(data)
        key = re.search(rb"Sec-WebSocket-Key: (\S+)", data, re.IGNORECASE)
        assert key is not None
        digest = hashlib.sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        whole = self.reply.replace("\n", "\r\n").replace("ACCEPT", base64.b64encode(digest).decode()).encode()
        self.pieces = [whole[: self.cut], whole[self.cut :], *self.after]
        self.pieces = [piece for piece in self.pieces if piece]


SWITCHING = "HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Accept: ACCEPT\n"


async def dial(server: Server, **changes: object) -> tuple[tuple[tuple[str, str], ...], str | None, bytes]:
    arguments: dict[str, object] = {
        "url": "ws://example.org/call",
        "host": "example.org",
        "resource": "/call?token=t",
        "headers": [("X-Token", "t")],
        "subprotocols": ("a", "b"),
        **changes,
    }
    return await upgrade_as_client(server.owned, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("cut", [1, 20, 60, 1000])
async def test_a_good_answer(cut: int) -> None:
    """The headers, the chosen subprotocol and what followed at once come back."""
    server = Server(SWITCHING + "Sec-WebSocket-Protocol: b\nX-Room: 7\n\nfirst", cut=cut)
    headers, subprotocol, trailing = await dial(server)
    assert dict(headers)["x-room"] == "7"
    assert subprotocol == "b"
    assert b"first".startswith(trailing)
    head = server.written.decode()
    assert head.startswith("GET /call?token=t HTTP/1.1\r\n")
    for line in ("Host: example.org", "X-Token: t", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Protocol: a, b"):
        assert f"\r\n{line}\r\n".lower() in head.lower()


async def test_an_interim_answer() -> None:
    """100 and 103 before the answer are passed over."""
    server = Server("HTTP/1.1 103 Early Hints\nLink: x\n\n" + SWITCHING + "\n")
    assert (await dial(server))[1] is None


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (SWITCHING.replace("ACCEPT", ACCEPT) + "\n", "Sec-WebSocket-Accept does not fit the key"),
        (SWITCHING.replace("Sec-WebSocket-Accept: ACCEPT\n", "") + "\n", "Sec-WebSocket-Accept does not fit"),
        (SWITCHING.replace("Upgrade: websocket\n", "") + "\n", "does not upgrade to a WebSocket"),
        (SWITCHING.replace("Connection: Upgrade\n", "") + "\n", "does not upgrade to a WebSocket"),
        (SWITCHING + "Sec-WebSocket-Extensions: permessage-deflate\n\n", "an extension that was not offered"),
        (SWITCHING + "Sec-WebSocket-Protocol: c\n\n", "subprotocol 'c' was not offered"),
        ("SSH-2.0-OpenSSH_9.6\n\n", "is not HTTP"),
        ("HTTP/1.1 101", "cut off|not HTTP"),
    ],
)
async def test_a_bad_answer(reply: str, says: str) -> None:
    """An answer that is none is a TransportError that says what is wrong, and with whom."""
    with pytest.raises(TransportError, match=says) as caught:
        await dial(Server(reply))
    assert "ws://example.org/call" in str(caught.value)


@pytest.mark.parametrize(
    ("reply", "status", "body"),
    [
        ("HTTP/1.1 403 Forbidden\nContent-Length: 7\nX-Why: z\n\nnot you", 403, b"not you"),
        ("HTTP/1.1 401 Unauthorized\nConnection: close\n\nto the end", 401, b"to the end"),
        ("HTTP/1.1 404 Not Found\nTransfer-Encoding: chunked\n\n3\nabc\n0\n\n", 404, b"abc"),
        ("HTTP/1.1 502 Bad Gateway\nContent-Length: 700\n\ncut off", 502, b"cut off"),
        ("HTTP/1.1 200 OK\nContent-Length: 0\n\n", 200, b""),
    ],
)
async def test_a_refusal(reply: str, status: int, body: bytes) -> None:
    """Another status than 101 is told with its headers and its text, as far as that came."""
    with pytest.raises(HandshakeRejected) as caught:
        await dial(Server(reply))
    assert (caught.value.status, caught.value.body) == (status, body)
    if status == 403:
        assert ("x-why", "z") in caught.value.headers


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"headers": [("X\nY", "a")]}, "X\nY"),
        ({"headers": [("Good", "a"), ("X", "a\r\nY: b"), ("Also-Good", "a")]}, "X"),
        ({"resource": "/a b"}, "the target"),
    ],
)
async def test_a_request_that_cannot_be_written(changes: dict[str, object], wrong: str) -> None:
    """Headers or a path that would break HTTP are refused before a byte is sent, and named; what they say is not."""
    server = Server(SWITCHING)
    with pytest.raises(TransportError, match=f"cannot be written: .*{re.escape(repr(wrong))} has in it"):
        await dial(server, **changes)
    assert server.written == b""


# Pages, and targets in absolute form


PAGE = Page(status=200, body="a page", headers=(("Content-Type", "text/x"), ("X-More", "more")))


async def ask_for_page(data: bytes, page: Page | None = PAGE) -> tuple[int, bytes, list[str]]:
    """The answer to a request at a server with pages, and which paths it was asked for."""
    asked: list[str] = []

    def plain(peer: Peer) -> Page | None:
        asked.append(peer.path)
        return page

    stream = PlayedStream(data)
    with pytest.raises(HandshakeRejected):
        await upgrade_as_server(stream.owned, address="", port=None, admit=everybody, subprotocols=(), plain=plain)
    return answer(stream)[0], stream.written, asked


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_page_is_answered_as_it_is(method: str) -> None:
    """With its own headers, each once; a HEAD has its length and no body."""
    status, written, asked = await ask_for_page(request({"Host": "h"}, line=f"{method} /page?x HTTP/1.1"))
    assert (status, asked) == (200, ["/page"])
    head, _, body = written.partition(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    assert [line for line in lines if line.startswith("content-")] == ["content-type: text/x", "content-length: 6"]
    assert "x-more: more" in lines
    assert body == (b"" if method == "HEAD" else b"a page")


async def test_a_page_that_has_not_changed_has_no_body() -> None:
    status, written, _ = await ask_for_page(request({"Host": "h"}), Page(status=304, body="", headers=()))
    assert (status, written.partition(b"\r\n\r\n")[2]) == (304, b"")


async def test_what_is_said_without_a_type_is_text() -> None:
    _, written, _ = await ask_for_page(request({"Host": "h"}), Page(status=200, body="words"))
    assert b"content-type: text/plain; charset=utf-8\r\n" in written.lower()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request({"Host": "h"}, line="POST /page HTTP/1.1"), 405),
        (request({"Host": "h"}, more=[("Origin", "a"), ("Origin", "b")]), 400),
        (request(GOOD, more=[("Origin", "a"), ("Origin", "b")]), 400),
    ],
)
async def test_no_page_is_shown_to_what_is_wrong(data: bytes, status: int) -> None:
    """Another method, or a header twice that two readers could read in two ways: nobody is asked for a page."""
    got, _, asked = await ask_for_page(data)
    assert (got, asked) == (status, [])


async def test_without_a_page_it_is_a_server_of_websockets() -> None:
    got, _, asked = await ask_for_page(request({"Host": "h"}), None)
    assert (got, asked) == (426, ["/call"])


@pytest.mark.parametrize(
    ("target", "host", "path", "query"),
    [
        ("/call?a=http://x/", "example.org", "/call", "a=http://x/"),
        ("http://other.example/call?x", "other.example", "/call", "x"),
        ("http://user:secret@other.example:81/a/b?c?d", "other.example:81", "/a/b", "c?d"),
        ("ws://other.example?x=/y", "other.example", "/", "x=/y"),
        ("ws://other.example", "other.example", "/", ""),
    ],
)
async def test_a_target_names_the_host_that_is_asked(target: str, host: str, path: str, query: str) -> None:
    """In absolute form; and whoever looks for Host finds that one alone."""
    peer, _ = await serve(PlayedStream(request(GOOD, line=f"GET {target} HTTP/1.1")))
    assert [value for name, value in peer.headers if name == "host"] == [host]
    assert (peer.path, peer.query_string, len(peer.headers)) == (path, query, len(GOOD))
