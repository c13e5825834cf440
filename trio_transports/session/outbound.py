"""Everything on its way to the peer: the tracks, the clock that empties them, the outbox; and who waits for that.

Rules
1. Frames leave in the order in which they were queued, audio and other frames alike; urgent messages and an
   interruption overtake everything. An interruption drops all but facts and what is to be said to its end.
2. Queueing waits while more than ``audio_out_max_queue_secs`` of audio, ``MAX_QUEUED_MESSAGES`` or ``max_unread_bytes``
   of messages are queued, and until the peer has announced its stream where the dialect needs that. What takes long
   to convert is converted before that, and waits meanwhile: ``session.long_frames``.
3. Whoever waits here sees how the session stands whenever that changes, and raises once nothing can be sent any more.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, final

import trio
from attrs import define, evolve, field

from .._offers import offers
from ..errors import LocalProtocolError
from ..frames import (
    AudioFrame,
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    ContextFrame,
    DTMFFrame,
    FileFrame,
    Frame,
    ImageFrame,
    InterruptionFrame,
    Played,
    RequestFrame,
    SpriteFrame,
    StartFrame,
    TextFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from ..params import TransportParams
from ..serializers.protocol import (
    AwaitsStart,
    FrameSerializer,
    Message,
    Numbers,
    OwesForAudio,
    PlaybackMarks,
    replies_of,
)
from .clock import Clock
from .deadline import Deadline
from .every_step import take_every_step
from .lanes import Paced
from .long_frames import converted_in_turns, takes_long
from .marks import DrainMarks
from .notices import PeerNotices
from .outbox import WireOutbox
from .pictures import images_of
from .player import Player
from .queue import AudioQueue
from .screens import Screens
from .settings import TrackSettings, max_stale_s
from .sizes import LAST_TEXT_BYTES
from .state import Life
from .statistics import Counters
from .taps import Tap, Taps
from .track import Track
from .track_maker import TrackMaker
from .turn import Turn
from .waiters import Waiters

MAX_QUEUED_MESSAGES: Final = 1024
FACTS: Final = frozenset(
    {StartFrame, DTMFFrame, UserStartedSpeakingFrame, UserStoppedSpeakingFrame, RequestFrame, ContextFrame, FileFrame}
)
"""What stays true when the bot is interrupted, and so is told all the same."""


@final
@define(eq=False)
class Outbound:
    """Owned by one session. ``tell`` is called with what there is to tell the handler of the bot's speech."""

    params: TransportParams
    serializer: FrameSerializer
    counters: Counters
    _life: Life
    _tell: Callable[[BotStartedSpeakingFrame | BotStoppedSpeakingFrame], None]
    clock: Clock = field(init=False)
    outbox: WireOutbox = field(init=False)
    tracks: Mapping[str | None, Track] = field(init=False)
    screens: Screens = field(init=False)
    marks: DrainMarks = field(init=False)
    turn: Turn = field(factory=Turn, init=False)
    notices: PeerNotices = field(init=False)
    taps: Taps = field(factory=Taps, init=False)
    _waiters: Waiters = field(factory=Waiters, init=False)

    def __attrs_post_init__(self) -> None:
        params, serializer = self.params, self.serializer
        self.clock = Clock(self._life)
        deadline = Deadline(params.send_timeout, params.close_timeout)
        numbers = serializer if offers(serializer, Numbers) else None
        self.outbox = WireOutbox(
            self.counters, deadline, on_room=self.clock.tick, on_written=self._wrote, numbers=numbers
        )
        self.notices = PeerNotices(serializer, self.outbox, self.turn)
        make = TrackMaker(
            params,
            serializer,
            self.outbox,
            self.counters,
            self.taps.each,
            self._noticed_speech,
            self._place_mark if offers(serializer, PlaybackMarks) else None,
        )
        self.tracks = {name: make.track(name) for name in (None, *params.audio_out_destinations)}
        self.screens = Screens(params, serializer, self.outbox, self.counters, self.clock.tick, self._made_room)
        self.clock.tracks = tuple(self.tracks.values())
        self.clock.screens = self.screens
        self.marks = DrainMarks(serializer, self.outbox, self._has_played)

    def _place_mark(self, player: Player) -> Sequence[Message]:
        return self.marks.place(player)

    # Opening

    @property
    def is_ready(self) -> bool:
        return self._waiters.ready.is_set()

    def open_when_ready(self) -> None:
        """Let the tracks speak, if the dialect can address its peer, and so knows in which format."""
        serializer = self.serializer
        if offers(serializer, AwaitsStart) and not serializer.is_ready:
            return
        settings = TrackSettings.of(self.params, serializer)
        owed = serializer.replies if offers(serializer, OwesForAudio) and serializer.owes_for_audio else None
        for track in self.tracks.values():
            track.reshape(settings)
            track.departure.owed = owed
        self._waiters.ready.set()
        self.clock.open()

    async def opened(self) -> None:
        """Wait until something can be said at all."""
        await self._waiters.ready.wait()

    def reconnected(self) -> None:
        """Drop what was queued before the connection was lost and is stale by now.

        Nothing is said before the dialect can address its new peer.
        """
        self._take_back(self.outbox.drop_paced(), trio.current_time(), clears=False)
        self.marks.reconnected()
        self.clock.shut()
        self._waiters.shut()
        for track in self.tracks.values():
            track.drop_older_than(max_stale_s(self.params))
        self.screens.reconnected()
        self._waiters.room.unpark_all()
        self._wrote()

    # Queueing. What is given to it is in order already; ``check`` raises where nothing can be sent any more.

    def track(self, destination: str | None) -> Track:
        """The track of a destination; LocalProtocolError for one that the parameters do not name."""
        try:
            return self.tracks[destination]
        except KeyError:
            known = ", ".join(repr(name) for name in self.tracks if name is not None) or "none"
            raise LocalProtocolError(
                f"destination {destination!r} is not one of audio_out_destinations ({known})"
            ) from None

    def pass_on(self, frame: AudioFrame) -> bool:
        """Let a chunk that is due leave at once; False: it is to be queued."""
        clock, track = self.clock, self.tracks.get(frame.destination)
        if track is None or not clock.lets_pass:
            return False
        again_s = track.pass_on(frame, trio.current_time())
        if again_s is None:
            return False
        clock.look_again_at(again_s)
        return True

    async def queue_audio(self, frame: AudioFrame, check: Callable[[], None], *, tick: bool = True) -> Track | None:
        """Queue it, and say where; None: it waited for room, and what was playing was interrupted meanwhile."""
        track = self.tracks.get(frame.destination) or self.track(frame.destination)
        if not self._has_room_for_audio(track):
            limit_s = self.params.audio_out_max_queue_secs
            interruptions = self.counters.interruptions
            await self._wait_for_room(lambda: track.queue.queued_s < limit_s, check)
            if self._was_dropped(frame, interruptions):
                return None
        if not takes_long(frame, track.queue.form.format):
            self._put_audio(track, frame, tick=tick)
            return track
        interruptions = self.counters.interruptions
        self._waiters.converting += 1
        try:
            frame = await converted_in_turns(frame, track.queue.form.format, check)
        finally:
            self._waiters.converting -= 1
            self._wrote()
        return None if self._was_dropped(frame, interruptions) else await self.queue_audio(frame, check, tick=tick)

    def _was_dropped(self, frame: AudioFrame, interruptions: int) -> bool:
        """Whether an interruption came while it waited: there had been so many of them before."""
        if self.counters.interruptions == interruptions or not frame.interruptible:
            return False
        self.counters.audio_out_dropped_s += frame.duration_s
        return True

    def queue_audio_now(self, frame: AudioFrame) -> bool:
        """``queue_audio`` where it waits for nothing; False: it would have to."""
        track = self.track(frame.destination)
        if not self._has_room_for_audio(track) or takes_long(frame, track.queue.form.format):
            return False
        self._put_audio(track, frame)
        return True

    def _has_room_for_audio(self, track: Track) -> bool:
        return self._waiters.ready.is_set() and track.queue.queued_s < self.params.audio_out_max_queue_secs

    def _put_audio(self, track: Track, frame: AudioFrame, *, tick: bool = True) -> None:
        place = track.queue.pushed
        is_new = track.intake.push(frame, trio.current_time())
        track.playback.audio(frame.utterance, place, track.queue.pushed)
        if is_new and tick:
            self.clock.tick()

    async def queue_messages(self, frame: Frame, check: Callable[[], None]) -> None:
        """Queue a frame that is not audio in its place among the audio."""
        track = self.track(frame.destination if isinstance(frame, BotStoppedSpeakingFrame) else None)
        await self._wait_for_room(partial(self._has_room_for_messages, track.queue), check)
        self.put_messages(track, frame)

    def has_room_now(self) -> bool:
        """Whether ``queue_messages`` waits for nothing."""
        return self._waiters.ready.is_set() and self._has_room_for_messages(self.tracks[None].queue)

    def put_messages(self, track: Track, frame: Frame) -> None:
        """Queue a frame that is not audio, where there is room."""
        ends_utterance = isinstance(frame, BotStoppedSpeakingFrame)
        messages = self.encode(frame)
        if ends_utterance:
            track.playback.ended()
        elif isinstance(frame, TextFrame):
            track.playback.text(frame, track.queue.pushed)
        if messages or ends_utterance:
            is_kept = type(frame) in FACTS or not getattr(frame, "interruptible", True)
            track.push_mark(
                messages,
                trio.current_time(),
                ends_utterance=ends_utterance,
                is_kept=is_kept,
                kind=type(frame).__name__,
            )
            self.clock.tick()

    async def queue_pictures(self, frame: ImageFrame | SpriteFrame, check: Callable[[], None]) -> None:
        """Queue a picture, or a sprite's, for its own time."""
        screens, screen = self.screens, self.screens.screen(frame)
        images = images_of(frame)
        await self._wait_for_room(lambda: screens.has_room(screen, self.tracks[None].queue.marks.held_bytes), check)
        if not screens.can_be_carried():  # known once the peer has announced itself
            return
        if any(image.sync_with_audio for image in images):
            size_bytes = sum(len(image.image) for image in images)
            queue = self.tracks[None].queue  # as the peer's start has shaped it
            queue.hold(partial(screens.offer, screen, frame), partial(screens.drop, screen, frame), size_bytes)
            self.clock.tick()
        else:
            screens.offer(screen, frame)

    async def queue_raw(self, message: Message, check: Callable[[], None], *, is_kept: bool) -> None:
        """Queue a message that is written already, in its place among the audio."""
        track = self.tracks[None]
        await self._wait_for_room(partial(self._has_room_for_messages, track.queue), check)
        track.push_mark((message,), trio.current_time(), is_kept=is_kept)
        self.clock.tick()

    async def put_urgent(self, frame: Frame) -> None:
        if not self._waiters.ready.is_set():
            await self._waiters.ready.wait()
        await self.outbox.put_urgent(self.encode(frame), self._life.closed_error)

    def encode(self, frame: Frame) -> Sequence[Message]:
        """A frame's messages. What the dialect owes its peer is queued ahead; a frame with neither is counted."""
        messages = self.serializer.encode(frame)
        owed = replies_of(self.serializer)
        self.outbox.put_replies(owed)
        if not (messages or owed):
            self.counters.unsupported_frames += 1
        return messages

    def _noticed_speech(self, frame: BotStartedSpeakingFrame | BotStoppedSpeakingFrame) -> None:
        if isinstance(frame, BotStoppedSpeakingFrame):
            track = self.tracks[frame.destination]
            place = track.speech.place
            if track.queue.taken == track.queue.pushed:
                track.playback.ended_at(place)
            frame = evolve(frame, heard=track.playback.at(place, trio.current_time(), track.queue.written))
        self._tell(frame)
        self.notices.tell(frame)

    def _has_room_for_messages(self, queue: AudioQueue) -> bool:
        fits = len(queue.marks.each) < MAX_QUEUED_MESSAGES and queue.marks.message_bytes < self.params.max_unread_bytes
        return fits and not self.outbox.owes_much

    async def _wait_for_room(self, has_room: Callable[[], bool], check: Callable[[], None]) -> None:
        if not self._waiters.ready.is_set():  # or it would be one more turn of the loop for each message
            await self._waiters.ready.wait()
        check()
        while not has_room():
            await self._waiters.room.park()
            check()

    # Dropping

    def interrupt(self) -> tuple[Played, ...]:
        """Drop what may be cut off, and have the peer drop it; return what was heard of it.

        While the peer hears what is to be said to its end, it is not told: it would drop that too.
        """
        now_s = trio.current_time()
        is_deaf = any(track.is_saying_to_its_end(now_s) for track in self.tracks.values())
        tells = self._waiters.ready.is_set() and not is_deaf
        words = self.serializer.encode(InterruptionFrame()) if tells else ()
        unsent = self.outbox.lanes.interrupt()
        self._take_back(unsent, now_s, clears=bool(words))
        heard = [
            played
            for track in self.tracks.values()
            for played in track.interrupt(unsent, now_s, fades=tells and not words)
        ]
        self.screens.interrupt()
        self.counters.interruptions += 1
        for tap in tuple(self.taps.each) if tells else ():
            tap.interrupted(now_s)
        if not is_deaf:
            self.marks.settle()
        self._waiters.drained.unpark_all()
        if self._waiters.ready.is_set():
            self.outbox.put_first(words)
            self.outbox.put_replies(replies_of(self.serializer))
        self.clock.tick()
        self._wrote()  # where there is no word for it, no write tells those who wait that nothing is left
        return tuple(heard)

    def _take_back(self, unsent: Sequence[Paced], now_s: float, *, clears: bool) -> None:
        """Tell those who listen in what will not be heard, before it is forgotten: ``session.taps`` rule 4."""
        self.screens.took_back(unsent)
        if self.taps.each:
            take_every_step(*(partial(self._tell_unheard, tap, unsent, now_s, clears) for tap in self.taps.each))

    def _tell_unheard(self, tap: Tap, unsent: Sequence[Paced], now_s: float, clears: bool) -> None:
        for name, track in self.tracks.items():
            unheard_s = track.unheard_s(unsent, now_s, clears=clears)
            if unheard_s > 0:
                tap.taken_back(unheard_s, name, now_s)

    # Ending

    def end_audio(self) -> None:
        """Complete what was said, and play the end silence after it."""
        now_s, silence_s = trio.current_time(), self.params.audio_out_end_silence_secs
        for track in self.tracks.values():
            track.push_mark((), now_s, ends_utterance=True)
            if track.has_played and silence_s:
                track.push_silence(silence_s, now_s)
        self.stop_filling()

    def stop_filling(self) -> None:
        """Nothing more will be queued."""
        for track in self.tracks.values():
            track.gap.is_last = True
        self.clock.tick()

    async def drain(self) -> None:
        """Wait until nothing is queued any more, and all was played where the dialect can tell."""
        now_s, interruptions = trio.current_time(), self.counters.interruptions
        for track in self.tracks.values():
            track.flush(now_s)
        self.clock.tick()
        await trio.lowlevel.checkpoint()
        self._life.check_connected()
        while not self._is_drained:
            await self._waiters.drained.park()
            self._life.check_connected()
        if self.marks.peer_tells and self.counters.interruptions == interruptions:
            await self.marks.wait_until_played(self._lead_s + self.params.send_timeout)
            self._life.check_connected()

    def when_drained(self, callback: Callable[[], None]) -> None:
        """Have it called whenever nothing is queued any more, from now on, and now if that is so."""
        self._waiters.when_drained = callback
        self._wrote()

    def wake(self) -> None:
        """Let everybody who waits see how the session stands."""
        self._waiters.wake()
        self.marks.settle()

    def say_goodbye(self, code: int, reason: str) -> None:
        """Close the wire after the replies and urgent messages: the rest is given up."""
        take_every_step(self._give_up, partial(self.outbox.say_goodbye, code, reason))

    def finish(self) -> None:
        """Give up what is queued: the session is over."""
        take_every_step(
            self._give_up,
            *(track.stop for track in self.tracks.values()),
            # An event that is kept keeps the session, and must not keep a connection: HAZARDS 44
            partial(self.outbox.attach, None),
            self.wake,
        )

    def forget(self) -> None:
        """Keep little of what was said: the session's own block has ended."""
        for track in self.tracks.values():
            track.playback.forget_texts(LAST_TEXT_BYTES)

    def _give_up(self) -> None:
        """Drop what was to leave, and tell of it."""
        take_every_step(
            partial(self._take_back, self.outbox.drop_paced(), trio.current_time(), clears=False),
            *(track.departure.interrupt for track in self.tracks.values()),
            self.screens.give_up,
        )

    def _wrote(self) -> None:
        """Something was written: look who waited for that."""
        waiters = self._waiters
        if waiters.room:
            waiters.room.unpark_all()
        if self.screens.screens and self.outbox.is_empty and self.screens.is_due:
            self.clock.tick()
        if (waiters.drained or waiters.when_drained is not None) and self._is_drained:
            waiters.tell_drained()

    def _made_room(self) -> None:
        self._waiters.room.unpark_all()

    # How things stand

    def heard(self) -> Mapping[str, Played]:
        """What was heard of each utterance, by name."""
        now_s = trio.current_time()
        return {
            played.utterance: played
            for track in self.tracks.values()
            for played in track.playback.heard(now_s, track.queue.written)
        }

    @property
    def remembered_bytes(self) -> int:
        """The memory that the texts take of what was said, as far as they are remembered."""
        return sum(track.playback.text_bytes for track in self.tracks.values())

    @property
    def queued_s(self) -> float:
        return max(track.queued_s for track in self.tracks.values())

    def is_speaking(self) -> bool:
        """Whether the bot speaks, on any track."""
        return any(track.speech.is_on for track in self.tracks.values())

    @property
    def late_resets(self) -> int:
        return sum(track.schedule.late_resets for track in self.tracks.values())

    @property
    def drain_limit_s(self) -> float:
        """How long a flush may take: ``drain_timeout``, else the audio's own length and ``close_timeout``.

        Where the peer tells what it has played, the audio's own length is until then.
        """
        if self.params.drain_timeout is not None:
            return self.params.drain_timeout
        return (
            max(self.queued_s, self.screens.queued_s)
            + (self._lead_s if self.marks.peer_tells else 0.0)
            + self.params.close_timeout
        )

    @property
    def _lead_s(self) -> float:
        return self.params.audio_out_lead_ms / 1000

    @property
    def _is_drained(self) -> bool:
        is_silent = self.outbox.is_drained and all(track.is_empty for track in self.tracks.values())
        return is_silent and not self.screens.is_waiting and not self._waiters.converting

    def _has_played(self) -> bool:
        return any(track.has_played for track in self.tracks.values())
