"""New inputs out of old ones: cut, doubled, joined, with a bit, a number or a word changed."""

import re
from collections.abc import Sequence
from random import Random
from typing import Final

_NUMBERS: Final = (b"-1", b"0", b"1e999", b"9223372036854775808", b"0.5", b"null", b"true", b'""', b"[]", b"{}")
_EDGES: Final = (0, 1, 0x7D, 0x7E, 0x7F, 0x80, 0x81, 0x88, 0xFE, 0xFF)
_WORD: Final = re.compile(rb"[A-Za-z_]{3,}|-?\d+(?:\.\d+)?")
_NUMBER: Final = re.compile(rb"-?\d+(?:\.\d+)?")


def words(inputs: Sequence[bytes]) -> Sequence[bytes]:
    """What the seeds say: the keys and names that a decoder listens to."""
    return sorted({word for data in inputs for word in _WORD.findall(data)}) or [b"x"]


def mutated(data: bytes, others: Sequence[bytes], known: Sequence[bytes], random: Random, max_bytes: int) -> bytes:
    """One to four changes."""
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 4))):
        _change(changed, others, known, random)
    return bytes(changed[:max_bytes])


def _change(data: bytearray, others: Sequence[bytes], known: Sequence[bytes], random: Random) -> None:
    at = random.randrange(len(data) + 1)
    end = min(len(data), at + random.choice((1, 2, 4, 16, 64)))
    match random.randrange(9):
        case 0 if data:
            data[at % len(data)] ^= 1 << random.randrange(8)
        case 1 if data:
            data[at % len(data)] = random.choice(_EDGES)
        case 2:
            del data[at:end]
        case 3:
            data[at:at] = data[at:end] * random.choice((1, 2, 10))
        case 4:
            data[at:at] = random.randbytes(random.choice((1, 2, 4)))
        case 5:
            other = random.choice(others)
            cut = random.randrange(len(other) + 1)
            data[at:] = other[cut:]
        case 6 if numbers := list(_NUMBER.finditer(data)):
            number = random.choice(numbers)
            data[number.start() : number.end()] = random.choice(_NUMBERS)
        case 7 if spoken := list(_WORD.finditer(data)):
            word = random.choice(spoken)
            data[word.start() : word.end()] = random.choice(known)
        case _:
            data[at:at] = random.choice(known)
