"""The end of the caller's turn in a session with a turn analyzer: what a pause is, is asked in a worker thread.

Rules
1. It stands between voice activity and everybody who is told of it; ``vad.turn_watch`` says what is held and when.
2. Only the question waits (``turn_asking``). Audio, and speech that goes on meanwhile, are heard as always.
3. Speech while the bot speaks is no end of a pause: the held stop is told, and then the start, which may interrupt.
4. A stop that is still held when no more audio comes is told then.
"""

from collections.abc import Callable
from typing import final

import trio
from attrs import define, field

from ..audio.format import AudioFormat
from ..vad.analyzer import SpeechEvent, SpeechStarted, SpeechStopped
from ..vad.turn_watch import TurnWatch
from .turn_asking import TurnAsking


@final
@define(eq=False)
class TurnEnd:
    """Owned by one session; ``run`` is a task of its nursery."""

    _asking: TurnAsking
    _watch: TurnWatch
    _tell: Callable[[SpeechEvent], None]
    _bot_speaks: Callable[[], bool]
    _held: SpeechStopped | None = field(default=None, init=False)
    _more: trio.Event = field(factory=trio.Event, init=False)

    def hear(self, pcm: bytes, audio_format: AudioFormat) -> None:
        self._watch.hear(pcm, audio_format)

    def take(self, event: SpeechEvent) -> None:
        """Take what voice activity tells."""
        if isinstance(event, SpeechStarted):
            if self._held is not None and self._bot_speaks():
                self.let_go()  # rule 3
            if self._watch.started():
                self._tell(event)
            self._held = None
            return
        self._held = event
        self._watch.stopped(event.at_s, trio.current_time())
        self._more.set()
        self._more = trio.Event()

    def let_go(self) -> None:
        """Tell what is held: the turn is over."""
        held, self._held = self._held, None
        self._watch.over()
        if held is not None:
            self._tell(held)

    async def run(self) -> None:
        """Ask the analyzer whenever a pause is long enough; never ends by itself."""
        while True:
            with trio.move_on_at(self._watch.asks_at):
                await self._more.wait()
            if trio.current_time() < self._watch.asks_at:
                continue
            question = self._watch.question(trio.current_time())
            if question is None or self._watch.answered(question, await self._asking.ask(question)):
                self.let_go()
