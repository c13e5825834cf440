"""Opus for a dialect of this library's own: a coder for each destination, packets that are numbered, losses concealed.

Rules
1. A packet is 20 ms. The packets of one destination are numbered from 0; after an interruption the numbers begin anew,
   since what was dropped then is not to be made up for.
2. Numbers that are passed over are packets that were lost. Their decoder makes up what was in them, for the first
   ``MAX_CONCEALED`` of a gap; after that there would be nothing but silence. A number that was passed is too late.
3. A peer may name ``MAX_DESTINATIONS``, each in ``MAX_NAME`` characters.
"""

from collections.abc import Sequence
from typing import Final, final

from attrs import define, field, frozen
from attrs.validators import ge, instance_of

from ..audio.codecs import Decoder, Encoder, make_decoder, make_encoder
from ..audio.codecs.codec import OPUS
from ..audio.format import AudioFormat
from ..errors import LocalProtocolError, RemoteProtocolError
from ..frames import AudioFrame, checked_audio_frame
from .announced import check_name

PACKET_MS: Final = 20
MAX_CONCEALED: Final = 5
MAX_DESTINATIONS: Final = 64


@final
@frozen(kw_only=True)
class OpusPacket:
    """20 ms of audio; ``number`` is its place among those of its destination."""

    packet: bytes
    number: int = field(default=0, validator=[instance_of(int), ge(0)])
    num_channels: int = field(default=1, validator=instance_of(int))
    pts: int | None = None
    destination: str | None = None


@final
@define(eq=False)
class OpusOut:
    """The coders of what one session sends."""

    format: AudioFormat
    bitrate: int | None = None
    _encoders: dict[str | None, Encoder] = field(factory=dict, init=False)
    _numbers: dict[str | None, int] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self._make()  # what cannot be is told before anything is sent

    def _make(self) -> Encoder:
        return make_encoder(OPUS, self.format.sample_rate, self.format.num_channels, bitrate=self.bitrate)

    def packets(self, frame: AudioFrame) -> Sequence[OpusPacket]:
        """The packets of some audio; the last one is filled up with silence."""
        if frame.format != self.format:
            raise LocalProtocolError(
                f"Opus is made of {self.format}, not of {frame.format}: convert it before encoding it"
            )
        encoder = self._encoders.get(frame.destination)
        if encoder is None:
            encoder = self._encoders[frame.destination] = self._make()
        size, pcm, pts = encoder.frame_bytes or len(frame.audio), frame.audio, frame.pts
        packets = []
        for at in range(0, len(pcm), size):
            number = self._numbers.get(frame.destination, 0)
            self._numbers[frame.destination] = number + 1
            packets.append(
                OpusPacket(
                    packet=encoder.encode(pcm[at : at + size].ljust(size, b"\0")),
                    number=number,
                    num_channels=self.format.num_channels,
                    pts=pts,
                    destination=frame.destination,
                )
            )
            pts = None
        return packets

    def interrupt(self) -> None:
        """Number anew: of what was encoded, something may never be sent; rule 1."""
        self._numbers.clear()


@final
@define(eq=False)
class OpusIn:
    """The decoders of what one session receives."""

    _decoders: dict[str | None, Decoder] = field(factory=dict, init=False)
    _expected: dict[str | None, int] = field(factory=dict, init=False)

    def frames(self, packet: OpusPacket) -> Sequence[AudioFrame]:
        """The audio of a packet, behind what was lost before it."""
        name, number = packet.destination, packet.number
        decoder = self._decoder(name, packet.num_channels)
        expected = self._expected.get(name, number)
        if number < expected and number:
            return ()  # too late; rule 2
        made_up = b""
        if decoder.conceal is not None:
            made_up = b"".join(decoder.conceal() for _ in range(min(number - expected, MAX_CONCEALED)))
        try:
            pcm = decoder.decode(packet.packet)
        except ValueError as exc:
            raise RemoteProtocolError(str(exc), path="packet") from None
        self._expected[name] = number + 1
        form = decoder.format
        return [
            checked_audio_frame(audio, form.sample_rate, form.num_channels, pts, name)
            for audio, pts in ((made_up, None), (pcm, packet.pts))
            if audio
        ]

    def _decoder(self, name: str | None, channels: int) -> Decoder:
        known = self._decoders.get(name)
        if known is not None and known.format.num_channels == channels:
            return known
        if channels not in (1, 2):
            raise RemoteProtocolError("1 or 2 channels are wanted", path="num_channels")
        check_name(name or "", path="destination")
        if known is None and len(self._decoders) >= MAX_DESTINATIONS:
            raise RemoteProtocolError(f"audio of more than {MAX_DESTINATIONS} destinations", path="destination")
        try:
            made = make_decoder(OPUS, 48000, channels)
        except ImportError as exc:
            raise RemoteProtocolError(str(exc), path="packet") from exc
        self._decoders[name] = made
        return made
