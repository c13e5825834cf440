"""From a chunk of PCM to the messages that carry it: header, dialect, and packets of one fixed size.

Rules
1. With ``packet_bytes`` every binary message is exactly that long. What fills none yet waits for the next chunk; text
   messages never enter it.
2. The last packet is completed with silence as the dialect writes it, which need not be zeros.
"""

from collections.abc import Sequence
from typing import final

from attrs import define, field

from ..audio.chunking import Chunker
from ..audio.format import AudioFormat
from ..audio.wav import add_wav_header
from ..frames import checked_audio_frame
from ..serializers.protocol import FrameSerializer, Message


@final
@define(eq=False)
class Packer:
    """Owned by one track."""

    _serializer: FrameSerializer
    _destination: str | None
    _adds_wav_header: bool
    _packet_bytes: int | None
    _packets: Chunker | None = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._packets = Chunker(self._packet_bytes) if self._packet_bytes else None

    @property
    def holds_audio(self) -> bool:
        """Whether a part of a packet waits for more."""
        return self._packets is not None and self._packets.pending_bytes > 0

    def pack(self, pcm: bytes, audio_format: AudioFormat, pts: int | None = None) -> Sequence[Message]:
        """The messages of a chunk, whole packets only where they have one length: the rest waits here."""
        messages = self._encode(pcm, audio_format, pts)
        packets = self._packets
        if packets is None:
            return messages
        ready: list[Message] = []
        for message in messages:
            if isinstance(message, str):
                ready.append(message)
                continue
            packets.push(message)
            while (packet := packets.pop()) is not None:
                ready.append(packet)
        return ready

    def complete(self, silent_chunk: bytes, audio_format: AudioFormat) -> tuple[bytes, float]:
        """Fill the waiting packet up, and say with how many chunks of silence; rule 2."""
        packets = self._packets
        if packets is None or not packets.partial_bytes:
            return b"", 0.0
        missing = packets.size_bytes - packets.partial_bytes
        encoded = self._encode(silent_chunk, audio_format)
        silence = b"".join(part for part in encoded if isinstance(part, bytes))
        silent_chunks = missing / len(silence) if silence else 0.0
        packets.push(((silence or bytes(1)) * (missing // max(len(silence), 1) + 1))[:missing])
        return packets.pop() or b"", silent_chunks

    def clear(self) -> None:
        if self._packets is not None:
            self._packets.clear()

    def _encode(self, pcm: bytes, audio_format: AudioFormat, pts: int | None = None) -> Sequence[Message]:
        if self._adds_wav_header:
            pcm = add_wav_header(pcm, audio_format)
        return self._serializer.encode(
            checked_audio_frame(pcm, audio_format.sample_rate, audio_format.num_channels, pts, self._destination)
        )
