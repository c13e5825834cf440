"""What a user writes to reach a voice backend of their own: two methods, and hooks for those who need more."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final, TypeAlias, TypeVar, get_args

from ..audio.format import AudioFormat
from ..serializers.protocol import Message
from .capabilities import AdapterCapabilities
from .chunk import AGENT_FORMAT, AudioChunk
from .events import AgentEvent, Reply

Messages: TypeAlias = Message | Sequence[Message]
"""One WebSocket message, or several; an empty sequence is none."""

Heard: TypeAlias = AudioChunk | AgentEvent | Reply
"""What one message of an agent can mean."""

EVENT_KINDS: Final = (*get_args(AgentEvent), Reply)
HEARD_KINDS: Final = (AudioChunk, *EVENT_KINDS)


class WebSocketProtocol(ABC):
    """Encoder and decoder of a voice backend's own WebSocket dialect.

    The hooks are synchronous and do no I/O. One that raises harms nothing but the message at hand: what ``decode_*``
    raises comes out of the adapter's next ``recv_audio``, what ``encode_audio`` raises out of ``send_audio`` or, when
    the audio had been queued, ``recv_audio``; the connection goes on.

    A protocol that keeps something about its stream (a stream id, half a sample) defines ``fresh()``, which makes an
    unused copy with the same settings: every connection then works on one of its own.
    """

    @property
    def agent_capabilities(self) -> AdapterCapabilities | None:
        """What such an agent can do; None leaves it to the adapter's class and to which hooks are overridden."""
        return None

    @property
    def is_continuous(self) -> bool:
        """True for a line that never falls silent, like a telephone's: between turns the adapter sends silence.

        An agent that finds the end of the caller's turn by listening needs that; one that is told by ``encode_end``
        does not.
        """
        return False

    @property
    def input_format(self) -> AudioFormat:
        """The PCM that ``encode_audio`` is given; the adapter converts to it."""
        return AGENT_FORMAT

    @property
    def chunk_ms(self) -> int:
        """How much audio ``encode_audio`` is given at a time when it is paced, in milliseconds."""
        return 20

    @abstractmethod
    def encode_audio(self, audio: bytes) -> Messages:
        """Convert PCM16 in ``input_format`` to what the server expects: one message, or several."""

    @abstractmethod
    def decode_response(self, message: Message) -> AudioChunk | Sequence[AudioChunk] | None:
        """Read the audio in a server's message; None where there is none."""

    def decode_event(self, message: Message) -> AgentEvent | Reply | Sequence[AgentEvent | Reply] | None:
        """Read what else is in a server's message. It is called on every message, after ``decode_response``."""
        return None

    def decode(self, message: Message) -> Sequence[Heard]:
        """Read a message in one pass. Override it where parsing twice would cost too much; else leave it."""
        where = type(self).__name__
        heard: list[Heard] = []
        heard += listed(self.decode_response(message), (AudioChunk,), f"{where}.decode_response")
        heard += listed(self.decode_event(message), EVENT_KINDS, f"{where}.decode_event")
        return heard

    def on_open(self) -> Messages:
        """Give the messages to send first, before any audio."""
        return ()

    def on_close(self) -> Messages:
        """Give the messages to send last, when this side ends the conversation."""
        return ()

    def encode_end(self) -> Messages:
        """Say that the caller's turn is complete, to an agent that does not find out by listening."""
        return ()

    def encode_interrupt(self) -> Messages:
        """Stop the agent. A protocol that overrides this has the capability ``interruption``."""
        return ()

    def encode_truncate(self, utterance: str, played_ms: int) -> Messages:
        """Say that no more than this was heard of an utterance, so that the agent knows what it has not said."""
        return ()

    def encode_dtmf(self, digit: str) -> Messages:
        """Press a key. A protocol that overrides this has the capability ``dtmf``."""
        return ()


T = TypeVar("T")


def listed(value: T | Sequence[T] | None, kinds: tuple[type, ...], where: str) -> list[T]:
    """Make a list of what a hook returned, or say what it should have."""
    if value is None:
        return []
    items = list(value) if isinstance(value, Sequence) and not isinstance(value, Message) else [value]
    for item in items:
        if not isinstance(item, kinds):
            wanted = " or ".join(kind.__name__ for kind in kinds)
            raise TypeError(f"{where} must return {wanted}, a sequence of them, or None, not {type(item).__name__}")
    return items


def outgoing(value: Messages, where: str) -> tuple[Message, ...]:
    """Make a tuple of what an encoding hook returned, or say what it should have."""
    given: object = value
    items = [given] if isinstance(given, str | bytes | bytearray | memoryview) else given
    if not isinstance(items, Sequence):
        raise TypeError(f"{where} must return str, bytes, or a sequence of them, not {type(given).__name__}")
    return tuple(_message(item, where) for item in items)


def _message(item: object, where: str) -> Message:
    if isinstance(item, str | bytes):
        return item
    if isinstance(item, bytearray | memoryview):
        return bytes(item)
    raise TypeError(f"{where} must return str or bytes messages, not {type(item).__name__}")
