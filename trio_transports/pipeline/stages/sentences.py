"""Gather a model's pieces of text into sentences, which is what a voice can speak."""

import trio
from attrs import evolve

from ...frames import EndFrame, Frame, InterruptionFrame, TextFrame
from ..stage import AsyncStage
from ..turns import FACTS
from .splitting import split_sentences


def sentences(*, wait_secs: float = 0.5, max_chars: int = 400) -> AsyncStage:
    """Make a stage that gives ``TextFrame`` by ``TextFrame`` one sentence each.

    What has no end is given after ``wait_secs`` without more text, before other content, before text of another
    ``utterance``, at ``max_chars``, and at the end. An interruption drops it. Facts pass at once.
    """
    if not (wait_secs > 0 and max_chars > 0):
        raise ValueError(f"sentences: {wait_secs=} and {max_chars=} must be above 0")

    async def sentences_stage(input: trio.abc.ReceiveChannel[Frame], output: trio.abc.SendChannel[Frame]) -> None:  # noqa: A002
        rest: TextFrame | None = None
        while True:
            frame: Frame | None = None
            with trio.move_on_after(wait_secs if rest is not None else float("inf")):
                try:
                    frame = await input.receive()
                except trio.EndOfChannel:
                    break
            if type(frame) in FACTS and not isinstance(frame, EndFrame):
                assert frame is not None
                await output.send(frame)
            elif isinstance(frame, TextFrame):
                if rest is not None and (rest.utterance, rest.interruptible) != (frame.utterance, frame.interruptible):
                    await output.send(rest)
                    rest = None
                whole, left = split_sentences((rest.text if rest is not None else "") + frame.text)
                if len(left) > max_chars:
                    whole, left = [*whole, left.strip()], ""
                for sentence in whole:
                    await output.send(evolve(frame, text=sentence))
                rest = evolve(frame, text=left) if left.strip() else None
            else:
                if rest is not None and not (isinstance(frame, InterruptionFrame) and rest.interruptible):
                    await output.send(evolve(rest, text=rest.text.strip()))
                rest = None
                if frame is not None:
                    await output.send(frame)
        if rest is not None:
            await output.send(evolve(rest, text=rest.text.strip()))

    return sentences_stage
