"""The documents that a provider asks for when a call comes in, and that have it open a stream to this server.

Rules
1. Each is text to answer with, as ``application/xml`` (``ncco``: ``application/json``).
2. Everything given is escaped. The stream's URL is ``wss``, or ``ws`` for trials: what else there is no provider calls.
3. Parameters are strings, and come back in ``session.start.parameters``.
"""

import json
import re
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import urlsplit
from xml.sax.saxutils import escape, quoteattr

_NONE: Mapping[str, str] = MappingProxyType({})
_UNSAYABLE = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>'


def _checked(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"wss", "ws"} or not parts.hostname:
        raise ValueError(f"a stream's URL must be like wss://voice.example.com/call, not {url!r}")
    return url


def _parameters(parameters: Mapping[str, str]) -> str:
    return "".join(f"<Parameter name={_plain(name)} value={_plain(value)}/>" for name, value in parameters.items())


def _plain(text: str) -> str:
    """What XML can say: most control characters it cannot, and a provider would refuse the whole document."""
    if _UNSAYABLE.search(text):
        raise ValueError(f"{text!r} has characters that cannot stand in XML: leave them out, or encode them")
    return quoteattr(text)


def _attributes(**given: str | None) -> str:
    return "".join(f" {name}={_plain(value)}" for name, value in given.items() if value is not None)


def twiml(url: str, parameters: Mapping[str, str] = _NONE) -> str:
    """For Twilio and SignalWire: both ways over ``<Connect><Stream>``.

    ``parameters`` come back in ``session.start.parameters``.
    """
    stream = f"<Stream url={quoteattr(_checked(url))}>{_parameters(parameters)}</Stream>"
    return f"{_HEAD}<Response><Connect>{stream}</Connect></Response>"


def relay_twiml(url: str, parameters: Mapping[str, str] = _NONE, *, greeting: str | None = None) -> str:
    """For Twilio's ConversationRelay.

    ``greeting`` is what Twilio says first, by itself; None lets the bot begin. ``parameters`` come back in
    ``session.start.parameters``.
    """
    head = f"<ConversationRelay url={quoteattr(_checked(url))}{_attributes(welcomeGreeting=greeting)}>"
    return f"{_HEAD}<Response><Connect>{head}{_parameters(parameters)}</ConversationRelay></Connect></Response>"


def texml(
    url: str, parameters: Mapping[str, str] = _NONE, *, codec: str | None = None, sample_rate: int | None = None
) -> str:
    """For Telnyx; ``codec`` and ``sample_rate`` are those of what is sent, as ``TelnyxFrameSerializer`` has them.

    ``parameters`` come back in ``session.start.parameters``.
    """
    rate = None if sample_rate is None else str(sample_rate)
    shape = _attributes(bidirectionalMode="rtp", bidirectionalCodec=codec, bidirectionalSamplingRate=rate)
    stream = f"<Stream url={quoteattr(_checked(url))}{shape}>{_parameters(parameters)}</Stream>"
    return f"{_HEAD}<Response><Connect>{stream}</Connect></Response>"


def plivo_xml(url: str, parameters: Mapping[str, str] = _NONE, *, content_type: str = "audio/x-mulaw;rate=8000") -> str:
    """For Plivo, both ways; the parameters go as ``extraHeaders``, which have letters and digits only.

    ``parameters`` are theirs, and come back in ``session.start.parameters``; ``content_type`` is the code of the
    audio with its rate.
    """
    for text in (*parameters, *parameters.values()):
        if not (text.isascii() and text.isalnum()):
            raise ValueError(f"Plivo's extra headers have letters and digits only, not {text!r}")
    headers = ",".join(f"{name}={value}" for name, value in parameters.items()) or None
    shape = _attributes(bidirectional="true", keepCallAlive="true", contentType=content_type, extraHeaders=headers)
    return f"{_HEAD}<Response><Stream{shape}>{escape(_checked(url))}</Stream></Response>"


def exoml(url: str, *, content_type: str | None = None) -> str:
    """For Exotel; without a ``content_type`` it streams mu-law."""
    shape = _attributes(url=_checked(url), content_type=content_type)
    return f"{_HEAD}<Response><StartStream{shape}/></Response>"


def ncco(url: str, parameters: Mapping[str, str] = _NONE, *, sample_rate: int = 16000) -> str:
    """For Vonage: the call is connected to the WebSocket, with audio at this rate.

    ``sample_rate`` is 8000, 16000 or 24000 Hz. ``parameters`` come back in ``session.start.parameters``.
    """
    endpoint = {
        "type": "websocket",
        "uri": _checked(url),
        "content-type": f"audio/l16;rate={sample_rate}",
        "headers": dict(parameters),
    }
    return json.dumps([{"action": "connect", "endpoint": [endpoint]}], separators=(",", ":"), ensure_ascii=False)
