"""What this side noticed of a call, told to a peer whose dialect has words for it."""

from typing import final

import trio
from attrs import define

from .._offers import offers
from ..frames import BotStartedSpeakingFrame, BotStoppedSpeakingFrame, Frame, MetricsFrame
from ..serializers.protocol import FrameSerializer, Notices
from .departure import NO_AUDIO
from .outbox import WireOutbox
from .turn import Turn


@final
@define(eq=False)
class PeerNotices:
    """Those of one session."""

    _serializer: FrameSerializer
    _outbox: WireOutbox
    _turn: Turn

    def tell(self, frame: Frame) -> None:
        wait_s = self._turn.bot_started(trio.current_time()) if isinstance(frame, BotStartedSpeakingFrame) else None
        if not offers(self._serializer, Notices):
            return
        messages = self._serializer.notice(frame)
        if isinstance(frame, BotStoppedSpeakingFrame):
            for message in messages:  # after the last of the speech, which may wait to be written still
                self._outbox.put(message, _nothing_covered, NO_AUDIO)
            return
        if wait_s is not None:
            turn = MetricsFrame(metrics={"turn": [{"processor": "session", "value": round(wait_s, 3)}]})
            messages = (*messages, *self._serializer.notice(turn))
        self._outbox.put_replies(messages)


def _nothing_covered(_covers: int) -> None:
    """Nobody is told that this was written."""
