"""The audio of a session, in binary messages: one channel or two in each that comes, one in each that leaves.

Rules
1. There is no audio before ``opened`` was given.
2. ``pts`` is the place in the stream; what the client discarded is counted.
"""

from collections.abc import Sequence
from typing import Final, final

import numpy as np
from attrs import define, field

from ....audio.codecs import Decoder, Encoder, make_decoder, make_encoder
from ....audio.codecs.codec import L16, PCMU
from ....errors import LocalProtocolError, RemoteProtocolError
from ....frames import AudioFrame, Frame, checked_audio_frame
from ...codec import WHOLE
from ...protocol import Message
from ..audio_out import not_started
from ..messages import CALLER
from .messages import Offer

AGENT: Final = "internal"
EXTERNAL: Final = "external"
RATE: Final = 8000
_NS: Final = 1_000_000_000


@final
@define(eq=False)
class SessionAudio:
    """Of one session; ``use`` what was taken of the client's offers."""

    _tracks: tuple[str, ...]
    encoder: Encoder = field(factory=lambda: make_encoder(PCMU, RATE), init=False)
    _decoder: Decoder | None = field(default=None, init=False)
    _channels: tuple[str, ...] = field(default=(), init=False)
    _position_samples: int = field(default=0, init=False)

    def use(self, offer: Offer) -> None:
        self._decoder, self.encoder = make_decoder(offer.format, RATE), make_encoder(offer.format, RATE)
        self._channels = offer.channels

    def discard(self, seconds: float) -> None:
        """So much of the client's audio does not come; rule 2."""
        self._position_samples += round(seconds * RATE)

    def heard(self, data: bytes) -> Sequence[Frame]:
        """The frames of a binary message, one for each side that is heard."""
        decoder, channels = self._decoder, self._channels
        if decoder is None:
            raise RemoteProtocolError("audio before an open message was answered", path=WHOLE)
        width = (2 if decoder.encoding == L16 else 1) * len(channels)
        if len(data) % width:
            raise RemoteProtocolError(
                f"{len(data)} bytes are not whole samples of {len(channels)} channels", path=WHOLE
            )
        if not data:
            return ()
        pts = self._position_samples * _NS // RATE
        self._position_samples += len(data) // width
        sides = [data]
        if len(channels) == 2:
            codes = np.frombuffer(data, "<i2" if decoder.encoding == L16 else np.uint8).reshape(-1, 2)
            sides = [codes[:, 0].tobytes(), codes[:, 1].tobytes()]
        return tuple(
            checked_audio_frame(decoder.decode(side), RATE, 1, pts, None if name == EXTERNAL else AGENT)
            for name, side in zip(channels, sides, strict=True)
            if (CALLER if name == EXTERNAL else AGENT) in self._tracks
        )

    def packet(self, frame: AudioFrame, *, is_open: bool) -> Sequence[Message]:
        """The binary message for a frame; rule 1."""
        wanted = self.encoder.format
        if frame.sample_rate != wanted.sample_rate or frame.num_channels != 1:
            raise LocalProtocolError(
                f"the line carries {wanted}, not {frame.format}: convert the audio before encoding it"
            )
        if not frame.audio:
            return ()
        if not is_open:
            raise not_started("audio")
        return (self.encoder.encode(frame.audio),)
