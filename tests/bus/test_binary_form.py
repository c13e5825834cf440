"""Audio on the bus in binary, byte by byte, and what is no such message."""

import struct

import pytest
from attrs import evolve

from trio_transports.bus import BinaryMessageSerializer, BusFrameMessage, JSONMessageSerializer
from trio_transports.bus.codec.hops import with_hops, without_hops
from trio_transports.errors import LocalProtocolError, RemoteProtocolError
from trio_transports.frames import AudioFrame

NO_TEXT = b"\xff\xff"


def form(
    flags: int = 0,
    *texts: bytes | None,
    rate: int = 16000,
    channels: int = 1,
    ids: tuple[int, int] = (0, 0),
    pts: int = 0,
    pcm: bytes = b"abcd",
) -> bytes:
    """The documented form: a head, six texts, the PCM."""
    head = struct.pack("!BBBxIQQq", 1, flags, channels, rate, *ids, pts)
    parts = [NO_TEXT if text is None else struct.pack("!H", len(text)) + text for text in texts]
    return head + b"".join(parts) + pcm


PLAIN = form(0, b"s", None, None, b"", b"", None)
FRAME = AudioFrame(audio=b"abcd", sample_rate=16000)
AUDIO = BusFrameMessage(source="s", frame=FRAME)


@pytest.mark.parametrize(
    ("message", "data"),
    [
        (AUDIO, PLAIN),
        (evolve(AUDIO, role="input"), form(1, b"s", None, None, b"", b"", None)),
        (evolve(AUDIO, direction="UPSTREAM"), form(2, b"s", None, None, b"", b"", None)),
        (evolve(AUDIO, frame=evolve(FRAME, pts=-7)), form(4, b"s", None, None, b"", b"", None, pts=-7)),
        (evolve(AUDIO, frame=evolve(FRAME, pts=0)), form(4, b"s", None, None, b"", b"", None)),
        (
            BusFrameMessage(
                source="s\u00e9",
                target="",
                bridge="b",
                id=2**64 - 1,
                name="n",
                role="input",
                direction="UPSTREAM",
                frame=AudioFrame(
                    audio=b"abcdefgh", sample_rate=8000, num_channels=2, id=5, name="f", destination="d", pts=9
                ),
            ),
            form(
                *(7, "s\u00e9".encode(), b"", b"b", b"n", b"f", b"d"),
                rate=8000,
                channels=2,
                ids=(2**64 - 1, 5),
                pts=9,
                pcm=b"abcdefgh",
            ),
        ),
    ],
)
def test_audio_is_written_and_read_in_the_documented_form(message: BusFrameMessage, data: bytes) -> None:
    """The second time too, when its texts are known, and between messages of another stream."""
    serializer = BinaryMessageSerializer()
    other = evolve(AUDIO, source="another", target="t")
    for _ in range(2):
        assert serializer.encode(message) == data
        assert serializer.decode(data) == message
        assert serializer.decode(serializer.encode(other)) == other
        assert serializer.decode(data) == message


def test_a_text_of_so_many_bytes_just_fits() -> None:
    """One more, and it goes as JSON."""
    serializer = BinaryMessageSerializer()
    for length, in_binary in ((0xFFFE, True), (0xFFFF, False)):
        message = evolve(AUDIO, source="x" * length)
        data = serializer.encode(message)
        assert data.startswith(b"\x01") is in_binary
        assert serializer.decode(data) == message


@pytest.mark.parametrize("flag", [8, 16, 32, 64, 128])
def test_a_flag_that_is_not_known_is_refused(flag: int) -> None:
    for flags in (flag, flag | 1):
        with pytest.raises(RemoteProtocolError, match="are not known") as info:
            BinaryMessageSerializer().decode(form(flags, b"s", None, None, b"", b"", None))
        assert info.value.path == "flags"


def test_a_message_that_ends_too_early_says_where() -> None:
    """Inside its head, a length, or a text; behind the texts it has no audio, which is none of its faults."""
    start, places = PLAIN.index(b"\x00\x01s"), dict[int, str]()
    for length in range(1, len(PLAIN) - 4):
        with pytest.raises(RemoteProtocolError) as info:
            BinaryMessageSerializer().decode(PLAIN[:length])
        places[length] = str(info.value)
    assert all("inside its head of 32" in places[length] for length in range(1, start))
    assert "inside a length (at source)" in places[start]
    assert "inside a length (at source)" in places[start + 1]
    assert "inside a text of 1 bytes (at source)" in places[start + 2]
    assert "inside a length (at target)" in places[start + 3]
    assert "inside a length (at frame.destination)" in places[len(PLAIN) - 5]
    empty = BinaryMessageSerializer().decode(PLAIN[:-4])
    assert empty == evolve(AUDIO, frame=evolve(FRAME, audio=b""))


@pytest.mark.parametrize("missing", [0, 3, 4])
def test_a_name_that_has_to_be_there_is(missing: int) -> None:
    texts = [None if at == missing else b"x" for at in range(6)]
    with pytest.raises(RemoteProtocolError, match="are texts, not None"):
        BinaryMessageSerializer().decode(form(0, *texts))


def test_a_text_that_is_no_utf8_is_refused_with_its_place() -> None:
    with pytest.raises(RemoteProtocolError, match="not UTF-8") as info:
        BinaryMessageSerializer().decode(form(0, b"s", b"\xff", None, b"", b"", None))
    assert info.value.path == "target"


def test_the_limit_of_a_message_holds_in_binary_too() -> None:
    """What just fits is written and read, and a byte more is whoever's fault it is."""
    serializer = BinaryMessageSerializer(JSONMessageSerializer(max_message_bytes=len(PLAIN)))
    assert serializer.decode(serializer.encode(AUDIO)) == AUDIO
    longer = form(0, b"s", None, None, b"", b"", None, pcm=b"abcdef")
    with pytest.raises(RemoteProtocolError, match=f"of {len(longer)} bytes is over the limit of {len(PLAIN)}"):
        serializer.decode(longer)
    with pytest.raises(LocalProtocolError, match="over the limit"):
        serializer.encode(evolve(AUDIO, frame=evolve(FRAME, audio=b"abcdef")))


@pytest.mark.parametrize("data", [b'{"a":1}', b"{}", b'{"__hops__":x,"a":1}'])
def test_how_far_a_message_has_come_is_written_in_front_of_it(data: bytes) -> None:
    """And read off again; what has none has come no way, and what is no JSON object is left alone."""
    assert without_hops(data) == (0, data)
    for hops in (0, 8, 99):
        assert without_hops(with_hops(data, hops)) == (hops, data)
    assert without_hops(b'{"__hops__":100,"a":1}')[0] == 0
    for other in (b"", b"[1]", b"\x01"):
        assert with_hops(other, 3) == other
