"""Hold the news that the user stopped until a turn analyzer says that the turn is over."""

from collections import deque
from math import inf

import trio

from ...audio.channels import mix_channels
from ...frames import AudioFrame, Frame, UserStartedSpeakingFrame, UserStoppedSpeakingFrame
from ...vad.turns import TurnAnalyzer
from ..stage import AsyncStage

PRE_ROLL_S = 0.5


def turn_analyzer(
    analyzer: TurnAnalyzer, *, ask_every_secs: float = 0.2, max_pause_secs: float = 2.0, max_turn_secs: float = 8.0
) -> AsyncStage:
    """Make a stage that makes one turn of what was only a pause: put it in front of ``utterances()``.

    At each ``UserStoppedSpeakingFrame``, and then each ``ask_every_secs``, the analyzer is asked in a worker thread
    about the last ``max_turn_secs`` of the turn. The frame waits until it says yes, for ``max_pause_secs`` at most; if
    the user goes on before, it and the ``UserStartedSpeakingFrame`` go no further. The session's VAD should be quick.
    """
    if not (ask_every_secs > 0 and max_pause_secs > 0 and max_turn_secs > 0):
        raise ValueError(f"turn_analyzer: {ask_every_secs=}, {max_pause_secs=} and {max_turn_secs=} must be above 0")

    async def turn_analyzer_stage(input: trio.abc.ReceiveChannel[Frame], output: trio.abc.SendChannel[Frame]) -> None:  # noqa: A002
        heard: deque[AudioFrame] = deque()
        heard_s = ended_s = noticed_at = asks_at = 0.0
        waiting: UserStoppedSpeakingFrame | None = None
        while True:
            frame: Frame | None = None
            with trio.move_on_at(inf if waiting is None else asks_at):
                try:
                    frame = await input.receive()
                except trio.EndOfChannel:
                    break
            if isinstance(frame, AudioFrame):
                heard.append(frame)
                heard_s += frame.duration_s
                _keep(heard, max_turn_secs)
            elif isinstance(frame, UserStoppedSpeakingFrame):
                ended_s = heard_s if frame.at_s is None else frame.at_s
                noticed_at = asks_at = trio.current_time()
                waiting, frame = frame, None
            elif isinstance(frame, UserStartedSpeakingFrame) and waiting is not None:
                waiting = frame = None
            elif isinstance(frame, UserStartedSpeakingFrame):
                _keep(heard, PRE_ROLL_S)
            if frame is not None:
                await output.send(frame)
            now = trio.current_time()
            if waiting is not None and now >= asks_at:
                asks_at, silent_s = now + ask_every_secs, max(heard_s - ended_s, now - noticed_at)
                if silent_s >= max_pause_secs or await trio.to_thread.run_sync(_ask, analyzer, [*heard], silent_s):
                    await output.send(waiting)
                    waiting = None
        if waiting is not None:
            await output.send(waiting)

    return turn_analyzer_stage


def _keep(heard: deque[AudioFrame], seconds: float) -> None:
    kept_s = sum(frame.duration_s for frame in heard)
    while len(heard) > 1 and kept_s - heard[0].duration_s >= seconds:
        kept_s -= heard.popleft().duration_s


def _ask(analyzer: TurnAnalyzer, heard: list[AudioFrame], silent_s: float) -> bool:
    rate = heard[-1].sample_rate if heard else 16000
    pcm = b"".join(mix_channels(each.audio, each.num_channels, 1) for each in heard if each.sample_rate == rate)
    return analyzer.is_complete(pcm, rate, silent_s)
