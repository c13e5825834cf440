"""Every decoder as a target: bytes in, and either values or the one error that its callers are told of.

Rules
1. The first byte of an input for a serializer says how it comes: bit 0 as binary, else as text; bit 1 to one that no
   start message has reached yet. What follows are its messages, with ``BETWEEN`` between them.
2. Nothing but the decoder's own error may come out, and that says where and is of a bearable length.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final, get_args

from tests.fuzz.target import Finding, Target
from tests.serializers.dialects import DIALECTS, Dialect
from trio_transports.audio.format import AudioFormat
from trio_transports.audio.wav import parse_wav, split_wav_header
from trio_transports.bus import BusFrameMessage, BusMessage, JSONMessageSerializer
from trio_transports.bus.codec.binary import BinaryMessageSerializer
from trio_transports.errors import RemoteProtocolError
from trio_transports.frames import AudioFrame, Frame, MessageFrame, TextFrame
from trio_transports.params import AsgiWebsocketParams
from trio_transports.serializers import FrameSerializer, Message
from trio_transports.serializers.protocol import Fresh, Replies
from trio_transports.serve.params_file import ParamsFileError, load_params
from trio_transports.wire.rfc6455 import Close, Parser, Ping, Pong, Violation, encode_frame

BETWEEN: Final = b"\x1e\x1e"
BINARY: Final = 1
UNSTARTED: Final = 2
LONGEST_ERROR: Final = 600
MOST_REPLIES: Final = 64


def targets() -> Iterator[Target]:
    for dialect in DIALECTS:
        yield Target(name=dialect.name, feed=partial(feed_dialect, dialect), seeds=partial(_samples, dialect))
    bus = JSONMessageSerializer()
    yield Target(name="bus-json", feed=partial(feed_bus, lambda: bus), seeds=_bus_messages)
    passing = JSONMessageSerializer(pass_unknown=True)
    yield Target(name="bus-json-passing", feed=partial(feed_bus, lambda: passing), seeds=_bus_messages)
    yield Target(name="bus-binary", feed=partial(feed_bus, lambda: BinaryMessageSerializer(bus)), seeds=_bus_messages)
    yield Target(name="wav", feed=feed_wav, seeds=_wav_files)
    yield Target(name="websocket-frames", feed=feed_parser, seeds=_websocket_frames)
    yield Target(name="params-file", feed=feed_params, seeds=lambda: _TOML, max_lines=100_000)


def feed_dialect(dialect: Dialect, data: bytes) -> None:
    flags = data[0] if data else 0
    serializer: FrameSerializer = dialect.make()
    if flags & UNSTARTED and isinstance(serializer, Fresh):
        made = serializer.fresh()
        assert isinstance(made, type(serializer))
        serializer = made
    for piece in data[1:].split(BETWEEN):
        _decode(serializer, piece if flags & BINARY else piece.decode("utf-8", "replace"))


def _decode(serializer: FrameSerializer, message: Message) -> None:
    try:
        frames: Sequence[Frame] = serializer.decode(message)
    except RemoteProtocolError as exc:
        if not exc.path or len(str(exc)) > LONGEST_ERROR:
            raise Finding(f"an error that does not say where, or at too great a length: {str(exc)[:200]!r}") from exc
        frames = ()
    for frame in frames:
        if not isinstance(frame, get_args(Frame)):
            raise Finding(f"{frame!r} is no frame")
    if isinstance(serializer, Replies) and len(owed := serializer.replies()) > MOST_REPLIES:
        raise Finding(f"one message made {len(owed)} answers owed")


def _samples(dialect: Dialect) -> Sequence[bytes]:
    seeds = []
    for sample in dialect.samples:
        data = sample.encode() if isinstance(sample, str) else sample
        for flags in (BINARY, BINARY | UNSTARTED) if isinstance(sample, bytes) else (0, UNSTARTED):
            seeds.append(bytes([flags]) + data)
    return seeds


def feed_bus(make: Callable[[], JSONMessageSerializer | BinaryMessageSerializer], data: bytes) -> None:
    """What is read can be written again."""
    serializer = make()
    for piece in data.split(BETWEEN):
        try:
            message = serializer.decode(piece)
        except RemoteProtocolError as exc:
            if len(str(exc)) > LONGEST_ERROR:
                raise Finding(f"an error of {len(str(exc))} characters") from exc
            continue
        if not isinstance(message, BusMessage):
            raise Finding(f"{message!r} is no message")
        serializer.encode(message)


def _bus_messages() -> Sequence[bytes]:
    json, binary = JSONMessageSerializer(), BinaryMessageSerializer()
    audio = AudioFrame(audio=b"\1\2\3\4", sample_rate=16000)
    frames = (audio, TextFrame(text="said"), MessageFrame(message={"a": [1, None, {"b": 2.5}]}))
    messages = [BusFrameMessage(source="a", target="b", frame=frame) for frame in frames]
    unknown = b'{"__hops__":3,"__type__":"pipecat.bus.messages.BusNewMessage","__data__":{"source":"a"}}'
    return [*map(json.encode, messages), binary.encode(messages[0]), unknown]


def feed_wav(data: bytes) -> None:
    for read in (split_wav_header, partial(split_wav_header, max_chunks=64), parse_wav):
        try:
            audio_format, pcm = read(data)
        except ValueError as exc:
            if len(str(exc)) > LONGEST_ERROR:
                raise Finding(f"an error of {len(str(exc))} characters") from exc
            continue
        if audio_format is not None and not isinstance(audio_format, AudioFormat):
            raise Finding(f"{audio_format!r} is no format")
        if len(pcm) > 2 * len(data):
            raise Finding(f"{len(data)} bytes became {len(pcm)}")


def _wav_files() -> Sequence[bytes]:
    from trio_transports.audio.wav import add_wav_header

    plain = add_wav_header(bytes(range(8)), AudioFormat(16000, 2))
    floats = plain.replace(b"\x01\x00\x02\x00", b"\x03\x00\x02\x00", 1)
    return [plain, plain + plain, floats, plain[:36] + b"LIST\x04\x00\x00\x00INFO" + plain[36:], plain[:30], b"RIFF"]


def feed_parser(data: bytes) -> None:
    """The same bytes are the same messages, however they are cut."""
    from_client = bool(data and data[0] & 1)
    if _parsed(data[1:], len(data) + 1, from_client=from_client) != _parsed(data[1:], 3, from_client=from_client):
        raise Finding("cut into pieces, the same bytes are something else")


def _parsed(data: bytes, piece_bytes: int, *, from_client: bool) -> tuple[list[object], int | None]:
    parser = Parser(from_client=from_client, max_message_bytes=1000)
    received: list[object] = []
    for at in range(0, len(data), piece_bytes):
        try:
            received += parser.feed(data[at : at + piece_bytes])
        except Violation as violation:
            return [*received, *violation.received], violation.code
    for each in received:
        if not isinstance(each, bytes | str | Ping | Pong | Close):
            raise Finding(f"{each!r} is nothing that can be received")
    return received, None


def _websocket_frames() -> Sequence[bytes]:
    seeds = []
    for masked in (True, False):
        frames = [encode_frame(opcode, b"\x03\xe8bye", masked=masked) for opcode in (1, 2, 8, 9, 10)]
        seeds += [bytes([masked]) + frame for frame in frames] + [bytes([masked]) + b"".join(reversed(frames))]
        seeds.append(bytes([masked]) + encode_frame(2, bytes(300), masked=masked))
        first, last = encode_frame(1, b"one", masked=masked), encode_frame(0, b"two", masked=masked)
        seeds.append(bytes([masked]) + bytes([first[0] & 0x7F]) + first[1:] + last)
    return seeds


def feed_params(data: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".toml") as file:
        Path(file.name).write_bytes(data)
        try:
            load_params(Path(file.name), AsgiWebsocketParams)
        except ParamsFileError as exc:
            if not str(exc).startswith(file.name):
                raise Finding(f"an error that does not name the file: {exc}") from exc


_TOML: Final = (
    b'audio_in_enabled = true\naudio_out_sample_rate = 16000\nserializer = "json"\n',
    b'serializer = { name = "twilio" }\nallowed_origins = ["https://example.org"]\nvad_analyzer = "energy"\n',
    b"idle_timeout = 1.5\nmax_message_bytes = 1_000\naudio_out_destinations = ['a', 'b']\nno_such = 1\n",
    b'[serializer]\nname = "telnyx"\noutbound_encoding = "PCMA"\n[reconnect]\nmax_attempts = 3\n',
    b'video_out_codec = "image/jpeg"\nvideo_out_framerate = 30\nvideo_out_width = 320\nvideo_out_height = 240\n',
)
