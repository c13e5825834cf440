# mypy: disable-error-code="import-not-found"
"""Every frame type of the real Pipecat as its bus writes it: a JSON line for each. Run with its interpreter."""

import dataclasses
import inspect
import json
import sys
from typing import Any

from loguru import logger

logger.remove()

from pipecat.audio.dtmf.types import KeypadEntry  # noqa: E402
from pipecat.bus import BusFrameMessage  # noqa: E402
from pipecat.bus.serializers import JSONMessageSerializer  # noqa: E402
from pipecat.frames import frames  # noqa: E402
from pipecat.processors.aggregators.llm_context import LLMContext  # noqa: E402
from pipecat.processors.frame_processor import FrameDirection  # noqa: E402

BY_NAME: dict[str, Any] = {
    "audio": b"\0\1" * 160,
    "sample_rate": 16000,
    "num_channels": 1,
    "image": b"abc",
    "size": (1, 1),
    "format": "RGB",
    "button": KeypadEntry.FIVE,
    "context": LLMContext(),
    "images": [frames.OutputImageRawFrame(image=b"abc", size=(1, 1), format="RGB")],
    "message": {"a": 1},
    "text": "x",
    "timestamp": "t",
    "user_id": "u",
}


def value_of(field: "dataclasses.Field[Any]") -> Any:  # noqa: ANN401 - whatever a frame holds
    if field.name in BY_NAME:
        return BY_NAME[field.name]
    kind = str(field.type)
    for name, value in (("bytes", b"x"), ("bool", True), ("int", 1), ("float", 1.0), ("list", []), ("dict", {})):
        if name in kind:
            return value
    return "x" if "str" in kind else None


def make(kind: type[Any]) -> Any:  # noqa: ANN401 - a frame
    needed = {
        field.name: value_of(field)
        for field in dataclasses.fields(kind)
        if field.init
        and (
            (field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING)
            or field.name in ("button", "text", "message")
        )
    }
    return kind(**needed)


def main() -> None:
    serializer = JSONMessageSerializer()
    for name, kind in sorted(vars(frames).items()):
        if inspect.isclass(kind) and issubclass(kind, frames.Frame) and kind.__module__ == frames.__name__:
            if kind.__name__ != name:
                continue  # another name for the same
            message = BusFrameMessage(
                source="near", target="far", frame=make(kind), direction=FrameDirection.DOWNSTREAM
            )
            print(json.dumps({"frame": name, "written": serializer.serialize(message).decode()}), file=sys.stdout)


if __name__ == "__main__":
    main()
