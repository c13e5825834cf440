"""From a message of the peer to frames in the inbox: decode, strip, filter, listen, convert.

Rules
1. A malformed message is counted, logged once for each session, and skipped. ``max_malformed`` of them in a row end the
   session: 1007 when the last was text, 1008 otherwise.
2. Audio passes the filter, then the voice activity analyzer, then the conversion to what the handler asked for. Speech
   frames take their place among the audio.
3. A WAV header on a chunk is taken off: heard as audio it is a click.
4. Nothing here waits, except for a filter that says it is slow: it runs in a worker thread, one piece at a time.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, final

import trio
from attrs import define, field

from ..audio.channels import mix_channels
from ..audio.convert import Converter
from ..audio.filters import AudioFilter
from ..audio.format import AudioFormat
from ..audio.wav import strip_wav_header
from ..errors import RemoteProtocolError
from ..frames import (
    AudioFrame,
    FilterControlFrame,
    Frame,
    InterruptionFrame,
    MarkFrame,
    StartFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from ..params import TransportParams
from ..serializers.protocol import FrameSerializer, Message
from ..vad.analyzer import SpeechStarted, VADAnalyzer
from .inbox import MAX_FRAMES, Inbox
from .statistics import Counters

logger = logging.getLogger("trio_transports.session")

_SERIALIZER_FAULTS: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What a serializer that somebody wrote in ten lines raises on input it did not think of: the message is malformed."""


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
    _interrupt: Callable[[], None]
    _mark_played: Callable[[MarkFrame], bool]
    start: StartFrame | None = field(default=None, init=False)
    """How the peer announced its stream, once it has."""
    _malformed_in_row: int = field(default=0, init=False)
    _filter_format: AudioFormat | None = field(default=None, init=False)
    _analyzer_rate: int | None = field(default=None, init=False)
    _converter: Converter | None = field(default=None, init=False)
    _delivers_audio: bool = field(init=False)
    _slow_filter: AudioFilter | None = field(init=False)

    def __attrs_post_init__(self) -> None:
        params = self._params
        self._slow_filter = self._filter if self._filter is not None and self._filter.slow else None
        self._delivers_audio = params.audio_in_passthrough and (not params.vad_enabled or params.vad_audio_passthrough)

    def take(self, message: Message) -> Awaitable[None] | None:
        """Put the frames of one message into the inbox; what is returned, for a slow filter, must be awaited first."""
        frames = self._decode(message)
        if self._slow_filter is not None:
            return self._take_slowly(frames, self._slow_filter)
        for frame in frames:
            if type(frame) is AudioFrame:
                self._take_audio(frame)
            else:
                self._take_other(frame)
        return None

    async def _take_slowly(self, frames: Sequence[Frame], slow_filter: AudioFilter) -> None:
        for frame in frames:
            if type(frame) is not AudioFrame:
                self._take_other(frame)
                continue
            heard = self._heard(frame)
            if heard is not None:
                self._start_filter(heard, slow_filter)
                # Not abandoned on cancellation: the thread ends its piece, then the receive task ends.
                self._use(heard, await trio.to_thread.run_sync(slow_filter.filter, heard.audio))

    def control_filter(self, frame: FilterControlFrame) -> None:
        if self._filter is not None:
            self._filter.control(frame.settings, frame.enabled)

    def stop(self) -> None:
        if self._filter is not None and self._filter_format is not None:
            self._filter.stop()
        if self._analyzer is not None and self._analyzer_rate is not None:
            self._analyzer.stop()

    def _decode(self, message: Message) -> Sequence[Frame]:
        try:
            frames = self._serializer.decode(message)
        except RemoteProtocolError as exc:
            self._malformed(message, exc)
            return ()
        except _SERIALIZER_FAULTS as exc:
            self._malformed(message, exc)
            return ()
        self._malformed_in_row = 0
        if not frames:
            self._counters.ignored_messages += 1
        return frames

    def _malformed(self, message: Message, cause: Exception) -> None:
        if not self._counters.malformed_messages:
            traceback = None if isinstance(cause, RemoteProtocolError) else cause
            logger.warning("malformed message skipped (later ones are only counted): %s", cause, exc_info=traceback)
        self._counters.malformed_messages += 1
        self._malformed_in_row += 1
        if self._malformed_in_row >= self._params.max_malformed:
            code = 1007 if isinstance(message, str) else 1008
            self._close(code, f"{self._malformed_in_row} malformed messages in a row")

    def _take_other(self, frame: Frame) -> None:
        if isinstance(frame, MarkFrame) and self._mark_played(frame):
            return
        if isinstance(frame, StartFrame):
            self.start = frame
        if not self._inbox.put(frame):
            self._close(1008, f"{MAX_FRAMES} frames wait unread by the handler")

    def _take_audio(self, frame: AudioFrame) -> None:
        heard = self._heard(frame)
        if heard is None:
            return
        if self._filter is None:
            self._use(heard, heard.audio)
        else:
            self._start_filter(heard, self._filter)
            self._use(heard, self._filter.filter(heard.audio))

    def _heard(self, frame: AudioFrame) -> AudioFrame | None:
        """The frame as PCM, if audio is wanted at all."""
        if not (self._params.audio_in_enabled and self._inbox.audio_is_on):
            return None
        if frame.audio.startswith(b"RIFF"):
            frame = self._without_wav_header(frame)
        self._counters.audio_received_s += frame.duration_s
        return frame

    def _use(self, frame: AudioFrame, pcm: bytes) -> None:
        """Listen to the (filtered) audio of a frame, and give it to the handler."""
        if self._analyzer is not None:
            self._listen(frame, pcm, self._analyzer)
        if not self._delivers_audio:
            return
        if pcm is frame.audio and self._is_wanted(frame):
            self._inbox.put_audio(frame)
        else:
            self._deliver(frame, pcm)

    def _without_wav_header(self, frame: AudioFrame) -> AudioFrame:
        try:
            pcm = strip_wav_header(frame.audio)
        except ValueError:
            return frame  # PCM can begin with these four bytes too
        whole = len(pcm) - len(pcm) % (2 * frame.num_channels)
        return AudioFrame(
            audio=pcm[:whole], sample_rate=frame.sample_rate, num_channels=frame.num_channels, pts=frame.pts
        )

    def _is_wanted(self, frame: AudioFrame) -> bool:
        params = self._params
        return frame.num_channels == params.audio_in_channels and (
            params.audio_in_sample_rate is None or frame.sample_rate == params.audio_in_sample_rate
        )

    def _start_filter(self, frame: AudioFrame, audio_filter: AudioFilter) -> None:
        if self._filter_format != frame.format:
            if self._filter_format is not None:
                audio_filter.stop()
            self._filter_format = frame.format
            audio_filter.start(frame.format)

    def _listen(self, frame: AudioFrame, pcm: bytes, analyzer: VADAnalyzer) -> None:
        if self._analyzer_rate != frame.sample_rate:
            if self._analyzer_rate is not None:
                analyzer.stop()
            self._analyzer_rate = frame.sample_rate
            analyzer.start(frame.sample_rate)
        for event in analyzer.analyze(mix_channels(pcm, frame.num_channels, 1)):
            if isinstance(event, SpeechStarted):
                self._take_other(UserStartedSpeakingFrame(at_s=event.at_s))
                if self._params.allow_interruptions:
                    self._interrupt()
                    self._take_other(InterruptionFrame())
            else:
                self._take_other(UserStoppedSpeakingFrame(at_s=event.at_s))

    def _deliver(self, frame: AudioFrame, pcm: bytes) -> None:
        target = AudioFormat(self._params.audio_in_sample_rate or frame.sample_rate, self._params.audio_in_channels)
        converter = self._converter
        if converter is None or converter.source != frame.format or converter.target != target:
            converter = self._converter = Converter(frame.format, target)
        converted = converter.process(pcm)
        if converted:
            self._inbox.put_audio(
                AudioFrame(
                    audio=converted,
                    sample_rate=target.sample_rate,
                    num_channels=target.num_channels,
                    pts=frame.pts,
                    id=frame.id,
                    name=frame.name,
                )
            )
