"""Serializers by the names that the command line knows."""

from collections.abc import Sequence
from importlib import import_module
from typing import Final, cast, final

from attrs import frozen

from ..audio.format import AudioFormat
from ..demo.serializer import PCMFrameSerializer
from ..serializers.protocol import FrameSerializer
from .failure import WRONG_ARGUMENTS, Failure


@final
@frozen
class Dialect:
    """``calls``: a client can speak it too; a telephony dialect is only the server's half of a conversation."""

    module: str
    name: str
    calls: bool = False


DIALECTS: Final = {
    "json": Dialect("json", "JSONFrameSerializer", calls=True),
    "protobuf": Dialect("protobuf", "ProtobufFrameSerializer", calls=True),
    "twilio": Dialect("twilio", "TwilioFrameSerializer"),
    "telnyx": Dialect("telnyx", "TelnyxFrameSerializer"),
    "plivo": Dialect("plivo", "PlivoFrameSerializer"),
    "exotel": Dialect("exotel", "ExotelFrameSerializer"),
    "vonage": Dialect("vonage", "VonageFrameSerializer"),
    "telephone": Dialect("detect", "DetectingFrameSerializer"),
}
PCM: Final = "pcm"
"""Bare PCM in binary messages, as the demo's page speaks it; its format must be told."""


def names(*, calls: bool = False) -> Sequence[str]:
    return (*(name for name, dialect in DIALECTS.items() if dialect.calls or not calls), PCM)


def make_serializer(name: str, pcm_format: AudioFormat) -> FrameSerializer:
    """Make the serializer of that name; ``pcm_format`` is used by ``pcm`` only."""
    if name == PCM:
        return PCMFrameSerializer(pcm_format)
    dialect = DIALECTS[name]
    try:
        module = import_module(f"..serializers.{dialect.module}", __package__)
    except ImportError as exc:
        raise Failure(f"--serializer {name}: {exc}", exit_code=WRONG_ARGUMENTS) from exc
    return cast("FrameSerializer", getattr(module, dialect.name)())
