"""The marks by which a peer tells that it has played what was sent.

Rules
1. Marks of this side's own carry a name of their own, so that none is taken for a mark of the handler's.
2. Whoever waits for one is told at the latest when nothing can be told any more: the peer's stream has ended, what was
   sent is dropped, or the session is over.
"""

from collections.abc import Callable, Sequence
from itertools import count
from typing import Final, final

import trio
from attrs import define, field

from .._offers import offers
from ..frames import MarkFrame
from ..serializers.protocol import FrameSerializer, Message, PlaybackMarks
from .outbox import WireOutbox
from .player import MAX_WAITING, Player

_DRAIN: Final = "trio-transports-drain-"
_PLACE: Final = "trio-transports-at-"


@final
@define(eq=False)
class DrainMarks:
    """Owned by one session. ``has_played`` says whether there was any audio that can be told the end of."""

    _serializer: FrameSerializer
    _outbox: WireOutbox
    _has_played: Callable[[], bool]
    _marking: PlaybackMarks | None = field(init=False)
    """The serializer, if it may have marks."""
    _waiting: dict[str, Callable[[], None]] = field(factory=dict, init=False)
    _places: dict[str, Player] = field(factory=dict, init=False)
    _numbers: "count[int]" = field(factory=count, init=False)
    _peer_plays: bool = field(default=True, init=False)

    def __attrs_post_init__(self) -> None:
        self._marking = self._serializer if offers(self._serializer, PlaybackMarks) else None

    @property
    def peer_tells(self) -> bool:
        """Whether something was said that the peer tells the end of."""
        return self._can_tell and self._has_played()

    @property
    def _can_tell(self) -> bool:
        return self._peer_plays and self._marking is not None and self._marking.has_marks

    def ask(self, played: Callable[[], None]) -> str | None:
        """Have ``played`` called once all that was sent is played; None: this peer does not tell."""
        if not self.peer_tells:
            return None
        name = f"{_DRAIN}{next(self._numbers)}"
        self._waiting[name] = played
        self._outbox.put_last(self._message(name))
        return name

    def place(self, player: Player) -> Sequence[Message]:
        """Have the peer tell when its player is here: the messages to send; none, where it does not tell."""
        if not self._can_tell:
            return ()
        name = f"{_PLACE}{next(self._numbers)}"
        messages = self._message(name)
        if messages:
            player.marked(name, trio.current_time())
            self._places[name] = player
            if len(self._places) > MAX_WAITING:  # a peer that never answers
                del self._places[next(iter(self._places))]
        return messages

    async def wait_until_played(self, limit_s: float) -> None:
        """Wait for that, as long as a peer may take to tell."""
        played = trio.Event()
        name = self.ask(played.set)
        if name is None:
            return
        try:
            with trio.move_on_after(limit_s):
                await played.wait()
        finally:
            self._waiting.pop(name, None)

    def played(self, mark: MarkFrame) -> bool:
        """Take what the peer told; whether the mark was one of this side's own."""
        told, player = self._waiting.pop(mark.mark, None), self._places.pop(mark.mark, None)
        if told is not None:
            told()
        if player is not None:
            player.told(mark.mark, trio.current_time())
        return mark.mark.startswith((_DRAIN, _PLACE))

    def peer_stopped(self) -> None:
        """The peer's stream has ended: it plays nothing any more, and tells nothing of it."""
        self._peer_plays = False
        self.settle()

    def reconnected(self) -> None:
        """The peer that was asked has gone; the next plays, and is asked anew."""
        self._peer_plays = True
        self._places.clear()
        self.settle()

    def settle(self) -> None:
        """Tell everybody that there is nothing to wait for."""
        waiting, self._waiting = self._waiting, {}
        for played in waiting.values():
            played()

    def _message(self, name: str) -> Sequence[Message]:
        return self._serializer.encode(MarkFrame(mark=name))
