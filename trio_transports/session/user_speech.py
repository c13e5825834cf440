"""What is certain of the caller's speech, told to everybody who acts on it."""

from collections.abc import Callable
from typing import final

import trio
from attrs import frozen

from ..frames import Frame, InterruptionFrame, Played, UserStartedSpeakingFrame, UserStoppedSpeakingFrame
from ..vad.analyzer import SpeechEvent, SpeechStarted
from .delivery import Delivery
from .ears import Ears
from .turn import Turn


@final
@frozen(eq=False)
class UserSpeech:
    """Of one session: the handler and the taps are told, the turn is measured, the peer has notice, the bot stops."""

    _ears: Ears
    _delivery: Delivery
    _turn: Turn
    _notice: Callable[[Frame], None]
    _interrupt: Callable[[], tuple[Played, ...]] | None
    """None: the caller's speech does not interrupt by itself."""

    def tell(self, event: SpeechEvent) -> None:
        if not isinstance(event, SpeechStarted):
            self._turn.user_stopped(trio.current_time(), self._ears.own.listened_s - event.at_s)
            self._tell_of(UserStoppedSpeakingFrame(at_s=event.at_s, notice=True))
            return
        self._turn.user_started()
        self._tell_of(UserStartedSpeakingFrame(at_s=event.at_s, notice=True))
        if self._interrupt is not None:
            self._delivery.put(InterruptionFrame(heard=self._interrupt()))

    def _tell_of(self, speech: UserStartedSpeakingFrame | UserStoppedSpeakingFrame) -> None:
        if self._delivery.taps:
            self._delivery.tell_taps(speech)
        self._delivery.put(speech)
        self._notice(speech)
