"""What comes from an agent, made ready to be read: its audio at the caller's rate, its events, and what is owed for it.

Rules
1. Everything is put into the inbox as it comes, so an unread answer never holds up the connection.
2. Audio changes its rate here where the caller wants another one. What the resampler holds back comes out, as a chunk
   of its own, when the agent's turn or the connection ends.
"""

from typing import final

import trio
from attrs import define, evolve, field

from ..session.broadcast import Broadcast
from .chunk import AudioChunk
from .events import AgentEvent, AgentHungUp, PlaybackCleared, Reply, TurnEnded
from .fate import Fate
from .inbox import AgentInbox
from .playback import AgentPlayback
from .rates import RateConversion
from .recording import ConversationRecording


@final
@define(eq=False)
class Hearing:
    """One conversation's. ``alarm`` is around the wait for what comes next; its deadline is the next reply's time."""

    _rates: RateConversion
    _inbox: AgentInbox
    _events: Broadcast[AgentEvent]
    _recording: ConversationRecording | None
    _fate: Fate
    playback: AgentPlayback = field(factory=AgentPlayback, init=False)
    alarm: trio.CancelScope = field(factory=trio.CancelScope, init=False)
    messages: int = field(default=0, init=False)
    """Everything heard that is not audio."""
    _heard_at: float = field(default=0.0, init=False)

    def take(self, noted: AudioChunk | AgentEvent | Reply | Exception, at: float, source: str) -> None:
        """Take one thing that a message meant; ``source`` is the protocol's name."""
        if isinstance(noted, AudioChunk):
            self._take_audio(noted, at, source)
            return
        self.messages += 1
        if isinstance(noted, Reply):
            self.playback.wait(noted, at)
            return
        if isinstance(noted, TurnEnded | AgentHungUp | PlaybackCleared):
            self.flush()
        if isinstance(noted, AgentHungUp):
            self._fate.has_hung_up = True
        elif isinstance(noted, PlaybackCleared):
            self.clear_playback(at)
        self._inbox.put(noted, at)
        if not isinstance(noted, Exception):
            self._events.emit(noted)

    def flush(self) -> None:
        """Bring out what the resampler holds back."""
        for held in self._rates.flush():  # it belongs to the last audio that came
            self._deliver(evolve(held, received_at=self._heard_at), self._heard_at)

    def clear_playback(self, at: float) -> None:
        """Play nothing more of what has come: taken back by the agent, or talked over."""
        self.playback.clear(at)
        self.alarm.deadline = self.playback.next_due
        if self._recording is not None:
            self._recording.cut_agent(at)

    def _take_audio(self, chunk: AudioChunk, at: float, source: str) -> None:
        self._heard_at = at
        self.playback.audio(chunk.duration_seconds, at)
        try:
            for converted in self._rates.process(chunk):
                if converted.data or converted.transcript:
                    self._deliver(converted, at)
        except ValueError as exc:  # a rate that nothing can be made of; it is raised to the user from recv_audio
            exc.add_note(f"in a chunk of {chunk.format} from {source}.decode_response")
            self._inbox.put(exc, at)

    def _deliver(self, chunk: AudioChunk, at: float) -> None:
        if self._recording is not None:
            self._recording.agent(chunk.data, chunk.format, at)
        self._inbox.put(chunk, at)
