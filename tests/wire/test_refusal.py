"""HTTP answers in place of an upgrade."""

import pytest
import trio_websocket

from tests.wire.lines import lines
from trio_transports.errors import ConnectionClosed, HandshakeRejected, TransportError
from trio_transports.wire.handshake_failures import cut_off, handshake_error
from trio_transports.wire.refusal import Refusal, refusal_in
from trio_transports.wire.stream import OwnedStream


@pytest.mark.parametrize("status", [299, 600, 200, 101, True, "403", None])
def test_a_status_that_refuses_nobody_is_a_mistake(status: object) -> None:
    with pytest.raises(ValueError, match="must be an HTTP status from 300 to 599"):
        Refusal(status=status)  # type: ignore[arg-type]


@pytest.mark.parametrize("status", [300, 403, 599])
def test_a_status_that_refuses(status: int) -> None:
    assert Refusal(status=status).status == status


@pytest.mark.parametrize(
    ("received", "status", "headers", "body"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nX-Why:  you \r\nno colon\r\n\r\nnot you", 403, (("x-why", "you"),), b"not you"),
        (b"HTTP/1.0 503 Busy\r\n\r\n", 503, (), b""),
        (b"HTTP/1.1 401", 401, (), b""),
        (b"HTTP/1.1 403 Forbidden\r\nX-Why: y", 403, (("x-why", "y"),), b""),
    ],
)
def test_an_answer_is_read_as_far_as_it_came(
    received: bytes, status: int, headers: tuple[tuple[str, str], ...], body: bytes
) -> None:
    refusal = refusal_in(received, "ws://host/")
    assert refusal is not None
    assert (refusal.status, refusal.headers, refusal.body, refusal.url) == (status, headers, body, "ws://host/")


@pytest.mark.parametrize(
    "received", [b"", b"SSH-2.0-OpenSSH", b"HTTP/1.1 101 Switching Protocols\r\n\r\n", b"HTTP/1.1 abc", b"HTTP/2 403"]
)
def test_what_is_no_such_answer(received: bytes) -> None:
    """An upgrade that was cut off is none either."""
    assert refusal_in(received, "ws://host/") is None


def owned(received: bytes = b"") -> OwnedStream:
    stream = OwnedStream(lines()[0].tcp)
    stream.handshake_data = received
    return stream


def test_a_handshake_that_was_cut_off() -> None:
    """By an answer that came of the peer, or without a word."""
    refused = cut_off(owned(b"HTTP/1.1 403 Forbidden\r\n\r\nnot you"), "the handshake")
    assert isinstance(refused, HandshakeRejected)
    assert (refused.status, refused.body) == (403, b"not you")
    lost = cut_off(owned(), "the handshake")
    assert isinstance(lost, ConnectionClosed)
    assert (lost.code, lost.reason, lost.initiator) == (1006, "the handshake was cut off", "error")


OURS = TransportError("as it is")


@pytest.mark.parametrize("body", [b"not you", None])
def test_a_rejection_is_told_with_what_it_says(body: bytes | None) -> None:
    """However deep it lies among what failed."""
    rejected = trio_websocket.ConnectionRejected(403, ((b"x-why", b"you"),), body)
    group = ExceptionGroup("engine", [ExceptionGroup("task", [rejected])])
    error = handshake_error(group, owned(), "the handshake")
    assert isinstance(error, HandshakeRejected)
    assert (error.status, error.headers, error.body) == (403, (("x-why", "you"),), body or b"")
    assert error.__cause__ is rejected


def test_another_failure_is_a_handshake_that_was_cut_off() -> None:
    """Unless it is one of this library's own, which is told as it is."""
    failure = ValueError("of the engine")
    error = handshake_error(ExceptionGroup("engine", [failure]), owned(), "the handshake")
    assert isinstance(error, ConnectionClosed)
    assert error.__cause__ is failure
    assert handshake_error(ExceptionGroup("engine", [OURS]), owned(), "the handshake") is OURS
