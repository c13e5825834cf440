"""Do not hear the user for a while: as long as the bot speaks, until it has spoken once, or as long as you say."""

from collections.abc import Callable
from typing import Literal

import trio

from ...frames import (
    AudioFrame,
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    Frame,
    InterruptionFrame,
    TranscriptionFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from ..stage import AsyncStage

VOICE = (AudioFrame, TranscriptionFrame, UserStartedSpeakingFrame, UserStoppedSpeakingFrame)


def mute(during: Literal["bot_speaks", "first_speech"] | Callable[[], bool]) -> AsyncStage:
    """Make a stage that takes away the user's voice (audio, transcriptions, speech notices) and nothing else.

    ``"bot_speaks"`` whenever the bot does; ``"first_speech"`` until it has spoken once; a function for as long as it
    gives True. A turn is heard whole or not at all. What is not heard must not interrupt either: give
    ``allow_interruptions`` to a pipeline behind it, ``Pipeline([mute("bot_speaks"), Pipeline(..., ...).run])``.
    """
    if not (callable(during) or during in ("bot_speaks", "first_speech")):
        raise ValueError(f'mute takes "bot_speaks", "first_speech" or a function, not {during!r}')

    async def mute_stage(input: trio.abc.ReceiveChannel[Frame], output: trio.abc.SendChannel[Frame]) -> None:  # noqa: A002
        speaking: set[str | None] = set()  # the bot, on which track
        has_spoken = False
        hears_turn: bool | None = None
        async for frame in input:
            if isinstance(frame, BotStartedSpeakingFrame):
                speaking.add(frame.destination)
            elif isinstance(frame, BotStoppedSpeakingFrame | InterruptionFrame):
                spoke = bool(speaking)
                if isinstance(frame, BotStoppedSpeakingFrame):
                    speaking.discard(frame.destination)
                else:
                    speaking.clear()
                has_spoken |= spoke and not speaking
            is_muted = during() if callable(during) else bool(speaking) if during == "bot_speaks" else not has_spoken
            if isinstance(frame, UserStartedSpeakingFrame):
                hears_turn = not is_muted
            hears = hears_turn if hears_turn is not None else not is_muted
            if hears or not isinstance(frame, VOICE):
                await output.send(frame)
            if isinstance(frame, UserStoppedSpeakingFrame):
                hears_turn = None

    return mute_stage
