"""Pipecat's serializers, function by function, under its own interpreter: a JSON list of figures on stdout.

Their methods are coroutines that never wait; each is driven by hand, so no event loop is counted.
"""

import asyncio
import base64
import json
import sys
from collections.abc import Callable, Coroutine
from timeit import Timer
from types import SimpleNamespace
from typing import Any

from loguru import logger  # type: ignore[import-not-found, unused-ignore]
from pipecat.frames.frames import OutputAudioRawFrame
from pipecat.serializers.base_serializer import FrameSerializer

from ..genesys import GENESYS_OPEN
from ..messages import CHUNK_BYTES, SAMPLE_RATE, audio_message

TELEPHONE_RATE = 8000
MULAW = bytes(range(256))[:160]
PCM_8K = bytes(1 + index % 255 for index in range(320))


def microseconds(function: Callable[[], object], *, quick: bool) -> float:
    timer = Timer(function)
    budget_s = 0.005 if quick else 0.05
    number, took_s = 1, timer.timeit(1)
    while took_s < budget_s:
        number *= 2
        took_s = timer.timeit(number)
    return min(timer.repeat(repeat=2 if quick else 5, number=number)) / number * 1e6


def run(coroutine: Coroutine[Any, Any, object]) -> object:
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise RuntimeError("the coroutine waited for something")


def _setup(sample_rate: int) -> SimpleNamespace:
    """What a serializer reads of a pipeline's setup. Its rate is the dialect's own, so nothing is resampled."""
    return SimpleNamespace(audio_in_sample_rate=sample_rate, audio_out_sample_rate=sample_rate)


def _dialects() -> dict[str, tuple[FrameSerializer, bytes | str, OutputAudioRawFrame]]:
    from pipecat.serializers.exotel import ExotelFrameSerializer
    from pipecat.serializers.genesys import GenesysAudioHookSerializer
    from pipecat.serializers.plivo import PlivoFrameSerializer
    from pipecat.serializers.protobuf import ProtobufFrameSerializer
    from pipecat.serializers.telnyx import TelnyxFrameSerializer
    from pipecat.serializers.twilio import TwilioFrameSerializer
    from pipecat.serializers.vonage import VonageFrameSerializer

    payload = base64.b64encode(MULAW).decode()
    linear = base64.b64encode(PCM_8K).decode()
    wide = OutputAudioRawFrame(bytes(1 + index % 255 for index in range(CHUNK_BYTES)), SAMPLE_RATE, 1)
    narrow = OutputAudioRawFrame(PCM_8K, TELEPHONE_RATE, 1)
    media = {"track": "inbound", "chunk": "2", "timestamp": "5", "payload": payload}
    twilio = {
        "event": "media",
        "sequenceNumber": "3",
        "media": media,
        "streamSid": "MZ18ad3ab5a668481ce02b83e7395059f0",
    }
    return {
        "protobuf": (ProtobufFrameSerializer(), audio_message(wide.audio), wide),
        "twilio": (
            TwilioFrameSerializer("MZ18ad3ab5a668481ce02b83e7395059f0", params=_no_hang_up(TwilioFrameSerializer)),
            json.dumps(twilio),
            narrow,
        ),
        "telnyx": (
            TelnyxFrameSerializer("stream", "PCMU", "PCMU", params=_no_hang_up(TelnyxFrameSerializer)),
            json.dumps({"event": "media", "stream_id": "stream", "media": {"track": "inbound", "payload": payload}}),
            narrow,
        ),
        "plivo": (
            PlivoFrameSerializer("stream", params=_no_hang_up(PlivoFrameSerializer)),
            json.dumps({"event": "media", "media": {"track": "inbound", "payload": payload}, "streamId": "stream"}),
            narrow,
        ),
        "exotel": (
            ExotelFrameSerializer("stream"),
            json.dumps({"event": "media", "stream_sid": "stream", "media": {"chunk": "2", "payload": linear}}),
            narrow,
        ),
        "vonage": (VonageFrameSerializer(), wide.audio, wide),
        "genesys": (GenesysAudioHookSerializer(), MULAW, narrow),
    }


def _no_hang_up(serializer: Any) -> Any:  # noqa: ANN401
    return serializer.InputParams(auto_hang_up=False)


async def main() -> None:
    logger.remove()
    quick = "--quick" in sys.argv
    figures = []
    for dialect, (serializer, message, frame) in _dialects().items():
        await serializer.setup(_setup(frame.sample_rate))
        if dialect == "genesys":
            await serializer.deserialize(GENESYS_OPEN)
        works: dict[str, Callable[[], object]] = {
            "decode": lambda serializer=serializer, message=message: run(serializer.deserialize(message)),  # type: ignore[misc]
            "encode": lambda serializer=serializer, frame=frame: run(serializer.serialize(frame)),  # type: ignore[misc]
        }
        for name, work in works.items():
            if work() is None:
                raise SystemExit(f"Pipecat's {dialect} serializer gave nothing for {name}")
            figures.append(
                {
                    "group": "telephony" if dialect not in ("protobuf",) else "serializers",
                    "name": f"{dialect} {name} audio",
                    "peer": "pipecat",
                    "value": microseconds(work, quick=quick),
                    "unit": "us",
                    "baseline": True,
                }
            )
    print(json.dumps(figures))


if __name__ == "__main__":
    asyncio.run(main())
