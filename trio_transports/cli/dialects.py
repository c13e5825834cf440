"""Serializers by the names that the command line knows."""

from collections.abc import Sequence
from importlib import import_module
from typing import Final, cast, final

from attrs import frozen

from ..audio.format import AudioFormat
from ..playground.dialect import PCMFrameSerializer
from ..serializers.protocol import FrameSerializer
from .failure import WRONG_ARGUMENTS, Failure


@final
@frozen
class Dialect:
    """``calls``: a client can speak it as it is; ``phones``: it calls as the provider does, by a scripted phone.

    ``is_text``: the line carries text and no audio.
    """

    module: str
    name: str
    calls: bool = False
    phones: bool = False
    is_text: bool = False


DIALECTS: Final = {
    "json": Dialect("json", "JSONFrameSerializer", calls=True),
    "protobuf": Dialect("protobuf", "ProtobufFrameSerializer", calls=True),
    "twilio": Dialect("twilio", "TwilioFrameSerializer", phones=True),
    "telnyx": Dialect("telnyx", "TelnyxFrameSerializer", phones=True),
    "plivo": Dialect("plivo", "PlivoFrameSerializer", phones=True),
    "exotel": Dialect("exotel", "ExotelFrameSerializer", phones=True),
    "vonage": Dialect("vonage", "VonageFrameSerializer", phones=True),
    "signalwire": Dialect("signalwire", "SignalWireFrameSerializer", phones=True),
    "genesys": Dialect("genesys", "GenesysFrameSerializer", phones=True),
    "asterisk": Dialect("asterisk", "AsteriskFrameSerializer", phones=True),
    "relay": Dialect("relay", "RelayFrameSerializer", phones=True, is_text=True),
    "azure": Dialect("azure", "AzureFrameSerializer", phones=True),
    "jambonz": Dialect("jambonz", "JambonzFrameSerializer", phones=True),
    "wavix": Dialect("wavix", "WavixFrameSerializer", phones=True),
    "sinch": Dialect("sinch", "SinchFrameSerializer", phones=True),
    "telephone": Dialect("detect", "DetectingFrameSerializer"),
}
PCM: Final = "pcm"
"""Bare PCM in binary messages, as the demo's page speaks it; its format must be told."""


def names(*, calls: bool = False, phones: bool = False) -> Sequence[str]:
    """All of them, or those that a client can speak, with or without those it calls as a telephone's provider."""
    fits = (
        name
        for name, dialect in DIALECTS.items()
        if dialect.calls or (dialect.phones and phones) or not (calls or phones)
    )
    return (*fits, PCM)


def carries_text(name: str) -> bool:
    """Whether what is said and heard in that dialect is text."""
    return name != PCM and DIALECTS[name].is_text


def make_caller(name: str, pcm_format: AudioFormat) -> FrameSerializer:
    """Make what calls in the dialect of that name: for a telephone line, the provider's half of it."""
    if name != PCM and DIALECTS[name].phones:
        from ..testing.phones import CallerSerializer, line_named

        return CallerSerializer(line_named(name))
    return make_serializer(name, pcm_format)


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
