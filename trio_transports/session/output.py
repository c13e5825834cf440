"""What the handler sends: ``session.output``.

Rules
1. Frames leave in the order in which they were sent, audio and other frames alike; urgent messages and an interruption
   overtake everything.
2. A frame that the dialect cannot say is counted; one that is wrong raises here, in the caller, and costs nothing else.
   So does what is no frame at all. Keys that the dialect has no message for leave as tones in the audio.
3. Sending waits while more than ``audio_out_max_queue_secs`` of audio or ``MAX_QUEUED_MESSAGES`` are queued, and
   until the peer has announced its stream where the dialect needs that.
4. After the connection has ended, sending raises ``ConnectionClosed``; after ``end`` or ``aclose`` here, or after an
   ``EndFrame`` until it has ended the call, ``trio.ClosedResourceError``.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, final

import trio
from attrs import define, field
from trio.lowlevel import ParkingLot

from ..audio.dtmf import dtmf_tones
from ..audio.format import AudioFormat
from ..errors import ConnectionClosed, LocalProtocolError
from ..frames import (
    OVERTAKING,
    AudioFrame,
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    CancelFrame,
    DTMFFrame,
    EndFrame,
    FilterControlFrame,
    Frame,
    ImageFrame,
    InterruptionFrame,
    JSONValue,
    MessageFrame,
    MixerControlFrame,
    SpriteFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    check_frame,
)
from ..params import TransportParams
from ..serializers.protocol import FrameSerializer, Message, replies_of
from .clock import Clock
from .farewell import Farewell
from .marks import DrainMarks
from .outbox import Outbox
from .state import Life, State
from .statistics import Counters
from .track import Track, TrackSettings

MAX_QUEUED_MESSAGES: Final = 1024


@final
@define(eq=False)
class Output(trio.abc.SendChannel[Frame]):
    """The session's send channel, with more. Several tasks may use it."""

    _life: Life
    _serializer: FrameSerializer
    _tracks: Mapping[str | None, Track]
    _clock: Clock
    _outbox: Outbox
    _counters: Counters
    _control_filter: Callable[[FilterControlFrame], Awaitable[None]]
    _shape: Callable[[], tuple[AudioFormat, TrackSettings]]
    _params: TransportParams
    _max_stale_s: float
    _marks: DrainMarks
    _farewell: Farewell
    _ready: trio.Event = field(factory=trio.Event, init=False)
    _ended: bool = field(default=False, init=False)
    _room: ParkingLot = field(factory=ParkingLot, init=False)
    _drained: ParkingLot = field(factory=ParkingLot, init=False)
    _over: trio.Event = field(factory=trio.Event, init=False)

    async def send(self, frame: Frame) -> None:
        """Queue a frame. Cancelled while waiting for room, it has queued nothing.

        Audio that is due and leaves at once is a point of cancellation; every other send is one of scheduling too. In
        its own duration there is one such chunk, so a task that only sends cannot hold up the others.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if type(frame) is AudioFrame:
            track = await self._queue_audio(frame)
            if track is None or track.queued_s:
                await trio.lowlevel.cancel_shielded_checkpoint()
            return
        check_frame(frame)
        if isinstance(frame, EndFrame | CancelFrame):
            await self._end_call(frame)
        else:
            self._check_open()
            await self._send_other(frame)
        await trio.lowlevel.cancel_shielded_checkpoint()

    async def send_message(self, message: JSONValue, urgent: bool = False) -> None:
        """Send a JSON document of the application's own; an urgent one overtakes queued audio."""
        await self.send(MessageFrame(message=message, urgent=urgent))

    async def write_audio(self, frame: AudioFrame) -> bool:
        """Send audio and wait for it: True once every byte was written, False if any was dropped or the peer has gone.

        Cancelling it does not take the audio back.
        """
        await trio.lowlevel.checkpoint()
        if self._life.is_ending:
            return False
        self._check_open()
        outcome: list[bool] = []
        settled = trio.Event()

        def settle(delivered: bool) -> None:
            outcome.append(delivered)
            settled.set()

        track = await self._queue_audio(frame, tick=False)
        if track is None:
            return False
        track.expect(settle)
        self._clock.tick()
        await settled.wait()
        return outcome[0]

    async def interrupt(self) -> None:
        """Drop what is queued and have the peer drop what it has; nothing queued before is sent after."""
        await trio.lowlevel.checkpoint_if_cancelled()
        self._check_open()
        self.interrupt_now()
        await trio.lowlevel.cancel_shielded_checkpoint()

    async def drain(self) -> None:
        """Wait until nothing is queued any more, and all was played where the dialect can tell.

        What other tasks go on sending is waited for as well. An interruption empties the queue and so ends the wait.
        Cancelling it loses nothing.
        """
        now_s, interruptions = trio.current_time(), self._counters.interruptions
        for track in self._tracks.values():
            track.flush(now_s)
        self._clock.tick()
        await trio.lowlevel.checkpoint()
        self._check_connected()
        while not self._is_drained:
            await self._drained.park()
            self._check_connected()
        if self._marks.peer_tells and self._counters.interruptions == interruptions:
            await self._wait_until_played()
            self._check_connected()

    async def end(self) -> None:
        """Flush, play ``audio_out_end_silence_secs`` of silence, and take no more frames. The call itself goes on."""
        await trio.lowlevel.checkpoint_if_cancelled()
        self._end_audio()
        await self.drain()

    def _end_audio(self) -> None:
        if self._ended:
            return
        self._ended = True
        now_s = trio.current_time()
        for track in self._tracks.values():
            track.push_mark((), now_s, ends_utterance=True)
            if track.has_played and self._params.audio_out_end_silence_secs:
                track.push_silence(self._params.audio_out_end_silence_secs, now_s)
            track.is_ending = True

    async def aclose(self) -> None:
        """Take no more frames; what is queued still goes out."""
        self._ended = True
        await trio.lowlevel.checkpoint()

    def count_dropped(self, frame: Frame) -> None:
        """Count a frame that was dropped on its way here, as a pipeline does at an interruption."""
        kinds, kind = self._counters.dropped_by_kind, type(frame).__name__
        kinds[kind] = kinds.get(kind, 0) + 1

    # For the session

    @property
    def is_ready(self) -> bool:
        return self._ready.is_set()

    def ready(self) -> None:
        """The dialect can address its peer, and knows in which format."""
        for track in self._tracks.values():
            track.reshape(*self._shape())
        self._ready.set()
        self._clock.open()

    def reconnected(self) -> None:
        """What was queued before the connection was lost is stale past ``max_stale_s``."""
        self._outbox.drop_paced()
        for track in self._tracks.values():
            track.drop_older_than(self._max_stale_s)
        self._room.unpark_all()
        self.wrote()

    def stop_filling(self) -> None:
        """Nothing more will be queued."""
        for track in self._tracks.values():
            track.is_ending = True
        self._clock.tick()

    def interrupt_now(self) -> None:
        self._drop_everything()
        self._counters.interruptions += 1
        if self._ready.is_set():
            self._outbox.put_first(self._serializer.encode(InterruptionFrame()))
            self._outbox.put_replies(replies_of(self._serializer))
        self._clock.tick()

    def wrote(self) -> None:
        """Something was written: look who waited for that."""
        if self._room:
            self._room.unpark_all()
        if (self._drained or self._farewell.has_begun) and self._is_drained:
            self._drained.unpark_all()
            if self._farewell.has_begun:
                self._farewell.all_left()

    def wake(self) -> None:
        """Let everybody who waits see how the session stands."""
        self._ready.set()
        self._marks.settle()
        self._room.unpark_all()
        self._drained.unpark_all()

    def finish(self) -> None:
        """Give up what is queued: the session is over."""
        for track in self._tracks.values():
            track.stop()
        self._over.set()
        self.wake()

    @property
    def queued_s(self) -> float:
        return max(track.queued_s for track in self._tracks.values())

    @property
    def unplayed_s(self) -> float:
        """How long what was sent may take until ``drain`` believes that it was heard."""
        return self.queued_s + (self._lead_s if self._marks.peer_tells else 0.0)

    @property
    def drain_limit_s(self) -> float:
        """How long a flush may take: ``drain_timeout``, else the audio's own length and ``close_timeout``."""
        limit_s = self._params.drain_timeout
        return self.unplayed_s + self._params.close_timeout if limit_s is None else limit_s

    # Inside

    @property
    def _lead_s(self) -> float:
        return self._params.audio_out_lead_ms / 1000

    @property
    def _is_drained(self) -> bool:
        return self._outbox.is_empty and all(track.is_empty for track in self._tracks.values())

    def _closed_error(self) -> ConnectionClosed | None:
        return self._life.closed_error() if self._life.is_ending else None

    def _check_connected(self) -> None:
        if self._life.is_ending:
            raise self._life.closed_error()

    def _check_open(self) -> None:
        self._check_connected()
        if self._farewell.has_begun:
            raise trio.ClosedResourceError("this side ends the call: no frame can follow an EndFrame or CancelFrame")
        if self._ended:
            raise trio.ClosedResourceError("session.output was ended by this side: no frame can follow")

    async def _send_other(self, frame: Frame) -> None:
        match frame:
            case (
                UserStartedSpeakingFrame(notice=True)
                | UserStoppedSpeakingFrame(notice=True)
                | BotStartedSpeakingFrame(notice=True)
                | BotStoppedSpeakingFrame(notice=True)
            ):
                pass  # what was noticed here is not for the peer
            case MessageFrame(urgent=True):
                await self._ready.wait()
                await self._outbox.put_urgent(self._encode(frame), self._closed_error)
            case _ if isinstance(frame, OVERTAKING):
                await self._ready.wait()
                await self._outbox.put_urgent(self._encode(frame), self._closed_error)
            case InterruptionFrame():
                self.interrupt_now()
            case MixerControlFrame():
                self._control_mixer(frame)
            case FilterControlFrame():
                await self._control_filter(frame)
            case DTMFFrame():
                await self._press(frame)
            case _:
                await self._queue_messages(frame)

    async def _end_call(self, frame: EndFrame | CancelFrame) -> None:
        """End the call and wait for that. Cancelling it only ends the waiting: see ``session.farewell``."""
        self._check_connected()
        if self._farewell.has_begun:
            self._check_open()
        self._life.to(State.DRAINING)
        words = self._serializer.encode(frame)
        if isinstance(frame, EndFrame) and self._ready.is_set():
            self._end_audio()
            self._farewell.begin(words, frame.reason, within_s=self.drain_limit_s)
            self._clock.tick()
            self.wrote()
        else:  # at once: before the peer's start nothing could be queued
            self._ended = True
            self._drop_everything()
            self._farewell.begin(words, frame.reason, within_s=0)
            self._farewell.say()
        await self._over.wait()
        if not self._farewell.was_said:
            self._check_connected()

    async def _queue_audio(self, frame: AudioFrame, *, tick: bool = True) -> Track | None:
        """Queue it, and say where; None: it waited for room, and what was playing was interrupted meanwhile."""
        if not self._params.audio_out_enabled:
            raise LocalProtocolError("audio was sent but audio_out_enabled is False: set it in the parameters")
        if self._life.is_ending or self._ended:
            self._check_open()
        track = self._track(frame.destination)
        if not self._ready.is_set() or track.queued_s >= self._params.audio_out_max_queue_secs:
            interruptions = self._counters.interruptions
            await self._wait_for_room(lambda: track.queued_s < self._params.audio_out_max_queue_secs)
            if self._counters.interruptions != interruptions:
                self._counters.audio_out_dropped_s += frame.duration_s
                return None
        if track.push(frame, trio.current_time()) and tick:
            self._clock.tick()
        return track

    async def _queue_messages(self, frame: Frame) -> None:
        if isinstance(frame, ImageFrame | SpriteFrame):
            self._check_video(frame)
        track = self._track(frame.destination if isinstance(frame, BotStoppedSpeakingFrame) else None)
        await self._wait_for_room(lambda: track.queued_marks < MAX_QUEUED_MESSAGES and not self._outbox.owes_much)
        messages = self._encode(frame)
        ends_utterance = isinstance(frame, BotStoppedSpeakingFrame)
        if messages or ends_utterance:
            track.push_mark(messages, trio.current_time(), ends_utterance=ends_utterance)
            self._clock.tick()

    async def _press(self, frame: DTMFFrame) -> None:
        await (
            self._ready.wait()
        )  # how the line writes keys, and in which format it carries sound, is known from its start
        if self._serializer.encode(frame) or not self._params.audio_out_enabled:
            await self._queue_messages(frame)
            return
        line = self._tracks[None].format
        tones = dtmf_tones(frame.digit, line)
        await self._queue_audio(AudioFrame(audio=tones, sample_rate=line.sample_rate, num_channels=line.num_channels))

    async def _wait_for_room(self, has_room: Callable[[], bool]) -> None:
        await self._ready.wait()
        self._check_open()
        while not has_room():
            await self._room.park()
            self._check_open()

    def _encode(self, frame: Frame) -> Sequence[Message]:
        messages = self._serializer.encode(frame)
        owed = replies_of(self._serializer)
        self._outbox.put_replies(owed)
        if not (messages or owed):
            self._counters.unsupported_frames += 1
        return messages

    def _track(self, destination: str | None) -> Track:
        try:
            return self._tracks[destination]
        except KeyError:
            known = ", ".join(repr(name) for name in self._tracks if name is not None) or "none"
            raise LocalProtocolError(
                f"destination {destination!r} is not one of audio_out_destinations ({known})"
            ) from None

    def _check_video(self, frame: ImageFrame | SpriteFrame) -> None:
        if not self._params.video_out_enabled:
            raise LocalProtocolError("an image was sent but video_out_enabled is False: set it in the parameters")
        images = frame.images if isinstance(frame, SpriteFrame) else (frame,)
        for image in images:
            if image.destination not in (None, *self._params.video_out_destinations):
                raise LocalProtocolError(f"destination {image.destination!r} is not one of video_out_destinations")

    def _control_mixer(self, frame: MixerControlFrame) -> None:
        mixer = self._track(frame.destination).mixer
        if mixer is None:
            raise LocalProtocolError(f"destination {frame.destination!r} has no mixer: set audio_out_mixer")
        mixer.control(frame.settings, frame.enabled)

    def _drop_everything(self) -> None:
        unsent = self._outbox.drop_paced()
        for track in self._tracks.values():
            track.interrupt(unsent)
        self._marks.settle()
        self._room.unpark_all()
        self._drained.unpark_all()

    async def _wait_until_played(self) -> None:
        played = trio.Event()
        name = self._marks.ask(played.set)
        if name is None:
            return
        try:
            with trio.move_on_after(self._lead_s + self._params.send_timeout):
                await played.wait()
        finally:
            self._marks.forget(name)
