"""Pipecat's echo: one processor between a transport's input and its output, in the leanest pipeline it offers.

What costs and is not needed here is off (RTVI, turn tracking, the idle timer, its log), so the figures are those of the
transport and of the pipeline it cannot do without.
"""

from loguru import logger  # type: ignore[import-not-found, unused-ignore]
from pipecat.frames.frames import Frame, InputAudioRawFrame, InputTransportMessageFrame, OutputAudioRawFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.transports.base_transport import BaseTransport
from pipecat.workers.runner import WorkerRunner

from ..messages import NUM_CHANNELS, SAMPLE_RATE, playback_pieces

PACKAGES = ("pipecat-ai", "fastapi", "starlette", "uvicorn", "websockets", "protobuf", "uvloop")


class Echo(FrameProcessor):  # type: ignore[misc]
    """Answers audio with the same audio, and the two commands."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            await self.push_frame(OutputAudioRawFrame(frame.audio, frame.sample_rate, frame.num_channels))
        elif isinstance(frame, InputTransportMessageFrame):
            if seconds := frame.message.get("play"):
                for piece in playback_pieces(seconds):
                    await self.push_frame(OutputAudioRawFrame(piece, SAMPLE_RATE, NUM_CHANNELS))
            else:
                await self.broadcast_interruption()
        else:
            await self.push_frame(frame, direction)


def echo_worker(transport: BaseTransport) -> PipelineWorker:
    return PipelineWorker(
        Pipeline([transport.input(), Echo(), transport.output()]),
        params=PipelineParams(audio_in_sample_rate=SAMPLE_RATE, audio_out_sample_rate=SAMPLE_RATE),
        enable_rtvi=False,
        enable_turn_tracking=False,
        idle_timeout_secs=None,
    )


async def run_workers(*workers: PipelineWorker) -> None:
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(*workers)
    await runner.run()


def quiet() -> None:
    logger.remove()
