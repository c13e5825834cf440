"""WebSocket frames as bytes: the library's own parser and writer, on their own and beside wsproto's."""

import struct
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto.frame_protocol import FrameProtocol, ParseFailed
from wsproto.frame_protocol import Opcode as TheirOpcode

from trio_transports.wire.rfc6455 import (
    MAX_EMPTY_FRAGMENTS,
    Close,
    Opcode,
    Parser,
    Ping,
    Pong,
    Received,
    Violation,
    apply_mask,
    encode_close,
    encode_frame,
    plain_mask,
)

LIMIT: Final = 70_000
CLOSABLE: Final = [1000, 1001, 1002, 1003, *range(1007, 1015), 3000, 4000, 4999]

texts = st.text(st.characters(codec="utf-8"), max_size=80)
binaries = st.binary(max_size=80) | st.integers(120, 300).map(bytes) | st.sampled_from([65535, 65536]).map(bytes)
controls = st.builds(Ping, st.binary(max_size=125)) | st.builds(Pong, st.binary(max_size=125))
KNOWN_TO_WSPROTO: Final = [code for code in CLOSABLE if code != 1014]  # registered, but not there

closes = st.builds(
    Close, st.sampled_from(CLOSABLE), texts.map(lambda text: text.encode()[:123].decode(errors="ignore"))
)
their_closes = closes.filter(lambda close: close.code in KNOWN_TO_WSPROTO)
events = st.lists(texts | binaries | controls, max_size=8)
cuts = st.lists(st.integers(1, 40), max_size=30)


def written(event: Received, *, masked: bool) -> bytes:
    match event:
        case str():
            return encode_frame(Opcode.TEXT, event.encode(), masked=masked)
        case bytes():
            return encode_frame(Opcode.BINARY, event, masked=masked)
        case Ping(payload):
            return encode_frame(Opcode.PING, payload, masked=masked)
        case Pong(payload):
            return encode_frame(Opcode.PONG, payload, masked=masked)
        case Close(1005):
            return encode_frame(Opcode.CLOSE, b"", masked=masked)
        case Close(code, reason):
            return encode_close(code, reason, masked=masked)


def frame(first: int, payload: bytes = b"", *, masked: bool = True, size: int | None = None) -> bytes:
    """A frame of short length whose every bit can be wrong; the mask is zeros."""
    second = (0x80 if masked else 0) | (len(payload) if size is None else size)
    return bytes((first, second)) + (bytes(4) if masked else b"") + payload


def pieces(data: bytes, sizes: Sequence[int]) -> list[bytes]:
    """``data`` cut into these sizes, and the rest."""
    result, at = [], 0
    for size in sizes:
        result.append(data[at : at + size])
        at += size
    return [*result, data[at:]]


def parsed(data: Sequence[bytes], *, from_client: bool, limit: int = LIMIT) -> tuple[list[Received], int | None]:
    """What comes of the bytes, and the code of the violation that they end in."""
    parser, received = Parser(from_client, limit), list[Received]()
    for piece in data:
        try:
            received += parser.feed(piece)
        except Violation as violation:
            return received + violation.received, violation.code
    return received, None


# Round trips


@given(said=events, from_client=st.booleans(), sizes=cuts, close=closes | st.just(Close(1005, "")) | st.none())
def test_any_cut_of_valid_frames_parses_the_same(
    said: list[Received], from_client: bool, sizes: list[int], close: Close | None
) -> None:
    """What was written is read, with masks and without, however the bytes arrive."""
    said = said if close is None else [*said, close]
    data = b"".join(written(event, masked=from_client) for event in said)
    assert parsed(pieces(data, sizes), from_client=from_client) == (said, None)


@given(said=texts, sizes=st.lists(st.integers(0, 20), max_size=10), control=controls, from_client=st.booleans())
def test_fragments(said: str, sizes: list[int], control: Ping | Pong, from_client: bool) -> None:
    """A message in any number of parts, cut within its characters, with control frames between, is one message."""
    parts = pieces(said.encode(), sizes)
    data = b""
    for number, part in enumerate(parts):
        whole = encode_frame(Opcode.TEXT if not number else Opcode.CONTINUATION, part, masked=from_client)
        data += bytes((whole[0] & 0x7F if number < len(parts) - 1 else whole[0],)) + whole[1:]
        if number < len(parts) - 1:
            data += written(control, masked=from_client)
    received, code = parsed([data], from_client=from_client)
    assert code is None
    assert received == [*[control] * (len(parts) - 1), said]


masks = pytest.mark.parametrize("masked_by", [plain_mask, apply_mask])


def test_the_quick_mask_is_here() -> None:
    """Both ways to mask are tested, where the extra is installed."""
    assert apply_mask is not plain_mask, "install the extra 'fast'"


@masks
@given(payload=st.binary(max_size=1000), mask=st.binary(min_size=4, max_size=4))
def test_masks(masked_by: Callable[[bytes, bytes], bytes], payload: bytes, mask: bytes) -> None:
    """The mask is an exclusive or, byte by byte, and twice is nothing."""
    masked = masked_by(payload, mask)
    assert masked == bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
    assert masked_by(masked, mask) == payload


@masks
@pytest.mark.parametrize("size", [1023, 1024, 1025, 1026, 1027, 5000, 70_001])
def test_a_long_payload_is_masked_alike(masked_by: Callable[[bytes, bytes], bytes], size: int) -> None:
    """However long a payload is, and whatever is left past its last four bytes, each byte meets its own of the mask."""
    payload, mask = bytes(place * 7 % 256 for place in range(size)), b"\x01\x20\x80\xff"
    assert masked_by(payload, mask) == bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))


def test_masks_differ() -> None:
    """A client takes another mask for each frame."""
    assert len({encode_frame(Opcode.BINARY, b"", masked=True) for _ in range(20)}) > 1


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (0, b"\x82\x00"),
        (125, b"\x82\x7d"),
        (126, b"\x82\x7e\x00\x7e"),
        (65535, b"\x82\x7e\xff\xff"),
        (65536, b"\x82\x7f" + struct.pack("!Q", 65536)),
    ],
)
def test_lengths(size: int, head: bytes) -> None:
    """Lengths are written in their shortest form."""
    assert encode_frame(Opcode.BINARY, bytes(size), masked=False) == head + bytes(size)


# Violations

CONTINUED: Final = 0x00
FIN: Final = 0x80
RFC_VIOLATIONS: Final = {
    "a reserved bit": (frame(FIN | 0x40 | Opcode.TEXT), 1002),
    "another reserved bit": (frame(FIN | 0x20 | Opcode.PING), 1002),
    "the third reserved bit": (frame(FIN | 0x10 | Opcode.BINARY), 1002),
    "an unknown opcode": (frame(FIN | 3), 1002),
    "another unknown opcode": (frame(FIN | 7), 1002),
    "an unknown control opcode": (frame(FIN | 11), 1002),
    "the last opcode": (frame(FIN | 15), 1002),
    "a client without a mask": (frame(FIN | Opcode.TEXT, b"a", masked=False), 1002),
    "a fragmented ping": (frame(Opcode.PING), 1002),
    "a fragmented close": (frame(Opcode.CLOSE), 1002),
    "a long ping": (frame(FIN | Opcode.PING, size=126) + bytes(200), 1002),
    "a very long pong": (frame(FIN | Opcode.PONG, size=127) + bytes(200), 1002),
    "a continuation of nothing": (frame(FIN | Opcode.CONTINUATION, b"a"), 1002),
    "a message within a message": (frame(Opcode.TEXT, b"a") + frame(FIN | Opcode.TEXT, b"b"), 1002),
    "a length that is too long for 16 bits": (bytes((FIN | Opcode.BINARY, 0xFE, 0, 125)) + bytes(4 + 125), 1002),
    "a length that is too long for 64 bits": (
        bytes((FIN | Opcode.BINARY, 0xFF)) + struct.pack("!Q", 65535) + bytes(4),
        1002,
    ),
    "a length with its highest bit": (bytes((FIN | Opcode.BINARY, 0xFF)) + struct.pack("!Q", 1 << 63) + bytes(4), 1002),
    "a close of one byte": (frame(FIN | Opcode.CLOSE, b"\x03"), 1002),
    "a close for no code": (frame(FIN | Opcode.CLOSE, struct.pack("!H", 1005)), 1002),
    "a close for a lost connection": (frame(FIN | Opcode.CLOSE, struct.pack("!H", 1006)), 1002),
    "a close with a reserved code": (frame(FIN | Opcode.CLOSE, struct.pack("!H", 1004)), 1002),
    "a close for TLS": (frame(FIN | Opcode.CLOSE, struct.pack("!H", 1015)), 1002),
    "a close with code 999": (frame(FIN | Opcode.CLOSE, struct.pack("!H", 999)), 1002),
    "a close with code 2999": (frame(FIN | Opcode.CLOSE, struct.pack("!H", 2999)), 1002),
    "a close with code 5000": (frame(FIN | Opcode.CLOSE, struct.pack("!H", 5000)), 1002),
    "a close whose reason is no text": (frame(FIN | Opcode.CLOSE, struct.pack("!H", 1000) + b"\xff"), 1007),
    "text that is not UTF-8": (frame(FIN | Opcode.TEXT, b"\xc3\x28"), 1007),
    "text that ends within a character": (frame(FIN | Opcode.TEXT, b"\xc3"), 1007),
    "text with a surrogate": (frame(FIN | Opcode.TEXT, b"\xed\xa0\x80"), 1007),
    "text in parts that is not UTF-8": (frame(Opcode.TEXT, b"\xc3") + frame(FIN | Opcode.CONTINUATION, b"\x28"), 1007),
    "a message over the limit": (bytes((FIN | Opcode.BINARY, 0xFF)) + struct.pack("!Q", LIMIT + 1), 1009),
    "a message over all limits": (bytes((FIN | Opcode.TEXT, 0xFF)) + struct.pack("!Q", (1 << 63) - 1), 1009),
}


@pytest.mark.parametrize(("data", "code"), RFC_VIOLATIONS.values(), ids=RFC_VIOLATIONS)
def test_what_the_rfc_forbids(data: bytes, code: int) -> None:
    """Each violation is told by its code, byte by byte and at once, and what came before it is not lost."""
    before: list[Received] = ["before", b"\x00", Ping(b"p")]
    whole = b"".join(written(event, masked=True) for event in before) + data
    assert parsed([whole], from_client=True) == (before, code)
    assert parsed([whole[at : at + 1] for at in range(len(whole))], from_client=True) == (before, code)


def test_a_server_does_not_mask() -> None:
    """What a client reads must not be masked."""
    assert parsed([frame(FIN | Opcode.TEXT, b"a", masked=True)], from_client=False) == ([], 1002)


def test_the_limit() -> None:
    """A message of exactly the limit passes; one byte more, in one frame or in parts, is told from its header."""
    whole = encode_frame(Opcode.BINARY, bytes(1000), masked=False)
    assert parsed([whole], from_client=False, limit=1000) == ([bytes(1000)], None)
    assert parsed([whole[:4]], from_client=False, limit=999) == ([], 1009)
    part = bytes((Opcode.BINARY,)) + whole[1:]
    last = frame(FIN | Opcode.CONTINUATION, b"x", masked=False)
    assert parsed([part + last], from_client=False, limit=1001) == ([bytes(1000) + b"x"], None)
    assert parsed([part + last[:2]], from_client=False, limit=1000) == ([], 1009)
    assert parsed([part, frame(FIN | Opcode.PING, bytes(125), masked=False)], from_client=False, limit=1000) == (
        [Ping(bytes(125))],
        None,
    )


def test_what_follows_a_close_is_ignored() -> None:
    """Bytes after a Close frame are no WebSocket any more: neither messages nor violations."""
    close = written(Close(4000, "bye"), masked=True)
    after = written("late", masked=True) + b"\xff" * 50
    assert parsed([close + after, after], from_client=True) == ([Close(4000, "bye")], None)


def test_empty_parts_without_end() -> None:
    """A message may have some empty parts, and not any number of them."""
    begin, more = frame(Opcode.BINARY, b"a"), frame(CONTINUED)
    last = frame(FIN | Opcode.CONTINUATION, b"end")
    assert parsed([begin + more * 1000 + last], from_client=True) == ([b"aend"], None)
    assert parsed([(begin + more * 1000 + last) * 3], from_client=True) == ([b"aend"] * 3, None)
    assert parsed([begin + more * (MAX_EMPTY_FRAGMENTS + 1)], from_client=True) == ([], 1008)


def test_a_long_message_byte_by_byte() -> None:
    """A megabyte that trickles in costs about as much for each byte as a kilobyte does."""

    def seconds_for(size: int) -> float:
        parser, data = Parser(from_client=True, max_message_bytes=size), encode_frame(2, bytes(size), masked=True)
        parser.feed(data[:-20_000])
        began = time.process_time()
        received = [event for at in range(len(data) - 20_000, len(data)) for event in parser.feed(data[at : at + 1])]
        took = time.process_time() - began
        assert received == [bytes(size)]
        return took

    assert seconds_for(1 << 20) < 10 * seconds_for(20_000) + 0.05


@given(st.lists(st.binary(max_size=60), max_size=10), st.booleans())
def test_any_bytes_parse_or_violate(data: list[bytes], from_client: bool) -> None:
    """Whatever arrives, nothing but a Violation comes of it, with a code that may be sent; no cut changes which."""
    received, code = parsed(data, from_client=from_client)
    assert code in (None, 1002, 1007, 1009)
    assert parsed([b"".join(data)], from_client=from_client) == (received, code)


# Beside wsproto


class Reference:
    """wsproto's frames, read by its server from a client or by its client from a server."""

    def __init__(self, *, from_client: bool) -> None:
        self.reader = FrameProtocol(client=not from_client, extensions=[])
        self.writer = FrameProtocol(client=from_client, extensions=[])

    def read(self, data: bytes) -> tuple[list[Received], int | None]:
        received: list[Received] = []
        whole = b""
        self.reader.receive_bytes(data)
        try:
            for read in self.reader.received_frames():
                payload: Any = read.payload
                match read.opcode:
                    case TheirOpcode.PING:
                        received.append(Ping(bytes(payload)))
                    case TheirOpcode.PONG:
                        received.append(Pong(bytes(payload)))
                    case TheirOpcode.CLOSE:
                        received.append(Close(int(payload[0]), payload[1] or ""))
                        return received, None
                    case opcode:
                        whole += payload.encode() if opcode is TheirOpcode.TEXT else payload
                        if read.message_finished:
                            received.append(whole.decode() if opcode is TheirOpcode.TEXT else whole)
                            whole = b""
        except ParseFailed as exc:
            return received, int(exc.code)
        return received, None

    def write(self, event: Received, parts: int = 1) -> bytes:
        match event:
            case str() | bytes():
                step = max(1, -(-len(event) // parts))
                data = [event[at : at + step] for at in range(0, len(event), step)] or [event]
                return b"".join(self.writer.send_data(part, number == len(data)) for number, part in enumerate(data, 1))
            case Ping(payload):
                return bytes(self.writer.ping(payload))
            case Pong(payload):
                return bytes(self.writer.pong(payload))
            case Close(code, reason):
                return bytes(self.writer.close(None if code == 1005 else code, reason))


@settings(max_examples=60)
@given(said=events, close=their_closes, from_client=st.booleans())
def test_the_reference_reads_what_is_written_here(said: list[Received], close: Close, from_client: bool) -> None:
    """What this side writes wsproto reads as it was meant."""
    reference = Reference(from_client=from_client)
    said = [*said, close]
    data = b"".join(written(event, masked=from_client) for event in said)
    assert reference.read(data) == (said, None)


@settings(max_examples=60)
@given(said=events, close=their_closes, from_client=st.booleans(), parts=st.integers(1, 4), sizes=cuts)
def test_what_the_reference_writes_is_read_here(
    said: list[Received], close: Close, from_client: bool, parts: int, sizes: list[int]
) -> None:
    """What wsproto writes, whole or in parts, is read here as it was meant."""
    reference = Reference(from_client=from_client)
    said = [*said, close]
    data = b"".join(reference.write(event, parts) for event in said)
    assert parsed(pieces(data, sizes), from_client=from_client) == (said, None)


@pytest.mark.parametrize("name", [name for name, (_, code) in RFC_VIOLATIONS.items() if code != 1009])
def test_the_reference_finds_the_same_wrong(name: str) -> None:
    """The bytes that are refused here wsproto refuses too, with the same code."""
    data, code = RFC_VIOLATIONS[name]
    assert Reference(from_client=True).read(data)[1] == code


@settings(max_examples=300)
@given(
    said=st.lists(st.text(max_size=30).map(lambda text: ascii(text).encode()) | controls, min_size=1, max_size=4),
    flips=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 7)), max_size=2),
    from_client=st.booleans(),
)
def test_the_reference_agrees_on_damaged_frames(
    said: list[Received], flips: list[tuple[int, int]], from_client: bool
) -> None:
    """Frames with a bit or two wrong, and bytes that are no frame, give the same events and code here and there."""
    data = bytearray(b"".join(written(event, masked=from_client) for event in said))
    for place, bit in flips:
        data[place % len(data)] ^= 1 << bit
    data += b"\xff" * 66_000
    theirs, their_code = Reference(from_client=from_client).read(bytes(data))
    ours, our_code = parsed([bytes(data)], from_client=from_client, limit=1 << 62)
    # Text that is not UTF-8 the reference refuses at the first wrong byte, here at the end of its message: what comes
    # between a message's fragments is taken first.
    assert ours[: len(theirs)] == theirs if their_code == 1007 else ours == theirs
    # Here a wrong header is told before its payload has come, which may be never, and wrong text when all of it has.
    assert our_code == their_code or (our_code == 1002 and their_code in (None, 1007))


@pytest.mark.parametrize("size", [125, 126, 127, 65535, 65536])
@pytest.mark.parametrize("piece", [1, 1 << 20])
def test_a_message_of_each_length_is_read(size: int, piece: int) -> None:
    """Its length is written in just enough bits."""
    data = encode_frame(Opcode.BINARY, bytes(size), masked=False)
    parser, got = Parser(from_client=False, max_message_bytes=LIMIT), list[Received]()
    for start in range(0, len(data), piece):
        got += parser.feed(data[start : start + piece])
    assert got == [bytes(size)]


@pytest.mark.parametrize("head", [b"\xc2\x7e", b"\x82\xfe", b"\x83\x7f", b"\x89\x7e", b"\x80\x7e"])
def test_what_is_forbidden_is_told_before_its_length_has_come(head: bytes) -> None:
    """There is nothing to wait for."""
    with pytest.raises(Violation):
        Parser(from_client=False, max_message_bytes=LIMIT).feed(head)


@pytest.mark.parametrize(("marker", "length"), [(126, struct.pack("!H", 60_000)), (127, struct.pack("!Q", 1 << 40))])
def test_what_is_over_the_limit_is_told_with_the_last_byte_of_its_length(marker: int, length: bytes) -> None:
    """None of its own has to come for that."""
    parser = Parser(from_client=False, max_message_bytes=1000)
    for byte in (0x82, marker, *length[:-1]):
        assert parser.feed(bytes((byte,))) == []
    with pytest.raises(Violation, match="1009"):
        parser.feed(length[-1:])
