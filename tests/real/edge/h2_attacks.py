"""The attacks as HTTP/2 has them: a request is a list of headers there, and a WebSocket is a stream (RFC 8441).

What cannot be said in HTTP/2 at all (a header line without a colon, a key) is no attack on it: ``NOT_SAID``.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final, final

import trio
from attrs import frozen
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, Event, ResponseReceived, StreamEnded, StreamReset
from h2.exceptions import ProtocolError

from tests.real.edge.attacks import GOOD as GOOD_H1
from tests.real.edge.attacks import WAIT_S, Attack, Stream, close_in
from tests.real.edge.hosts import Found

NOT_SAID: Final = "-"
Headers = Sequence[tuple[str, str]]


@final
@frozen
class Said:
    """How an attack's request is said, and which answers are right: a status, or the end of its stream."""

    headers: Headers
    right: tuple[str, ...]
    body: bytes = b""


def _asking(*more: tuple[str, str], without: tuple[str, ...] = ()) -> Headers:
    """A good request for a WebSocket, with more or less of it."""
    good = (
        (":method", "CONNECT"),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", "/call"),
        (":protocol", "websocket"),
        ("sec-websocket-version", "13"),
    )
    return [*((name, value) for name, value in good if name not in without), *more]


def _plain(method: str, *more: tuple[str, str]) -> Headers:
    return [(":method", method), (":scheme", "https"), (":authority", "localhost"), (":path", "/call"), *more]


ENDS: Final = ("reset", "closed")
"""RFC 9113, 8.1.1: what is malformed ends its stream; a connection may end with it."""
GOOD: Final = Said(_asking(), ("200",))
SAID: Final[dict[str, Said]] = {
    "a plain GET": Said(_plain("GET"), ("404", "426")),
    "POST": Said(_plain("POST", ("sec-websocket-version", "13")), ("404", "405")),
    "no host": Said(_asking(without=(":authority",)), ("400", *ENDS)),
    "two hosts": Said(_asking(("host", "other")), ("400", *ENDS)),
    "no version": Said(_asking(without=("sec-websocket-version",)), ("400", "426")),
    "version 8": Said(_asking(("sec-websocket-version", "8"), without=("sec-websocket-version",)), ("400", "426")),
    "two versions": Said(_asking(("sec-websocket-version", "13")), ("400", "426", *ENDS)),
    "Upgrade to something else": Said(
        [(name, "h2c" if name == ":protocol" else value) for name, value in _asking()], ("400", "404", "501", *ENDS)
    ),
    "Connection without Upgrade": Said(_asking(("connection", "keep-alive")), ("400", *ENDS)),
    "Content-Length with a body": Said(_asking(("content-length", "5")), ("400", *ENDS), b"hello"),
    "Transfer-Encoding": Said(_asking(("transfer-encoding", "chunked")), ("400", *ENDS)),
    "two lengths": Said(_asking(("content-length", "0"), ("content-length", "5")), ("400", *ENDS)),
    "a line end in the target": Said(
        [(name, "/call\rX" if name == ":path" else value) for name, value in _asking()], ("400", *ENDS)
    ),
    "another site's page": Said(_asking(("origin", "https://evil.example")), ("403",)),
    "two origins": Said(
        _asking(("origin", "https://localhost"), ("origin", "https://evil.example")), ("400", "403", *ENDS)
    ),
    "CONNECT": Said([(":method", "CONNECT"), (":authority", "other:443")], ("405", "501", *ENDS)),
    "80 kB of headers": Said(_asking(("x-a", "a" * 80_000)), ("400", "431", *ENDS)),
}


def right_answers(attack: Attack) -> tuple[str, ...]:
    if attack.after_upgrade is not None or attack.sends is GOOD_H1:
        return attack.right
    return SAID[attack.name].right if attack.name in SAID else (NOT_SAID,)


async def play_h2(found: Found, attack: Attack) -> str:
    """Attack whoever listens there on a connection of its own, and say what came back."""
    with trio.fail_after(WAIT_S):
        return await _play(found, attack)


async def _play(found: Found, attack: Attack) -> str:
    is_good = attack.after_upgrade is not None or attack.sends is GOOD_H1
    said = GOOD if is_good else SAID.get(attack.name)
    if said is None:
        return NOT_SAID
    tcp = await trio.open_tcp_stream("127.0.0.1", found.port)
    stream: Stream = tcp
    if found.tls is not None:
        stream = trio.SSLStream(tcp, found.tls, server_hostname="localhost", https_compatible=True)
    async with stream:
        return await _Attacker(stream).answer(said, attack.after_upgrade)


@final
class _Attacker:
    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        config = H2Configuration(
            client_side=True, header_encoding=None, validate_outbound_headers=False, normalize_outbound_headers=False
        )
        self._h2 = H2Connection(config)

    async def answer(self, said: Said, frames: bytes | None) -> str:
        self._h2.initiate_connection()
        await self._flush()
        await self._events()  # of RFC 8441 the server has to speak first
        try:
            self._h2.send_headers(1, said.headers, end_stream=dict(said.headers)[":method"] != "CONNECT")
        except ProtocolError as exc:
            return f"not sent: {exc}"
        if said.body:
            self._h2.send_data(1, said.body)
        await self._flush()
        status, data = "", b""
        while True:
            for event in await self._events() or (None,):
                if isinstance(event, ResponseReceived):
                    status = dict(event.headers)[b":status"].decode()
                    if status == "200" and frames is not None:
                        self._send(frames)
                        await self._flush()
                    else:
                        return "101" if status == "200" else status
                elif isinstance(event, DataReceived):
                    data += event.data
                    if (close := close_in(data)) != "closed":
                        return close
                elif event is None or isinstance(event, StreamEnded | StreamReset | ConnectionTerminated):
                    if status:
                        return close_in(data)
                    return "reset" if isinstance(event, StreamReset) else "closed"

    def _send(self, frames: bytes) -> None:
        """As much as the server has room for."""
        step = self._h2.max_outbound_frame_size
        frames = frames[: self._h2.local_flow_control_window(1)]
        for at in range(0, len(frames), step):
            self._h2.send_data(1, frames[at : at + step])

    async def _events(self) -> list[Event]:
        """What came with the next bytes; nothing at the end."""
        try:
            data = await self._stream.receive_some()
        except trio.BrokenResourceError:
            data = b""
        try:
            events = self._h2.receive_data(data) if data else []
        except ProtocolError:
            return []
        await self._flush()
        return events or (await self._events() if data else [])

    async def _flush(self) -> None:
        if data := self._h2.data_to_send():
            with suppress(trio.BrokenResourceError):  # an answer may have come all the same
                await self._stream.send_all(data)
