"""What goes to an agent: audio in pace or at once, and finished messages, each in its place.

Rules
1. Paced audio is queued in the session, and encoded when its clock lets it leave. An encoding that fails then is raised
   by the send_audio under way, else by the next recv_audio; there one is enough.
2. Nothing is sent after the end, or after ``disconnect`` was called.
"""

from collections.abc import Callable
from typing import final

import trio
from attrs import define, field

from ..audio.convert import Converter
from ..errors import ConnectionClosed, LocalProtocolError
from ..frames import AudioFrame, Frame
from ..session.session import Session
from .bridge import Bridge
from .chunk import AudioChunk
from .fate import Fate
from .inbox import AgentInbox
from .protocol import Messages, WebSocketProtocol, outgoing


@final
@define(eq=False)
class _Sender:
    """A send_audio under way, and what failed meanwhile."""

    fault: Exception | None = None


@final
@define(eq=False)
class Sending:
    """One conversation's. ``on_sent`` is told of audio that was sent at once."""

    _protocol: WebSocketProtocol
    _bridge: Bridge
    _inbox: AgentInbox
    _fate: Fate
    _on_sent: Callable[[bytes], None]
    session: Session | None = field(default=None, init=False)
    spoken_s: float = field(default=0.0, init=False)
    """How much paced audio was ever to be sent; ``_waiting_s`` of it waits for room."""
    _waiting_s: float = field(default=0.0, init=False)
    _senders: list[_Sender] = field(factory=list, init=False)
    _unread_fault: Exception | None = field(default=None, init=False)
    _said: Converter | None = field(default=None, init=False)

    async def audio(self, chunk: AudioChunk, *, paced: bool) -> None:
        """Send audio of any format, in pace or at once."""
        if not paced:
            await self._at_once(self._native(chunk))
            return
        frame = AudioFrame(audio=chunk.data, sample_rate=chunk.sample_rate, num_channels=chunk.num_channels)
        sender = _Sender()
        self._senders.append(sender)
        self.spoken_s += frame.duration_s
        self._waiting_s += frame.duration_s
        try:
            await self._send(frame)
        except BaseException:  # however it is left, this was not said; then it is raised again
            self.spoken_s -= frame.duration_s
            self._senders.remove(sender)
            if sender.fault is not None:
                self.encoding_failed(sender.fault)  # there is something else to raise here
            raise
        finally:
            self._waiting_s -= frame.duration_s
        self._senders.remove(sender)
        if sender.fault is not None:
            raise sender.fault

    @property
    def unsent_s(self) -> float:
        """How much of what this side says in real time has not left yet."""
        if self.session is None or self._fate.ending is not None:
            return 0.0
        return self._waiting_s + self.session.statistics().audio_queued_s

    async def flush_at_once(self) -> None:
        """Send what the resampler still holds of audio that was sent at once."""
        if self._said is not None:
            await self._at_once(self._said.flush())

    async def messages(self, messages: Messages, where: str, *, urgent: bool = False) -> bool:
        """Send what a hook gave; False if that was nothing."""
        finished = outgoing(messages, where)
        if not finished:
            await trio.lowlevel.checkpoint()
            return False
        frame = self._bridge.finished(finished, urgent=urgent)
        try:
            await self._send(frame)
        finally:
            self._bridge.forget(frame)
        return True

    async def drain(self) -> None:
        """Wait until everything queued was written."""
        try:
            await self._open_session().output.drain()
        except ConnectionClosed as closed:
            raise self._fate.outcome(closed) from None

    def encoding_failed(self, fault: Exception) -> None:
        """Give a failed encoding to whoever can raise it; rule 1."""
        if self._senders:
            self._senders[-1].fault = fault
        elif self._unread_fault is None:
            self._unread_fault = fault
            self._inbox.put(fault, trio.current_time())

    def fault_was_read(self, fault: Exception) -> None:
        """Say that recv_audio raises it now: the next one counts again."""
        if fault is self._unread_fault:
            self._unread_fault = None

    async def _at_once(self, pcm: bytes) -> None:
        if not pcm:
            await trio.lowlevel.checkpoint()
            return
        messages = self._bridge.encode_audio(pcm)
        await self.messages(messages, "encode_audio")
        self._on_sent(pcm)

    def _native(self, chunk: AudioChunk) -> bytes:
        converter, held = self._said, b""
        if converter is None or converter.source != chunk.format:
            held = b"" if converter is None else converter.flush()
            converter = self._said = Converter(chunk.format, self._protocol.input_format)
        return held + converter.process(chunk.data)

    async def _send(self, frame: Frame) -> None:
        session = self._open_session()
        try:
            await session.output.send(frame)
        except ConnectionClosed as closed:
            raise self._fate.outcome(closed) from None

    def _open_session(self) -> Session:
        if self.session is None or self._fate.ending is not None:
            raise self._fate.outcome()
        if self._fate.is_leaving:
            raise LocalProtocolError("disconnect() was called: nothing more can be sent")
        return self.session
