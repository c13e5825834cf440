"""How a session of Genesys begins: it carries no audio before. Standard library only, for each peer's interpreter."""

import json
from typing import Final

GENESYS_OPEN: Final = json.dumps(
    {
        "version": "2",
        "id": "e160e428-53b2-487c-977d-96989bf5c99d",
        "type": "open",
        "seq": 1,
        "serverseq": 0,
        "position": "PT0S",
        "parameters": {
            "organizationId": "d7934305-0972-4844-938e-9060eef73d05",
            "conversationId": "090eaa2f-72fa-480a-83e0-8667ff89c0ec",
            "participant": {
                "id": "883efee8-3d6c-4537-b500-6d7ca4b92fa0",
                "ani": "+15",
                "aniName": "Ada",
                "dnis": "+16",
            },
            "media": [{"type": "audio", "format": "PCMU", "channels": ["external"], "rate": 8000}],
            "language": "en-US",
        },
    }
)
"""The caller's side alone, as mu-law."""
