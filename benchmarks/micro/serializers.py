"""What one message costs each dialect that any peer may speak, and what the converter costs beside the audio path."""

from collections.abc import Callable, Iterator
from functools import partial

from trio_transports.frames import AudioFrame, Frame, MessageFrame, TextFrame
from trio_transports.serializers import FrameSerializer, JSONFrameSerializer, codec
from trio_transports.serializers.protobuf import ProtobufFrameSerializer

from .timing import Figure, microseconds

GROUP = "serializers"
OURS = "ours"
SAMPLE_RATE = 16_000

FRAMES: dict[str, Frame] = {
    "audio": AudioFrame(audio=bytes(1 + index % 255 for index in range(640)), sample_rate=SAMPLE_RATE),
    "audio of 1920 bytes": AudioFrame(audio=bytes(1 + index % 255 for index in range(1920)), sample_rate=48_000),
    "text": TextFrame(text="A sentence of the usual length, as a model writes it."),
    "message": MessageFrame(
        message={"label": "rtvi-ai", "type": "client-ready", "id": "1", "data": {"version": "1.0.0"}}
    ),
}


def costs(group: str, dialect: str, works: dict[str, Callable[[], object]], *, quick: bool) -> Iterator[Figure]:
    for name, work in works.items():
        yield Figure(group=group, name=f"{dialect} {name}", peer=OURS, value=microseconds(work, quick=quick))


def both_ways(serializer: FrameSerializer, frame: Frame, what: str) -> dict[str, Callable[[], object]]:
    (message,) = serializer.encode(frame)
    return {f"decode {what}": partial(serializer.decode, message), f"encode {what}": partial(serializer.encode, frame)}


def figures(quick: bool) -> list[Figure]:
    found: list[Figure] = []
    for dialect, serializer in (("protobuf", ProtobufFrameSerializer()), ("json", JSONFrameSerializer())):
        for what, frame in FRAMES.items():
            found += costs(GROUP, dialect, both_ways(serializer, frame, what), quick=quick)
    engine = codec.parse, codec.write
    codec.parse, codec.write = codec.STDLIB
    try:
        for what, frame in FRAMES.items():
            works = both_ways(JSONFrameSerializer(), frame, what)
            found += costs(GROUP, "json without orjson", works, quick=quick)
    finally:
        codec.parse, codec.write = engine
    return found
