"""Gather what the user says in one turn, from just before it was noticed to its end, into one frame of audio."""

from collections import deque

import trio
from attrs import evolve

from ...frames import AudioFrame, Frame, UserStartedSpeakingFrame, UserStoppedSpeakingFrame
from ..stage import AsyncStage


def utterances(*, pre_roll_secs: float = 0.5, max_secs: float = 60.0) -> AsyncStage:
    """Make a stage that gives one ``AudioFrame`` for each turn of the user's, in front of the notice that it ended.

    Speech is noticed some time after it began: the ``pre_roll_secs`` before that are part of it. Audio outside of turns
    goes no further. A turn longer than ``max_secs`` comes in pieces of that length. It needs the speech notices of a
    session with ``vad_enabled``, or of a peer. An interruption cuts nothing off: this is the new turn.
    """
    if not (pre_roll_secs >= 0 and max_secs > 0):
        raise ValueError(f"utterances: {pre_roll_secs=} must be at least 0, and {max_secs=} above 0")

    async def utterances_stage(input: trio.abc.ReceiveChannel[Frame], output: trio.abc.SendChannel[Frame]) -> None:  # noqa: A002
        heard: deque[AudioFrame] = deque()
        heard_s, speaks = 0.0, False
        async for frame in input:
            if isinstance(frame, UserStartedSpeakingFrame):
                speaks = True
            elif isinstance(frame, UserStoppedSpeakingFrame):
                await _give(heard, output)
                heard_s, speaks = 0.0, False
            if not isinstance(frame, AudioFrame):
                await output.send(frame)
                continue
            if heard and heard[-1].format != frame.format:
                if speaks:
                    await _give(heard, output)
                heard.clear()
                heard_s = 0.0
            heard.append(frame)
            heard_s += frame.duration_s
            while not speaks and heard and heard_s - heard[0].duration_s >= pre_roll_secs - 1e-6:  # a sum of floats
                heard_s -= heard.popleft().duration_s
            if speaks and heard_s >= max_secs - 1e-6:
                await _give(heard, output)
                heard_s = 0.0
        if speaks:
            await _give(heard, output)

    return utterances_stage


async def _give(heard: deque[AudioFrame], output: trio.abc.SendChannel[Frame]) -> None:
    if heard:
        whole = evolve(heard[0], audio=b"".join(frame.audio for frame in heard))
        heard.clear()
        await output.send(whole)
