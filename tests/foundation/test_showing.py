"""What may be read in a log: no token, and no line that a peer made up."""

import logging
from collections.abc import Callable

import pytest

from trio_transports import (
    AsgiWebsocketParams,
    AsgiWebsocketTransport,
    Connected,
    ConnectionClosed,
    Disconnected,
    HandshakeRejected,
    IdleTimeout,
    Reconnecting,
    Session,
    SessionTimeout,
    WebsocketClientParams,
    WebsocketClientTransport,
)
from trio_transports._showing import shown_text, shown_url
from trio_transports.agent.outcomes import AgentFinished, AgentUnreachable
from trio_transports.bus import ProxyConnected, ProxyDisconnected
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.session.events import Event
from trio_transports.session.parts import Parts
from trio_transports.wire import Peer
from trio_transports.wire.asgi import asgi_wire
from trio_transports.wire.dialling import Address
from trio_transports.wire.memory import memory_wire_pair

SECRET = "s3cr3t"
URL = f"wss://me:{SECRET}@agents.example:8443/call?token={SECRET}"
HEADERS = (("authorization", f"Bearer {SECRET}"), ("cookie", f"session={SECRET}"))
PEER = Peer(address="10.0.0.7", port=4711, path="/call", query_string=f"token={SECRET}", headers=HEADERS)
REJECTED = HandshakeRejected(401, headers=HEADERS, url=URL)
SCOPE = {
    "type": "websocket",
    "path": "/call",
    "query_string": f"token={SECRET}".encode(),
    "headers": [(name.encode(), value.encode()) for name, value in HEADERS],
    "client": ("10.0.0.7", 4711),
    "extensions": {},
}


async def _receive() -> dict[str, object]:
    return {"type": "websocket.connect"}


async def _send(_message: object) -> None:
    return None


def session() -> Session:
    wire, _ = memory_wire_pair(near=PEER)
    params = AsgiWebsocketParams(serializer=JSONFrameSerializer())

    return Session(wire.peer, Parts.of(params))


CLIENT = WebsocketClientParams(additional_headers={"Authorization": SECRET}, serializer=JSONFrameSerializer())
EVENTS: list[Callable[[Session], Event]] = [
    Connected,
    lambda session: Disconnected(session, 1000, "", "local"),
    SessionTimeout,
    IdleTimeout,
    lambda _session: Reconnecting(1, 0.5, REJECTED),
]
SHOWN: dict[str, object] = {
    "a peer": PEER,
    "a refusal": REJECTED,
    "an address": Address.parse(URL),
    "an ASGI wire": asgi_wire((SCOPE, _receive, _send), max_message_bytes=1),
    "client parameters": CLIENT,
    "a client": WebsocketClientTransport(URL, CLIENT),
    "an ASGI transport": AsgiWebsocketTransport(
        (SCOPE, _receive, _send), AsgiWebsocketParams(serializer=JSONFrameSerializer())
    ),
    "a bus peer": ProxyConnected(PEER),
    "a lost bus peer": ProxyDisconnected(PEER, 1006, "", "error"),
    "an agent that is not there": AgentUnreachable("no answer", peer=URL, elapsed_s=1),
    "an agent that has finished": AgentFinished("it hung up", peer=URL, elapsed_s=1),
}


@pytest.mark.parametrize("what", SHOWN)
def test_no_secret_is_shown(what: str) -> None:
    """Neither headers nor query tokens stand in ``str`` or ``repr``, nor in what a log makes of them."""
    value = SHOWN[what]
    assert SECRET not in str(value)
    assert SECRET not in repr(value)
    assert SECRET not in f"{value!s} {value!r} {value}"
    record = logging.LogRecord("x", logging.INFO, "x", 1, "%s and %r", (value, value), None)
    assert SECRET not in record.getMessage()


@pytest.mark.parametrize("number", range(len(EVENTS)))
async def test_no_event_shows_a_secret(number: int) -> None:
    """Events hold the session, which holds its peer, with all that it sent."""
    event = EVENTS[number](session())
    assert SECRET not in f"{event!s} {event!r}"


def test_a_peer_still_tells_what_it_sent() -> None:
    """It is only not shown: the application reads it where it wants to."""
    assert PEER.header("Authorization") == f"Bearer {SECRET}"
    assert PEER.query == {"token": [SECRET]}
    assert str(PEER) == "10.0.0.7:4711/call"


FORGED = "\r\n2030-01-01 INFO all is well\x1b[2J\u2028\u202e"


@pytest.mark.parametrize(
    "value",
    [
        Peer(address="10.0.0.7", path=f"/call{FORGED}"),
        ConnectionClosed(4000, f"bye{FORGED}", initiator="remote"),
        HandshakeRejected(500, body=f"no{FORGED}".encode(), url="ws://x/"),
        AgentFinished("it hung up", peer="ws://x/", elapsed_s=1, close_code=4000, reason=FORGED),
    ],
    ids=lambda value: type(value).__name__,
)
def test_no_line_can_be_forged(value: object) -> None:
    """What a peer says stays on its line and moves no cursor, in ``str`` and in ``repr``."""
    for text in (str(value), repr(value)):
        assert text.isprintable(), text
    assert "all is well" in str(value)  # it is shown, not hidden


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("ws://host:8765/a/b", "ws://host:8765/a/b"),
        ("ws://host/?token=1", "ws://host/?..."),
        ("wss://me:secret@host/", "wss://host/"),
        ("ws://[::1]:80/x?y", "ws://[::1]:80/x?..."),
        ("ws://[broken/x?y", "ws://[broken/x?..."),
        ("the handshake with ws://host/x?y", "the handshake with ws://host/x?..."),
    ],
)
def test_addresses_without_their_query(url: str, shown: str) -> None:
    """Scheme, host, port and path; a query is only said to be there."""
    assert shown_url(url) == shown


def test_text_that_is_printable_stays_as_it_is() -> None:
    """Umlauts and pictures too."""
    assert shown_text("grüße 🎧") == "grüße 🎧"
