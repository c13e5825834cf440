"""Gather a model's pieces of text into sentences, which is what a voice can speak."""

from math import inf
from typing import Final

import trio
from attrs import evolve

from ...frames import EndFrame, Frame, InterruptionFrame, TextFrame
from ..stage import AsyncStage
from ..turns import FACTS
from .splitting import split_sentences

GLANCE_S: Final = 0.001
"""However late it is, what has come while something was being sent is read first: it may be the rest of a sentence."""


def _kind(frame: TextFrame) -> tuple[str | None, bool, bool]:
    """What frames that are joined have in common."""
    return frame.utterance, frame.interruptible, frame.aloud


def sentences(*, wait_secs: float = 0.5, max_chars: int = 400) -> AsyncStage:
    """Make a stage that gives ``TextFrame`` by ``TextFrame`` one sentence each.

    What has no end is given after ``wait_secs`` without more text, before other content, before text of another
    ``utterance`` or of another kind, at ``max_chars``, and at the end. An interruption drops it. Facts pass at once.
    """
    if not (wait_secs > 0 and max_chars > 0):
        raise ValueError(f"sentences: {wait_secs=} and {max_chars=} must be above 0")

    async def sentences_stage(input: trio.abc.ReceiveChannel[Frame], output: trio.abc.SendChannel[Frame]) -> None:  # noqa: A002
        rest: TextFrame | None = None
        given_at = inf
        while True:
            frame: Frame | None = None
            with trio.move_on_at(max(given_at, trio.current_time() + GLANCE_S)):
                try:
                    frame = await input.receive()
                except trio.EndOfChannel:
                    break
            if type(frame) in FACTS and not isinstance(frame, EndFrame):
                assert frame is not None
                await output.send(frame)
            elif isinstance(frame, TextFrame):
                if rest is not None and _kind(rest) != _kind(frame):
                    await output.send(rest)
                    rest = None
                whole, left = split_sentences((rest.text if rest is not None else "") + frame.text)
                if len(left) > max_chars:
                    whole, left = [*whole, *filter(None, [left.strip()])], ""
                for sentence in whole:
                    await output.send(evolve(frame, text=sentence))
                rest = evolve(frame, text=left) if left.strip() else None
                given_at = trio.current_time() + wait_secs if rest is not None else inf
            else:
                if rest is not None and not (isinstance(frame, InterruptionFrame) and rest.interruptible):
                    await output.send(evolve(rest, text=rest.text.strip()))
                rest, given_at = None, inf
                if frame is not None:
                    await output.send(frame)
        if rest is not None:
            await output.send(evolve(rest, text=rest.text.strip()))

    return sentences_stage
