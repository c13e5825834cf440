"""When an agent's answer is complete: a machine that is told what came and when, and knows no clock of its own.

Rules
1. The answer begins with the first audio above ``silence_dbfs``. Until then, silence that is sent counts as none.
2. Audio is played as it comes, one piece after the other: what arrives faster than real time is queued, as in every
   player. With ``in_real_time=False`` it is played when it comes; that ends sooner, and cuts an agent off that sends
   ahead and pauses longer than the tail while its audio would still be playing.
3. It ends when the agent says so (``TurnEnded``, ``AgentHungUp``); else when ``tail_silence_s`` have been played since
   the last audio above ``silence_dbfs``, counting silence that was sent and silence because nothing was; else
   ``cap_s`` after it began.
4. A ``TurnEnded`` is the end of an earlier turn, and so ignored, while the caller's own turn is still being sent, or
   when it tells of a turn cut short and nothing of this answer has come. One without any audio ends an empty answer.
5. ``PlaybackCleared`` ends the playing of what came before it. The audio stays in the answer: it was sent.
6. Nothing within ``first_audio_timeout_s`` of the end of the caller's turn: the agent is silent.
"""

from typing import Literal, TypeAlias, final

import numpy as np
from attrs import define, evolve, field, frozen
from attrs.validators import gt, instance_of, le

from .._documented import documented
from ..audio.format import AudioFormat
from .chunk import AudioChunk
from .events import AgentEvent, AgentHungUp, PlaybackCleared, Transcript, TurnEnded

EndedBy: TypeAlias = Literal["turn_end", "tail_silence", "cap", "agent_hung_up", "finished"]
"""``finished``: the agent closed the connection in good order after it had spoken."""

_WINDOW_S = 0.01
_FULL_SCALE = 32768.0


@documented
@final
@frozen(kw_only=True)
class TurnRules:
    """How long to wait for an answer, and when it is over."""

    first_audio_timeout_s: float = field(default=30.0, validator=gt(0))
    """Seconds to wait for the first audio; past it the agent is silent, and the call raises ``AgentSilent``."""
    tail_silence_s: float = field(default=1.0, validator=gt(0))
    """Seconds without a voice after which the answer is over. Shorter cuts answers at a breath; longer adds to every
    turn."""
    cap_s: float = field(default=60.0, validator=gt(0))
    """Seconds after which the answer is over, whatever the agent does."""
    silence_dbfs: float = field(default=-50.0, validator=le(0))
    """How loud silence may be, in dB below full scale. Raise it for lines that hiss, or no answer ever ends."""
    in_real_time: bool = field(default=True, validator=instance_of(bool))
    """Take the answer's audio as played one piece after the other, as a player does. False takes each piece as played
    when it comes: it ends sooner, and cuts off an agent that sends ahead and then pauses longer than the tail."""


@documented
@final
@frozen(kw_only=True)
class Answer:
    """What an agent answered. Times are seconds from the end of the caller's turn; a negative one came before it."""

    chunks: tuple[AudioChunk, ...] = ()
    """Its audio, as it came."""
    ended_by: EndedBy | None = None
    """None for what had come when the wait failed."""
    transcript: str = ""
    """What the agent says that it said; empty where it does not tell."""
    caller_transcript: str = ""
    """What the agent says it heard."""
    first_byte_s: float | None = None
    """Until the first audio of any kind."""
    first_voice_s: float | None = None
    """Until the first audio above the silence level. Apart from ``first_byte_s`` on lines that send silence."""
    events: tuple[AgentEvent, ...] = ()
    """What else the agent told meanwhile."""
    earlier: tuple[AudioChunk, ...] = ()
    """Audio that lay unread when the turn began: of an earlier answer, or a greeting."""

    @property
    def audio(self) -> AudioChunk:
        """All of it as one chunk."""
        return joined(self.chunks)

    @property
    def duration_s(self) -> float:
        """How long its audio plays, in seconds."""
        return sum(chunk.duration_seconds for chunk in self.chunks)


def joined(chunks: tuple[AudioChunk, ...]) -> AudioChunk:
    """Make one chunk of several of the same format."""
    if not chunks:
        return AudioChunk(b"")
    first, last = chunks[0], chunks[-1]
    formats = {chunk.format for chunk in chunks}
    if len(formats) > 1:
        raise ValueError(
            "chunks of several formats cannot be one: "
            + ", ".join(sorted(map(str, formats)))
            + "; give the adapter an audio_format, and it converts"
        )
    texts = [chunk.transcript for chunk in chunks if chunk.transcript]
    return evolve(
        first,
        data=b"".join(chunk.data for chunk in chunks),
        transcript=" ".join(texts) or None,
        end_time=last.end_time,
    )


def voiced_s(pcm: bytes, audio_format: AudioFormat, silence_dbfs: float) -> tuple[float, float] | None:
    """Where in a piece the audio above a level begins and ends, in seconds and to 10 ms; None where there is none."""
    samples = np.frombuffer(pcm, "<i2").astype(np.float64)
    width = max(1, round(audio_format.sample_rate * _WINDOW_S)) * audio_format.num_channels
    windows = np.arange(0, len(samples), width)
    if not len(windows):
        return None
    sizes = np.diff(np.append(windows, len(samples)))
    power = np.add.reduceat(samples * samples, windows) / sizes
    loud = np.flatnonzero(power > (_FULL_SCALE * 10 ** (silence_dbfs / 20)) ** 2)
    if not len(loud):
        return None
    per_second = audio_format.sample_rate * audio_format.num_channels
    return float(windows[loud[0]]) / per_second, float(windows[loud[-1]] + sizes[loud[-1]]) / per_second


@final
@define(eq=False)
class TranscriptLines:
    """Text as it grows: pieces, replaced by the whole when that comes."""

    _lines: list[str] = field(factory=list, init=False)
    _pieces: list[str] = field(factory=list, init=False)

    def add(self, event: Transcript) -> None:
        if event.final:
            self._lines.append(event.text)
            self._pieces.clear()
        else:
            self._pieces.append(event.text)

    @property
    def text(self) -> str:
        lines = [*self._lines, "".join(self._pieces)]
        return " ".join(line.strip() for line in lines if line.strip())


@final
@define(eq=False)
class TurnGatherer:
    """Collects one answer. Give it what comes, in order; ``deadline`` says until when to wait for more."""

    _rules: TurnRules
    _chunks: list[AudioChunk] = field(factory=list, init=False)
    _events: list[AgentEvent] = field(factory=list, init=False)
    _agent: TranscriptLines = field(factory=TranscriptLines, init=False)
    _caller: TranscriptLines = field(factory=TranscriptLines, init=False)
    _sent_at: float | None = field(default=None, init=False)
    _first_byte_at: float | None = field(default=None, init=False)
    _first_voice_at: float | None = field(default=None, init=False)
    _played_until: float = field(default=float("-inf"), init=False)
    _voice_until: float = field(default=float("-inf"), init=False)
    ended_by: EndedBy | None = field(default=None, init=False)

    def turn_sent(self, at: float) -> None:
        """Say that the last of the caller's turn left at ``at``."""
        self._sent_at = at

    def heard(self, item: AudioChunk | AgentEvent, at: float) -> None:
        if isinstance(item, AudioChunk):
            self._audio(item, at)
        else:
            self._event(item, at)

    def finished(self) -> None:
        """Say that the agent has closed the connection in good order; only an answer that has begun is ended by it."""
        if self.ended_by is None and self._first_voice_at is not None:
            self.ended_by = "finished"

    @property
    def deadline(self) -> float:
        """When the answer is over, or given up, if nothing more comes until then. Infinite until the turn was sent."""
        if self._sent_at is None:
            return float("inf")
        if self._first_voice_at is None:
            return self._sent_at + self._rules.first_audio_timeout_s
        return max(
            self._sent_at,
            min(self._voice_until + self._rules.tail_silence_s, self._first_voice_at + self._rules.cap_s),
        )

    def expired(self) -> None:
        """Say that the deadline has passed. ``ended_by`` stays None where no answer had begun: the agent is silent."""
        if self.ended_by is None and self._first_voice_at is not None:
            tail_ends = self._voice_until + self._rules.tail_silence_s
            capped = tail_ends > max(self._first_voice_at + self._rules.cap_s, self._sent_at or 0)
            self.ended_by = "cap" if capped else "tail_silence"

    def answer(self, earlier: tuple[AudioChunk, ...] = ()) -> Answer:
        return Answer(
            chunks=tuple(self._chunks),
            ended_by=self.ended_by,
            transcript=self._agent.text,
            caller_transcript=self._caller.text,
            first_byte_s=self._since_sent(self._first_byte_at),
            first_voice_s=self._since_sent(self._first_voice_at),
            events=tuple(self._events),
            earlier=earlier,
        )

    def _since_sent(self, at: float | None) -> float | None:
        return None if at is None or self._sent_at is None else at - self._sent_at

    def _audio(self, chunk: AudioChunk, at: float) -> None:
        self._chunks.append(chunk)
        if chunk.transcript:
            self._agent.add(Transcript(chunk.transcript))
        if not chunk.data:
            return
        if self._first_byte_at is None:
            self._first_byte_at = at
        real_time = self._rules.in_real_time
        starts = max(self._played_until, at) if real_time else at
        self._played_until = starts + chunk.duration_seconds if real_time else at
        voiced = voiced_s(chunk.data, chunk.format, self._rules.silence_dbfs)
        if voiced is None:
            return
        begins, ends = voiced if real_time else (0.0, 0.0)
        if self._first_voice_at is None:
            self._first_voice_at = at + begins
        self._voice_until = starts + ends

    def _event(self, event: AgentEvent, at: float) -> None:
        self._events.append(event)
        match event:
            case Transcript():
                (self._agent if event.speaker == "agent" else self._caller).add(event)
            case TurnEnded():
                if self._sent_at is not None and at >= self._sent_at and (event.completed or self._chunks):
                    self.ended_by = "turn_end"
            case AgentHungUp():
                self.ended_by = "agent_hung_up"
            case PlaybackCleared():
                self._played_until = min(self._played_until, at)
                self._voice_until = min(self._voice_until, at)
            case _:
                pass
