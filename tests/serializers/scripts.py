"""What a scripted call is: what comes, what it becomes, what leaves, and what the dialect owes by itself."""

from collections.abc import Callable, Sequence

from attrs import field, frozen

from tests.serializers.conversations import (
    In,
    Out,
)
from trio_transports.frames import (
    AudioFrame,
)
from trio_transports.serializers import Message
from trio_transports.serializers.protocol import CallSerializer


@frozen
class Owed:
    messages: tuple[Message, ...]


@frozen(kw_only=True)
class Script:
    """``malformed`` are messages with one thing wrong after the start, ``early`` before it, with the place named."""

    name: str
    provider: str
    make: Callable[[], CallSerializer]
    lines: Sequence[In | Out | Owed]
    malformed: Sequence[tuple[Message, str]] = field(default=())
    early: Sequence[tuple[Message, str]] = field(default=())
    packet_ms: int | None = 20
    has_marks: bool = True

    @property
    def received(self) -> list[Message]:
        return [line.message for line in self.lines if isinstance(line, In)]


def audio(pcm: bytes, rate: int) -> AudioFrame:
    return AudioFrame(audio=pcm, sample_rate=rate)
