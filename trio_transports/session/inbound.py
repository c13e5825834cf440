"""From a message of the peer to frames in the inbox: decode, strip, filter, listen, convert.

Rules
1. A malformed message is counted, logged once for each session, and skipped. ``max_malformed`` of them in a row end the
   session: 1007 when text brought the last of them, 1008 otherwise. A start that is refused ends it at once, with 1003.
   Audio that cannot be used is malformed too, and costs its own frame only.
2. Each destination's audio goes its own way: see ``session.ear``. Speech frames take their place among the audio. A
   peer may name ``MAX_DESTINATIONS``; audio of others is malformed.
3. A WAV header on a chunk is taken off: heard as audio it is a click. Where it says another rate or channel count than
   the message around it, it is believed: it was written by whoever made the samples. The bounds on what a peer may
   announce hold for it too, and it is one of a few: a message of a thousand headers is malformed.
4. Nothing here waits, with four exceptions: a slow filter, a format to be set up, audio longer than ``PIECE_S``,
   which is worked on piece by piece, and the end of the stream behind a picture that is being decoded.
5. Pictures go by way of ``session.eye``. One that it finds to be none costs its own frame only, too, and counts in the
   row of rule 1 when it is found.
6. With ``audio_in_jitter_ms`` audio comes in its order and evenly spaced first: see ``session.jitter``.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, final

import trio
from attrs import define, field

from ..audio.filters import AudioFilter
from ..audio.wav import split_wav_header
from ..errors import RemoteProtocolError
from ..frames import (
    AudioFrame,
    BotStoppedSpeakingFrame,
    EndFrame,
    Frame,
    ImageFrame,
    InterruptionFrame,
    MarkFrame,
    Played,
    SpriteFrame,
    StartFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from ..params import TransportParams
from ..serializers.coded import CodedAudio
from ..serializers.converters import audio_frame
from ..serializers.protocol import FrameSerializer, KeepsCoded, Message, StartRefused
from ..vad.analyzer import SpeechEvent, SpeechStarted, VADAnalyzer
from .ear import Ear, FormatChanges
from .eye import Eye
from .jitter import JitterBuffers
from .listening import Listening
from .statistics import Counters
from .taps import Tap
from .turn import Turn
from .turn_end import TurnEnd
from .unread import Unread

logger = logging.getLogger("trio_transports.session")

MAX_DESTINATIONS: Final = 64
MAX_WAV_CHUNKS: Final = 1000
"""How many chunks of WAV one message may have, of all its headers; a header has two or three."""


@final
@define(eq=False)
class Inbound:
    """Owned by one session and driven by its receive task. ``close`` ends the session with a code and reason."""

    _params: TransportParams
    _serializer: FrameSerializer
    _unread: Unread
    _counters: Counters
    _close: Callable[[int, str], None]
    _interrupt: Callable[[], tuple[Played, ...]]
    _notice: Callable[[Frame], None]
    _mark_played: Callable[[MarkFrame], bool]
    _peer_stopped: Callable[[], None]
    _turn: Turn
    _taps: Sequence[Tap]
    start: StartFrame | None = field(default=None, init=False)
    """How the peer announced its stream, once it has."""
    _malformed_in_row: int = field(default=0, init=False)
    ear: Ear = field(init=False)
    """Of the caller's own audio."""
    _ears: dict[str | None, Ear] = field(factory=dict, init=False)
    _changes: FormatChanges = field(factory=FormatChanges, init=False)
    jitter: JitterBuffers | None = field(default=None, init=False)
    turn_end: TurnEnd | None = field(default=None, init=False)
    eye: Eye = field(init=False)
    _coded: Callable[[], Sequence[CodedAudio]] | None = field(default=None, init=False)
    """Gives the packets that the dialect leaves undecoded; rule 6."""
    _is_text: bool = field(default=False, init=False)
    """What the last message was."""

    def hear_with(
        self, audio_filter: AudioFilter | None, analyzer: VADAnalyzer | None, turn_end: TurnEnd | None = None
    ) -> None:
        """Begin, with what is made for this session."""
        self.eye = Eye(self._params, self._unread, self._counters, self._malformed, self._well_formed)
        params, listening, self.turn_end = self._params, None, turn_end
        if analyzer is not None:
            listening = Listening(analyzer, self.tell_speech if turn_end is None else turn_end.take, turn_end)
        self.ear = self._ears[None] = Ear(params, self._unread, self._changes, None, audio_filter, listening)
        if params.audio_in_jitter_ms:
            self.jitter = JitterBuffers(params.audio_in_jitter_ms / 1000, self._counters)
            if isinstance(self._serializer, KeepsCoded):
                self._serializer.keep_coded()
                self._coded = self._serializer.coded

    def take(self, message: Message) -> Awaitable[None] | None:
        """Put the frames of one message into the inbox. What is returned has to be awaited before the next message."""
        self._is_text = isinstance(message, str)
        try:
            frames = self._serializer.decode(message)
        except StartRefused as exc:
            logger.warning("the peer's stream is refused: %s", exc)
            self._counters.malformed_messages += 1
            self._close(1003, str(exc))
            return None
        except Exception as exc:  # the boundary to a serializer of anybody's: what it cannot decode is malformed
            self._malformed(exc, self._is_text)
            return None
        coded = () if self._coded is None else self._coded()
        if not frames and not coded:
            self._counters.ignored_messages += 1
            self._malformed_in_row = 0
            return None
        if self.jitter is None:
            return self._take_frames(frames)
        frames = self._in_order(self.jitter, (*frames, *coded))
        # A packet that waits is not known to be well formed before it is decoded.
        fault = self.jitter.take_fault()
        return self._take_frames(frames, fault) if frames or fault or not coded else None

    def release(self) -> Awaitable[None] | None:
        """Put into the inbox what is due of the audio that waits for its time, as ``take`` does."""
        return None if self.jitter is None else self._release(self.jitter, self.jitter.ready(trio.current_time()))

    def release_all(self) -> Awaitable[None] | None:
        """Put the rest of it into the inbox: no more comes on this connection."""
        return None if self.jitter is None else self._release(self.jitter, self.jitter.flush())

    def _release(self, jitter: JitterBuffers, frames: Sequence[Frame]) -> Awaitable[None] | None:
        fault = jitter.take_fault()
        return self._take_frames(frames, fault) if frames or fault else None

    def _in_order(self, jitter: JitterBuffers, frames: Sequence[Frame | CodedAudio]) -> Sequence[Frame]:
        """Rule 6: the frames that are due now, in the place of those that came."""
        due: list[Frame] = []
        now_s = trio.current_time()
        for frame in frames:
            if isinstance(frame, AudioFrame | CodedAudio):
                if not (self._params.audio_in_enabled and self._unread.audio_is_on):
                    continue
                if self._may_hear(frame.destination):
                    due += jitter.put(frame, now_s)
                elif isinstance(frame, AudioFrame):  # a line with a code has two tracks
                    due.append(frame)
            else:
                due += jitter.flush() if isinstance(frame, EndFrame) else ()
                due.append(frame)
        return [*due, *jitter.ready(now_s)]

    def _take_frames(self, frames: Sequence[Frame], fault: str = "") -> Awaitable[None] | None:
        for place, frame in enumerate(frames):
            try:
                if type(frame) is not AudioFrame:
                    if isinstance(frame, EndFrame) and self.eye.is_busy:
                        return self._take_slowly(frames[place:], fault)
                    self._take_other(frame)
                    continue
                heard = self._heard(frame)
                ear = self._ears.get(frame.destination) or self._ear_of(frame.destination)
            except RemoteProtocolError as exc:
                fault = str(exc)  # the error itself would keep this call, and with it the message, alive
                continue
            if heard is None:
                continue
            if (
                heard.sample_rate != ear.rate
                or heard.num_channels != ear.channels
                or len(heard.audio) > ear.at_once_bytes
            ):
                return self._take_slowly(frames[place:], fault)
            self._counters.audio_received_s += len(heard.audio) / (2 * ear.channels * ear.rate)
            if self._taps:
                self._tell_taps(heard)
            ear.use(heard, heard.audio if ear.filter is None else ear.filter.filter(heard.audio))
        if fault:
            self._malformed(fault, self._is_text)
        elif self._malformed_in_row:
            self._forgive(frames)
        return None

    def stop(self) -> None:
        """Bring out what is held back: no more audio comes."""
        for ear in self._ears.values():
            ear.leave()
        if self.turn_end is not None:
            self.turn_end.let_go()

    # Malformed messages

    def _judge(self, frames: Sequence[Frame], fault: str) -> None:
        if fault:
            self._malformed(fault, self._is_text)
        else:
            self._forgive(frames)

    def _forgive(self, frames: Sequence[Frame]) -> None:
        """A message was well formed, unless it is pictures that only their decoder can judge; rule 5."""
        if not (self.eye.is_busy and all(isinstance(frame, ImageFrame | SpriteFrame) for frame in frames)):
            self._well_formed()

    def _well_formed(self) -> None:
        self._malformed_in_row = 0

    def _malformed(self, cause: Exception | str, is_text: bool) -> None:
        if not self._counters.malformed_messages:
            traceback = None if isinstance(cause, RemoteProtocolError | str) else cause
            logger.warning("malformed message skipped (later ones are only counted): %s", cause, exc_info=traceback)
        self._counters.malformed_messages += 1
        self._malformed_in_row += 1
        if self._malformed_in_row >= self._params.max_malformed:
            code = 1007 if is_text else 1008
            self._close(code, f"{self._malformed_in_row} malformed messages in a row")

    # Frames

    def _take_other(self, frame: Frame) -> None:
        if isinstance(frame, MarkFrame) and self._mark_played(frame):
            return
        if self._taps:
            self._tell_taps(frame)
        if isinstance(frame, ImageFrame | SpriteFrame):
            self.eye.take(frame, self._is_text)
            return
        if isinstance(frame, StartFrame):
            self.start = frame
        elif isinstance(frame, UserStartedSpeakingFrame):
            self._turn.user_started()
        elif isinstance(frame, EndFrame | UserStoppedSpeakingFrame | BotStoppedSpeakingFrame):
            for ear in self._ears.values():
                ear.flush()
            if isinstance(frame, EndFrame):
                self._peer_stopped()
                if self.turn_end is not None:
                    self.turn_end.let_go()
            elif isinstance(frame, UserStoppedSpeakingFrame):
                self._turn.user_stopped(trio.current_time())
        self._put(frame)
        if isinstance(frame, EndFrame):
            self._unread.end()  # whatever the peer does with its connection now, there is nothing more to wait for

    def _put(self, frame: Frame) -> None:
        refused = self._unread.put(frame)
        if refused:
            self._close(1008, refused)

    def tell_speech(self, event: SpeechEvent) -> None:
        """Tell everybody what is certain of the caller's speech."""
        if not isinstance(event, SpeechStarted):
            self._turn.user_stopped(trio.current_time(), self.ear.listened_s - event.at_s)
            self._tell_of(UserStoppedSpeakingFrame(at_s=event.at_s, notice=True))
            return
        self._turn.user_started()
        self._tell_of(UserStartedSpeakingFrame(at_s=event.at_s, notice=True))
        if self._params.allow_interruptions:
            self._put(InterruptionFrame(heard=self._interrupt()))

    def _tell_of(self, speech: UserStartedSpeakingFrame | UserStoppedSpeakingFrame) -> None:
        if self._taps:
            self._tell_taps(speech)
        self._put(speech)
        self._notice(speech)

    def _tell_taps(self, frame: Frame) -> None:
        now_s = trio.current_time()
        for tap in tuple(self._taps):
            tap.received(frame, now_s)

    # Audio

    def _heard(self, frame: AudioFrame) -> AudioFrame | None:
        """The frame as bare PCM; None when there is nothing to hear."""
        if not (self._params.audio_in_enabled and self._unread.audio_is_on):
            return None
        if frame.audio.startswith(b"RIFF"):
            frame = _without_wav_header(frame)
        return frame if frame.audio else None

    async def _take_slowly(self, frames: Sequence[Frame], fault: str) -> None:
        for frame in frames:
            try:
                if type(frame) is not AudioFrame:
                    if isinstance(frame, EndFrame):
                        await self.eye.settle()
                    self._take_other(frame)
                    continue
                heard = self._heard(frame)
                if heard is not None:
                    await self._take_audio_slowly(heard)
            except RemoteProtocolError as exc:
                fault = str(exc)  # the error itself would keep this call, and with it the message, alive
        self._judge(frames, fault)

    async def _take_audio_slowly(self, frame: AudioFrame) -> None:
        ear = self._ear_of(frame.destination)
        if frame.sample_rate != ear.rate or frame.num_channels != ear.channels:
            await ear.enter(frame.format)
        self._counters.audio_received_s += frame.duration_s
        if self._taps:
            self._tell_taps(frame)
        await ear.use_slowly(frame)

    def _ear_of(self, destination: str | None) -> Ear:
        ear = self._ears.get(destination)
        if ear is None:
            if not self._may_hear(destination):
                raise RemoteProtocolError(f"audio of more than {MAX_DESTINATIONS} destinations")
            ear = self._ears[destination]
        return ear

    def _may_hear(self, destination: str | None) -> bool:
        if destination not in self._ears and len(self._ears) <= MAX_DESTINATIONS:
            self._ears[destination] = Ear(self._params, self._unread, self._changes, destination)
        return destination in self._ears


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
