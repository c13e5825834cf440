"""From a message of the peer to frames in the inbox: decode, strip, filter, listen, convert.

Rules
1. A malformed message is counted, logged once for each session, and skipped. ``max_malformed`` of them in a row end the
   session: 1007 when the last was text, 1008 otherwise. A start that is refused ends it at once, with 1003. Audio that
   cannot be used is malformed too, and costs its own frame only.
2. Audio passes the filter, then the voice activity analyzer, then the conversion to what the handler asked for. Speech
   frames take their place among the audio.
3. A WAV header on a chunk is taken off: heard as audio it is a click. Where it says another rate or channel count than
   the message around it, it is believed: it was written by whoever made the samples. The bounds on what a peer may
   announce hold for it too, and it is one of a few: a message of a thousand headers is malformed.
4. Nothing here waits, with three exceptions. A filter that says it is slow works in a worker thread, one piece at a
   time. It starts there too, and so does an analyzer with a ``slow_start``. And audio longer than ``PIECE_S`` is worked
   on piece by piece, with a turn for all others in between.
5. What there is to do is set up for one format, the peer's, and set up anew when that changes. It costs milliseconds
   and goes by what the peer says, so it is done ``FREE_CHANGES`` times and then once in each ``SECONDS_PER_CHANGE``;
   only for ``MIN_RATE`` to ``MAX_RATE``, since a low rate makes much audio of few bytes; and for ``MAX_CHANNELS`` at
   most. Audio past these bounds is malformed. Audio that there is nothing to do with passes in any format.
6. With ``audio_in_jitter_ms`` audio comes in its order and evenly spaced first: see ``session.jitter``.
7. What the converter holds back, a few milliseconds, comes out before another format, before the peer's word that an
   utterance or the stream has ended, and at the end of the session.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from math import inf
from typing import Final, final

import trio
from attrs import define, field

from ..audio.convert import Converter
from ..audio.filters import AudioFilter
from ..audio.format import AudioFormat
from ..audio.wav import split_wav_header
from ..errors import LocalProtocolError, RemoteProtocolError
from ..frames import (
    AudioFrame,
    BotStoppedSpeakingFrame,
    EndFrame,
    FilterControlFrame,
    Frame,
    InterruptionFrame,
    MarkFrame,
    Played,
    StartFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    checked_audio_frame,
)
from ..params import TransportParams
from ..serializers.converters import audio_frame
from ..serializers.protocol import FrameSerializer, Message, StartRefused
from ..vad.analyzer import SlowStart, SpeechEvent, SpeechStarted, VADAnalyzer
from .inbox import Inbox
from .jitter import JitterBuffer
from .listening import Listening
from .statistics import Counters

logger = logging.getLogger("trio_transports.session")

PIECE_S: Final = 0.5
FREE_CHANGES: Final = 8
SECONDS_PER_CHANGE: Final = 1.0
MIN_RATE: Final = 4_000
MAX_RATE: Final = 192_000
MAX_CHANNELS: Final = 8
MAX_WAV_CHUNKS: Final = 1000
"""How many chunks of WAV one message may have, of all its headers; a header has two or three."""


@final
@define(eq=False)
class Inbound:
    """Owned by one session and driven by its receive task. ``close`` ends the session with a code and reason."""

    _params: TransportParams
    _serializer: FrameSerializer
    _inbox: Inbox
    _counters: Counters
    _filter: AudioFilter | None
    _analyzer: VADAnalyzer | None
    _close: Callable[[int, str], None]
    _interrupt: Callable[[], tuple[Played, ...]]
    _notice: Callable[[Frame], None]
    _mark_played: Callable[[MarkFrame], bool]
    _peer_stopped: Callable[[], None]
    start: StartFrame | None = field(default=None, init=False)
    """How the peer announced its stream, once it has."""
    _malformed_in_row: int = field(default=0, init=False)
    _delivers_audio: bool = field(init=False)
    _listening: Listening | None = field(init=False)
    _filter_is_slow: bool = field(init=False)
    _starts_slowly: bool = field(init=False)
    _filter_lock: trio.Lock = field(factory=trio.Lock, init=False)
    # The peer's format, and what is set up for it. Zeros: none is.
    _rate: int = field(default=0, init=False)
    _channels: int = field(default=0, init=False)
    _bytes_per_second: int = field(default=0, init=False)
    _filter_has_started: bool = field(default=False, init=False)
    _converter: Converter | None = field(default=None, init=False)
    _at_once_bytes: float = field(default=0, init=False)
    """Longer audio than this has to wait; rule 4."""
    _changes_paid_until_s: float = field(default=-inf, init=False)
    jitter: JitterBuffer | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        params, analyzer = self._params, self._analyzer
        self._delivers_audio = params.audio_in_passthrough and (not params.vad_enabled or params.vad_audio_passthrough)
        self._filter_is_slow = self._starts_slowly = self._filter is not None and self._filter.slow
        if params.audio_in_jitter_ms:
            self.jitter = JitterBuffer(params.audio_in_jitter_ms / 1000, self._counters)
        self._listening = None
        if analyzer is not None:
            self._listening = Listening(analyzer, self._tell)
            self._starts_slowly |= isinstance(analyzer, SlowStart) and analyzer.slow_start

    def take(self, message: Message) -> Awaitable[None] | None:
        """Put the frames of one message into the inbox. What is returned has to be awaited before the next message."""
        try:
            frames = self._serializer.decode(message)
        except StartRefused as exc:
            logger.warning("the peer's stream is refused: %s", exc)
            self._counters.malformed_messages += 1
            self._close(1003, str(exc))
            return None
        except Exception as exc:  # the boundary to a serializer of anybody's: what it cannot decode is malformed
            self._malformed(message, exc)
            return None
        if not frames:
            self._counters.ignored_messages += 1
            self._malformed_in_row = 0
            return None
        if self.jitter is not None:
            frames = self._in_order(self.jitter, frames)
        return self._take_frames(message, frames)

    def release(self) -> Awaitable[None] | None:
        """Put into the inbox what is due of the audio that waits for its time, as ``take`` does."""
        frames = [] if self.jitter is None else self.jitter.ready(trio.current_time())
        return self._take_frames("", frames) if frames else None

    def release_all(self) -> Awaitable[None] | None:
        """Put the rest of it into the inbox: no more comes on this connection."""
        frames = [] if self.jitter is None else self.jitter.flush()
        return self._take_frames("", frames) if frames else None

    def _in_order(self, jitter: JitterBuffer, frames: Sequence[Frame]) -> Sequence[Frame]:
        """Rule 6: the frames that are due now, in the place of those that came."""
        due: list[Frame] = []
        now_s = trio.current_time()
        for frame in frames:
            if isinstance(frame, AudioFrame):
                if self._params.audio_in_enabled and self._inbox.audio_is_on:
                    due += jitter.put(frame, now_s)
            else:
                due += jitter.flush() if isinstance(frame, EndFrame) else ()
                due.append(frame)
        return [*due, *jitter.ready(now_s)]

    def _take_frames(self, message: Message, frames: Sequence[Frame]) -> Awaitable[None] | None:
        fault = ""
        for place, frame in enumerate(frames):
            if type(frame) is not AudioFrame:
                self._take_other(frame)
                continue
            try:
                heard = self._heard(frame)
            except RemoteProtocolError as exc:
                fault = str(exc)  # the error itself would keep this call, and with it the message, alive
                continue
            if heard is None:
                continue
            if (
                heard.sample_rate != self._rate
                or heard.num_channels != self._channels
                or len(heard.audio) > self._at_once_bytes
            ):
                return self._take_slowly(message, frames[place:], fault)
            self._counters.audio_received_s += len(heard.audio) / self._bytes_per_second
            self._use(heard, heard.audio if self._filter is None else self._filter.filter(heard.audio))
        self._judge(message, fault)
        return None

    async def control_filter(self, frame: FilterControlFrame) -> None:
        """Change the filter's settings between two pieces. Cancelled while one is worked on, it has changed nothing."""
        if self._filter is None:
            raise LocalProtocolError("there is no filter to control: set audio_in_filter in the parameters")
        async with self._filter_lock:
            self._filter.control(frame.settings, frame.enabled)

    def stop(self) -> None:
        """Bring out what is held back: no more audio comes."""
        self._leave_format()

    # Malformed messages

    def _judge(self, message: Message, fault: str) -> None:
        if fault:
            self._malformed(message, fault)
        else:
            self._malformed_in_row = 0

    def _malformed(self, message: Message, cause: Exception | str) -> None:
        if not self._counters.malformed_messages:
            traceback = None if isinstance(cause, RemoteProtocolError | str) else cause
            logger.warning("malformed message skipped (later ones are only counted): %s", cause, exc_info=traceback)
        self._counters.malformed_messages += 1
        self._malformed_in_row += 1
        if self._malformed_in_row >= self._params.max_malformed:
            code = 1007 if isinstance(message, str) else 1008
            self._close(code, f"{self._malformed_in_row} malformed messages in a row")

    # Frames

    def _take_other(self, frame: Frame) -> None:
        if isinstance(frame, MarkFrame) and self._mark_played(frame):
            return
        if isinstance(frame, StartFrame):
            self.start = frame
        elif isinstance(frame, EndFrame | UserStoppedSpeakingFrame | BotStoppedSpeakingFrame):
            self._flush_converter()
            if isinstance(frame, EndFrame):
                self._peer_stopped()
        self._put(frame)
        if isinstance(frame, EndFrame):
            self._inbox.end()  # whatever the peer does with its connection now, there is nothing more to wait for

    def _put(self, frame: Frame) -> None:
        refused = self._inbox.put(frame)
        if refused:
            self._close(1008, refused)

    def _tell(self, event: SpeechEvent) -> None:
        if not isinstance(event, SpeechStarted):
            stopped = UserStoppedSpeakingFrame(at_s=event.at_s, notice=True)
            self._put(stopped)
            self._notice(stopped)
            return
        started = UserStartedSpeakingFrame(at_s=event.at_s, notice=True)
        self._put(started)
        self._notice(started)
        if self._params.allow_interruptions:
            self._put(InterruptionFrame(heard=self._interrupt()))

    # Audio

    def _heard(self, frame: AudioFrame) -> AudioFrame | None:
        """The frame as bare PCM; None when there is nothing to hear."""
        if not (self._params.audio_in_enabled and self._inbox.audio_is_on):
            return None
        if frame.audio.startswith(b"RIFF"):
            frame = _without_wav_header(frame)
        return frame if frame.audio else None

    async def _take_slowly(self, message: Message, frames: Sequence[Frame], fault: str) -> None:
        for frame in frames:
            if type(frame) is not AudioFrame:
                self._take_other(frame)
                continue
            try:
                heard = self._heard(frame)
                if heard is not None:
                    await self._take_audio_slowly(heard)
            except RemoteProtocolError as exc:
                fault = str(exc)  # the error itself would keep this call, and with it the message, alive
        self._judge(message, fault)

    async def _take_audio_slowly(self, frame: AudioFrame) -> None:
        if frame.sample_rate != self._rate or frame.num_channels != self._channels:
            await self._change_format(frame.format)
        self._counters.audio_received_s += frame.duration_s
        size = len(frame.audio)
        step = frame.format.size_bytes(frame.format.samples_in(PIECE_S)) if self._works_on_audio else size
        for at in range(0, size, step):
            if at:
                await trio.lowlevel.checkpoint()
            piece = frame
            if size > step:
                pcm = frame.audio[at : at + step]
                piece = _like(frame, pcm, frame.sample_rate, frame.num_channels, pts=None if at else frame.pts)
            self._use(piece, await self._filtered(piece.audio))

    async def _filtered(self, pcm: bytes) -> bytes:
        if self._filter is None:
            return pcm
        if not self._filter_is_slow:
            return self._filter.filter(pcm)
        async with self._filter_lock:
            # Not abandoned on cancellation: the thread ends its piece, then the receive task ends.
            return await trio.to_thread.run_sync(self._filter.filter, pcm)

    def _use(self, frame: AudioFrame, pcm: bytes) -> None:
        """Listen to the (filtered) audio of a frame, and give it to the handler."""
        if self._listening is not None:
            self._listening.hear(pcm)
        if not self._delivers_audio:
            return
        converter = self._converter
        if converter is not None:
            pcm = converter.process(pcm)
            if pcm:
                target = converter.target
                self._inbox.put_audio(_like(frame, pcm, target.sample_rate, target.num_channels, pts=frame.pts))
        elif pcm is frame.audio:
            self._inbox.put_audio(frame)
        elif pcm:
            self._inbox.put_audio(_like(frame, pcm, frame.sample_rate, frame.num_channels, pts=frame.pts))

    # The peer's format

    @property
    def _works_on_audio(self) -> bool:
        return self._filter is not None or self._listening is not None or self._converter is not None

    async def _change_format(self, new: AudioFormat) -> None:
        """Set up for audio of another format, or raise RemoteProtocolError; rule 5."""
        target = AudioFormat(self._params.audio_in_sample_rate or new.sample_rate, self._params.audio_in_channels)
        converts = self._delivers_audio and new != target
        if converts or self._filter is not None or self._listening is not None:
            self._check_format(new)
        self._leave_format()
        try:
            if self._starts_slowly:
                async with self._filter_lock:
                    await trio.to_thread.run_sync(self._enter_format, new)
            else:
                self._enter_format(new)
            self._converter = Converter(new, target) if converts else None
        except ValueError as exc:
            self._leave_format()
            raise RemoteProtocolError(f"audio of {new} cannot be used here: {exc}") from exc
        self._rate, self._channels, self._bytes_per_second = new.sample_rate, new.num_channels, new.bytes_per_second
        if self._filter_is_slow:
            self._at_once_bytes = 0
        else:
            self._at_once_bytes = new.size_bytes(new.samples_in(PIECE_S)) if self._works_on_audio else inf

    def _check_format(self, new: AudioFormat) -> None:
        if not (MIN_RATE <= new.sample_rate <= MAX_RATE and new.num_channels <= MAX_CHANNELS):
            raise RemoteProtocolError(
                f"audio of {new} cannot be worked on: only {MIN_RATE} to {MAX_RATE} Hz, up to {MAX_CHANNELS} channels"
            )
        now_s = trio.current_time()
        paid_until_s = max(self._changes_paid_until_s, now_s - FREE_CHANGES * SECONDS_PER_CHANGE) + SECONDS_PER_CHANGE
        if paid_until_s > now_s:
            raise RemoteProtocolError(
                f"the format of the audio changes too often (to {new} now): {FREE_CHANGES} changes are taken in "
                f"{FREE_CHANGES * SECONDS_PER_CHANGE:g} s"
            )
        self._changes_paid_until_s = paid_until_s

    def _enter_format(self, new: AudioFormat) -> None:
        """Start the filter and the analyzer; ValueError if one cannot. In a worker thread if that is slow."""
        if self._filter is not None:
            self._filter.start(new)
            self._filter_has_started = True
        if self._listening is not None:
            self._listening.start(new)

    def _leave_format(self) -> None:
        self._flush_converter()
        self._converter = None
        if self._listening is not None:
            self._listening.stop()
        if self._filter is not None and self._filter_has_started:
            self._filter_has_started = False
            self._filter.stop()
        self._rate = self._channels = 0

    def _flush_converter(self) -> None:
        converter = self._converter
        if converter is not None:
            tail = converter.flush()
            if tail:
                self._inbox.put_audio(
                    checked_audio_frame(tail, converter.target.sample_rate, converter.target.num_channels)
                )


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


def _like(frame: AudioFrame, pcm: bytes, rate: int, channels: int, *, pts: int | None) -> AudioFrame:
    """The frame with other audio."""
    return checked_audio_frame(pcm, rate, channels, pts, frame.destination, frame.id, frame.name)
