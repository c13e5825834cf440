"""What the peer says beside its audio: each kind of frame to those whom it concerns, and to the handler."""

from collections.abc import Callable
from typing import final

import trio
from attrs import define, field

from ..frames import (
    BotStoppedSpeakingFrame,
    EndFrame,
    Frame,
    ImageFrame,
    MarkFrame,
    SpriteFrame,
    StartFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from .delivery import Delivery
from .ears import Ears
from .eye import Eye
from .turn import Turn
from .turn_end import TurnEnd


@final
@define(eq=False)
class PeerWords:
    """Of one session: its marks, pictures, start, turns and end."""

    _ears: Ears
    _delivery: Delivery
    eye: Eye
    _turn: Turn
    turn_end: TurnEnd | None
    _mark_played: Callable[[MarkFrame], bool]
    """Whether the mark was one of this side's own; then nobody else has to know of it."""
    _peer_stopped: Callable[[], None]
    start: StartFrame | None = field(default=None, init=False)
    """How the peer announced its stream, once it has."""

    def take(self, frame: Frame, is_text: bool) -> None:
        """Take a frame that is no audio; RemoteProtocolError when it is a picture that can be seen to be none."""
        delivery = self._delivery
        if isinstance(frame, MarkFrame) and self._mark_played(frame):
            return
        if delivery.taps:
            delivery.tell_taps(frame)
        if isinstance(frame, ImageFrame | SpriteFrame):
            self.eye.take(frame, is_text)
            return
        if isinstance(frame, StartFrame):
            self.start = frame
        elif isinstance(frame, UserStartedSpeakingFrame):
            self._turn.user_started()
        elif isinstance(frame, EndFrame | UserStoppedSpeakingFrame | BotStoppedSpeakingFrame):
            self._ears.flush()
            if isinstance(frame, EndFrame):
                self._peer_stopped()
                self.hold_nothing()
            elif isinstance(frame, UserStoppedSpeakingFrame):
                self._turn.user_stopped(trio.current_time())
        delivery.put(frame, of_peer=True)
        if isinstance(frame, EndFrame):
            delivery.end()

    def hold_nothing(self) -> None:
        """Tell the end of a turn that is held back: no more audio comes."""
        if self.turn_end is not None:
            self.turn_end.let_go()
