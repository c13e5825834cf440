"""Hold the news that the user stopped until a turn analyzer says that the turn is over."""

import trio

from ...frames import AudioFrame, EndFrame, Frame, UserStartedSpeakingFrame, UserStoppedSpeakingFrame
from ...session.turn_asking import TurnAsking
from ...vad.turn_watch import TurnWatch
from ...vad.turns import TurnAnalyzer
from ..stage import AsyncStage


def turn_analyzer(
    analyzer: TurnAnalyzer, *, ask_every_secs: float = 0.2, max_pause_secs: float = 2.0, max_turn_secs: float = 8.0
) -> AsyncStage:
    """Make a stage that makes one turn of what was only a pause: put it in front of ``utterances()``.

    At each ``UserStoppedSpeakingFrame``, and then each ``ask_every_secs``, the analyzer is asked in a worker thread
    about the last ``max_turn_secs`` of the turn. The frame waits until it says yes, for ``max_pause_secs`` at most; if
    the user goes on before, it and the ``UserStartedSpeakingFrame`` go no further. The session's VAD should be quick.

    A session does the same by its ``turn_analyzer`` parameter. The stage is for speech that is noticed elsewhere: by
    the peer, or by a stage of one's own.
    """
    if not (ask_every_secs > 0 and max_pause_secs > 0 and max_turn_secs > 0):
        raise ValueError(f"turn_analyzer: {ask_every_secs=}, {max_pause_secs=} and {max_turn_secs=} must be above 0")

    async def turn_analyzer_stage(input: trio.abc.ReceiveChannel[Frame], output: trio.abc.SendChannel[Frame]) -> None:  # noqa: A002
        watch, asking = TurnWatch(ask_every_secs, max_pause_secs, max_turn_secs), TurnAsking(analyzer)
        held: UserStoppedSpeakingFrame | None = None
        while True:
            frame: Frame | None = None
            with trio.move_on_at(watch.asks_at):
                try:
                    frame = await input.receive()
                except trio.EndOfChannel:
                    break
            if isinstance(frame, AudioFrame):
                watch.hear(frame.audio, frame.format)
            elif isinstance(frame, UserStoppedSpeakingFrame):
                watch.stopped(frame.at_s, trio.current_time())
                held, frame = frame, None
            elif isinstance(frame, UserStartedSpeakingFrame) and not watch.started():
                held = frame = None
            elif isinstance(frame, EndFrame) and held is not None:
                await output.send(held)  # nothing follows an EndFrame
                held = None
                watch.over()
            if frame is not None:
                await output.send(frame)
            if held is not None and trio.current_time() >= watch.asks_at:
                question = watch.question(trio.current_time())
                if question is None or watch.answered(question, await asking.ask(question)):
                    await output.send(held)
                    held = None
        if held is not None:
            await output.send(held)

    return turn_analyzer_stage
