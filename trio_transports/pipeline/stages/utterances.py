"""Gather what the user says in one turn, from just before it was noticed to its end, into one frame of audio."""

from collections import deque
from typing import final

import trio
from attrs import define, evolve, field

from ...frames import AudioFrame, EndFrame, Frame, UserStartedSpeakingFrame, UserStoppedSpeakingFrame
from ...frames.audio import counted_s
from ..stage import AsyncStage

_ROUNDING_S = 1e-6


def utterances(*, pre_roll_secs: float = 0.5, max_secs: float = 60.0) -> AsyncStage:
    """Make a stage that gives one ``AudioFrame`` for each turn of the user's, in front of the notice that it ended.

    Speech is noticed some time after it began: the ``pre_roll_secs`` before that are part of it. Audio outside of turns
    goes no further; that of another track, with a ``destination``, passes. A turn longer than ``max_secs`` comes in
    pieces of that length. It needs the speech notices of a session with ``vad_enabled``, or of a peer. An interruption
    cuts nothing off: this is the new turn. What was being said when the peer ended the call comes in front of that.
    """
    if not (pre_roll_secs >= 0 and max_secs > 0):
        raise ValueError(f"utterances: {pre_roll_secs=} must be at least 0, and {max_secs=} above 0")

    async def utterances_stage(input: trio.abc.ReceiveChannel[Frame], output: trio.abc.SendChannel[Frame]) -> None:  # noqa: A002
        gathered = _Gathered(pre_roll_secs)
        speaks = False

        async def give() -> None:
            whole = gathered.take()
            if whole is not None:
                await output.send(whole)

        async for frame in input:
            if isinstance(frame, UserStartedSpeakingFrame):
                speaks = True
            elif isinstance(frame, UserStoppedSpeakingFrame) or (isinstance(frame, EndFrame) and speaks):
                await give()
                speaks = False
            if not isinstance(frame, AudioFrame) or frame.destination is not None:
                await output.send(frame)
                continue
            if not gathered.goes_on_with(frame):
                if speaks:
                    await give()
                gathered.clear()
            if not speaks:
                gathered.before_speech(frame)
                continue
            gathered.speech(frame)
            if gathered.seconds >= max_secs - _ROUNDING_S:
                await give()
        if speaks:
            await give()

    return utterances_stage


@final
@define(eq=False)
class _Gathered:
    """Audio of one format: what may be the beginning of a turn, as it came, and what was said since, joined.

    Joined, since a peer's frames may be as short as a sample each; what may be the beginning is bounded as ever.
    """

    _pre_roll_s: float
    _before: deque[AudioFrame] = field(factory=deque, init=False)
    _before_s: float = field(default=0.0, init=False)
    _first: AudioFrame | None = field(default=None, init=False)
    _said: bytearray = field(factory=bytearray, init=False)

    def goes_on_with(self, frame: AudioFrame) -> bool:
        first = self._first or (self._before[0] if self._before else frame)
        return (first.sample_rate, first.num_channels) == (frame.sample_rate, frame.num_channels)

    @property
    def seconds(self) -> float:
        """How long it is, once speech has begun."""
        first = self._first
        return 0.0 if first is None else len(self._said) / (2 * first.num_channels * first.sample_rate)

    def before_speech(self, frame: AudioFrame) -> None:
        self._before.append(frame)
        self._before_s += counted_s(frame)
        while self._before and self._before_s - counted_s(self._before[0]) >= self._pre_roll_s - _ROUNDING_S:
            self._before_s -= counted_s(self._before.popleft())

    def speech(self, frame: AudioFrame) -> None:
        self._join()
        if self._first is None:
            self._first = frame
        self._said += frame.audio

    def take(self) -> AudioFrame | None:
        """Take all of it; None where there is none."""
        self._join()
        whole = None if self._first is None else evolve(self._first, audio=bytes(self._said))
        self.clear()
        return whole

    def clear(self) -> None:
        self._before.clear()
        self._before_s, self._first, self._said = 0.0, None, bytearray()

    def _join(self) -> None:
        if self._before:
            self._first = self._before[0]
            self._said += b"".join(frame.audio for frame in self._before)
            self._before.clear()
            self._before_s = 0.0
