"""Stages joined by channels: what stands between a session's input and its output."""

from .per_turn import FrameHandler as FrameHandler
from .per_turn import per_turn as per_turn
from .pipeline import Pipeline as Pipeline
from .stage import AsyncStage as AsyncStage
from .stage import FrameFunction as FrameFunction
from .stage import Stage as Stage

__all__ = [
    "AsyncStage",
    "FrameFunction",
    "FrameHandler",
    "Pipeline",
    "Stage",
    "per_turn",
]
