"""What a peer sends, parted into ordinary messages and what an engine must judge."""

import struct
from itertools import pairwise
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_transports.wire.incoming import Incoming
from trio_transports.wire.rfc6455 import Opcode, encode_close, encode_frame

LIMIT: Final = 70_000
MASK: Final = b"\x01\x02\x03\x04"


def framed(opcode: Opcode, payload: bytes = b"") -> bytes:
    return encode_frame(opcode, payload, masked=True)


def made() -> Incoming:
    return Incoming(LIMIT, bytearray())


def part_bytewise(incoming: Incoming, data: bytes) -> bool:
    return all(incoming.part(bytes((byte,))) for byte in data)


@pytest.mark.parametrize("size", [0, 1, 124, 125, 126, 127, 128, 65535, 65536, LIMIT])
@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.BINARY])
def test_a_whole_message_of_any_length_is_ordinary(opcode: Opcode, size: int) -> None:
    """It has arrived with its last byte, however it was cut, and not before; twice."""
    payload = (b"0123456789" * (size // 10 + 1))[:size]
    message = payload if opcode is Opcode.BINARY else payload.decode()
    frame = framed(opcode, payload)
    incoming = made()
    for cut in (1, 2, 5, len(frame) // 2, len(frame) - 1):
        assert incoming.part(frame[:cut])
        assert not incoming.arrived
        assert incoming.part(frame[cut:])
        assert incoming.arrived.popleft() == message
    assert not incoming.arrived
    assert not incoming.for_engine


@pytest.mark.parametrize("size", [0, 1, 125, 126, 300])
def test_it_may_come_byte_by_byte(size: int) -> None:
    """With another behind it, and with the first byte of one in the same piece."""
    incoming = made()
    frame = framed(Opcode.BINARY, bytes(size))
    assert part_bytewise(incoming, frame + frame)
    assert list(incoming.arrived) == [bytes(size)] * 2
    assert incoming.part(frame + frame[:1])
    assert part_bytewise(incoming, frame[1:])
    assert list(incoming.arrived) == [bytes(size)] * 4
    assert incoming.for_engine == b""


@given(
    said=st.lists(st.text(st.characters(codec="utf-8"), max_size=40) | st.binary(max_size=300), max_size=6),
    cuts=st.lists(st.integers(0, 1500), max_size=8),
)
def test_however_it_is_cut(said: list[str | bytes], cuts: list[int]) -> None:
    """Every message arrives, in order, and pings between them are the engine's, whole."""
    ping = framed(Opcode.PING, b"there?")
    data = b"".join(
        ping + (framed(Opcode.TEXT, each.encode()) if isinstance(each, str) else framed(Opcode.BINARY, each))
        for each in said
    )
    incoming = made()
    ends = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    assert all(incoming.part(data[start:end]) for start, end in pairwise(ends))
    assert list(incoming.arrived) == said
    assert incoming.for_engine == ping * len(said)


@pytest.mark.parametrize("opcode", [Opcode.PING, Opcode.PONG])
@pytest.mark.parametrize("size", [0, 125])
def test_a_ping_is_the_engines(opcode: Opcode, size: int) -> None:
    """As it came; and goes to it once it is whole."""
    frame = framed(opcode, bytes(size))
    incoming = made()
    assert incoming.part(frame[:-1])
    assert incoming.for_engine == b""
    assert incoming.part(frame[-1:])
    assert incoming.for_engine == frame


def long(first: int, size: int, payload: bytes, *, bits: int) -> bytes:
    """A frame whose length is written in so many bits, whether it needs them or not."""
    length = struct.pack("!BH", 0x80 | 126, size) if bits == 16 else struct.pack("!BQ", 0x80 | 127, size)
    return bytes((first,)) + length + MASK + payload


ODD: Final = {
    "a close": encode_close(1000, "bye", masked=True),
    "a fragment": bytes((Opcode.TEXT,)) + framed(Opcode.TEXT, b"part")[1:],
    "a continuation": framed(Opcode.CONTINUATION, b"more"),
    "a reserved bit": bytes((0xC1,)) + framed(Opcode.TEXT, b"part")[1:],
    "not masked": encode_frame(Opcode.TEXT, b"text", masked=False),
    "an unknown opcode": bytes((0x83,)) + framed(Opcode.TEXT, b"part")[1:],
    "a long ping": long(0x80 | Opcode.PING, 126, bytes(126), bits=16),
    "a long pong": long(0x80 | Opcode.PONG, 126, bytes(126), bits=16),
    "a length in too many bits": long(0x82, 125, bytes(125), bits=16),
    "a length in far too many": long(0x82, 65535, bytes(65535), bits=64),
    "over the limit": framed(Opcode.BINARY, bytes(LIMIT + 1)),
    "no text": framed(Opcode.TEXT, b"\xff\xfe"),
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
@pytest.mark.parametrize("piece", [1, 1 << 20])
def test_from_what_is_not_ordinary_on_all_is_the_engines(odd: bytes, piece: int) -> None:
    """What came before it has arrived; it and what follows is the engine's to judge, byte for byte, once."""
    before = framed(Opcode.TEXT, b"before")
    data = before + odd + framed(Opcode.TEXT, b"behind")
    incoming = made()
    at = 0
    while incoming.part(data[at : at + piece]):
        at += piece
        assert at < len(data)
    for _ in range(2):
        incoming.leave_to_engine()
        assert list(incoming.arrived) == ["before"]
        assert bytes(incoming.for_engine) + data[at + piece :] == data[len(before) :]


@pytest.mark.parametrize("piece", [1, 2, 1 << 20])
def test_a_length_in_just_enough_bits_is_right(piece: int) -> None:
    """126 in 16 bits, 65536 in 64."""
    for size, bits in ((126, 16), (65535, 16), (65536, 64)):
        incoming, data = made(), long(0x82, size, bytes(size), bits=bits)
        for start in range(0, len(data), piece):
            assert incoming.part(data[start : start + piece])
        assert [len(each) for each in incoming.arrived] == [size]


def test_an_over_long_message_is_left_before_its_bytes_come() -> None:
    """Its header says it."""
    assert not made().part(framed(Opcode.BINARY, bytes(LIMIT + 1))[:10])


@pytest.mark.parametrize("head", [b"\x88\x82", b"\x82\x01", b"\x01\x81", b"\x89\xfe"])
def test_what_is_not_ordinary_is_left_at_its_second_byte(head: bytes) -> None:
    """Whether both come at once, or behind a message."""
    assert not made().part(head)
    incoming = made()
    assert incoming.part(head[:1])
    assert not incoming.part(head[1:])
    assert not made().part(framed(Opcode.TEXT, b"before") + head)
