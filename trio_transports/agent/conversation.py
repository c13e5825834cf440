"""One connection of an adapter, from the first message to the end: a session, and who hears, sends and ends on it.

Rules
1. Everything that comes is read at once: see ``hearing.py``. What is sent goes by ``sending.py``, and how it ends is
   known by ``fate.py``.
2. Replies that the protocol owes (an answer to a ping, a mark that was played) are sent from here.
3. Ending by this side: the protocol's last messages, what is queued, then the close.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Final, final

import trio
from attrs import define, evolve, field

from .._nursery import open_services
from ..errors import ConnectionClosed
from ..frames import AudioFrame, EndFrame, Frame
from ..session.session import Session
from ..session.statistics import Statistics
from .bridge import Bridge
from .chunk import AudioChunk
from .events import AgentEvent, Reply
from .fate import Fate
from .hearing import Hearing
from .inbox import AgentInbox, Arrived
from .outcomes import AgentSilent
from .protocol import WebSocketProtocol, outgoing
from .recording import ConversationRecording
from .sending import Sending
from .turn import Answer

_SHORTEST_S: Final = 0.001
"""Sums of floats below this are nothing."""


@final
@define(eq=False)
class Conversation:
    """Made by an adapter for each connection; ``run`` is the session's body."""

    protocol: WebSocketProtocol
    recording: ConversationRecording | None
    close_timeout_s: float
    inbox: AgentInbox
    fate: Fate
    hearing: Hearing
    bridge: Bridge = field(init=False)
    sending: Sending = field(init=False)
    over: trio.Event = field(factory=trio.Event, init=False)
    """Set when nothing of the connection is left."""
    is_calling: bool = field(default=False, init=False)
    _stop: trio.CancelScope = field(factory=trio.CancelScope, init=False)

    def __attrs_post_init__(self) -> None:
        self.bridge = Bridge(
            self.protocol, now=trio.current_time, on_sent=self._record_caller, on_fault=self._encoding_failed
        )
        self.sending = Sending(self.protocol, self.bridge, self.inbox, self.fate, self._record_caller)

    # The session's body

    async def run(self, session: Session, started: Callable[[], None]) -> None:
        """Talk until the connection or the caller ends it; ``started`` is called once the opening words are sent."""
        self.sending.session = session
        await self._open(session)
        started()
        with self._stop:
            await self._listen(session)
            await self.learn_ending(session)
        if self._stop.cancelled_caught:
            async with open_services() as services:  # what comes meanwhile is heard, and answered where that is owed
                services.start_soon(self._listen, session, name="listen")
                await self._say_goodbye(session)

    async def _open(self, session: Session) -> None:
        first = outgoing(self.protocol.on_open(), f"{type(self.protocol).__name__}.on_open")
        native = self.protocol.input_format
        silence = native.silence(native.samples_in(self.protocol.chunk_ms / 1000))
        try:
            if first:
                await session.output.send(self.bridge.finished(first))
            if self.protocol.is_continuous:
                # The first audio sets the session's clock going; from then on it fills every gap with silence.
                await session.output.send(
                    AudioFrame(audio=silence, sample_rate=native.sample_rate, num_channels=native.num_channels)
                )
        except ConnectionClosed:
            return  # it was connected, and is no more: recv_audio tells how it ended

    async def _listen(self, session: Session) -> None:
        while True:
            with trio.move_on_at(self.hearing.playback.next_due) as self.hearing.alarm:
                try:
                    frame = await session.input.receive()
                except trio.EndOfChannel:
                    return
                self._take(frame)
            for reply in self.hearing.playback.take_due(trio.current_time()):
                await self._reply(session, reply)

    def _take(self, frame: Frame) -> None:
        recalled = self.bridge.recall(frame)
        if recalled is not None:
            at, noted = recalled
            self.hearing.take(noted, at, type(self.protocol).__name__)

    async def _reply(self, session: Session, reply: Reply) -> None:
        try:
            given = reply.messages() if callable(reply.messages) else reply.messages
            messages = outgoing(given, f"a Reply of {type(self.protocol).__name__}")
        except Exception as exc:  # the user's code; it is raised to the user from recv_audio
            self.inbox.put(exc, trio.current_time())
            return
        try:
            await session.output.send(self.bridge.finished(messages, urgent=True))
        except ConnectionClosed:
            return  # nobody is there to be answered, and the receiving side tells how it ended

    async def _say_goodbye(self, session: Session) -> None:
        last = outgoing(self.protocol.on_close(), f"{type(self.protocol).__name__}.on_close")
        with trio.move_on_after(session.statistics().audio_queued_s + self.close_timeout_s):
            try:
                if last:
                    await session.output.send(self.bridge.finished(last))
                await session.output.drain()
            except ConnectionClosed:
                return

    # Receiving

    async def receive(self, timeout_s: float) -> AudioChunk | None:
        """Take the next audio, or None ``timeout_s`` after what this side is saying has left.

        What is said later does not prolong it. Raise what the protocol raised, or how it ended.
        """
        if self.is_calling:
            raise trio.BusyResourceError("call() is reading the agent's answer: receive before it or after it")
        await trio.lowlevel.checkpoint_if_cancelled()
        said_s = self.sending.spoken_s
        while True:
            # Asked again when it should have left: a slow peer, or an interruption, makes it another time.
            # What was said since leaves later; of what was, a send that was cancelled said nothing.
            unsent_s = self.sending.unsent_s
            speaks_for_s = min(unsent_s, said_s - self.sending.spoken_s + unsent_s)
            speaks = speaks_for_s > _SHORTEST_S
            with trio.move_on_after(speaks_for_s if speaks else max(0.0, timeout_s)):
                return await self._next_audio()
            if not speaks:
                return None

    async def _next_audio(self) -> AudioChunk:
        while True:
            waiting = self.inbox.take_nowait()
            if waiting is None and self.is_finished:
                await trio.lowlevel.cancel_shielded_checkpoint()
                raise self.fate.outcome()
            with suppress(trio.EndOfChannel):
                item = self.said(waiting or await self.inbox.take())
                if isinstance(item, AudioChunk):
                    await trio.lowlevel.cancel_shielded_checkpoint()
                    return item

    async def next_item(self) -> AudioChunk | AgentEvent:
        """Take the next of everything, in order; raise what the protocol raised, or how it ended."""
        await trio.lowlevel.checkpoint_if_cancelled()
        while True:
            waiting = self.inbox.take_nowait()
            if waiting is None and self.is_finished:
                await trio.lowlevel.cancel_shielded_checkpoint()
                raise self.fate.outcome()
            with suppress(trio.EndOfChannel):
                arrived = waiting or await self.inbox.take()
                if waiting is not None:
                    await trio.lowlevel.cancel_shielded_checkpoint()
                return self.said(arrived)

    @property
    def is_finished(self) -> bool:
        """Whether nothing more is to be expected: the connection has ended, or the agent says that it hung up."""
        return self.inbox.has_ended or self.fate.has_hung_up

    def said(self, arrived: Arrived) -> AudioChunk | AgentEvent:
        """What the agent said; or raise, where it is an exception."""
        if isinstance(arrived.item, Exception):
            self.sending.fault_was_read(arrived.item)
            raise arrived.item
        return arrived.item

    # The end

    async def disconnect(self) -> None:
        """End the conversation in good order, and wait for that."""
        self.fate.is_leaving = True
        self._stop.cancel()
        await self.over.wait()

    async def learn_ending(self, session: Session) -> None:
        """Take from a session that is over how it ended."""
        try:
            await session.output.send(EndFrame())
        except ConnectionClosed as closed:
            self.end(closed)

    def end(self, ending: ConnectionClosed) -> None:
        """Tell the readers how it ended; what came before is still theirs. The first ending counts."""
        if self.fate.ending is None:
            self.hearing.flush()
            self.fate.end(ending)
            self.inbox.end()

    def statistics(self) -> Statistics:
        """What the session counted, and what was dropped or failed on this side of it."""
        session = self.sending.session
        if session is None:
            raise self.fate.outcome()
        counted = session.statistics()
        return evolve(
            counted,
            audio_in_dropped_s=counted.audio_in_dropped_s + self.inbox.dropped_audio_s,
            frames_dropped=counted.frames_dropped + self.inbox.dropped_notes,
            malformed_messages=counted.malformed_messages + self.bridge.undecoded,
        )

    def silent(self, waited_s: float, messages: int, answer: Answer | None = None) -> AgentSilent:
        """Make the error that says that nothing came."""
        return self.fate.silent(waited_s, messages, self.sending.unsent_s, answer)

    def _encoding_failed(self, fault: Exception) -> None:
        self.sending.encoding_failed(fault)

    def _record_caller(self, pcm: bytes) -> None:
        if self.recording is not None:
            self.recording.caller(pcm, self.protocol.input_format, trio.current_time())
