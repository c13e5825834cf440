"""How far a message that is not known here has come: what is passed on unread must not go round for ever.

Rules
1. On the way between two peers of this library it has a member in front, ``{"__hops__":<number>,"__type__":...``. To
   any other peer it leaves byte for byte as it came.
2. Reading it counts one more. One over ``MAX_HOPS`` is not read: it is ignored and counted, as what is not known is.
"""

import re
from typing import Final

MAX_HOPS: Final = 8

_HEAD: Final = re.compile(rb'\{"__hops__":([0-9]{1,2}),')


def with_hops(data: bytes, hops: int) -> bytes:
    """The encoded message with its count of hops in it; what is no JSON object is left as it is."""
    return b'{"__hops__":%d,%s' % (hops, data[1:]) if data[:1] == b"{" else data


def without_hops(data: bytes) -> tuple[int, bytes]:
    """How often it was read before, and the message as it came."""
    head = _HEAD.match(data)
    return (0, data) if head is None else (int(head[1]), b"{" + data[head.end() :])
