"""How many bytes of memory a frame takes while it waits: about, and never far too little.

Rules
1. What is counted is what waiting costs: the objects themselves, each with ``NODE_BYTES`` for its place. A document of
   many small values takes twenty times its text, so its values are walked.
2. The walk goes through what frames are made of: attrs values, sequences, mappings, text and bytes. Decoding has
   bounded how many there are.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from operator import attrgetter
from sys import getsizeof
from types import NoneType
from typing import Final, cast

import attrs

from ..frames import AudioFrame, Frame
from ..serializers.protocol import Message

FRAME_BYTES: Final = 200
"""What an audio frame takes besides its samples and its names."""
NODE_BYTES: Final = 16
_LEAVES: Final = frozenset({str, int, float, bool, NoneType, bytes})
SESSION_BYTES: Final = 10 * 1024
"""Half of what a session takes that has ended, besides what its peer said at its beginning, and the bot in the end: two
events keep it."""
LAST_TEXT_BYTES: Final = 8 * 1024
"""What is remembered of the texts on each track, once the session's own block has ended."""
MAX_EVENT_BYTES: Final = 1024 * 1024
"""What waits unread for one subscriber to events, where no parameter says it: each may hold a peer's own words."""


def audio_size(frame: AudioFrame) -> int:
    """Bytes of memory that audio takes: most of it has neither of the strings that its peer may write."""
    size = len(frame.audio) + FRAME_BYTES
    if frame.name or frame.destination:
        size += getsizeof(frame.name) + getsizeof(frame.destination)
    return size


def size_of(frame: Frame) -> int:
    """Bytes of memory that a frame takes."""
    if type(frame) is AudioFrame:
        return audio_size(frame)
    return FRAME_BYTES + _walked([frame])


def _walked(level: list[object]) -> int:
    total = 0
    while level:
        total += sum(map(getsizeof, level)) + NODE_BYTES * len(level)
        level = [child for value in level if type(value) not in _LEAVES for child in _children(value)]
    return total


def _children(value: object) -> Iterable[object]:
    if type(value) is list:
        return value
    if type(value) is dict or isinstance(value, Mapping):
        return chain(value, value.values())
    if isinstance(value, list | tuple):
        return value
    return _values_of(cast(Hashable, type(value)))(value)


@lru_cache(maxsize=256)
def _values_of(kind: Hashable) -> Callable[[object], Sequence[object]]:
    """How all fields of a class are had at once: this is done for every frame that is not audio."""
    names = _field_names(kind)
    if len(names) > 1:
        return attrgetter(*names)
    return lambda value: [getattr(value, name) for name in names]


@lru_cache(maxsize=256)
def _field_names(kind: Hashable) -> tuple[str, ...]:
    return tuple(field.name for field in attrs.fields(kind)) if isinstance(kind, type) and attrs.has(kind) else ()


def message_size(message: Message) -> int:
    """Bytes of memory that a raw message takes."""
    return getsizeof(message)


def event_size(event: object) -> int:
    """Bytes of memory that an event keeps: its own words, and the session that it names, which lives no longer else."""
    total, said = NODE_BYTES + getsizeof(event), list[object]()
    for name in _field_names(cast(Hashable, type(event))):
        value = getattr(event, name)
        if name == "session" and value is not None:
            total += SESSION_BYTES + min(LAST_TEXT_BYTES, value._remembered_bytes)
            said += (value.peer, value.start)
        else:
            said.append(str(value) if isinstance(value, BaseException) else value)
    return total + _walked(said)
