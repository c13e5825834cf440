"""Hold the news that the user stopped until a turn analyzer says that the turn is over."""

from typing import final

import trio
from attrs import define, field

from ..._nursery import open_services
from ..._sleeper import Sleeper
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
    the user goes on before, also while the analyzer thinks, it and the ``UserStartedSpeakingFrame`` go no further. The
    session's VAD should be quick.

    A session does the same by its ``turn_analyzer`` parameter. The stage is for speech that is noticed elsewhere: by
    the peer, or by a stage of one's own.
    """
    if not (ask_every_secs > 0 and max_pause_secs > 0 and max_turn_secs > 0):
        raise ValueError(f"turn_analyzer: {ask_every_secs=}, {max_pause_secs=} and {max_turn_secs=} must be above 0")

    async def turn_analyzer_stage(input: trio.abc.ReceiveChannel[Frame], output: trio.abc.SendChannel[Frame]) -> None:  # noqa: A002
        watch = TurnWatch(ask_every_secs, max_pause_secs, max_turn_secs)
        held = _Held(watch, TurnAsking(analyzer), output)
        async with open_services() as services:
            services.start_soon(held.ask, name="turn analyzer")
            async for frame in input:
                if isinstance(frame, AudioFrame) and frame.destination is None:  # another is of somebody else
                    watch.hear(frame.audio, frame.format)
                elif isinstance(frame, UserStoppedSpeakingFrame):
                    held.hold(frame)
                    continue
                elif isinstance(frame, UserStartedSpeakingFrame) and held.goes_on():
                    continue
                elif isinstance(frame, EndFrame):  # nothing follows it
                    await held.end()
                if held.sending.locked():  # in its turn
                    async with held.sending:
                        pass
                await output.send(frame)
            await held.end()

    return turn_analyzer_stage


@final
@define(eq=False)
class _Held:
    """The news that is held, and the task that asks about it: what comes meanwhile is read and passed on."""

    _watch: TurnWatch
    _asking: TurnAsking
    _output: trio.abc.SendChannel[Frame]
    _frame: UserStoppedSpeakingFrame | None = field(default=None, init=False)
    _sleeper: Sleeper = field(factory=Sleeper, init=False)
    sending: trio.Lock = field(factory=trio.Lock, init=False)
    """While the news of a turn's end is sent: what came after that waits."""

    def hold(self, frame: UserStoppedSpeakingFrame) -> None:
        self._frame = frame
        self._watch.stopped(frame.at_s, trio.current_time())
        self._sleeper.wake()

    def goes_on(self) -> bool:
        """Speech starts: say whether the turn goes on, with nothing to tell."""
        if self._watch.started():
            return False
        self._frame = None
        return True

    async def end(self) -> None:
        """Tell what is held, if anything still is: no more comes."""
        self._watch.over()
        await self._let_go()

    async def _let_go(self) -> None:
        async with self.sending:
            frame, self._frame = self._frame, None
            if frame is not None:
                await self._output.send(frame)

    async def ask(self) -> None:
        """Ask the analyzer whenever a pause is long enough; never ends by itself."""
        watch = self._watch
        while True:
            await self._sleeper.sleep_until(watch.asks_at)
            if trio.current_time() >= watch.asks_at:
                question = watch.question(trio.current_time())
                if question is None or watch.answered(question, await self._asking.ask(question)):
                    await self._let_go()
