# mypy: disable-error-code="misc, untyped-decorator, import-not-found, import-untyped"
"""Pipecat's own Python client of RTVI, run by Pipecat's own Python: it says what it heard, a JSON line for each thing.

Usage: ``python pipecat_client.py ws://host:port/ws``
"""

import asyncio
import json
import sys
from contextlib import suppress

from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    EndFrame,
    Frame,
    FunctionCallInProgressFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    OutputAudioRawFrame,
    OutputTransportMessageUrgentFrame,
    TranscriptionFrame,
    TTSTextFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.transports.websocket.client import WebsocketClientParams
from pipecat.transports.websocket.rtvi_client import RTVIClientTransport
from pipecat.workers.runner import WorkerRunner

TOLD = (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    FunctionCallInProgressFrame,
    LLMFullResponseStartFrame,
    LLMFullResponseEndFrame,
    LLMTextFrame,
    TTSTextFrame,
    TranscriptionFrame,
)

AWAITED = {kind.__name__ for kind in TOLD} - {TranscriptionFrame.__name__}
ALL_TOLD = asyncio.Event()


def say(**what: object) -> None:
    print(json.dumps(what), flush=True)


class Told(FrameProcessor):
    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, TOLD):
            say(frame=type(frame).__name__, text=getattr(frame, "text", None))
            AWAITED.discard(type(frame).__name__)
            if not AWAITED:
                ALL_TOLD.set()
        await self.push_frame(frame, direction)


async def main(url: str) -> None:
    params = WebsocketClientParams(audio_in_enabled=True, audio_out_enabled=True, audio_out_sample_rate=16000)
    transport = RTVIClientTransport(url, params)
    pipeline = Pipeline([transport.input(), Told(), transport.output()])
    worker = PipelineWorker(pipeline, params=PipelineParams(audio_out_sample_rate=16000), enable_rtvi=False)

    def message(kind: str, data: object) -> OutputTransportMessageUrgentFrame:
        document = {"label": "rtvi-ai", "type": kind, "id": f"{kind}-1", "data": data}
        return OutputTransportMessageUrgentFrame(message=document)

    @transport.event_handler("on_bot_ready")
    async def ready(_transport: object) -> None:
        say(frame="bot-ready", text=None)
        await worker.queue_frames(
            [
                message("client-message", {"t": "tone", "d": {"hz": 440, "seconds": 1}}),
                message("client-message", {"t": "call"}),
                OutputAudioRawFrame(audio=b"\1\2" * 16000, sample_rate=16000, num_channels=1),
            ]
        )

    async def leave() -> None:
        with suppress(TimeoutError):  # what has not come by then is missing from what was said
            await asyncio.wait_for(ALL_TOLD.wait(), 60)
        await asyncio.sleep(2)
        await worker.queue_frames([EndFrame()])

    leaving = asyncio.create_task(leave())
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()
    await leaving


asyncio.run(main(sys.argv[1]))
