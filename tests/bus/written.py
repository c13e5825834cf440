"""Bus messages as they are written, for the tests of serializers."""

import pytest

from trio_transports.bus import (
    BinaryMessageSerializer,
    BusFrameMessage,
    JSONMessageSerializer,
)
from trio_transports.frames import AudioFrame

BOTH = pytest.mark.parametrize(
    "serializer", [JSONMessageSerializer(), BinaryMessageSerializer()], ids=["json", "binary"]
)

PCM = bytes(range(64))
AUDIO_FRAME = AudioFrame(audio=PCM, sample_rate=16000)
AUDIO = BusFrameMessage(source="s", target="t", frame=AUDIO_FRAME)


# What a hostile or broken peer may send.


def typed(name: str, **data: object) -> dict[str, object]:
    return {"__type__": name, "__data__": data}
