"""One output destination: the decision what leaves when.

Rules (the audio clock's, in the order in which ``next_time`` applies them)
1. The parts of a chunk that became several messages leave evenly spread over the chunk's duration: see
   ``session.departure``, which says how audio leaves.
2. A frame that is not audio leaves when the last byte of audio queued before it has left.
3. A whole chunk leaves when the schedule says; late ones at once (see ``audio.pacing``).
4. With a mixer there is always audio: a chunk of silence is mixed when none is queued.
5. A partial chunk is padded with silence when an utterance ends, when draining, and ``partial_flush_s`` after the last
   audio. In the first two cases as much silence follows as the dialect's code needs to give out all of the audio.
6. When that is, and when silence takes the place of missing audio (as in rule 4), is in ``session.gap``.
7. Bytes leave in the order in which they came; an interruption drops all of them that have not left, and the anchor;
   but not what is to be said to its end. While that plays, the anchor and the bot's speech go on.
8. A whole chunk of the line's own format that is due when it comes, with nothing before it, passes: it leaves as it
   came, without having been queued. That is every chunk of a live source that is on time.

What is queued is in ``session.queue``; how it gets there, in ``session.intake``; and what of it is the bot's speech, in
``session.speech``.
"""

from collections.abc import Sequence
from math import inf
from typing import final

from attrs import define, field

from ..audio.format import AudioFormat
from ..audio.leave_out import is_quiet
from ..audio.loudness import FADE_S, fade_out
from ..audio.pacing import Schedule
from ..audio.recovery import EARLY_S
from ..frames import AudioFrame, Played
from ..serializers.protocol import Message
from .chunk_form import ChunkForm
from .departure import NO_AUDIO, Departure
from .every_step import take_every_step
from .gap import Gap
from .intake import Intake
from .lanes import Paced
from .playback import Playback
from .queue import AudioQueue
from .settings import TrackSettings
from .speech import Speech
from .statistics import Counters


@final
@define(eq=False)
class Track:
    """``next_time`` does all that is due and tells when to look again."""

    schedule: Schedule
    departure: Departure
    intake: Intake
    playback: Playback
    speech: Speech
    gap: Gap
    _counters: Counters
    queue: AudioQueue = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._shape()

    def _shape(self) -> None:
        settings = self.gap.settings
        self.queue = AudioQueue(ChunkForm(settings.format, settings.chunk_samples))
        self.intake.start(self.queue)
        self.departure.start(settings.format, self.queue.wrote)
        self.playback.bytes_per_second = settings.format.bytes_per_second
        self.schedule.sample_rate = settings.format.sample_rate

    def reshape(self, settings: TrackSettings) -> None:
        """Take the form that the dialect learned from the peer's start message.

        Audio that was queued for an earlier connection's, which is another, is lost with that.
        """
        if settings != self.gap.settings:
            before = self.queue
            self.stop()
            self.gap.settings = settings
            self._shape()
            self.queue.follow(before)

    @property
    def format(self) -> AudioFormat:
        return self.queue.form.format

    @property
    def _held_bytes(self) -> int:
        return self.format.size_bytes(self.format.samples_in(self.gap.settings.held_s))

    @property
    def queued_s(self) -> float:
        return self.queue.queued_s

    @property
    def has_played(self) -> bool:
        return self.queue.pushed > 0

    @property
    def is_empty(self) -> bool:
        queue = self.queue
        return not (queue.chunker.pending_bytes or queue.marks.each or self.departure.holds_audio(queue.taken))

    # Filling the queue. What answers True wants the clock to look at the track now.

    def push_silence(self, duration_s: float, now_s: float) -> bool:
        """Queue silence that does not count as speech: the end of all audio."""
        self.speech.ends_at = begin = self.queue.pushed
        ticks = self.intake.push_pcm(self.format.silence(self.format.samples_in(duration_s)), now_s)
        self.speech.silence_goes_on(begin, self.queue.pushed)
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
        if not held_bytes or end == self.speech.followed[1]:
            return self.queue.pad(now_s) or ticks
        is_ready = self.queue.pad(now_s, held_bytes)
        self.speech.followed = (end, self.queue.pushed)
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
        heard = self.playback.interrupted(now_s, queue.written, queue.kept.touches, plays_on=plays_on)
        for mark in queue.marks.drop():
            if mark.dropped is not None:
                mark.dropped()
                continue
            self._counters.frames_dropped += 1
            if mark.kind:
                self._counters.count_dropped(mark.kind)
        self.intake.interrupt(now_s)
        self._counters.audio_out_dropped_s += queue.interrupt()
        departure, blend = self.departure, self.departure.blend
        departure.interrupt()
        self.gap.filled_s = 0.0
        if blend.mixer is not None:
            chunks = sum(paced.written == queue.wrote and paced.covers != NO_AUDIO for paced in unsent)
            self.schedule.advance(-chunks * queue.form.samples)
        if not plays_on:
            self.speech.followed = (queue.pushed, queue.pushed)
            departure.packer.clear()
            self.speech.stop()
            if next_pcm:
                faded = blend.volume.apply(fade_out(next_pcm, self.format.num_channels), self.format.num_channels)
                self._send_chunk(faded.ljust(queue.chunker.size_bytes, b"\0"), 0, now_s, now_s)
            if blend.mixer is None:
                self.schedule.forget()
        return heard

    def unheard_s(self, unsent: Sequence[Paced], now_s: float, *, clears: bool) -> float:
        """How much of what left last nobody will hear, if it is dropped now, ``unsent`` being dropped already.

        ``clears``: the peer is told to drop what it has not played.
        """
        dropped_s = self.departure.dropped_chunks(unsent, self.queue.wrote) * self.queue.form.duration_s
        if not clears or self.is_saying_to_its_end(now_s):
            return dropped_s
        return max(dropped_s, self.playback.unheard_s(now_s, self.queue.written))

    def is_saying_to_its_end(self, now_s: float) -> bool:
        """Whether the peer is hearing, right now, what no interruption may cut off."""
        return now_s < self.queue.kept.plays_until_s or self.queue.kept.is_amid(self.queue.taken)

    def drop_older_than(self, keep_s: float) -> None:
        """Keep only the newest ``keep_s`` of queued audio: what is older is stale after a reconnection."""
        queue, departure, written = self.queue, self.departure, self.queue.written
        departure.parts.clear()
        departure.packer.clear()
        self._counters.audio_out_dropped_s += queue.drop_oldest(queue.queued_s - keep_s)
        self.playback.lost(written, queue.taken)
        queue.lose(queue.taken)
        self.schedule.forget()

    def stop(self) -> None:
        """Give up what is queued and let go of the mixer: the session is over."""
        self._counters.audio_out_dropped_s += self.queue.drop()
        marks = self.queue.marks
        for mark in (*marks.drop(), *marks.each):
            if mark.dropped is not None:
                mark.dropped()
        take_every_step(self.departure.blend.stop, self.intake.stop)

    # Emptying it

    def next_time(self, now_s: float, turn: int) -> float:
        """Hand over all that is due; return when there may be more, ``inf`` if only a push or a poke can tell.

        ``turn`` counts how often the loop has gone round; not later than now means that it has to once more.
        """
        queue, departure = self.queue, self.departure
        while departure.outbox.has_room():
            if departure.parts:  # rule 1
                part_s = departure.parts[0][0]
                if part_s > now_s:
                    return part_s
                departure.next_part()
            elif queue.marks.each and queue.marks.each[0].place <= queue.taken:  # rule 2
                self._pass_mark(now_s)
            elif queue.chunker.pending_bytes >= queue.form.size_bytes:  # rule 3
                due_s = self.schedule.due_s(queue.available_at_s, now_s)
                if self.schedule.is_early(due_s, now_s):
                    return self.schedule.wake_s(due_s)
                self._send_queued_chunk(due_s, now_s)
            else:
                again_s = self._next_time_without_chunk(now_s, turn)
                if again_s is not None:
                    return again_s
        return inf

    def pass_marks(self, now_s: float) -> None:
        """Hand over the messages that no audio is ahead of."""
        queue, departure = self.queue, self.departure
        while queue.marks.each and queue.marks.each[0].place <= queue.taken and not departure.parts:
            ends_packet = queue.marks.each[0].ends_utterance and departure.has_begun_packet(queue.taken)
            if ends_packet or not departure.outbox.has_room():
                return
            self._pass_mark(now_s)

    def _next_time_without_chunk(self, now_s: float, turn: int) -> float | None:
        """Decide about a missing chunk; None when something was done and there may be more to do."""
        gap, stop_at_s = self.gap, self.speech.stops_at_s
        if now_s >= stop_at_s:
            self.speech.stop()
            return None
        flush_at_s = gap.flush_at_s(self.queue.pushed_at_s) if self._has_partial else inf
        fill_at_s = gap.fill_at_s()
        gap_at_s = min(flush_at_s, fill_at_s)
        if now_s < gap_at_s:
            return min(stop_at_s, gap_at_s)
        again_s = gap.again_s(gap_at_s, now_s, turn)
        if again_s is not None:
            return again_s
        if now_s >= flush_at_s:
            self._complete_partial(now_s)
        else:
            self._fill(now_s)
        return None

    @property
    def _has_partial(self) -> bool:
        """Whether some audio waits for more, here or in the converter or a packet."""
        queue = self.queue
        has_begun = queue.chunker.pending_bytes or self.intake.holding is not None
        return bool(has_begun) or self.departure.has_begun_packet(queue.taken)

    def _fill(self, now_s: float) -> None:
        queue, schedule, gap = self.queue, self.schedule, self.gap
        form = queue.form
        if self.departure.blend.mixer is None:
            if gap.is_over_long:
                schedule.park()
                gap.filled_s = 0.0
                return
            if not gap.filled_s:
                schedule.ran_dry(queue.pushed_at_s, form.samples)
                schedule.fill_from(now_s)
            self._counters.silence_chunks += 1
        else:
            schedule.due_s(-inf, now_s)
            schedule.ran_dry(queue.pushed_at_s, form.samples)
        gap.filled_s += form.duration_s
        schedule.recovery.filled(form.duration_s)
        if queue.taken == queue.pushed:
            self.speech.followed = (queue.pushed, queue.pushed)
        self._send_chunk(form.silence(), 0, now_s, now_s)

    def _complete_partial(self, now_s: float) -> None:
        queue = self.queue
        if queue.chunker.pending_bytes or self.intake.holding is not None:
            self.schedule.ran_dry(queue.pushed_at_s, queue.form.samples)
            self.intake.release(now_s)
            missing = -queue.chunker.pending_bytes % queue.form.size_bytes
            queue.pad(now_s)
            if missing >= self._held_bytes:
                self.speech.followed = (queue.pushed, queue.pushed)
            self.schedule.recovery.filled(missing / queue.form.bytes_per_second)
        else:
            self._complete_packet(now_s)

    def _send_queued_chunk(self, due_s: float, now_s: float) -> None:
        queue, schedule = self.queue, self.schedule
        duration_s = queue.form.duration_s
        wanted_at_s = due_s if due_s > queue.available_at_s else queue.available_at_s
        pcm = queue.chunker.pop() or b""
        if schedule.recovery.cut_s >= duration_s and is_quiet(pcm):
            queue.skip(pcm)
            self.intake.note_cut(duration_s)
            self.departure.outbox.wrote_nothing()
            return
        counters = self._counters
        counters.chunks_paced += 1
        if now_s > wanted_at_s:  # without a call: this is done for every chunk
            counters.pacing_error_s += now_s - wanted_at_s
            if now_s - wanted_at_s > counters.pacing_error_max_s:
                counters.pacing_error_max_s = now_s - wanted_at_s
        place, size, pts = queue.taken, len(pcm), self.intake.stamps.at(queue.taken)
        self.speech.heard(place, now_s)
        is_kept = bool(queue.kept.spans) and queue.kept.touches(place, place + size)
        if is_kept:
            queue.kept.plays_until_s = max(due_s, now_s) + schedule.lead_s + duration_s
        queue.take(pcm)
        self.gap.filled_s = 0.0
        volume = self.departure.blend.volume
        if not volume.is_one:
            pcm = volume.apply(pcm, queue.form.format.num_channels)
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
        departure, playback, form = self.departure, self.playback, self.queue.form
        asks = departure.asks
        if asks and playback.player.is_idle(now_s):
            departure.ask_where(playback.player)
        playback.sent(place, size, form.duration_s, now_s)
        self.schedule.advance(form.samples)
        self._counters.audio_sent_s += form.duration_s
        self._leave(departure.messages(pcm, form.format, pts, now_s), due_s, is_kept)
        if asks and playback.player.wants_mark and not departure.parts:
            departure.ask_where(playback.player)

    def _leave(self, messages: Sequence[Message], due_s: float, is_kept: bool) -> None:
        """Hand over what a chunk has become."""
        queue, departure = self.queue, self.departure
        # While some of this chunk waits for its packet to fill, none of it counts as delivered.
        covers = queue.written if departure.packer.holds_audio else queue.taken
        if messages:
            departure.leave(messages, covers, due_s, queue.form.duration_s, is_kept)
        elif not departure.packer.holds_audio:
            # The dialect has no message for audio, or keeps it back: nothing was delivered that could be told.
            self._counters.unsupported_frames += 1
            queue.not_delivered(queue.taken)
            departure.outbox.wrote_nothing()

    def _complete_packet(self, now_s: float) -> None:
        form = self.queue.form
        silent_chunks = self.departure.complete_packet(form.silence(), form.format, self.queue.taken)
        self.schedule.advance(round(silent_chunks * form.samples))  # the peer plays it, too
        self.playback.sent(0, 0, silent_chunks * form.duration_s, now_s)

    def _pass_mark(self, now_s: float) -> None:
        queue, departure = self.queue, self.departure
        if queue.marks.each[0].ends_utterance and departure.has_begun_packet(queue.taken):
            self._complete_packet(now_s)
        mark = queue.marks.take()
        for message in mark.messages:
            departure.hand_over(message, is_kept=mark.is_kept)
        if mark.ends_utterance:
            self.speech.stop()
        if mark.reached is not None:
            mark.reached()
        if not mark.messages:
            departure.outbox.wrote_nothing()

    # Past the queue

    def pass_on(self, frame: AudioFrame, now_s: float) -> float | None:
        """Let a chunk pass, and return when to look again; None: it cannot, and nothing was done; rule 8.

        Done for every chunk of a call that echoes or bridges, so here little is asked of others.
        """
        queue, departure, schedule, gap = self.queue, self.departure, self.schedule, self.gap
        form, recovery = queue.form, schedule.recovery
        if (
            len(frame.audio) != form.size_bytes
            or frame.sample_rate != form.format.sample_rate
            or frame.num_channels != form.format.num_channels
            or frame.pts is not None
            or not frame.interruptible
            or queue.chunker.pending_bytes
            or queue.marks.each
            or departure.parts
            or gap.is_last
            or recovery.missed_s
            or now_s - queue.pushed_at_s > recovery.catch_up_s
            or not self.intake.is_plain
            or not departure.is_plain
            or not departure.outbox.has_room()
            or not schedule.is_running
        ):
            return None
        plays_at_s = schedule.plays_at_s
        if schedule.is_early(plays_at_s - schedule.lead_s, now_s):
            return None
        if recovery.owed_s > EARLY_S or now_s > plays_at_s + EARLY_S:
            schedule.heard(form.samples, 0, form.samples, now_s)
        due_s = schedule.due_s(now_s, now_s)
        place = queue.pass_chunk(now_s)
        self._counters.chunks_paced += 1
        self.speech.heard(place, now_s)
        gap.filled_s = 0.0
        self.playback.passed(frame.utterance, place, queue.taken, form.duration_s, now_s)
        schedule.advance(form.samples)
        self._counters.audio_sent_s += form.duration_s
        self._leave(departure.messages(frame.audio, form.format, None, now_s), due_s, False)
        settings, stops_at_s = gap.settings, self.speech.stops_at_s
        if not settings.auto_silence:
            return stops_at_s
        return min(stops_at_s, due_s + schedule.lead_s + form.duration_s + settings.silence_grace_s)
