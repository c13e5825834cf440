"""The audio that comes on a line: each track through its decoder, with what was lost on the way made up for.

Rules
1. Each track has a decoder of its own, since most codes remember what came before. That of the caller's own voice,
   which has no destination, is made when it is known how it is coded; another one when its first audio comes.
2. Where the code can conceal, packets that the provider's numbers pass over are made up for by the decoder, in front
   of the next one, and one that comes after its time is not heard. With ``keep_coded`` such audio is not decoded here.
"""

from collections.abc import Callable, Sequence
from typing import final

from attrs import define, field

from ...audio.codecs import Decoder
from ...errors import RemoteProtocolError
from ...frames import Frame, checked_audio_frame
from ..coded import CodedAudio, Losses
from .line import Coding


@final
@define(eq=False)
class AudioIn:
    """Of one call, for every track that is heard of it."""

    _hears_caller: bool = field(kw_only=True)
    rate: int = field(default=0, init=False)
    """Samples per second, in Hz, of the caller's voice; 0: it is not known yet how that is coded."""
    to_pcm: Callable[[bytes], bytes] | None = field(default=None, init=False)
    """Decodes a packet of it, where there is nothing more to think of; None: there is."""
    _coding: Coding | None = field(default=None, init=False)
    _decoder: Decoder | None = field(default=None, init=False)
    _others: dict[str, Decoder] = field(factory=dict, init=False)
    _losses: dict[str | None, Losses] = field(factory=dict, init=False)
    _coded: list[CodedAudio] | None = field(default=None, init=False)
    """What was not decoded; None: all is. Rule 2."""

    def use(self, coding: Coding | None, decoder: Decoder | None) -> None:
        """Hear this code from now on; None for what only a start message can tell."""
        self._coding, self._decoder = coding, decoder
        # Where packets can be made up for the short way is not gone: it would not look for those that are missing.
        has_short_way = decoder is not None and decoder.conceal is None and self._hears_caller
        self.to_pcm = decoder.decode if decoder is not None and has_short_way else None
        self.rate = 0 if decoder is None else decoder.format.sample_rate

    @property
    def keeps_coded(self) -> bool:
        return self._coded is not None

    def keep_coded(self) -> None:
        """Decode nothing from now on that has to be in its order first."""
        self._coded = []

    def coded(self) -> Sequence[CodedAudio]:
        """Give the packets since the last call that were not decoded."""
        if not self._coded:
            return ()
        coded, self._coded = self._coded, []
        return coded

    def heard(
        self,
        data: bytes,
        *,
        path: str,
        pts: int | None = None,
        place: int = 0,
        destination: str | None = None,
    ) -> Sequence[Frame]:
        """The frames of some of the line's audio; ``path`` is where it stands in its message."""
        decoder = self._decoder if destination is None else self._decoder_of(destination)
        if decoder is None:
            raise RemoteProtocolError("audio before a start message that says how it is coded", path=path)
        try:
            if decoder.duration_s is not None and data:
                duration_s = decoder.duration_s(data)
                packet = CodedAudio(
                    packet=data,
                    decoder=decoder,
                    duration_s=duration_s,
                    pts=pts,
                    destination=destination,
                    id=place,
                    path=path,
                )
                return self._concealed(packet)
            pcm = decoder.decode(data) if data else b""
        except ValueError as exc:
            raise RemoteProtocolError(str(exc), path=path) from None
        if not pcm:
            return ()
        form = decoder.format
        return (checked_audio_frame(pcm, form.sample_rate, form.num_channels, pts, destination, place),)

    def _concealed(self, packet: CodedAudio) -> Sequence[Frame]:
        """A packet of a code that can conceal, behind what was lost before it; rule 2."""
        if self._coded is not None:
            self._coded.append(packet)
            return ()
        losses = self._losses.setdefault(packet.destination, Losses())
        lost = losses.before(packet.id) if packet.id else 0  # without a number nothing is known of it
        if lost is None:
            return ()
        frames = (packet.made_up(lost * packet.duration_s), packet.decoded()) if lost else (packet.decoded(),)
        if packet.id:
            losses.took(packet.id)
        return tuple(frame for frame in frames if frame.audio)

    def _decoder_of(self, track: str) -> Decoder | None:
        """Rule 1."""
        if track not in self._others and self._coding is not None:
            self._others[track] = self._coding.decoder()
        return self._others.get(track)
