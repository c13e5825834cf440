"""The inbound audio of one destination: filtered, listened to and converted, each destination by itself.

Rules
1. The caller's own audio, which has no destination, passes the filter, then the voice activity analyzer, then the
   conversion to what the handler asked for. That of any other destination (the other side of a telephone line) is only
   converted: two voices in one filter or analyzer would be heard as one, and one converter's memory would mix them.
2. What there is to do is set up for one format and set up anew when that changes. It costs milliseconds and goes by
   what the peer says, so it is done ``FREE_CHANGES`` times and then once in each ``SECONDS_PER_CHANGE``, for all
   destinations together; only for ``MIN_RATE`` to ``MAX_RATE``, since a low rate makes much audio of few bytes; and for
   ``MAX_CHANNELS`` at most. Audio past these bounds is malformed. Audio that there is nothing to do with passes in any
   format.
3. A filter that says it is slow works in a worker thread, one piece at a time. It starts there too, and so does an
   analyzer with a ``slow_start``.
4. What the converter holds back, a few milliseconds, comes out before another format, before the peer's word that an
   utterance or the stream has ended, and at the end of the session.
"""

from math import inf
from typing import Final, final

import trio
from attrs import define, field

from ..audio.convert import Converter
from ..audio.filters import AudioFilter
from ..audio.format import AudioFormat
from ..errors import LocalProtocolError, RemoteProtocolError
from ..frames import AudioFrame, FilterControlFrame, checked_audio_frame
from ..params import TransportParams
from .every_step import take_every_step
from .listening import Listening
from .unread import Unread

PIECE_S: Final = 0.5
FREE_CHANGES: Final = 8
SECONDS_PER_CHANGE: Final = 1.0
MIN_RATE: Final = 4_000
MAX_RATE: Final = 192_000
MAX_CHANNELS: Final = 8


@final
@define(eq=False)
class FormatChanges:
    """What a peer may have set up for it, on all destinations of a session; rule 2."""

    _paid_until_s: float = field(default=-inf, init=False)

    def pay_for(self, new: AudioFormat) -> None:
        """RemoteProtocolError for a format that cannot be worked on, or one change too many."""
        if not (MIN_RATE <= new.sample_rate <= MAX_RATE and new.num_channels <= MAX_CHANNELS):
            raise RemoteProtocolError(
                f"audio of {new} cannot be worked on: only {MIN_RATE} to {MAX_RATE} Hz, up to {MAX_CHANNELS} channels"
            )
        now_s = trio.current_time()
        paid_until_s = max(self._paid_until_s, now_s - FREE_CHANGES * SECONDS_PER_CHANGE) + SECONDS_PER_CHANGE
        if paid_until_s > now_s:
            raise RemoteProtocolError(
                f"the format of the audio changes too often (to {new} now): {FREE_CHANGES} changes are taken in "
                f"{FREE_CHANGES * SECONDS_PER_CHANGE:g} s"
            )
        self._paid_until_s = paid_until_s


@final
@define(eq=False)
class Ear:
    """Driven by the session's receive task: ``enter`` a format, then ``use`` what is of it."""

    _params: TransportParams
    _unread: Unread
    _changes: FormatChanges
    _destination: str | None = None
    filter: AudioFilter | None = None
    _listening: Listening | None = None
    # The peer's format, and what is set up for it. Zeros: none is.
    rate: int = field(default=0, init=False)
    channels: int = field(default=0, init=False)
    at_once_bytes: float = field(default=0, init=False)
    """Longer audio than this is worked on in pieces, with a turn for all others in between."""
    _filter_has_started: bool = field(default=False, init=False)
    _converter: Converter | None = field(default=None, init=False)
    _filter_lock: trio.Lock = field(factory=trio.Lock, init=False)
    _delivers: bool = field(init=False)

    def __attrs_post_init__(self) -> None:
        params = self._params
        self._delivers = params.audio_in_passthrough and (not params.vad_enabled or params.vad_audio_passthrough)

    @property
    def _works_on_audio(self) -> bool:
        return self.filter is not None or self._listening is not None or self._converter is not None

    @property
    def listened_s(self) -> float:
        """How much audio was listened to for speech."""
        return 0.0 if self._listening is None else self._listening.heard_s

    async def control_filter(self, frame: FilterControlFrame) -> None:
        """Change the filter's settings between two pieces. Cancelled while one is worked on, it has changed nothing."""
        if self.filter is None:
            raise LocalProtocolError("there is no filter to control: set audio_in_filter in the parameters")
        async with self._filter_lock:
            self.filter.control(frame.settings, frame.enabled)

    def use(self, frame: AudioFrame, pcm: bytes) -> None:
        """Listen to the (filtered) audio of a frame, and give it to the handler."""
        if self._listening is not None:
            self._listening.hear(pcm)
        converter = self._converter
        if converter is not None:
            pcm = converter.process(pcm)
            if pcm:
                target = converter.target
                self._unread.put_audio(with_audio(frame, pcm, target.sample_rate, target.num_channels, pts=frame.pts))
        elif not self._delivers:
            return
        elif pcm is frame.audio:
            self._unread.put_audio(frame)
        elif pcm:
            self._unread.put_audio(with_audio(frame, pcm, frame.sample_rate, frame.num_channels, pts=frame.pts))

    async def use_slowly(self, frame: AudioFrame) -> None:
        """``use`` a frame of the format that was entered, however long it is and however slow the filter."""
        size = len(frame.audio)
        step = frame.format.size_bytes(frame.format.samples_in(PIECE_S)) if self._works_on_audio else size
        for at in range(0, size, step):
            if at:
                await trio.lowlevel.checkpoint()
            piece = frame
            if size > step:
                pcm = frame.audio[at : at + step]
                piece = with_audio(frame, pcm, frame.sample_rate, frame.num_channels, pts=None if at else frame.pts)
            self.use(piece, await self._filtered(piece.audio))

    async def _filtered(self, pcm: bytes) -> bytes:
        if self.filter is None:
            return pcm
        if not self.filter.slow:
            return self.filter.filter(pcm)
        async with self._filter_lock:
            # Not abandoned on cancellation: the thread ends its piece, then the receive task ends.
            return await trio.to_thread.run_sync(self.filter.filter, pcm)

    # The peer's format

    async def enter(self, new: AudioFormat) -> None:
        """Set up for audio of another format, or raise RemoteProtocolError; rule 2."""
        target = AudioFormat(self._params.audio_in_sample_rate or new.sample_rate, self._params.audio_in_channels)
        converts = self._delivers and new != target
        if converts or self.filter is not None or self._listening is not None:
            self._changes.pay_for(new)
        self.leave()
        try:
            if self._starts_slowly:
                async with self._filter_lock:
                    await trio.to_thread.run_sync(self._start, new)
            else:
                self._start(new)
            self._converter = Converter(new, target) if converts else None
        except ValueError as exc:
            self.leave()
            raise RemoteProtocolError(f"audio of {new} cannot be used here: {exc}") from exc
        self.rate, self.channels = new.sample_rate, new.num_channels
        if self.filter is not None and self.filter.slow:
            self.at_once_bytes = 0
        else:
            self.at_once_bytes = new.size_bytes(new.samples_in(PIECE_S)) if self._works_on_audio else inf

    @property
    def _starts_slowly(self) -> bool:
        return (self.filter is not None and self.filter.slow) or (
            self._listening is not None and self._listening.starts_slowly
        )

    def _start(self, new: AudioFormat) -> None:
        """Start the filter and the analyzer; ValueError if one cannot. In a worker thread if that is slow."""
        if self.filter is not None:
            self.filter.start(new)
            self._filter_has_started = True
        if self._listening is not None:
            self._listening.start(new)

    def leave(self) -> None:
        """Bring out what is held back, and stop the filter and the analyzer."""
        self.flush()
        self._converter = None
        self.rate = self.channels = 0
        stop_filter, self._filter_has_started = self._filter_has_started, False
        take_every_step(
            *(() if self._listening is None else (self._listening.stop,)),
            *((self.filter.stop,) if self.filter is not None and stop_filter else ()),
        )

    def flush(self) -> None:
        """Bring out what the converter holds back; rule 4."""
        converter = self._converter
        tail = b"" if converter is None else converter.flush()
        if converter is not None and tail:
            target = converter.target
            self._unread.put_audio(
                checked_audio_frame(tail, target.sample_rate, target.num_channels, None, self._destination)
            )


def with_audio(frame: AudioFrame, pcm: bytes, rate: int, channels: int, *, pts: int | None) -> AudioFrame:
    """The frame with other audio."""
    return checked_audio_frame(pcm, rate, channels, pts, frame.destination, frame.id, frame.name)
