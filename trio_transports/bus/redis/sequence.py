"""Numbers on messages, so that a reader knows what it missed: how they are written, and what they tell.

Rules
1. A publisher has a name of 16 hexadecimal digits, new each time it starts, and numbers its messages from 1.
2. On JSON the number is a member in front, ``{"__seq__":["<publisher>",<number>],"__type__":...``: a Pipecat peer
   ignores it. On anything else it is a head: 0x02, the publisher (8 bytes), the number (u64, big-endian).
3. A number that was skipped is a message that was lost. A number that was seen is one sent twice, for the publisher did
   not know whether it had arrived. The first number of a publisher tells nothing.
   What a process reads again in its next life has holes where the rest was handled: up to the first number behind it
   only repeats are told.
4. At most ``MAX_PUBLISHERS`` are remembered; the one silent for longest is forgotten.
"""

import re
import struct
from collections import OrderedDict
from typing import Final, final

from attrs import frozen

MAX_PUBLISHERS: Final = 1024

_JSON_HEAD: Final = re.compile(rb'\{"__seq__":\["([0-9a-f]{16})",([0-9]{1,18})\],')
_BINARY: Final = 0x02
_HEAD: Final = struct.Struct("!B8sQ")


@final
@frozen
class Stamp:
    publisher: str
    number: int


def stamp(data: bytes, publisher: str, number: int) -> bytes:
    """Put a publisher's number on an encoded message."""
    if data[:2] == b'{"':
        return b'{"__seq__":["%s",%d],%s' % (publisher.encode(), number, data[1:])
    return _HEAD.pack(_BINARY, bytes.fromhex(publisher), number) + data


def unstamp(data: bytes) -> tuple[Stamp | None, bytes]:
    """The stamp of a message, and the message; None for one that has none, as a Pipecat peer's."""
    if data[:1] == b"\x02" and len(data) >= _HEAD.size:
        _, publisher, number = _HEAD.unpack_from(data)
        return Stamp(publisher.hex(), number), data[_HEAD.size :]
    head = _JSON_HEAD.match(data)
    if head is None:
        return None, data
    return Stamp(head[1].decode(), int(head[2])), b"{" + data[head.end() :]


@final
class Sequences:
    """The last number seen of each publisher."""

    def __init__(self, *, reads_again: bool = False) -> None:
        self.reads_again = reads_again
        """What an earlier life of the process left; rule 3."""
        self._last: OrderedDict[str, int] = OrderedDict()
        self._read_again: set[str] = set()
        """Of which the last one was."""

    def missed(self, seen: Stamp) -> int | None:
        """How many messages are missing before this one; None if it was seen before."""
        last = self._last.get(seen.publisher)
        if last is not None and seen.number <= last:
            return None
        self._last[seen.publisher] = seen.number
        self._last.move_to_end(seen.publisher)
        if len(self._last) > MAX_PUBLISHERS:
            forgotten, _ = self._last.popitem(last=False)
            self._read_again.discard(forgotten)
        has_holes = self.reads_again or seen.publisher in self._read_again
        (self._read_again.add if self.reads_again else self._read_again.discard)(seen.publisher)
        return 0 if last is None or has_holes else seen.number - last - 1
