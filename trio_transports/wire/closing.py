"""What may stand in a WebSocket Close frame (RFC 6455, 5.5.1 and 7.4), and how to be heard with it."""

from typing import Final

import trio

from ..errors import LocalProtocolError
from .stream import OwnedStream

LINGER_S: Final = 1.0
"""How long a peer that is to read this side's last words is waited for."""
MAX_REASON_BYTES: Final = 123
_NEVER_SENT: Final = frozenset({1004, 1005, 1006, 1015})


def sendable_close(code: int, reason: str) -> tuple[int, str]:
    """Check a close code that this side is about to send, and cut the reason to what the frame can hold."""
    if not (1000 <= code <= 1014 or 3000 <= code <= 4999) or code in _NEVER_SENT:
        raise LocalProtocolError(
            f"close code {code} cannot be sent: use 1000 to 1014 (not 1004 to 1006), or 3000 to 4999 for your own"
        )
    return code, reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")


async def linger(stream: OwnedStream) -> None:
    """Say that no more will come, and read on until the peer is through, for a moment.

    Closing with unread bytes would reset the connection, and take what was written last with it.
    """
    stream.opened()  # what comes now is not kept, so it need not be little
    stream.shut_writing()
    with trio.move_on_after(LINGER_S):
        try:
            while await stream.receive_some():
                pass
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return
