"""A bot that is a pipeline of functions, on the direct engine: what the least handler of all costs."""

from collections.abc import Sequence

import trio

from trio_transports import AudioFrame, Frame, InterruptionFrame, MessageFrame, Session
from trio_transports.pipeline import Pipeline

from ..messages import NUM_CHANNELS, SAMPLE_RATE, playback_pieces
from .ours_server import main


def echo(frame: Frame) -> Frame | Sequence[Frame] | None:
    """Audio as it came; what a command asks for; nothing else."""
    if isinstance(frame, AudioFrame):
        return frame
    if isinstance(frame, MessageFrame) and isinstance(frame.message, dict):
        if seconds := frame.message.get("play"):
            return [
                AudioFrame(audio=piece, sample_rate=SAMPLE_RATE, num_channels=NUM_CHANNELS)
                for piece in playback_pieces(float(str(seconds)))
            ]
        return InterruptionFrame()
    return None


async def handle(session: Session) -> None:
    await Pipeline([echo]).run(session.input, session.output)


if __name__ == "__main__":
    trio.run(main, "direct", handle)
