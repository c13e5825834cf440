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
6. With ``audio_in_jitter_ms`` audio comes in its order and evenly spaced first: see ``session.in_order``.
"""

from collections.abc import Awaitable, Sequence
from typing import final

from attrs import frozen

from ..errors import RemoteProtocolError
from ..frames import AudioFrame, EndFrame, Frame, ImageFrame, SpriteFrame
from ..serializers.protocol import FrameSerializer, Message, StartRefused
from .delivery import Delivery
from .ears import Ears
from .every_step import take_every_step
from .in_order import Due, InOrder
from .malformed import Malformed
from .peer_words import PeerWords
from .standby import Standby
from .statistics import Counters


@final
@frozen(eq=False)
class Inbound:
    """Owned by one session and driven by its receive task."""

    _serializer: FrameSerializer
    _counters: Counters
    _malformed: Malformed
    _delivery: Delivery
    _standby: Standby
    ears: Ears
    words: PeerWords
    in_order: InOrder | None
    """None: audio is taken as it comes."""

    def take(self, message: Message) -> Awaitable[None] | None:
        """Put the frames of one message into the inbox. What is returned has to be awaited before the next message."""
        malformed, in_order = self._malformed, self.in_order
        malformed.is_text = isinstance(message, str)
        try:
            frames = self._serializer.decode(message)
        except StartRefused as exc:
            malformed.refuse(exc)
            return None
        except Exception as exc:  # the boundary to a serializer of anybody's: what it cannot decode is malformed
            malformed.found(exc, malformed.is_text)
            return None
        self._standby.message_begins()
        coded = () if in_order is None else in_order.coded()
        if not frames and not coded:
            self._counters.ignored_messages += 1
            malformed.in_row = 0
            return None
        if in_order is None:
            return self._take_frames(frames)
        frames, fault = in_order.put((*frames, *coded))
        # A packet that waits is not known to be well formed before it is decoded.
        return self._take_frames(frames, fault) if frames or fault or not coded else None

    def release(self, *, conceals: bool) -> Awaitable[None] | None:
        """Put into the inbox what is due of the audio that waits for its time, as ``take`` does.

        ``conceals`` it, where it is not there: nothing lies unread.
        """
        self._standby.message_begins()
        return None if self.in_order is None else self._take_due(self.in_order.ready(conceals=conceals))

    def release_all(self) -> Awaitable[None] | None:
        """Put the rest of it into the inbox: no more comes on this connection."""
        return None if self.in_order is None else self._take_due(self.in_order.rest())

    def _take_due(self, due: Due) -> Awaitable[None] | None:
        frames, fault = due
        return self._take_frames(frames, fault) if frames or fault else None

    def stop(self) -> None:
        """Bring out what is held back: no more audio comes."""
        take_every_step(self.ears.leave, self.words.hold_nothing)

    def _take_frames(self, frames: Sequence[Frame], fault: str = "") -> Awaitable[None] | None:
        ears, malformed = self.ears, self._malformed
        for place, frame in enumerate(frames):
            try:
                if type(frame) is not AudioFrame:
                    if isinstance(frame, EndFrame) and self.words.eye.is_busy:
                        return self._take_slowly(frames[place:], fault)
                    self.words.take(frame, malformed.is_text)
                    continue
                heard = ears.heard(frame)
                ear = ears.by_destination.get(frame.destination) or ears.of(frame.destination)
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
            if self._delivery.taps:
                self._delivery.tell_taps(heard)
            ear.use(heard, heard.audio if ear.filter is None else ear.filter.filter(heard.audio))
        if fault or malformed.in_row:
            self._judge(frames, fault)
        return None

    async def _take_slowly(self, frames: Sequence[Frame], fault: str) -> None:
        for frame in frames:
            try:
                if type(frame) is not AudioFrame:
                    if isinstance(frame, EndFrame):
                        await self.words.eye.settle()
                    self.words.take(frame, self._malformed.is_text)
                    continue
                heard = self.ears.heard(frame)
                if heard is not None:
                    await self._take_audio_slowly(heard)
            except RemoteProtocolError as exc:
                fault = str(exc)  # the error itself would keep this call, and with it the message, alive
        self._judge(frames, fault)

    async def _take_audio_slowly(self, frame: AudioFrame) -> None:
        ear = self.ears.of(frame.destination)
        if frame.sample_rate != ear.rate or frame.num_channels != ear.channels:
            await ear.enter(frame.format)
        self._counters.audio_received_s += frame.duration_s
        if self._delivery.taps:
            self._delivery.tell_taps(frame)
        await ear.use_slowly(frame)

    def _judge(self, frames: Sequence[Frame], fault: str) -> None:
        """A message was well formed, unless it is pictures that only their decoder can judge; rule 5."""
        if fault:
            self._malformed.found(fault, self._malformed.is_text)
        elif not (self.words.eye.is_busy and all(isinstance(frame, ImageFrame | SpriteFrame) for frame in frames)):
            self._malformed.well_formed()
