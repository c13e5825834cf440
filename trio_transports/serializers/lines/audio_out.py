"""The audio that leaves on a line: encoded, in packets of the code's own size, with the provider's words around them.

Rules
1. A frame of another format than the code's is the caller's mistake: the session converts before it encodes.
2. Nothing leaves before it is known whom to address.
"""

from collections.abc import Callable, Sequence
from typing import final

from attrs import define, field

from ...audio.codecs import Encoder
from ...audio.codecs.codec import OPUS
from ...errors import LocalProtocolError
from ...frames import AudioFrame
from ..converters import to_base64
from ..protocol import Message
from .line import Coding


@final
@define(eq=False)
class AudioOut:
    """Of one call: ``use`` a code, and ``open`` once the stream can be addressed."""

    encoder: Encoder = field(init=False)
    rate: int = field(default=0, init=False)
    """Samples per second, in Hz, of what is encoded."""
    bitrate: int | None = field(default=None, init=False)
    """In bits per second, for Opus; None: as the encoder has it."""
    is_open: bool = field(default=False, init=False)
    to_line: Callable[[bytes], bytes] | None = field(default=None, init=False)
    """Encodes a frame of any length; None: ask ``unusual``."""
    head: str = field(default="", init=False)
    """What stands in front of a packet's base64; "" where packets are binary messages."""
    tail: str = field(default="", init=False)

    def use(self, encoder: Encoder) -> None:
        """Send in this code from now on."""
        self.encoder, self.rate = encoder, encoder.format.sample_rate

    def use_bitrate(self, bits_per_second: int) -> None:
        self.bitrate = bits_per_second
        if self.encoder.encoding == OPUS:  # another code has one bitrate only
            self.use(Coding(encoding=OPUS, rate=self.rate).encoder(bits_per_second))

    def open(self, head: str, tail: str) -> None:
        """Send from now on, with this around each packet."""
        self.is_open = True
        self.to_line = self.encoder.encode if self.encoder.frame_bytes is None else None
        self.head, self.tail = head, tail

    def unusual(self, frame: AudioFrame) -> Sequence[Message]:
        """Audio in packets of the code's own, or why it did not leave."""
        wanted = self.encoder.format
        if frame.sample_rate != wanted.sample_rate or frame.num_channels != 1:
            raise LocalProtocolError(
                f"the line carries {wanted}, not {frame.format}: convert the audio before encoding it"
            )
        if not self.is_open:
            raise not_started("audio")
        size = self.encoder.frame_bytes
        if size is None:
            return ()
        pcm = frame.audio
        pieces = [pcm[at : at + size].ljust(size, b"\0") for at in range(0, len(pcm), size)]
        coded = [packet for piece in pieces if (packet := self.encoder.encode(piece))]
        if not self.head:
            return coded
        return [f"{self.head}{to_base64(packet)}{self.tail}" for packet in coded]


def not_started(what: str) -> LocalProtocolError:
    return LocalProtocolError(f"{what} cannot be sent before the start message: it names the stream to address")
