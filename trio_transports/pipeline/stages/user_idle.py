"""Do something when the user says nothing for a while: ask again, or say goodbye."""

from collections.abc import Callable, Iterable
from math import inf

import trio

from ...frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    DTMFFrame,
    Frame,
    TextFrame,
    TranscriptionFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from ..stage import AsyncStage, frames_of
from .sentences import GLANCE_S

SPEAKS = (UserStartedSpeakingFrame, BotStartedSpeakingFrame)
IS_SILENT = (UserStoppedSpeakingFrame, BotStoppedSpeakingFrame)
_USER = "the user, who is no track"
SAYS = (DTMFFrame, TextFrame, TranscriptionFrame, UserStartedSpeakingFrame)


def _who(frame: Frame) -> str | None:
    """The track on which the bot speaks, or the user."""
    return frame.destination if isinstance(frame, BotStartedSpeakingFrame | BotStoppedSpeakingFrame) else _USER


def user_idle(seconds: float, say: Callable[[int], Frame | Iterable[Frame] | None]) -> AsyncStage:
    """Make a stage that sends what ``say(times)`` gives when nobody has spoken for ``seconds``.

    ``times`` is 1 at first, and one more each time until the user says something or presses a key. Time counts from
    when both the user and the bot are silent, so give it the frames of ``session.input`` before other stages. An
    ``EndFrame`` from ``say`` ends the call in order.
    """
    if not seconds > 0:
        raise ValueError(f"user_idle: seconds must be above 0, not {seconds!r}")

    async def user_idle_stage(input: trio.abc.ReceiveChannel[Frame], output: trio.abc.SendChannel[Frame]) -> None:  # noqa: A002
        speaking: set[str | None] = set()  # on which track the bot does, and the user
        deadline, times = trio.current_time() + seconds, 0
        while True:
            try:
                with trio.move_on_at(inf if speaking else max(deadline, trio.current_time() + GLANCE_S)) as silence:
                    frame = await input.receive()
            except trio.EndOfChannel:
                return
            if silence.cancelled_caught:
                times, deadline = times + 1, trio.current_time() + seconds
                for each in frames_of(say(times), say):
                    await output.send(each)
                continue
            if isinstance(frame, SPEAKS):
                speaking.add(_who(frame))
            elif isinstance(frame, IS_SILENT):
                speaking.discard(_who(frame))
            if isinstance(frame, SAYS):
                times = 0
            if isinstance(frame, SPEAKS + IS_SILENT + SAYS):
                deadline = trio.current_time() + seconds
            await output.send(frame)

    return user_idle_stage
