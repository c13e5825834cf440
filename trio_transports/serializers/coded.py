"""Audio that is not decoded yet: what a code makes of a packet depends on the packets in front of it.

Rules
1. Whoever puts packets in their order does so before they are decoded; then a hole is where the decoder stands when it
   is asked to make up for it.
2. A packet is decoded once, and so is what takes the place of a lost one.
"""

from typing import Final, final

from attrs import define, field, frozen

from ..audio.codecs import Decoder
from ..errors import RemoteProtocolError
from ..frames import AudioFrame, checked_audio_frame

MAX_MADE_UP: Final = 5
MAX_BEHIND: Final = 500


@final
@frozen(kw_only=True, eq=False)
class CodedAudio:
    """One packet of a line, with the decoder of its track."""

    packet: bytes = field(repr=False)
    decoder: Decoder
    duration_s: float
    pts: int | None = None
    destination: str | None = None
    id: int = 0
    path: str = ""
    """Where in its message the packet stands."""

    def decoded(self) -> AudioFrame:
        """What is in it; RemoteProtocolError when it is no packet of this code."""
        try:
            pcm = self.decoder.decode(self.packet)
        except ValueError as exc:
            raise RemoteProtocolError(str(exc), path=self.path) from None
        form = self.decoder.format
        return checked_audio_frame(pcm, form.sample_rate, form.num_channels, self.pts, self.destination, self.id)

    def made_up(self, duration_s: float, at_ns: int | None = None) -> AudioFrame:
        """What the decoder makes up for so long a time without packets; it is empty where there was none before."""
        form, conceal, pcm = self.decoder.format, self.decoder.conceal, b""
        size_bytes = form.size_bytes(form.samples_in(duration_s))
        while len(pcm) < size_bytes:
            piece = b"" if conceal is None else conceal()
            if not piece:
                break
            pcm += piece
        return checked_audio_frame(pcm[:size_bytes], form.sample_rate, form.num_channels, at_ns, self.destination)


@final
@define(eq=False)
class Losses:
    """Which of one track's numbered packets are missing, as they come; for who hears them without waiting.

    Numbers that are passed over are packets that were lost; for the first ``MAX_MADE_UP`` of a hole the decoder makes
    something up. A number ``MAX_BEHIND`` back is that of another stream, whose numbers begin anew.
    """

    _expected: int | None = field(default=None, init=False)

    def before(self, number: int) -> int | None:
        """How many packets in front of this one are to be made up for; None when its own time is over."""
        if self._expected is None or number <= self._expected - MAX_BEHIND:
            return 0
        return None if number < self._expected else min(number - self._expected, MAX_MADE_UP)

    def took(self, number: int) -> None:
        """That packet was decoded."""
        self._expected = number + 1
