"""The load's WebSocket client, without a network."""

import pytest

from benchmarks.load.websocket import CLOSE, PING, BrokenServer, Connection, FrameReader, close_frame, masked_frame


def unmasked(payload: bytes, first: int = 0x82) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 1 << 16:
        return bytes((first, 126)) + size.to_bytes(2, "big") + payload
    return bytes((first, 127)) + size.to_bytes(8, "big") + payload


@pytest.mark.parametrize("size", [0, 1, 125, 126, 700, 65535, 65536])
def test_messages_of_any_size_are_read(size: int) -> None:
    """Every form of the length, whole or byte by byte."""
    payload = bytes(index % 251 for index in range(size))
    assert FrameReader().feed(unmasked(payload)) == [payload]
    slow = FrameReader()
    found = [message for byte in unmasked(payload)[:2000] for message in slow.feed(bytes((byte,)))]
    found += slow.feed(unmasked(payload)[2000:])
    assert found == [payload]


def test_two_messages_in_one_read() -> None:
    """What the server wrote twice and the kernel gave once is two messages."""
    assert FrameReader().feed(unmasked(b"a" * 700) + unmasked(b"b" * 700)) == [b"a" * 700, b"b" * 700]


def test_fragments_are_put_together_around_a_ping() -> None:
    """A control frame may come between the fragments of a message."""
    reader = FrameReader()
    assert reader.feed(unmasked(b"one ", 0x02) + unmasked(b"alive?", 0x80 | PING)) == []
    assert reader.pings == [b"alive?"]
    assert reader.feed(unmasked(b"two", 0x80)) == [b"one two"]


def test_close_is_noticed() -> None:
    """A Close has its code, or 1005 when it says none."""
    reader = FrameReader()
    assert reader.feed(unmasked((1001).to_bytes(2, "big") + b"bye", 0x80 | CLOSE)) == []
    assert reader.close_code == 1001
    silent = FrameReader()
    silent.feed(unmasked(b"", 0x80 | CLOSE))
    assert silent.close_code == 1005


@pytest.mark.parametrize("data", [b"\x82\x85abcd12345", b"\xc2\x01x"])
def test_what_a_server_must_not_send(data: bytes) -> None:
    """A masked frame, and a compressed one that nobody negotiated."""
    with pytest.raises(BrokenServer):
        FrameReader().feed(data)


def test_frames_to_the_server_are_masked() -> None:
    """The payload is hidden by a key that undoes itself."""
    frame = masked_frame(b"hello" * 40)
    assert frame[0] == 0x82
    assert frame[1] == 0x80 | 126
    key, body = frame[4:8], frame[8:]
    assert bytes(byte ^ key[at % 4] for at, byte in enumerate(body)) == b"hello" * 40
    assert close_frame(1000)[0] == 0x88


class Socket:
    """Gives what it was given, one piece for each read."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = [*pieces]

    def fileno(self) -> int:
        return 7

    def recvmsg(self, _size: int, _ancillary: int) -> tuple[bytes, list[tuple[int, int, bytes]], int, None]:
        return self._pieces.pop(0), [], 0, None


def test_what_comes_with_the_handshake_is_not_lost() -> None:
    """A transport may play from the first moment on: whole messages and parts of one, before those of the next read."""
    first, second = unmasked(b"a" * 200), unmasked(b"b" * 200)
    answer = b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: Bz3qJYTGdOe8gUSpLosEdiLKDrk=\r\n\r\n"
    for cut in (0, 50, len(first), len(first) + 10):
        whole = first + second
        connection = Connection(Socket(whole[cut:], unmasked(b"c")), 0)  # type: ignore[arg-type]  # what is asked of it
        connection.take_handshake(answer + whole[:cut])
        assert connection.receive()[1] == [b"a" * 200, b"b" * 200]
        assert connection.receive()[1] == [b"c"]
