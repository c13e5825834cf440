"""All the ears of a session: the caller's own, and one for each destination that the peer names.

Rules: 2 and 3 of ``session.inbound``.
"""

from typing import Final, final

from attrs import define, field

from ..audio.filters import AudioFilter
from ..audio.wav import split_wav_header
from ..errors import RemoteProtocolError
from ..frames import AudioFrame
from ..params import TransportParams
from ..serializers.announced import audio_frame
from .ear import Ear, FormatChanges
from .every_step import take_every_step
from .listening import Listening
from .unread import Unread

MAX_DESTINATIONS: Final = 64
MAX_WAV_CHUNKS: Final = 1000
"""How many chunks of WAV one message may have, of all its headers; a header has two or three."""


@final
@define(eq=False)
class Ears:
    """``own`` is that of the caller's own audio; the others are made when audio for them comes."""

    _params: TransportParams
    _unread: Unread
    own: Ear = field(init=False)
    by_destination: dict[str | None, Ear] = field(factory=dict, init=False)
    _changes: FormatChanges = field(factory=FormatChanges, init=False)

    def hear_with(self, audio_filter: AudioFilter | None, listening: Listening | None) -> None:
        """Begin, with what is made for this session."""
        ear = Ear(self._params, self._unread, self._changes, None, audio_filter, listening)
        self.own = self.by_destination[None] = ear

    @property
    def are_open(self) -> bool:
        """Whether audio is heard at all."""
        return self._params.audio_in_enabled and self._unread.audio_is_on

    def heard(self, frame: AudioFrame) -> AudioFrame | None:
        """The frame as bare PCM; None when there is nothing to hear."""
        if not (self._params.audio_in_enabled and self._unread.audio_is_on):  # for each frame: no call of a property
            return None
        if frame.audio.startswith(b"RIFF"):
            frame = _without_wav_header(frame)
        return frame if frame.audio else None

    def of(self, destination: str | None) -> Ear:
        """The ear for a destination; RemoteProtocolError when that would be one too many."""
        if not self.may_hear(destination):
            raise RemoteProtocolError(f"audio of more than {MAX_DESTINATIONS} destinations")
        return self.by_destination[destination]

    def may_hear(self, destination: str | None) -> bool:
        """Whether a destination has an ear, or may still be given one; then it has."""
        if destination not in self.by_destination and len(self.by_destination) <= MAX_DESTINATIONS:
            self.by_destination[destination] = Ear(self._params, self._unread, self._changes, destination)
        return destination in self.by_destination

    def flush(self) -> None:
        """Bring out what the converters hold back."""
        for ear in self.by_destination.values():
            ear.flush()

    def leave(self) -> None:
        """Bring it out, and stop the filter and the analyzer: no more audio comes."""
        take_every_step(*(ear.leave for ear in self.by_destination.values()))


def _without_wav_header(frame: AudioFrame) -> AudioFrame:
    try:
        stated, pcm = split_wav_header(frame.audio, max_chunks=MAX_WAV_CHUNKS)
    except ValueError as exc:
        raise RemoteProtocolError(str(exc)) from exc
    if stated is None:
        return frame  # PCM can begin with these four bytes too
    return audio_frame(
        pcm,
        stated.sample_rate,
        stated.num_channels,
        pts=frame.pts,
        destination=frame.destination,
        id=frame.id,
        name=frame.name,
        path="audio's WAV header",
    )
