"""One output destination: the decision what leaves when.

Rules (the audio clock's, in the order in which ``next_time`` applies them)
1. The parts of a chunk that became several messages leave evenly spread over the chunk's duration.
2. A frame that is not audio leaves when the last byte of audio queued before it has left.
3. A whole chunk leaves when the schedule says; late ones at once (see ``audio.pacing``).
4. With a mixer there is always audio: a chunk of silence is mixed when none is queued.
5. A partial chunk is padded with silence when an utterance ends, when draining, and ``partial_flush`` after the last
   audio. In the first two cases as much silence follows as the dialect's code needs to give out all of the audio.
6. A gap longer than ``silence_grace`` is filled with silence on the schedule, for at most ``silence_max`` in a row.
   Nothing is taken for missing, here and in rules 4 and 5, before what waits to be read has been: see
   ``session.patience``.
7. Bytes leave in the order in which they came; an interruption drops all of them that have not left, and the anchor;
   but not what is to be said to its end. While that plays, the anchor and the bot's speech go on.

What is queued is in ``session.queue``; how it gets there, in ``session.intake``; and what of it is the bot's speech, in
``session.speech``.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from math import inf
from typing import Final, final

from attrs import define, field

from ..audio.filters import AudioFilter
from ..audio.format import AudioFormat
from ..audio.leave_out import is_quiet
from ..audio.loudness import FADE_S, fade_out
from ..audio.pacing import Schedule
from ..frames import Played
from ..serializers.protocol import Message
from .blend import Blend
from .intake import Intake
from .lanes import Paced
from .outbox import Outbox
from .packer import Packer
from .patience import Patience
from .playback import Playback
from .player import Player
from .queue import AudioQueue
from .settings import TrackSettings
from .speech import Speech
from .statistics import Counters
from .taps import Tap

NO_AUDIO: Final = -1
"""What a message covers that is not audio, or does not end a chunk."""


@final
@define(eq=False)
class Track:
    """``next_time`` does all that is due and tells when to look again."""

    settings: TrackSettings
    schedule: Schedule
    blend: Blend
    _packer: Packer
    _outbox: Outbox
    _counters: Counters
    speech: Speech
    _filter: AudioFilter | None
    _place_mark: Callable[[Player], Sequence[Message]] | None
    """The messages by which the peer is asked to tell where its player is, in a dialect that has some."""
    _taps: Sequence[Tap]
    _runs: Iterator[int]
    """See ``Playback``."""
    queue: AudioQueue = field(init=False)
    playback: Playback = field(init=False)
    intake: Intake = field(init=False)
    is_ending: bool = field(default=False, init=False)
    """Nothing more will be queued: no gap is filled, and a partial chunk waits for nothing."""
    _parts: deque[tuple[float, Message, int, bool]] = field(factory=deque, init=False)
    """What is left of a chunk that became several messages: when each leaves, what it covers, whether it is kept."""
    _kept_until_s: float = field(default=-inf, init=False)
    """When the last that left of what is to be said to its end has been played."""
    _silence_s: float = field(default=0.0, init=False)
    _followed: tuple[int, int] = field(default=(0, 0), init=False)
    """Where the silence is that the code needs after the last audio; rule 5."""
    _patience: Patience = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._patience = Patience(self.schedule.catch_up_s)
        self._shape()

    def _shape(self) -> None:
        settings = self.settings
        self.queue = AudioQueue(settings.format, settings.chunk_samples)
        self.intake = Intake(self.queue, self.schedule, self._counters, self._filter)
        self.playback = Playback(settings.format.bytes_per_second, self._runs)
        self.schedule.sample_rate = settings.format.sample_rate
        self.blend.start(settings.format)

    def reshape(self, settings: TrackSettings) -> None:
        """Take the form that the dialect learned from the peer's start message, before anything was queued."""
        if settings != self.settings:
            self.blend.stop()
            self.intake.stop()
            self.settings = settings
            self._shape()

    @property
    def format(self) -> AudioFormat:
        return self.settings.format

    @property
    def _held_bytes(self) -> int:
        return self.format.size_bytes(self.format.samples_in(self.settings.held_s))

    @property
    def queued_s(self) -> float:
        return self.queue.queued_s

    @property
    def has_played(self) -> bool:
        return self.queue.pushed > 0

    @property
    def is_empty(self) -> bool:
        queue = self.queue
        return not (queue.chunker.pending_bytes or queue.marks or self._parts or self._packer.holds_audio)

    # Filling the queue. What answers True wants the clock to look at the track now.

    def push_silence(self, duration_s: float, now_s: float) -> bool:
        """Queue silence that does not count as speech: the end of all audio."""
        self.speech.ends_at = begin = self.queue.pushed
        ticks = self.intake.push_pcm(self.format.silence(self.format.samples_in(duration_s)), now_s)
        if self._followed[1] == begin:
            self._followed = (self._followed[0], self.queue.pushed)
        return ticks

    def push_mark(
        self,
        messages: Sequence[Message],
        now_s: float,
        *,
        ends_utterance: bool = False,
        is_kept: bool = False,
        kind: str = "",
    ) -> None:
        """Queue messages at this place among the audio; the end of an utterance completes the last chunk."""
        if ends_utterance:
            self.flush(now_s)
        self.queue.mark(messages, ends_utterance=ends_utterance, is_kept=is_kept, kind=kind)

    def flush(self, now_s: float) -> bool:
        """Bring out what a converter holds, and complete the last chunk with silence."""
        ticks = self.intake.release(now_s)
        end, held_bytes = self.queue.pushed, self._held_bytes
        if not held_bytes or end == self._followed[1]:
            return self.queue.pad(now_s) or ticks
        is_ready = self.queue.pad(now_s, held_bytes)
        self._followed = (end, self.queue.pushed)
        return is_ready or ticks

    # Dropping what is queued

    def interrupt(self, unsent: Sequence[Paced], now_s: float, *, fades: bool) -> tuple[Played, ...]:
        """Drop everything that has not left; rule 7. A mixer's schedule goes on, so its bed has no hole.

        ``unsent`` was handed over to the outbox and dropped there: the bed that was in it is made again. Returned is
        what was heard of what was cut off. ``fades``: the peer plays on what it has, so what would have come next fades
        out instead of breaking off.
        """
        queue, plays_on = self.queue, self.is_saying_to_its_end(now_s)
        next_pcm = b""
        if fades and not plays_on and self.speech.is_on and not any(paced.written == queue.wrote for paced in unsent):
            next_pcm = queue.chunker.peek(self.format.size_bytes(self.format.samples_in(FADE_S)))
        heard = self.playback.interrupted(now_s, queue.written, queue.is_kept, plays_on=plays_on)
        for mark in queue.drop_marks():
            if mark.dropped is not None:
                mark.dropped()
                continue
            self._counters.frames_dropped += 1
            if mark.kind:
                self._counters.count_dropped(mark.kind)
        self.intake.interrupt(now_s)
        self._counters.audio_out_dropped_s += queue.interrupt()
        self._parts = deque(part for part in self._parts if part[3])
        self._silence_s = 0.0
        if self.blend.mixer is not None:
            chunks = sum(paced.written == queue.wrote and paced.covers != NO_AUDIO for paced in unsent)
            self.schedule.advance(-chunks * queue.chunk_samples)
        if not plays_on:
            self._followed = (queue.pushed, queue.pushed)
            self._packer.clear()
            self.speech.stop()
            if next_pcm:
                faded = self.blend.volume.apply(fade_out(next_pcm, self.format.num_channels), self.format.num_channels)
                self._send_chunk(faded.ljust(queue.chunker.size_bytes, b"\0"), 0, now_s, now_s)
            if self.blend.mixer is None:
                self.schedule.forget()
        return heard

    def is_saying_to_its_end(self, now_s: float) -> bool:
        """Whether the peer is hearing, right now, what no interruption may cut off."""
        return now_s < self._kept_until_s or self.queue.is_amid_kept

    def drop_older_than(self, keep_s: float) -> None:
        """Keep only the newest ``keep_s`` of queued audio: what is older is stale after a reconnection."""
        queue = self.queue
        self._parts.clear()
        self._counters.audio_out_dropped_s += queue.drop_oldest(queue.queued_s - keep_s)
        queue.settle(queue.taken, delivered=False)
        self.schedule.forget()

    def stop(self) -> None:
        """Give up what is queued and let go of the mixer: the session is over."""
        self._drop_queue()
        self.blend.stop()
        self.intake.stop()

    def _drop_queue(self) -> None:
        self._counters.audio_out_dropped_s += self.queue.drop()

    # Emptying it

    def next_time(self, now_s: float, turn: int) -> float:
        """Hand over all that is due; return when there may be more, ``inf`` if only a push or a poke can tell.

        ``turn`` counts how often the loop has gone round; not later than now means that it has to once more.
        """
        queue = self.queue
        while self._outbox.has_room():
            if self._parts:  # rule 1
                part_s, message, covers, is_kept = self._parts[0]
                if part_s > now_s:
                    return part_s
                self._parts.popleft()
                self._hand_over(message, covers, is_kept)
            elif queue.marks and queue.marks[0].place <= queue.taken:  # rule 2
                self._pass_mark()
            elif queue.chunker.pending_bytes >= queue.chunker.size_bytes:  # rule 3
                due_s = self.schedule.due_s(queue.available_at_s, now_s)
                if self.schedule.is_early(due_s, now_s):
                    return due_s
                self._send_queued_chunk(due_s, now_s)
            else:
                again_s = self._next_time_without_chunk(now_s, turn)
                if again_s is not None:
                    return again_s
        return inf

    def _next_time_without_chunk(self, now_s: float, turn: int) -> float | None:
        """Decide about a missing chunk; None when something was done and there may be more to do."""
        stop_at_s = self.speech.stops_at_s
        flush_at_s = self._flush_at_s()
        fill_at_s = self._fill_at_s()
        if now_s >= stop_at_s:
            self.speech.stop()
            return None
        gap_at_s = min(flush_at_s, fill_at_s)
        if now_s >= gap_at_s and not self.is_ending:
            again_s = self._patience.again_s(gap_at_s, now_s, turn, is_first=not self._silence_s)
            if again_s is not None:
                return again_s
        if now_s >= flush_at_s:
            self._complete_partial(now_s)
        elif now_s >= fill_at_s:
            self._fill(now_s)
        else:
            return min(stop_at_s, flush_at_s, fill_at_s)
        return None

    def _flush_at_s(self) -> float:
        """When a partial chunk (or packet) is completed; rule 5. A gap that is about to be filled is filled with it."""
        if not (self.queue.chunker.pending_bytes or self._packer.holds_audio or self.intake.holding is not None):
            return inf
        if self.is_ending:
            return -inf
        flush_at_s = self.queue.pushed_at_s + self.settings.partial_flush_s
        if self._fills_gaps:
            return min(flush_at_s, self._silence_at_s)
        return flush_at_s

    def _fill_at_s(self) -> float:
        """When silence (or the mixer's bed alone) takes the place of missing audio; rules 4 and 6."""
        if self.is_ending:
            return inf
        if self.blend.mixer is not None:
            return self.schedule.plays_at_s - self.schedule.lead_s if self.schedule.is_running else -inf
        return self._silence_at_s if self.settings.auto_silence and self.schedule.is_running else inf

    @property
    def _silence_at_s(self) -> float:
        """When a gap is filled: after the grace, then chunk by chunk, without a lead, which silence does not need."""
        return self.schedule.plays_at_s + (0.0 if self._silence_s else self.settings.silence_grace_s)

    @property
    def _fills_gaps(self) -> bool:
        return (
            self.blend.mixer is None and self.settings.auto_silence and self.schedule.is_running and not self.is_ending
        )

    def _fill(self, now_s: float) -> None:
        queue, schedule = self.queue, self.schedule
        if self.blend.mixer is None:
            if self._silence_s >= self.settings.silence_max_s:
                schedule.park()
                self._silence_s = 0.0
                return
            if not self._silence_s:
                schedule.ran_dry(queue.pushed_at_s, queue.chunk_samples)
                schedule.fill_from(now_s)
            self._counters.silence_chunks += 1
        else:
            schedule.due_s(-inf, now_s)
            schedule.ran_dry(queue.pushed_at_s, queue.chunk_samples)
        self._silence_s += queue.chunk_s
        schedule.recovery.filled(queue.chunk_s)
        if queue.taken == queue.pushed:
            self._followed = (queue.pushed, queue.pushed)
        self._send_chunk(queue.silence(), 0, now_s, now_s)

    def _complete_partial(self, now_s: float) -> None:
        queue = self.queue
        if queue.chunker.pending_bytes or self.intake.holding is not None:
            self.schedule.ran_dry(queue.pushed_at_s, queue.chunk_samples)
            self.intake.release(now_s)
            missing = -queue.chunker.pending_bytes % queue.chunker.size_bytes
            queue.pad(now_s)
            if missing >= self._held_bytes:
                self._followed = (queue.pushed, queue.pushed)
            self.schedule.recovery.filled(missing / self.format.bytes_per_second)
        else:
            self._complete_packet()

    def _send_queued_chunk(self, due_s: float, now_s: float) -> None:
        queue = self.queue
        wanted_at_s = due_s if due_s > queue.available_at_s else queue.available_at_s
        pcm = queue.chunker.pop() or b""
        if self.schedule.recovery.cut_s >= queue.chunk_s and is_quiet(pcm):
            queue.skip(pcm)
            self.intake.note_cut(queue.chunk_s)
            self._outbox.wrote_nothing()
            return
        counters = self._counters
        counters.chunks_paced += 1
        if now_s > wanted_at_s:  # without a call: this is done for every chunk
            counters.pacing_error_s += now_s - wanted_at_s
            if now_s - wanted_at_s > counters.pacing_error_max_s:
                counters.pacing_error_max_s = now_s - wanted_at_s
        place, size, pts = queue.taken, len(pcm), self.intake.stamps.at(queue.taken)
        if not self._followed[0] <= place < self._followed[1]:
            self.speech.heard(place, now_s)
        is_kept = bool(queue.kept) and queue.is_kept(place, place + size)
        if is_kept:
            self._kept_until_s = max(due_s, now_s) + self.schedule.lead_s + queue.chunk_s
        queue.take(pcm)
        self._silence_s = 0.0
        if not self.blend.volume.is_one:
            pcm = self.blend.volume.apply(pcm, self.settings.format.num_channels)
        self._send_chunk(pcm, size, due_s, now_s, place + size, is_kept=is_kept, pts=pts)

    def _send_chunk(
        self,
        pcm: bytes,
        size: int,
        due_s: float,
        now_s: float,
        place: int = 0,
        *,
        is_kept: bool = False,
        pts: int | None = None,
    ) -> None:
        """Send a chunk; where it comes from the queue, it is the ``size`` bytes before this place."""
        queue, player = self.queue, self.playback.player
        asks = self._place_mark is not None
        if asks and player.is_idle(now_s):
            self._ask_where()
        self.playback.sent(place, size, queue.chunk_s, now_s)
        self.schedule.advance(queue.chunk_samples)
        self._counters.audio_sent_s += queue.chunk_s
        mixer = self.blend.mixer
        if mixer is not None:
            pcm = mixer.mix(pcm)
        for tap in self._taps:
            tap.left(pcm, self.settings.format, self.speech.destination, now_s)
        messages = self._packer.pack(pcm, self.settings.format, pts)
        # While some of this chunk waits for its packet to fill, none of it counts as delivered.
        covers = queue.written if self._packer.holds_audio else queue.taken
        if len(messages) == 1:
            self._hand_over(messages[0], covers, is_kept)
        elif messages:
            step_s, last = queue.chunk_s / len(messages), len(messages) - 1
            for i, message in enumerate(messages):
                self._parts.append((due_s + i * step_s, message, covers if i == last else NO_AUDIO, is_kept))
        elif not self._packer.holds_audio:
            # The dialect has no message for audio, or keeps it back: nothing was delivered that could be told.
            self._counters.unsupported_frames += 1
            queue.settle(queue.taken, delivered=False)
            self._outbox.wrote_nothing()
        if asks and player.wants_mark and not self._parts:
            self._ask_where()

    def _ask_where(self) -> None:
        for message in () if self._place_mark is None else self._place_mark(self.playback.player):
            self._hand_over(message, NO_AUDIO)

    def _complete_packet(self) -> None:
        self._hand_over(self._packer.complete(self.queue.silence(), self.format), self.queue.taken)

    def _pass_mark(self) -> None:
        queue = self.queue
        if queue.marks[0].ends_utterance and self._packer.holds_audio:
            self._complete_packet()
        mark = queue.take_mark()
        for message in mark.messages:
            self._hand_over(message, NO_AUDIO, mark.is_kept)
        if mark.ends_utterance:
            self.speech.stop()
        if mark.reached is not None:
            mark.reached()
        if not mark.messages:
            self._outbox.wrote_nothing()

    def _hand_over(self, message: Message, covers: int, is_kept: bool = False) -> None:
        self._outbox.put(message, self.queue.wrote, covers, is_kept)
