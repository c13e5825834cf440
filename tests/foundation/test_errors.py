"""The exceptions: one root, and messages that say who did what."""

import pytest

from trio_transports import (
    ConnectionClosed,
    HandshakeRejected,
    LocalProtocolError,
    RemoteProtocolError,
    TransportError,
)
from trio_transports.errors import Initiator


@pytest.mark.parametrize("kind", [ConnectionClosed, HandshakeRejected, LocalProtocolError, RemoteProtocolError])
def test_one_root(kind: type[Exception]) -> None:
    """Whoever catches TransportError catches all that the library raises on purpose."""
    assert issubclass(kind, TransportError)
    assert not issubclass(TransportError, OSError | ValueError | RuntimeError)


@pytest.mark.parametrize(
    ("initiator", "says"),
    [("local", "closed by this side"), ("remote", "closed by the peer"), ("error", "connection lost")],
)
def test_the_end_of_a_connection(initiator: Initiator, says: str) -> None:
    """It tells who ended it, with which code, and why."""
    assert str(ConnectionClosed(4000, "enough", initiator=initiator)) == f"{says}, code 4000: enough"
    assert str(ConnectionClosed(initiator=initiator)) == f"{says}, code 1006"


def test_a_refused_handshake() -> None:
    """It tells the status, who refused, and the beginning of what he said."""
    refused = HandshakeRejected(403, headers=(("server", "x"),), body=b"no \xff" + b"!" * 300, url="ws://host/call")
    assert str(refused).startswith(
        "the WebSocket handshake was refused by ws://host/call with HTTP status 403: no \ufffd!"
    )
    assert len(str(refused)) < 300
    assert (refused.status, refused.headers) == (403, (("server", "x"),))
    assert str(HandshakeRejected(401)) == "the WebSocket handshake was refused with HTTP status 401"


def test_a_malformed_message() -> None:
    """It tells the place inside the message."""
    assert str(RemoteProtocolError("a number is wanted", path="media.chunk")) == "a number is wanted (at media.chunk)"
    assert str(RemoteProtocolError("not JSON")) == "not JSON"
