"""Which provider a start message is from.

Rules
1. Each line is known by what only its start message has. The rules are tried in their order, so that the narrower one
   comes first where two are alike: SignalWire is whoever announces L16 in Twilio's words.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from ...audio.codecs import encoding_of
from ...audio.codecs.codec import L16
from ..protocol import FrameSerializer
from .asterisk import AsteriskFrameSerializer
from .azure import AzureFrameSerializer
from .exotel import ExotelFrameSerializer
from .genesys import GenesysFrameSerializer
from .jambonz import JambonzFrameSerializer
from .plivo import PlivoFrameSerializer
from .relay import RelayFrameSerializer
from .sinch import SinchFrameSerializer
from .telnyx import TelnyxFrameSerializer
from .twilio import SignalWireFrameSerializer, TwilioFrameSerializer
from .vonage import VonageFrameSerializer
from .wavix import WavixFrameSerializer

Rule: TypeAlias = Callable[[dict[str, Any]], bool]


def _start(message: dict[str, Any]) -> dict[str, Any]:
    """The details of a start message in the words of Twilio and its kin; empty if it is none."""
    details = message.get("start")
    return details if message.get("event") == "start" and isinstance(details, dict) else {}


def _is_signalwire(message: dict[str, Any]) -> bool:
    media = _start(message).get("mediaFormat")
    encoding = media.get("encoding") if isinstance(media, dict) else None
    return "streamSid" in _start(message) and isinstance(encoding, str) and encoding_of(encoding) == L16


def _is_jambonz(message: dict[str, Any]) -> bool:
    """Its first message has no kind: it is told by what it says of the audio. FreeSWITCH says what one has it say."""
    return not {"event", "type", "kind", "command"} & message.keys() and (
        ("callSid" in message and "sampleRate" in message) or "mixType" in message
    )


RULES: Final[Mapping[str, Rule]] = {
    "signalwire": _is_signalwire,
    "twilio": lambda message: "streamSid" in _start(message),
    "exotel": lambda message: "stream_sid" in _start(message),
    "plivo": lambda message: "streamId" in _start(message),
    "telnyx": lambda message: "stream_id" in message and "call_control_id" in _start(message),
    "wavix": lambda message: message.get("event") == "start" and {"stream_id", "call_id"} <= message.keys(),
    "vonage": lambda message: message.get("event") == "websocket:connected",
    "asterisk": lambda message: message.get("event") == "MEDIA_START",
    "genesys": lambda message: message.get("type") == "open" and message.get("version") == "2",
    "relay": lambda message: message.get("type") == "setup",
    "azure": lambda message: message.get("kind") == "AudioMetadata",
    "sinch": lambda message: message.get("command") == "connect",
    "jambonz": _is_jambonz,
}

LINES: Final[Mapping[str, Callable[[], FrameSerializer]]] = {
    "twilio": TwilioFrameSerializer,
    "telnyx": TelnyxFrameSerializer,
    "plivo": PlivoFrameSerializer,
    "exotel": ExotelFrameSerializer,
    "vonage": VonageFrameSerializer,
    "signalwire": SignalWireFrameSerializer,
    "wavix": WavixFrameSerializer,
    "asterisk": AsteriskFrameSerializer,
    "genesys": GenesysFrameSerializer,
    "relay": RelayFrameSerializer,
    "azure": AzureFrameSerializer,
    "sinch": SinchFrameSerializer,
    "jambonz": JambonzFrameSerializer,
}


def line_of_text(text: str) -> str | None:
    """The provider whose start message this is, where it is no JSON: Asterisk's plain control."""
    return "asterisk" if text.startswith("MEDIA_START ") else None


def line_of(message: dict[str, Any]) -> str | None:
    """The provider whose start message this is; None when it is nobody's."""
    return next((name for name, is_known in RULES.items() if is_known(message)), None)
