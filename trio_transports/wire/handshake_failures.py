"""What a handshake of trio-websocket's engine failed of, as this library's errors."""

from collections.abc import Iterable

import trio_websocket

from ..errors import ConnectionClosed, HandshakeRejected, TransportError
from .refusal import refusal_in
from .stream import OwnedStream


def handshake_error(group: ExceptionGroup[Exception], owned: OwnedStream, what: str) -> TransportError:
    """What a user is told of a handshake that failed inside the engine."""
    cause = first_leaf(group)
    if isinstance(cause, TransportError):
        return cause
    error: TransportError
    if isinstance(cause, trio_websocket.ConnectionRejected):
        error = HandshakeRejected(
            cause.status_code, headers=decoded(cause.headers), body=bytes(cause.body or b""), url=what
        )
    else:
        error = cut_off(owned, what)
    error.__cause__ = cause
    return error


def cut_off(owned: OwnedStream, what: str) -> TransportError:
    """Tell what a peer said that left the handshake unfinished: an HTTP answer of its own, or nothing of use."""
    return refusal_in(owned.handshake_data, what) or ConnectionClosed(1006, f"{what} was cut off", initiator="error")


def first_leaf(group: BaseExceptionGroup[Exception]) -> Exception:
    first = group.exceptions[0]
    return first_leaf(first) if isinstance(first, BaseExceptionGroup) else first


def decoded(headers: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[str, str], ...]:
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers)
