"""How a destination's audio leaves: with the bed under it, packed into messages, and spread over its time.

Rules
1. The parts of a chunk that became several messages leave evenly spread over the chunk's duration. One that is to be
   said to its end stays when an interruption drops the others.
2. Whoever listens in is told a chunk as it leaves: volume and bed included.
3. In a dialect that has marks, the peer is asked now and then where its player is: in front of everything, where that
   is known to be idle, and behind a chunk (see ``session.player``).
4. A message that covers no more than the one before is filling: silence or the bed alone, for which nobody waits.
"""

from collections.abc import Callable, Sequence
from typing import Final, final

from attrs import define, field

from ..audio.format import AudioFormat
from ..serializers.protocol import Message
from .blend import Blend
from .lanes import Paced
from .outbox import WireOutbox
from .packer import Packer
from .player import Player
from .taps import Tap

NO_AUDIO: Final = -1
"""What a message covers that is not audio, or does not end a chunk."""


@final
@define(eq=False)
class Departure:
    """Owned by one track; ``written`` is called with what a message covers, once that is on the wire."""

    destination: str | None
    blend: Blend
    packer: Packer
    outbox: WireOutbox
    _place_mark: Callable[[Player], Sequence[Message]] | None
    """The messages by which the peer is asked to tell where its player is, in a dialect that has some."""
    taps: Sequence[Tap]
    owed: Callable[[], Sequence[Message]] | None = field(default=None, init=False)
    """What the dialect owes its peer for the audio that it has encoded, in one that does."""
    written: Callable[[int], None] = field(init=False)
    parts: list[tuple[float, Message, int, bool, bool]] = field(factory=list, init=False)
    """What is left of a chunk: when each leaves, what it covers, whether it is kept and whether it fills; rule 1."""
    _covered: int = field(default=0, init=False)
    """Up to where the queue's audio is in messages; rule 4."""

    def start(self, audio_format: AudioFormat, written: Callable[[int], None]) -> None:
        """Begin with audio of this format."""
        self.written = written
        self.blend.start(audio_format)

    @property
    def asks(self) -> bool:
        return self._place_mark is not None

    @property
    def is_plain(self) -> bool:
        """Whether one chunk becomes messages as it is: nothing is under it, or around it, or holds it back."""
        return self.blend.mixer is None and self.blend.volume.is_one and self._place_mark is None

    def holds_audio(self, taken: int) -> bool:
        """Whether some of what was taken from the queue, up to this place, has still to be handed over."""
        return self.has_begun_packet(taken) or not all(part[4] for part in self.parts)

    def messages(self, pcm: bytes, audio_format: AudioFormat, pts: int | None, now_s: float) -> Sequence[Message]:
        """Make messages of a chunk; rule 2."""
        mixer = self.blend.mixer
        if mixer is not None:
            pcm = mixer.mix(pcm)
        for tap in self.taps:
            tap.left(pcm, audio_format, self.destination, now_s)
        messages = self.packer.pack(pcm, audio_format, pts)
        if self.owed is not None:
            self.outbox.put_replies(self.owed())
        return messages

    def leave(self, messages: Sequence[Message], covers: int, due_s: float, over_s: float, is_kept: bool) -> None:
        """Have what a chunk has become leave, several messages one after the other; rule 1."""
        is_filling = self._fills(covers)
        if len(messages) == 1:
            self.outbox.put(messages[0], self.written, covers, is_kept, is_filling)
            return
        step_s, last = over_s / len(messages), len(messages) - 1
        for i, message in enumerate(messages):
            self.parts.append((due_s + i * step_s, message, covers if i == last else NO_AUDIO, is_kept, is_filling))

    def next_part(self) -> None:
        _, message, covers, is_kept, is_filling = self.parts.pop(0)
        self.outbox.put(message, self.written, covers, is_kept, is_filling)

    def has_begun_packet(self, taken: int) -> bool:
        """Whether audio of the queue, up to this place, waits for its packet to fill. What fills gaps may wait."""
        return self.packer.holds_audio and taken > self._covered

    def complete_packet(self, silent_chunk: bytes, audio_format: AudioFormat, covers: int) -> float:
        """Fill the packet that has begun, and have it leave; returned is with how many chunks of silence."""
        message, silent_chunks = self.packer.complete(silent_chunk, audio_format)
        self.outbox.put(message, self.written, covers, is_filling=self._fills(covers))
        return silent_chunks

    def _fills(self, covers: int) -> bool:
        """Whether it is filling that is handed over now; rule 4."""
        if covers <= self._covered:
            return True
        self._covered = covers
        return False

    def ask_where(self, player: Player) -> None:
        """Ask where the peer's player is; rule 3."""
        for message in () if self._place_mark is None else self._place_mark(player):
            self.hand_over(message)

    def hand_over(self, message: Message, *, is_kept: bool = False) -> None:
        """Have a message leave that is not audio."""
        self.outbox.put(message, self.written, NO_AUDIO, is_kept)

    def dropped_chunks(self, unsent: Sequence[Paced], written: Callable[[int], None]) -> int:
        """How many of this track's chunks are dropped with what was handed over, and with the parts of the last.

        None, where what is kept may lie behind them: then they are not the last that left.
        """
        kept = (paced for paced in self.outbox.lanes.paced if paced.is_kept)
        if any(paced.written == written for paced in kept) or any(part[3] for part in self.parts):
            return 0
        handed_over = sum(paced.written == written and paced.covers != NO_AUDIO for paced in unsent)
        return handed_over + sum(part[2] != NO_AUDIO for part in self.parts)

    def interrupt(self) -> None:
        if self.parts:
            self.parts = [part for part in self.parts if part[3]]
