"""One connection of an adapter, from the first message to the end: a session, and what was heard on it.

Rules
1. Everything that comes is read at once and put into the inbox, so an unread answer never holds up the connection.
2. Audio changes its rate here where the caller wants another one. What the resampler holds back comes out, as a chunk
   of its own, when the agent's turn or the connection ends.
3. Replies that the protocol owes (an answer to a ping, a mark that was played) are sent from here.
4. Ending by this side: the protocol's last messages, what is queued, then the close.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Final, final

import trio
from attrs import define, evolve, field

from .._nursery import open_services
from ..audio.convert import Converter
from ..audio.format import AudioFormat
from ..errors import ConnectionClosed, LocalProtocolError
from ..frames import AudioFrame, EndFrame, Frame
from ..session.broadcast import Broadcast
from ..session.session import Session
from ..session.statistics import Statistics
from .bridge import Bridge
from .chunk import AudioChunk
from .events import AgentEvent, AgentHungUp, PlaybackCleared, Reply, TurnEnded
from .inbox import AgentInbox, Arrived
from .outcomes import CLEAN_CLOSE_CODES, AgentConnectionLost, AgentFinished, AgentSilent
from .playback import Playback
from .protocol import Messages, WebSocketProtocol, outgoing
from .rates import RateConversion
from .recording import ConversationRecording
from .turn import Answer

_SHORTEST_S: Final = 0.001
"""Sums of floats below this are nothing."""


@final
@define(eq=False)
class _Sender:
    """A send_audio under way, and what failed meanwhile."""

    fault: Exception | None = None


@final
@define(eq=False)
class Conversation:
    """Made by an adapter for each connection; ``run`` is the session's body."""

    url: str
    protocol: WebSocketProtocol
    audio_format: AudioFormat | None
    """What the caller speaks and wants to hear; None: what the agent sends, as it sends it."""
    events: Broadcast[AgentEvent]
    recording: ConversationRecording | None
    dead_after_s: float | None
    close_timeout_s: float
    max_unread_s: float
    dialled_at: float
    inbox: AgentInbox = field(init=False)
    bridge: Bridge = field(init=False)
    over: trio.Event = field(factory=trio.Event, init=False)
    """Set when nothing of the connection is left."""
    has_ended: trio.Event = field(factory=trio.Event, init=False)
    """Set when it is known how it ended."""
    ending: ConnectionClosed | None = field(default=None, init=False)
    is_calling: bool = field(default=False, init=False)
    messages: int = field(default=0, init=False)
    """Everything heard that is not audio."""
    _session: Session | None = field(default=None, init=False)
    _stop: trio.CancelScope = field(factory=trio.CancelScope, init=False)
    _ended_at: float | None = field(default=None, init=False)
    _hung_up: bool = field(default=False, init=False)
    _is_leaving: bool = field(default=False, init=False)
    _senders: list[_Sender] = field(factory=list, init=False)
    _unread_fault: Exception | None = field(default=None, init=False)
    _alarm: trio.CancelScope = field(factory=trio.CancelScope, init=False)
    _playback: Playback = field(factory=Playback, init=False)
    _rates: RateConversion = field(init=False)
    _heard_at: float = field(default=0.0, init=False)
    _said: Converter | None = field(default=None, init=False)
    _spoken_s: float = field(default=0.0, init=False)
    """How much paced audio was ever to be sent; ``_waiting_s`` of it waits for room."""
    _waiting_s: float = field(default=0.0, init=False)

    def __attrs_post_init__(self) -> None:
        self.inbox = AgentInbox(self.max_unread_s)
        self._rates = RateConversion(self.audio_format)
        self.bridge = Bridge(
            self.protocol, now=trio.current_time, on_sent=self._record_caller, on_fault=self._encoding_failed
        )

    # The session's body

    async def run(self, session: Session, started: Callable[[], None]) -> None:
        self._session = session
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
            with trio.move_on_at(self._playback.next_due) as self._alarm:
                try:
                    frame = await session.input.receive()
                except trio.EndOfChannel:
                    return
                self._take(frame)
            for reply in self._playback.take_due(trio.current_time()):
                await self._reply(session, reply)

    def _take(self, frame: Frame) -> None:
        recalled = self.bridge.recall(frame)
        if recalled is None:
            return
        at, noted = recalled
        if isinstance(noted, AudioChunk):
            self._take_audio(noted, at)
            return
        self.messages += 1
        if isinstance(noted, Reply):
            self._playback.wait(noted, at)
            return
        if isinstance(noted, TurnEnded | AgentHungUp | PlaybackCleared):
            self._flush_heard()
        if isinstance(noted, AgentHungUp):
            self._hung_up = True
        elif isinstance(noted, PlaybackCleared):
            self.clear_playback(at)
        self.inbox.put(noted, at)
        if not isinstance(noted, Exception):
            self.events.emit(noted)

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

    # Audio that came

    def _take_audio(self, chunk: AudioChunk, at: float) -> None:
        self._heard_at = at
        self._playback.audio(chunk.duration_seconds, at)
        try:
            for converted in self._rates.process(chunk):
                if converted.data or converted.transcript:
                    self._deliver(converted, at)
        except ValueError as exc:  # a rate that nothing can be made of; it is raised to the user from recv_audio
            exc.add_note(f"in a chunk of {chunk.format} from {type(self.protocol).__name__}.decode_response")
            self.inbox.put(exc, at)

    def _flush_heard(self) -> None:
        for held in self._rates.flush():  # it belongs to the last audio that came
            self._deliver(evolve(held, received_at=self._heard_at), self._heard_at)

    def _deliver(self, chunk: AudioChunk, at: float) -> None:
        if self.recording is not None:
            self.recording.agent(chunk.data, chunk.format, at)
        self.inbox.put(chunk, at)

    def clear_playback(self, at: float) -> None:
        """Play nothing more of what has come: taken back by the agent, or talked over."""
        self._playback.clear(at)
        self._alarm.deadline = self._playback.next_due
        if self.recording is not None:
            self.recording.cut_agent(at)

    # Sending

    async def send_audio(self, chunk: AudioChunk, *, paced: bool) -> None:
        if not paced:
            await self._send_at_once(self._native(chunk))
            return
        frame = AudioFrame(audio=chunk.data, sample_rate=chunk.sample_rate, num_channels=chunk.num_channels)
        sender = _Sender()
        self._senders.append(sender)
        self._spoken_s += frame.duration_s
        self._waiting_s += frame.duration_s
        try:
            await self._send(frame)
        except BaseException:
            self._spoken_s -= frame.duration_s
            self._senders.remove(sender)
            if sender.fault is not None:
                self._encoding_failed(sender.fault)  # there is something else to raise here
            raise
        finally:
            self._waiting_s -= frame.duration_s
        self._senders.remove(sender)
        if sender.fault is not None:
            raise sender.fault

    @property
    def unsent_s(self) -> float:
        """How much of what this side says in real time has not left yet."""
        if self._session is None or self.ending is not None:
            return 0.0
        return self._waiting_s + self._session.statistics().audio_queued_s

    async def flush_at_once(self) -> None:
        """Send what the resampler still holds of audio that was sent at once."""
        if self._said is not None:
            await self._send_at_once(self._said.flush())

    async def send(self, messages: Messages, where: str, *, urgent: bool = False) -> bool:
        """Send what a hook gave; False if that was nothing."""
        finished = outgoing(messages, where)
        if not finished:
            await trio.lowlevel.checkpoint()
            return False
        frame = self.bridge.finished(finished, urgent=urgent)
        try:
            await self._send(frame)
        finally:
            self.bridge.forget(frame)
        return True

    async def drain(self) -> None:
        """Wait until everything queued was written."""
        try:
            await self._open_session().output.drain()
        except ConnectionClosed as closed:
            raise self.outcome(closed) from None

    async def _send_at_once(self, pcm: bytes) -> None:
        if not pcm:
            await trio.lowlevel.checkpoint()
            return
        messages = self.bridge.encode_audio(pcm)
        await self.send(messages, "encode_audio")
        self._record_caller(pcm)

    def _native(self, chunk: AudioChunk) -> bytes:
        converter, held = self._said, b""
        if converter is None or converter.source != chunk.format:
            held = b"" if converter is None else converter.flush()
            converter = self._said = Converter(chunk.format, self.protocol.input_format)
        return held + converter.process(chunk.data)

    async def _send(self, frame: Frame) -> None:
        session = self._open_session()
        try:
            await session.output.send(frame)
        except ConnectionClosed as closed:
            raise self.outcome(closed) from None

    def _open_session(self) -> Session:
        if self._session is None or self.ending is not None:
            raise self.outcome()
        if self._is_leaving:
            raise LocalProtocolError("disconnect() was called: nothing more can be sent")
        return self._session

    def _encoding_failed(self, fault: Exception) -> None:
        """Give a failed encoding to the send_audio under way, else to the next recv_audio; there one is enough."""
        if self._senders:
            self._senders[-1].fault = fault
        elif self._unread_fault is None:
            self._unread_fault = fault
            self.inbox.put(fault, trio.current_time())

    # Receiving

    async def receive(self, timeout_s: float) -> AudioChunk | None:
        """Take the next audio, or None ``timeout_s`` after what this side is saying has left.

        What is said later does not prolong it. Raise what the protocol raised, or how it ended.
        """
        if self.is_calling:
            raise trio.BusyResourceError("call() is reading the agent's answer: receive before it or after it")
        await trio.lowlevel.checkpoint_if_cancelled()
        said_s = self._spoken_s
        while True:
            # Asked again when it should have left: a slow peer, or an interruption, makes it another time.
            speaks_for_s = said_s - self._spoken_s + self.unsent_s
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
                raise self.outcome()
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
                raise self.outcome()
            with suppress(trio.EndOfChannel):
                arrived = waiting or await self.inbox.take()
                if waiting is not None:
                    await trio.lowlevel.cancel_shielded_checkpoint()
                return self.said(arrived)

    @property
    def is_finished(self) -> bool:
        """Whether nothing more is to be expected: the connection has ended, or the agent says that it hung up."""
        return self.inbox.has_ended or self._hung_up

    def said(self, arrived: Arrived) -> AudioChunk | AgentEvent:
        """What the agent said; or raise, where it is an exception."""
        if isinstance(arrived.item, Exception):
            if arrived.item is self._unread_fault:
                self._unread_fault = None
            raise arrived.item
        return arrived.item

    # The end

    def leave(self) -> None:
        """Say that it is this side's will to end."""
        self._is_leaving = True

    async def disconnect(self) -> None:
        """End the conversation in good order, and wait for that."""
        self.leave()
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
        if self.ending is None:
            self._flush_heard()
            self.ending = ending
            self._ended_at = trio.current_time()
            self.inbox.end()
            self.has_ended.set()

    def statistics(self) -> Statistics:
        """What the session counted, and what was dropped or failed on this side of it."""
        if self._session is None:
            raise self.outcome()
        counted = self._session.statistics()
        return evolve(
            counted,
            audio_in_dropped_s=counted.audio_in_dropped_s + self.inbox.dropped_audio_s,
            frames_dropped=counted.frames_dropped + self.inbox.dropped_notes,
            malformed_messages=counted.malformed_messages + self.bridge.undecoded,
        )

    def outcome(self, ending: ConnectionClosed | None = None) -> AgentFinished | AgentConnectionLost:
        """Make the error that says how it ended; a new one each time, so tracebacks stay apart."""
        known = self.ending or ending
        elapsed_s = (trio.current_time() if self._ended_at is None else self._ended_at) - self.dialled_at
        code, reason = (None, "") if known is None else (known.code, known.reason)
        by_agent = self._hung_up or (known is not None and known.initiator != "local")
        if self._hung_up or known is None or (code in CLEAN_CLOSE_CODES and (by_agent or self._is_leaving)):
            what = f"{'the agent' if by_agent else 'this side'} finished the conversation"
            return AgentFinished(what, peer=self.url, elapsed_s=elapsed_s, close_code=code, reason=reason)
        what = f"the connection broke ({known})"
        return AgentConnectionLost(what, peer=self.url, elapsed_s=elapsed_s, close_code=code, reason=reason)

    def silent(self, waited_s: float, messages: int, answer: Answer | None = None) -> AgentSilent:
        return AgentSilent(
            peer=self.url,
            elapsed_s=trio.current_time() - self.dialled_at,
            waited_s=waited_s,
            messages=messages,
            dead_after_s=self.dead_after_s,
            unsent_s=self.unsent_s,
            answer=answer,
        )

    def _record_caller(self, pcm: bytes) -> None:
        if self.recording is not None:
            self.recording.caller(pcm, self.protocol.input_format, trio.current_time())
