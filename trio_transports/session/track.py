"""One output destination: its queue, its schedule, and the decision what leaves when.

Rules (the audio clock's, in the order in which ``next_time`` applies them)
1. The parts of a chunk that became several messages leave evenly spread over the chunk's duration.
2. A frame that is not audio leaves when the last byte of audio queued before it has left.
3. A whole chunk leaves when the schedule says; late ones at once (see ``audio.pacing``).
4. With a mixer there is always audio: a chunk of silence is mixed when none is queued.
5. A partial chunk is padded with silence when an utterance ends, when draining, and ``partial_flush`` after the last
   audio.
6. A gap longer than ``silence_grace`` is filled with silence on the schedule, for at most ``silence_max`` in a row.
7. Bytes leave in the order in which they came; an interruption drops all of them that have not left, and the anchor.
"""

from collections import deque
from collections.abc import Callable, Sequence
from math import inf
from typing import Final, final

from attrs import define, field, frozen

from ..audio.chunking import Chunker
from ..audio.convert import Converter
from ..audio.format import AudioFormat
from ..audio.leave_out import is_quiet, leave_out
from ..audio.mixer import AudioMixer
from ..audio.pacing import Schedule
from ..frames import AudioFrame, BotStartedSpeakingFrame, BotStoppedSpeakingFrame
from ..serializers.protocol import FrameSerializer, Message
from .outbox import Outbox, Paced
from .packer import Packer
from .statistics import Counters

SPEECH_ENDS_AFTER_S: Final = 0.35
"""Silence after which the bot has stopped speaking, if nobody said so earlier."""
NO_AUDIO: Final = -1
"""What a message covers that is not audio."""


@final
@frozen(kw_only=True)
class TrackSettings:
    """What all tracks of a session share."""

    chunk_ms: float
    add_wav_header: bool
    packet_bytes: int | None
    auto_silence: bool
    silence_grace_s: float
    silence_max_s: float
    partial_flush_s: float


@final
@frozen
class Mark:
    """Messages that leave when all audio before ``place`` (in bytes) has left."""

    place: int
    messages: Sequence[Message]
    ends_utterance: bool


@final
@frozen
class Receipt:
    """A promise about queued audio: kept when its last byte is on the wire, broken when any of it is dropped."""

    begin: int
    end: int
    settle: Callable[[bool], None]


@final
@define(eq=False)
class Track:
    """``next_time`` does all that is due and tells when to look again."""

    name: str | None
    format: AudioFormat
    settings: TrackSettings
    schedule: Schedule
    mixer: AudioMixer | None
    serializer: FrameSerializer
    outbox: Outbox
    counters: Counters
    tell: Callable[[BotStartedSpeakingFrame | BotStoppedSpeakingFrame], None]
    is_ending: bool = field(default=False, init=False)
    """Nothing more will be queued: no gap is filled, and a partial chunk waits for nothing."""
    _chunk_samples: int = field(init=False)
    _chunk_s: float = field(init=False)
    _chunker: Chunker = field(init=False)
    _packer: Packer = field(init=False)
    _parts: deque[tuple[float, Message]] = field(factory=deque, init=False)
    _parts_cover: int = field(default=0, init=False)
    _marks: deque[Mark] = field(factory=deque, init=False)
    _receipts: deque[Receipt] = field(factory=deque, init=False)
    _converters: dict[AudioFormat, Converter] = field(factory=dict, init=False)
    _holding: Converter | None = field(default=None, init=False)
    """The converter that holds back the last of the audio; the others hold nothing."""
    # Positions in the stream of PCM bytes: queued, taken from the queue, and on the wire.
    _pushed: int = field(default=0, init=False)
    _push_began: int = field(default=0, init=False)
    _cut_until: int = field(default=-1, init=False)
    """Where what was pushed last ends, if some of it was left out."""
    _taken: int = field(default=0, init=False)
    _written: int = field(default=0, init=False)
    _speech_end: float = field(default=inf, init=False)
    _available_at_s: float = field(default=-inf, init=False)
    _pushed_at_s: float = field(default=-inf, init=False)
    _spoke_at_s: float = field(default=-inf, init=False)
    _silence_s: float = field(default=0.0, init=False)
    _is_speaking: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        settings = self.settings
        self._packer = Packer(self.serializer, self.name, settings.add_wav_header, settings.packet_bytes)
        self._shape()

    def _shape(self) -> None:
        rate = self.format.sample_rate
        self._chunk_samples = max(1, round(rate * self.settings.chunk_ms / 1000))
        self._chunk_s = self._chunk_samples / rate
        self._chunker = Chunker(self.format.size_bytes(self._chunk_samples))
        if self.mixer is not None:
            self.mixer.start(self.format)

    def reshape(self, audio_format: AudioFormat, settings: TrackSettings) -> None:
        """Take the form that the dialect learned from the peer's start message, before anything was queued."""
        if (audio_format, settings) != (self.format, self.settings):
            if self.mixer is not None:
                self.mixer.stop()
            self.format, self.settings = audio_format, settings
            self.schedule.sample_rate = audio_format.sample_rate
            self._shape()

    @property
    def queued_s(self) -> float:
        return self._chunker.pending_bytes / self.format.bytes_per_second

    @property
    def queued_marks(self) -> int:
        return len(self._marks)

    @property
    def has_played(self) -> bool:
        return self._pushed > 0

    @property
    def is_empty(self) -> bool:
        return not (self._chunker.pending_bytes or self._marks or self._parts or self._packer.holds_audio)

    # Filling the queue. What answers True wants the clock to look at the track now.

    def push(self, frame: AudioFrame, now_s: float) -> bool:
        """Queue audio of any format."""
        self._push_began = self._pushed
        differs = frame.sample_rate != self.format.sample_rate or frame.num_channels != self.format.num_channels
        if differs or self._holding is not None:
            return self._push_converted(frame, now_s)
        return self._push_pcm(frame.audio, now_s)

    def _push_converted(self, frame: AudioFrame, now_s: float) -> bool:
        converter = self._converter(frame.format)
        begins = converter is not self._holding
        ticks = begins and self._release(now_s)
        pcm = converter.process(frame.audio)
        if begins and len(pcm) > 2 * self._chunker.size_bytes:
            # Without the quiet in front of the first sample, which is the converter's delay, n seconds stay n seconds.
            # A live source's chunk keeps it, or each of its chunks would wait for the next one.
            pcm = pcm[self.format.size_bytes(self.format.samples_in(converter.delay_s)) :]
        self._holding = converter if converter.delay_s else None
        return self._push_pcm(pcm, now_s) or ticks

    def _release(self, now_s: float) -> bool:
        """Bring out the last of the audio that a converter holds back."""
        converter, self._holding = self._holding, None
        return converter is not None and self._push_pcm(converter.flush(), now_s)

    def push_silence(self, duration_s: float, now_s: float) -> bool:
        """Queue silence that does not count as speech: the end of all audio."""
        self._speech_end = self._pushed
        return self._push_pcm(self.format.silence(self.format.samples_in(duration_s)), now_s)

    def push_mark(self, messages: Sequence[Message], now_s: float, *, ends_utterance: bool = False) -> bool:
        """Queue messages at this place among the audio; the end of an utterance completes the last chunk."""
        if ends_utterance:
            self.flush(now_s)
        self._marks.append(Mark(self._pushed, messages, ends_utterance))
        return True

    def flush(self, now_s: float) -> bool:
        """Bring out what a converter holds, and complete the last chunk with silence."""
        ticks = self._release(now_s)
        return self._pad(now_s) or ticks

    def expect(self, settle: Callable[[bool], None]) -> None:
        """Have ``settle`` called once all audio that is queued now was written (True) or dropped (False)."""
        if self._cut_until == self._pushed:
            settle(False)
        elif self._written >= self._pushed:
            settle(True)
        else:
            self._receipts.append(Receipt(self._push_began, self._pushed, settle))

    def interrupt(self, unsent: Sequence[Paced]) -> None:
        """Drop everything that has not left; rule 7. A mixer's schedule goes on, so its bed has no hole.

        ``unsent`` was handed over to the outbox and dropped there: the bed that was in it is made again.
        """
        self.counters.frames_dropped += len(self._marks)
        self._drop_queue()
        self._parts.clear()
        self._marks.clear()
        self._packer.clear()
        if self._holding is not None:
            self._holding.reset()
            self._holding = None
        self._silence_s = 0.0
        if self.mixer is None:
            self.schedule.forget()
        else:
            chunks = sum(paced.written == self._settle_written and paced.covers != NO_AUDIO for paced in unsent)
            self.schedule.advance(-chunks * self._chunk_samples)
        self._stop_speaking()

    def drop_older_than(self, keep_s: float) -> None:
        """Keep only the newest ``keep_s`` of queued audio: what is older is stale after a reconnection."""
        self._parts.clear()
        self._drop_oldest(self.queued_s - keep_s)
        self._settle_up_to(self._taken, delivered=False)
        self.schedule.forget()

    def stop(self) -> None:
        """Give up what is queued and let go of the mixer: the session is over."""
        self._drop_queue()
        if self.mixer is not None:
            self.mixer.stop()

    # Emptying it

    def next_time(self, now_s: float) -> float:
        """Hand over all that is due; return when there may be more, ``inf`` if only a push or a poke can tell."""
        while self.outbox.has_room():
            if self._parts:
                part_s, message = self._parts[0]
                if part_s > now_s:
                    return part_s
                self._parts.popleft()
                self._hand_over(message, self._parts_cover if not self._parts else self._written)
            elif self._marks and self._marks[0].place <= self._taken:
                self._pass_mark()
            elif self._chunker.has_chunk:
                due_s = self.schedule.due_s(self._available_at_s, now_s)
                if self.schedule.is_early(due_s, now_s):
                    return due_s
                self._send_queued_chunk(due_s, now_s)
            else:
                again_s = self._next_time_without_chunk(now_s)
                if again_s is not None:
                    return again_s
        return inf

    def _next_time_without_chunk(self, now_s: float) -> float | None:
        """Decide about a missing chunk; None when something was done and there may be more to do."""
        stop_at_s = self._spoke_at_s + SPEECH_ENDS_AFTER_S if self._is_speaking else inf
        flush_at_s = self._flush_at_s()
        fill_at_s = self._fill_at_s(now_s)
        if now_s >= stop_at_s:
            self._stop_speaking()
        elif now_s >= flush_at_s:
            self._complete_partial(now_s)
        elif now_s >= fill_at_s:
            self._fill(now_s)
        else:
            return min(stop_at_s, flush_at_s, fill_at_s)
        return None

    def _flush_at_s(self) -> float:
        """When a partial chunk (or packet) is completed; rule 5. A gap that is about to be filled is filled with it."""
        if not (self._chunker.pending_bytes or self._packer.holds_audio or self._holding is not None):
            return inf
        if self.is_ending:
            return -inf
        flush_at_s = self._pushed_at_s + self.settings.partial_flush_s
        if self._fills_gaps:
            return min(flush_at_s, self._silence_at_s)
        return flush_at_s

    def _fill_at_s(self, now_s: float) -> float:
        """When silence (or the mixer's bed alone) takes the place of missing audio; rules 4 and 6."""
        if self.is_ending:
            return inf
        if self.mixer is not None:
            return self.schedule.due_s(-inf, now_s)
        return self._silence_at_s if self._fills_gaps else inf

    @property
    def _silence_at_s(self) -> float:
        """When a gap is filled: after the grace, then chunk by chunk, without a lead, which silence does not need."""
        return self.schedule.plays_at_s + (0.0 if self._silence_s else self.settings.silence_grace_s)

    @property
    def _fills_gaps(self) -> bool:
        return self.mixer is None and self.settings.auto_silence and self.schedule.is_running and not self.is_ending

    def _fill(self, now_s: float) -> None:
        if self.mixer is None:
            if self._silence_s >= self.settings.silence_max_s:
                self.schedule.park()
                self._silence_s = 0.0
                return
            if not self._silence_s:
                self.schedule.ran_dry(self._pushed_at_s, self._chunk_samples)
                self.schedule.fill_from(now_s)
            self._silence_s += self._chunk_s
            self.counters.silence_chunks += 1
        else:
            self.schedule.ran_dry(self._pushed_at_s, self._chunk_samples)
        self.schedule.recovery.filled(self._chunk_s)
        self._send_chunk(bytes(self._chunker.size_bytes), now_s)

    def _complete_partial(self, now_s: float) -> None:
        if self._chunker.pending_bytes or self._holding is not None:
            self.schedule.ran_dry(self._pushed_at_s, self._chunk_samples)
            self._release(now_s)
            missing = -self._chunker.pending_bytes % self._chunker.size_bytes
            self._pad(now_s)
            self.schedule.recovery.filled(missing / self.format.bytes_per_second)
        else:
            self._complete_packet()

    def _send_queued_chunk(self, due_s: float, now_s: float) -> None:
        pcm = self._chunker.pop() or b""
        recovery = self.schedule.recovery
        if recovery.cut_s >= self._chunk_s and is_quiet(pcm):
            self._skip(len(pcm))
            self._note_cut(self._chunk_s)
            return
        if not self._is_speaking and self._taken < self._speech_end:
            self._is_speaking = True
            self.tell(BotStartedSpeakingFrame(destination=self.name, notice=True))
        self._taken += len(pcm)
        self._available_at_s = -inf
        self._spoke_at_s = now_s
        self._silence_s = 0.0
        self._send_chunk(pcm, due_s)

    def _send_chunk(self, pcm: bytes, due_s: float) -> None:
        self.schedule.advance(self._chunk_samples)
        self.counters.audio_sent_s += self._chunk_s
        if self.mixer is not None:
            pcm = self.mixer.mix(pcm)
        messages = self._packer.pack(pcm, self.format)
        # While some of this chunk waits for its packet to fill, none of it counts as delivered.
        covers = self._written if self._packer.holds_audio else self._taken
        if len(messages) == 1:
            self._hand_over(messages[0], covers)
        elif messages:
            self._parts_cover = covers
            self._parts.extend((due_s + i * self._chunk_s / len(messages), m) for i, m in enumerate(messages))
        elif not self._packer.holds_audio:
            # The dialect has no message for audio, or keeps it back: nothing was delivered that could be told.
            self.counters.unsupported_frames += 1
            self._settle_up_to(self._taken, delivered=False)
            self.outbox.wrote_nothing()

    def _complete_packet(self) -> None:
        self._hand_over(self._packer.complete(bytes(self._chunker.size_bytes), self.format), self._taken)

    def _pass_mark(self) -> None:
        if self._marks[0].ends_utterance and self._packer.holds_audio:
            self._complete_packet()
        mark = self._marks.popleft()
        for message in mark.messages:
            self._hand_over(message, NO_AUDIO)
        if mark.ends_utterance:
            self._stop_speaking()

    def _hand_over(self, message: Message, covers: int) -> None:
        self.outbox.put(message, self._settle_written, covers)

    def _settle_written(self, covers: int) -> None:
        if covers > self._written:
            self._written = covers
            if self._receipts:
                self._settle_up_to(covers, delivered=True)

    def _settle_up_to(self, place: int, *, delivered: bool) -> None:
        self._written = max(self._written, place)
        while self._receipts and self._receipts[0].end <= place:
            self._receipts.popleft().settle(delivered)

    def _drop_oldest(self, duration_s: float) -> float:
        """Drop whole chunks from the head of the queue until it is that much shorter; return by how much it is."""
        dropped_s = 0.0
        while dropped_s < duration_s and (chunk := self._chunker.pop()) is not None:
            self._skip(len(chunk))
            dropped_s += self._chunk_s
        self.counters.audio_out_dropped_s += dropped_s
        return dropped_s

    def _skip(self, size_bytes: int) -> None:
        """What was just taken from the queue is not sent: break the promises about it, and no others."""
        before, self._taken = self._taken, self._taken + size_bytes
        broken = [receipt for receipt in self._receipts if receipt.end > before and receipt.begin < self._taken]
        for receipt in broken:
            self._receipts.remove(receipt)
            receipt.settle(False)

    def _drop_queue(self) -> None:
        self.counters.audio_out_dropped_s += self.queued_s
        self._chunker.clear()
        self._taken = self._pushed
        self._available_at_s = -inf
        self._settle_up_to(self._pushed, delivered=False)

    def _push_pcm(self, pcm: bytes, now_s: float) -> bool:
        had_chunk = self._chunker.has_chunk
        recovery = self.schedule.recovery
        if now_s - self._pushed_at_s > recovery.catch_up_s and not had_chunk:
            self.schedule.ran_dry(self._pushed_at_s, self._chunk_samples)
        before = len(pcm)
        if recovery.owed_s or recovery.missed_s:
            pcm = self._caught_up(pcm, now_s)
        self._chunker.push(pcm)
        self._pushed += len(pcm)
        if len(pcm) < before:
            self._cut_until = self._pushed
        self._pushed_at_s = now_s
        if had_chunk:
            return False
        if self._chunker.has_chunk:
            self._available_at_s = now_s
        return True

    def _caught_up(self, pcm: bytes, now_s: float) -> bytes:
        """The audio without what has to be left out to be as quick again as before a stall."""
        sample, schedule = self.format.bytes_per_sample, self.schedule
        recovery, samples = schedule.recovery, len(pcm) // sample
        schedule.heard(samples, self._chunker.pending_bytes // sample, self._chunk_samples, now_s)
        if not recovery.cut_s:
            return pcm
        if recovery.cuts_speech and recovery.cut_s > recovery.catch_up_s:
            recovery.was_cut(self._drop_oldest(recovery.cut_s - recovery.catch_up_s))
        cut = recovery.samples_to_cut(samples, self.format.sample_rate, quiet=is_quiet(pcm))
        if cut:
            self._note_cut(cut / self.format.sample_rate)
            pcm = leave_out(pcm, cut, self.format.num_channels)
        return pcm

    def _note_cut(self, duration_s: float) -> None:
        self.counters.audio_out_dropped_s += duration_s
        self.schedule.recovery.was_cut(duration_s)

    def _pad(self, now_s: float) -> bool:
        had_chunk = self._chunker.has_chunk
        self._pushed += self._chunker.pad()
        if self._chunker.has_chunk and not had_chunk:
            self._available_at_s = now_s
            return True
        return False

    def _converter(self, source: AudioFormat) -> Converter:
        if source not in self._converters:
            self._converters[source] = Converter(source, self.format)
        return self._converters[source]

    def _stop_speaking(self) -> None:
        if self._is_speaking:
            self._is_speaking = False
            self.tell(BotStoppedSpeakingFrame(destination=self.name, notice=True))
