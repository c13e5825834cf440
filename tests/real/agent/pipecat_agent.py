# mypy: disable-error-code="misc, untyped-decorator, import-not-found, import-untyped"
"""A voice agent on the real Pipecat. Run by the tests with an interpreter that has pipecat-ai: ``DIALECT PORT``.

It answers with half a second of 700 Hz when it has heard a quarter of a second of sound and then 200 ms of quiet. It
prints ``ready`` when it listens, and ends with its standard input.
"""

import array
import asyncio
import math
import os
import sys
import threading

from loguru import logger
from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    OutputAudioRawFrame,
    OutputTransportMessageFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.serializers.base_serializer import FrameSerializer
from pipecat.serializers.protobuf import ProtobufFrameSerializer
from pipecat.serializers.twilio import TwilioFrameSerializer
from pipecat.transports.websocket.server import (
    SingleClientWebsocketServerParams,
    SingleClientWebsocketServerTransport,
)
from pipecat.workers.runner import WorkerRunner

RATE = 24000
ANSWER = array.array("h", (int(9000 * math.sin(2 * math.pi * 700 * n / RATE)) for n in range(RATE // 2))).tobytes()


class Answers(FrameProcessor):
    def __init__(self) -> None:
        super().__init__()
        self.loud_s = self.quiet_s = 0.0

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if not isinstance(frame, InputAudioRawFrame):
            await self.push_frame(frame, direction)
            return
        duration_s = len(frame.audio) / 2 / frame.sample_rate
        is_loud = max(map(abs, array.array("h", frame.audio)), default=0) > 1000
        self.loud_s += duration_s if is_loud else 0.0
        self.quiet_s = 0.0 if is_loud else self.quiet_s + duration_s
        if self.loud_s > 0.25 and self.quiet_s > 0.2:
            self.loud_s = 0.0
            await self.push_frame(OutputTransportMessageFrame({"heard": "a tone"}))
            for start in range(0, len(ANSWER), 960):
                await self.push_frame(OutputAudioRawFrame(ANSWER[start : start + 960], RATE, 1))


def serializer(dialect: str) -> FrameSerializer:
    if dialect == "protobuf":
        return ProtobufFrameSerializer()
    return TwilioFrameSerializer("MZ1", params=TwilioFrameSerializer.InputParams(auto_hang_up=False))


def end_with_the_parent() -> None:
    sys.stdin.read()
    os._exit(0)


async def main(dialect: str, port: int) -> None:
    transport = SingleClientWebsocketServerTransport(
        SingleClientWebsocketServerParams(
            audio_in_enabled=True,
            audio_out_enabled=True,
            add_wav_header=dialect == "protobuf",
            serializer=serializer(dialect),
        ),
        host="127.0.0.1",
        port=port,
    )

    @transport.event_handler("on_websocket_ready")
    async def ready(_transport: SingleClientWebsocketServerTransport) -> None:
        print("ready", flush=True)

    worker = PipelineWorker(
        Pipeline([transport.input(), Answers(), transport.output()]),
        params=PipelineParams(audio_in_sample_rate=16000, audio_out_sample_rate=RATE),
        enable_rtvi=False,
        enable_turn_tracking=False,
        idle_timeout_secs=None,
    )
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()


if __name__ == "__main__":
    logger.remove()
    threading.Thread(target=end_with_the_parent, daemon=True).start()
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
