"""How a destination's audio leaves: with the bed under it, packed into messages, and spread over its time.

Rules
1. The parts of a chunk that became several messages leave evenly spread over the chunk's duration. One that is to be
   said to its end stays when an interruption drops the others.
2. Whoever listens in is told a chunk as it leaves: volume and bed included.
3. In a dialect that has marks, the peer is asked now and then where its player is: in front of everything, where that
   is known to be idle, and behind a chunk (see ``session.player``).
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, final

from attrs import define, field

from ..audio.format import AudioFormat
from ..serializers.protocol import Message
from .blend import Blend
from .outbox import Outbox
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
    outbox: Outbox
    _place_mark: Callable[[Player], Sequence[Message]] | None
    """The messages by which the peer is asked to tell where its player is, in a dialect that has some."""
    taps: Sequence[Tap]
    written: Callable[[int], None] = field(init=False)
    parts: deque[tuple[float, Message, int, bool]] = field(factory=deque, init=False)
    """What is left of a chunk: when each leaves, what it covers, whether it is kept; rule 1."""

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

    @property
    def holds_audio(self) -> bool:
        return bool(self.parts) or self.packer.holds_audio

    def messages(self, pcm: bytes, audio_format: AudioFormat, pts: int | None, now_s: float) -> Sequence[Message]:
        """Make messages of a chunk; rule 2."""
        mixer = self.blend.mixer
        if mixer is not None:
            pcm = mixer.mix(pcm)
        for tap in self.taps:
            tap.left(pcm, audio_format, self.destination, now_s)
        return self.packer.pack(pcm, audio_format, pts)

    def spread(self, messages: Sequence[Message], covers: int, due_s: float, over_s: float, is_kept: bool) -> None:
        """Have them leave one after the other; rule 1."""
        step_s, last = over_s / len(messages), len(messages) - 1
        for i, message in enumerate(messages):
            self.parts.append((due_s + i * step_s, message, covers if i == last else NO_AUDIO, is_kept))

    def next_part(self) -> None:
        _, message, covers, is_kept = self.parts.popleft()
        self.hand_over(message, covers, is_kept)

    def complete_packet(self, silent_chunk: bytes, audio_format: AudioFormat, covers: int) -> None:
        self.hand_over(self.packer.complete(silent_chunk, audio_format), covers)

    def ask_where(self, player: Player) -> None:
        """Ask where the peer's player is; rule 3."""
        for message in () if self._place_mark is None else self._place_mark(player):
            self.hand_over(message, NO_AUDIO)

    def hand_over(self, message: Message, covers: int, is_kept: bool = False) -> None:
        self.outbox.put(message, self.written, covers, is_kept)

    def interrupt(self) -> None:
        if self.parts:
            self.parts = deque(part for part in self.parts if part[3])
