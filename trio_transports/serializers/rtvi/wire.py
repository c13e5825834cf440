"""The one converter for RTVI's messages, and what every one of them has: label, type, id, data.

Rules
1. A message is ``{"label": "rtvi-ai", "type": ..., "id": ..., "data": ...}``; ``type`` tells it apart.
2. An id is text of at most ``MAX_ID_CHARS``: it is sent back, so it is bounded.
3. Members are snake case, but for those of raw audio, which clients write in camel case.
"""

from typing import Final

from ...errors import RemoteProtocolError
from ...frames import JSONValue
from ..converters import json_kind, make_converter, own_name

LABEL: Final = "rtvi-ai"
MAX_ID_CHARS: Final = 256

_CAMEL: Final = {
    "base64_audio": "base64Audio",
    "base64_audio_batch": "base64AudioBatch",
    "wire_sample_rate": "sampleRate",
    "wire_num_channels": "numChannels",
}


def _rename(attribute: str) -> str:
    return _CAMEL.get(attribute) or own_name(attribute)


converter: Final = make_converter(rename=_rename)


def is_rtvi(value: JSONValue) -> bool:
    """Whether a JSON document is one of RTVI's messages, by its label."""
    return type(value) is dict and value.get("label") == LABEL


def id_of(message: dict[str, JSONValue]) -> str:
    """The id of a client's message, "" when it has none."""
    found = message.get("id", "")
    if type(found) is not str:
        raise RemoteProtocolError(f"a string is wanted, not {json_kind(found)}", path="id")
    if len(found) > MAX_ID_CHARS:
        raise RemoteProtocolError(f"an id of at most {MAX_ID_CHARS} characters is wanted", path="id")
    return found
