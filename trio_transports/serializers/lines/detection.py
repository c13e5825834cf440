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
from .exotel import ExotelFrameSerializer
from .plivo import PlivoFrameSerializer
from .telnyx import TelnyxFrameSerializer
from .twilio import SignalWireFrameSerializer, TwilioFrameSerializer
from .vonage import VonageFrameSerializer

Rule: TypeAlias = Callable[[dict[str, Any]], bool]


def _start(message: dict[str, Any]) -> dict[str, Any]:
    """The details of a start message in the words of Twilio and its kin; empty if it is none."""
    details = message.get("start")
    return details if message.get("event") == "start" and isinstance(details, dict) else {}


def _is_signalwire(message: dict[str, Any]) -> bool:
    media = _start(message).get("mediaFormat")
    encoding = media.get("encoding") if isinstance(media, dict) else None
    return "streamSid" in _start(message) and isinstance(encoding, str) and encoding_of(encoding) == L16


RULES: Final[Mapping[str, Rule]] = {
    "signalwire": _is_signalwire,
    "twilio": lambda message: "streamSid" in _start(message),
    "exotel": lambda message: "stream_sid" in _start(message),
    "plivo": lambda message: "streamId" in _start(message),
    "telnyx": lambda message: "stream_id" in message and "call_control_id" in _start(message),
    "vonage": lambda message: message.get("event") == "websocket:connected",
}

LINES: Final[Mapping[str, Callable[[], FrameSerializer]]] = {
    "twilio": TwilioFrameSerializer,
    "telnyx": TelnyxFrameSerializer,
    "plivo": PlivoFrameSerializer,
    "exotel": ExotelFrameSerializer,
    "vonage": VonageFrameSerializer,
    "signalwire": SignalWireFrameSerializer,
}


def line_of(message: dict[str, Any]) -> str | None:
    """The provider whose start message this is; None when it is nobody's."""
    return next((name for name, is_known in RULES.items() if is_known(message)), None)
