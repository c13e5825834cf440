"""One of each message of a user interface, by the fields that Pipecat and this library both give it."""

import json
from typing import Any, Final

UI_FIELDS: Final[dict[str, dict[str, Any]]] = {
    "BusUIDataMessage": {},
    "BusUIEventMessage": {"event_name": "tap", "payload": [{"raw": b"\0\1"}, 1.5, None]},
    "BusUICommandMessage": {"command_name": "show", "payload": {"x": [1, None], "é": True}},
    "BusUIJobGroupStartedMessage": {
        "job_id": "j",
        "workers": ["far", "beside"],
        "label": "both",
        "cancellable": False,
        "at": 1_700_000_000_001,
    },
    "BusUIJobUpdateMessage": {"job_id": "j", "worker_name": "far", "data": {"half": True}, "at": 2},
    "BusUIJobCompletedMessage": {
        "job_id": "j",
        "worker_name": "far",
        "status": "completed",
        "response": {"n": 1},
        "at": 3,
    },
    "BusUIJobGroupCompletedMessage": {"job_id": "j", "at": 4},
}
"""By the name of the class."""


def as_json(value: Any) -> Any:  # noqa: ANN401 - JSON
    """The same as a line of JSON can tell it."""
    return json.loads(json.dumps(value, default=bytes.hex))
