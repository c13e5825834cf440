"""A user's protocol as a session's serializer.

Rules
1. A session carries frames, and a protocol says more than frames hold. So each thing heard is kept here under a number,
   and a frame with that number keeps its place among the others: an ``AudioFrame`` for audio (number in ``pts``), a
   ``MessageFrame`` for everything else. ``recall`` gives it back. The session counts and bounds the audio, and changes
   nothing in it.
2. Audio to send is encoded when the session's clock lets it leave. Finished messages (hooks' results, audio sent at
   once) are handed over the same way, under a number in a ``MessageFrame``.
3. What the protocol raises is neither lost nor counted as a malformed message: it is one of the things heard, and
   reaches the user as itself, with a note of the message's head. The message is skipped, the session goes on.
4. A WAV header at the beginning of a chunk is taken off, and believed: heard as audio it is a click.
"""

from collections import deque
from collections.abc import Callable, Sequence
from itertools import count
from typing import Final, TypeAlias, final

from attrs import define, evolve, field

from ..audio.format import AudioFormat
from ..audio.wav import split_wav_header
from ..frames import AudioFrame, Frame, MessageFrame
from ..serializers.protocol import Message
from .chunk import AudioChunk
from .protocol import HEARD_KINDS, Heard, WebSocketProtocol, listed, outgoing

HEAD_CHARS: Final = 200
HEAD_BYTES: Final = 64

Noted: TypeAlias = Heard | Exception


def head(message: Message) -> str:
    """The beginning of a message, for people to recognise it by."""
    if isinstance(message, str):
        rest = f"... ({len(message)} characters)" if len(message) > HEAD_CHARS else ""
        return f"text message {message[:HEAD_CHARS]!r}{rest}"
    rest = f"... ({len(message)} bytes)" if len(message) > HEAD_BYTES else ""
    return f"binary message {message[:HEAD_BYTES]!r}{rest}"


@final
@define(eq=False)
class Bridge:
    """One connection's serializer. ``on_sent`` and ``on_fault`` are told of audio that leaves and of what failed."""

    protocol: WebSocketProtocol
    _now: Callable[[], float]
    _on_sent: Callable[[bytes], None]
    _on_fault: Callable[[Exception], None]
    _numbers: "count[int]" = field(factory=count, init=False)
    _noted: deque[tuple[int, float, Noted]] = field(factory=deque, init=False)
    _finished: dict[int, tuple[Message, ...]] = field(factory=dict, init=False)
    undecoded: int = field(default=0, init=False)
    """Messages on which the protocol failed."""

    @property
    def audio_format(self) -> AudioFormat:
        return self.protocol.input_format

    @property
    def chunk_ms(self) -> int:
        return self.protocol.chunk_ms

    # For the session

    def encode(self, frame: Frame) -> Sequence[Message]:
        if isinstance(frame, AudioFrame):
            try:
                messages = self.encode_audio(frame.audio)
            except Exception as exc:  # the user's code; it is raised to the user from send_audio or recv_audio
                self._on_fault(exc)
                return ()
            self._on_sent(frame.audio)
            return messages
        if isinstance(frame, MessageFrame) and isinstance(frame.message, int):
            return self._finished.pop(frame.message)
        return ()

    def decode(self, message: Message) -> Sequence[Frame]:
        try:
            where = f"{type(self.protocol).__name__}.decode"
            given: list[Heard] = listed(self.protocol.decode(message), HEARD_KINDS, where)
            heard = [_without_wav_header(item) if isinstance(item, AudioChunk) else item for item in given]
        except Exception as exc:  # the user's code; it is raised to the user from recv_audio
            self.undecoded += 1
            exc.add_note(f"while decoding the {head(message)}")
            return (self._note(exc),)
        return [self._note(item) for item in heard]

    # For the adapter

    def encode_audio(self, pcm: bytes) -> tuple[Message, ...]:
        return outgoing(self.protocol.encode_audio(pcm), f"{type(self.protocol).__name__}.encode_audio")

    def finished(self, messages: tuple[Message, ...], *, urgent: bool = False) -> MessageFrame:
        """Make the frame that stands for finished messages; it must be sent, once."""
        number = next(self._numbers)
        self._finished[number] = messages
        return MessageFrame(message=number, urgent=urgent)

    def forget(self, frame: MessageFrame) -> None:
        """Drop the messages of a frame that was not sent after all."""
        if isinstance(frame.message, int):
            self._finished.pop(frame.message, None)

    def recall(self, frame: Frame) -> tuple[float, Noted] | None:
        """What a received frame stands for, and when it came; None for a frame of the session's own."""
        if isinstance(frame, AudioFrame):
            number: object = frame.pts
        elif isinstance(frame, MessageFrame):
            number = frame.message
        else:
            return None
        while self._noted:
            noted_number, at, noted = self._noted.popleft()
            if noted_number == number:
                return at, evolve(noted, received_at=at) if isinstance(noted, AudioChunk) else noted
        raise LookupError(f"the session gave a frame that this bridge did not make: {frame!r}")

    def _note(self, noted: Noted) -> Frame:
        number = next(self._numbers)
        self._noted.append((number, self._now(), noted))
        if isinstance(noted, AudioChunk) and noted.data:
            # As many samples in one channel last as long, and leave the session nothing to mix.
            return AudioFrame(audio=noted.data, sample_rate=noted.sample_rate * noted.num_channels, pts=number)
        return MessageFrame(message=number)


def _without_wav_header(chunk: AudioChunk) -> AudioChunk:
    if not chunk.data.startswith(b"RIFF"):
        return chunk
    stated, pcm = split_wav_header(chunk.data)
    return chunk if stated is None else chunk.with_audio(pcm, stated)
