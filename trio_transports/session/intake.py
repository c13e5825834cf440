"""What goes into one destination's queue: audio of any format, without what a stall makes superfluous.

Rules
1. Audio is converted to the line's format. What a converter holds back, a few milliseconds, comes out before audio of
   another format, and when the queue is flushed.
2. What the filter makes of it is queued. The silence that this side fills gaps with does not pass it.
3. While a live source's stall is still to be made up for, audio is left out as ``audio.recovery`` says, and counted.
4. A converter is up to some megabytes, and in an echo its format is the peer's choice: the last ``KEPT_CONVERTERS`` are
   kept. One that holds nothing back may go at any time: nothing of it would be heard.
5. What takes long to convert was converted before it comes here: see ``session.long_frames``.
"""

from collections.abc import Mapping
from typing import Final, final

from attrs import define, field

from ..audio.convert import Converter
from ..audio.filters import AudioFilter
from ..audio.format import AudioFormat
from ..audio.leave_out import is_quiet, leave_out
from ..audio.pacing import Schedule
from ..errors import LocalProtocolError
from ..frames import AudioFrame
from .queue import AudioQueue
from .stamps import Stamps
from .statistics import Counters

KEPT_CONVERTERS: Final = 4


@final
@define(eq=False)
class Intake:
    """Owned by one track. What answers True wants the clock to look at the track now."""

    _schedule: Schedule
    _counters: Counters
    _filter: AudioFilter | None
    _queue: AudioQueue = field(init=False)
    _converters: dict[AudioFormat, Converter] = field(factory=dict, init=False)
    """The one that was used last is the last of them."""
    holding: Converter | None = field(default=None, init=False)
    """The converter that holds back the last of the audio; the others hold nothing."""
    stamps: Stamps = field(init=False)

    def start(self, queue: AudioQueue) -> None:
        """Fill this queue from now on, after ``stop`` if there was another."""
        self._queue = queue
        self._converters.clear()
        self.holding = None
        self.stamps = Stamps(queue.form.bytes_per_second)
        if self._filter is not None:
            self._filter.start(queue.form.format)

    @property
    def is_plain(self) -> bool:
        """Whether audio of the line's format is queued as it is, with nothing before it."""
        return self._filter is None and self.holding is None

    def stop(self) -> None:
        if self._filter is not None:
            self._filter.stop()

    def control_filter(self, settings: Mapping[str, object], enabled: bool | None) -> None:
        """LocalProtocolError where there is no filter."""
        if self._filter is None:
            raise LocalProtocolError("there is no filter to control: set audio_out_filter in the parameters")
        self._filter.control(settings, enabled)

    def push(self, frame: AudioFrame, now_s: float) -> bool:
        """Queue audio of any format."""
        queue = self._queue
        queue.push_began = queue.pushed
        line = queue.form.format
        differs = frame.sample_rate != line.sample_rate or frame.num_channels != line.num_channels
        if differs or self.holding is not None:
            ticks = self._push_converted(frame, now_s)
        else:
            ticks = self.push_pcm(frame.audio, now_s)
            if frame.pts is not None and self._filter is None and queue.pushed - queue.push_began == len(frame.audio):
                self.stamps.put(queue.push_began, queue.pushed, frame.pts, queue.taken)
        if not frame.interruptible:
            queue.keep()
        return ticks

    def _push_converted(self, frame: AudioFrame, now_s: float) -> bool:
        converter, line = self._converter(frame.format), self._queue.form.format
        begins = converter is not self.holding
        ticks = begins and self.release(now_s)
        pcm = converter.process(frame.audio)
        if begins and len(pcm) > 2 * self._queue.form.size_bytes:
            # Without the quiet in front of the first sample, which is the converter's delay, n seconds stay n seconds.
            # A live source's chunk keeps it, or each of its chunks would wait for the next one.
            pcm = pcm[line.size_bytes(line.samples_in(converter.delay_s)) :]
        self.holding = converter if converter.delay_s else None
        return self.push_pcm(pcm, now_s) or ticks

    def release(self, now_s: float) -> bool:
        """Bring out the last of the audio that a converter holds back."""
        converter, self.holding = self.holding, None
        return converter is not None and self.push_pcm(converter.flush(), now_s)

    def interrupt(self, now_s: float) -> None:
        """Forget what a converter holds back, unless it is the end of what is to be said to its end."""
        if self.holding is None:
            return
        if self._queue.kept.ends_at(self._queue.pushed):
            self._queue.push_began = self._queue.pushed
            self.release(now_s)
            self._queue.keep()
        else:
            self.holding.reset()
            self.holding = None

    def push_pcm(self, pcm: bytes, now_s: float) -> bool:
        """Queue PCM of the line's format."""
        if self._filter is not None and pcm:
            pcm = self._filter.filter(pcm)
        queue, recovery = self._queue, self._schedule.recovery
        if now_s - queue.pushed_at_s > recovery.catch_up_s and not queue.chunker.has_chunk:
            self._schedule.ran_dry(queue.pushed_at_s, queue.form.samples)
        if not (recovery.owed_s or recovery.missed_s):
            return queue.push(pcm, now_s)
        kept = self._caught_up(pcm, now_s)
        return queue.push(kept, now_s, left_out=len(kept) < len(pcm))

    def _caught_up(self, pcm: bytes, now_s: float) -> bytes:
        """The audio without what has to be left out to be as quick again as before a stall; rule 3."""
        queue, schedule = self._queue, self._schedule
        sample, recovery = queue.form.format.bytes_per_sample, schedule.recovery
        samples = len(pcm) // sample
        schedule.heard(samples, queue.chunker.pending_bytes // sample, queue.form.samples, now_s)
        if not recovery.cut_s:
            return pcm
        if recovery.cuts_speech and recovery.cut_s > recovery.catch_up_s:
            dropped_s = queue.drop_oldest(recovery.cut_s - recovery.catch_up_s)
            self._counters.audio_out_dropped_s += dropped_s
            recovery.was_cut(dropped_s)
        cut = recovery.samples_to_cut(samples, queue.form.format.sample_rate, quiet=is_quiet(pcm))
        if cut:
            self.note_cut(cut / queue.form.format.sample_rate)
            pcm = leave_out(pcm, cut, queue.form.format.num_channels)
        return pcm

    def note_cut(self, duration_s: float) -> None:
        """So much queued audio was left out to make up for a delay."""
        self._counters.audio_out_dropped_s += duration_s
        self._schedule.recovery.was_cut(duration_s)

    def _converter(self, source: AudioFormat) -> Converter:
        converters = self._converters
        converter = converters.pop(source, None)
        if converter is None:
            converter = Converter(source, self._queue.form.format)
            if len(converters) >= KEPT_CONVERTERS:  # rule 4
                del converters[next(iter(converters))]
        converters[source] = converter
        return converter
