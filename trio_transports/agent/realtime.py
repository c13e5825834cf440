"""A stage that joins a session to a voice backend: ``Pipeline([realtime(agent)]).run(session.input, session.output)``.

Rules
1. What the caller says goes to the agent as it comes, and so do the keys it presses, where the protocol has a message
   for them. On a line that never falls silent it is paced even where the adapter is not: sent at once, each piece would
   be followed by the line's silence. Where the agent does not hear itself when a turn is over, it is told, by the
   session's speech notices.
2. What the agent says is read at once, however far ahead of its playing, and waits here for room in the output, as
   much of it as ``unsaid.py`` allows. Its texts keep their place among the audio, under the name of the utterance.
3. An interruption, by the session or pipeline or because the agent hears the caller (``PlaybackCleared``), drops what
   waits. The agent is told to stop, where it did not find out by itself, and of each utterance how much was heard.
   What still comes of an utterance that was cut off, because the agent has not noticed yet, goes no further; of an
   agent that names none, see ``late.py``.
4. The agent's hanging up, or its finishing in good order, ends the call. A lost connection to it is its exception.
   So does an ``EndFrame`` of a stage before this one, behind what the agent has said; how loud it is to be, and the
   like, takes the same way. The end of the caller's side ends the stage, once an ``EndFrame`` that waits has left; the
   connection to the agent is its owner's.
"""

import logging
from collections import deque
from collections.abc import Sequence
from typing import final

import trio
from attrs import define, field

from .._nursery import open_services
from ..errors import LocalProtocolError
from ..frames import (
    AudioFrame,
    DTMFFrame,
    EndFrame,
    FilterControlFrame,
    Frame,
    InterruptionFrame,
    MixerControlFrame,
    Played,
    TextFrame,
    UserStoppedSpeakingFrame,
    VolumeFrame,
)
from ..pipeline.stage import AsyncStage
from ..pipeline.turns import heard_of, outlives_interruption, playback_of
from .adapter import WebSocketAgentAdapter
from .chunk import AudioChunk
from .events import AgentEvent, AgentHungUp, PlaybackCleared, Transcript, TurnEnded
from .late import LateAudio
from .outcomes import AgentFinished, AgentOutcome
from .unsaid import Unsaid

logger = logging.getLogger(__name__)

_REMEMBERED = 64
_IN_A_TURN = 16


def realtime(agent: WebSocketAgentAdapter) -> AsyncStage:
    """Make a stage of a connected adapter: what the caller says goes there, what the agent says comes out."""
    if not isinstance(agent, WebSocketAgentAdapter):
        raise TypeError(f"realtime takes a WebSocketAgentAdapter, entered with `async with`, not {agent!r}")

    async def realtime_stage(input: trio.abc.ReceiveChannel[Frame], output: trio.abc.SendChannel[Frame]) -> None:  # noqa: A002
        if not agent.is_connected:
            raise LocalProtocolError(f"{agent!r} is not connected: write `async with agent:` around the pipeline")
        await _Joined(agent, output, Unsaid(agent._connection().inbox)).run(input)

    return realtime_stage


@final
@define(eq=False)
class _Joined:
    _agent: WebSocketAgentAdapter
    _output: trio.abc.SendChannel[Frame]
    _waiting: Unsaid
    _is_late_told: bool = field(default=False, init=False)
    _more: trio.Event = field(factory=trio.Event, init=False)
    _sending: trio.CancelScope | None = field(default=None, init=False)
    _goodbye: trio.Event | None = field(default=None, init=False)
    """There is an ``EndFrame`` to send; set when it has left."""
    _said: deque[str] = field(factory=lambda: deque(maxlen=_IN_A_TURN), init=False)
    """The utterances whose audio came since the last interruption."""
    _cut: deque[str] = field(factory=lambda: deque(maxlen=_REMEMBERED), init=False)
    _truncated: deque[str] = field(factory=lambda: deque(maxlen=_REMEMBERED), init=False)
    _late: LateAudio = field(factory=LateAudio, init=False)

    async def run(self, caller: trio.abc.ReceiveChannel[Frame]) -> None:
        async with open_services() as services:
            services.start_soon(self._hear_agent, name="realtime: hears the agent")
            services.start_soon(self._speak, name="realtime: speaks for the agent")
            async for frame in caller:
                await self._take(frame)
            if self._goodbye is not None:  # the stage that sent it may have returned: it has still to be said
                await self._goodbye.wait()

    # From the caller to the agent

    async def _take(self, frame: Frame) -> None:
        agent, can = self._agent, self._agent.capabilities
        try:
            match frame:
                case AudioFrame():
                    chunk = AudioChunk(frame.audio, sample_rate=frame.sample_rate, num_channels=frame.num_channels)
                    await agent.send_audio(chunk, paced=agent.paced or agent.protocol.is_continuous)
                case DTMFFrame() if can.dtmf:
                    await agent.send_dtmf(frame.digit)
                case UserStoppedSpeakingFrame() if not can.native_vad:
                    await agent.end_turn()
                case InterruptionFrame():
                    heard = frame.heard or heard_of(self._output)
                    self._late.interrupted(trio.current_time(), speaks=bool(heard or self._waiting))
                    cut = self._drop()
                    if can.interruption and not can.native_vad:
                        await agent.interrupt()
                    await self._truncate(heard, cut)
                case EndFrame() | VolumeFrame() | MixerControlFrame() | FilterControlFrame():
                    self._add(frame)
        except AgentOutcome:
            return  # the other task tells the end, in order or not

    async def _truncate(self, heard: tuple[Played, ...], cut: Sequence[str]) -> None:
        for played in heard:
            if played.utterance not in self._truncated and not played.is_complete:
                self._truncated.append(played.utterance)
                await self._agent.truncate(played.utterance, played.seconds)
        known = playback_of(self._output)
        if known is not None:
            for name in cut:
                if name not in known and name not in self._truncated:  # it waited for its turn to be said
                    self._truncated.append(name)
                    await self._agent.truncate(name, 0.0)

    async def _is_late(self, utterance: str | None) -> bool:
        """Whether it is of an utterance that was cut off; the agent is told, if all it had sent had been heard."""
        if utterance is None:
            return self._late.is_late(trio.current_time())
        if utterance not in self._cut:
            return False
        known = playback_of(self._output)
        if utterance not in self._truncated and known is not None:
            self._truncated.append(utterance)
            played = known.get(utterance)
            await self._agent.truncate(utterance, 0.0 if played is None else played.seconds)
        return True

    def _is_late_text(self, utterance: str | None) -> bool:
        return self._late.drops(trio.current_time()) if utterance is None else utterance in self._cut

    # From the agent to the caller

    async def _hear_agent(self) -> None:
        try:
            while True:
                await self._heard(await self._agent.receive())
        except AgentFinished:
            self._add(EndFrame(reason="the agent finished"))

    async def _heard(self, item: AudioChunk | AgentEvent) -> None:
        match item:
            case AudioChunk() if item.data:
                if await self._is_late(item.utterance):
                    return
                if item.utterance is not None and item.utterance not in self._said:
                    self._said.append(item.utterance)
                self._add(
                    AudioFrame(
                        audio=item.data,
                        sample_rate=item.sample_rate,
                        num_channels=item.num_channels,
                        utterance=item.utterance,
                    )
                )
            case Transcript(speaker="caller", final=True) | TurnEnded():
                self._late.turned()
            case Transcript(speaker="agent", final=False) if not self._is_late_text(item.utterance):
                self._add(TextFrame(text=item.text, utterance=item.utterance))
            case PlaybackCleared():
                self._late.turned()
                heard = heard_of(self._output)
                cut = self._drop()
                await self._output.send(InterruptionFrame(heard=heard))
                await self._truncate(heard, cut)
            case AgentHungUp():
                self._add(EndFrame(reason=item.reason))
            case _:
                pass

    def _add(self, frame: Frame) -> None:
        if isinstance(frame, EndFrame) and self._goodbye is None:
            self._goodbye = trio.Event()
        if self._waiting.put(frame) and not self._is_late_told:
            self._is_late_told = True
            logger.warning(
                "%r is over max_unread_s of audio, or max_unread_bytes of text, ahead of what is said: the oldest is "
                "dropped",
                self._agent,
            )
        self._more.set()

    def _drop(self) -> Sequence[str]:
        """Say nothing more of what is being said; returned are the utterances that are cut off by it."""
        cut = [name for name in self._said if name not in self._cut]
        self._cut.extend(cut)
        self._said.clear()
        self._waiting.interrupt()
        if self._sending is not None:
            self._sending.cancel()
        return cut

    async def _speak(self) -> None:
        while True:
            while self._waiting:
                frame = self._waiting.take()
                if outlives_interruption(frame):
                    await self._output.send(frame)
                    if isinstance(frame, EndFrame) and self._goodbye is not None:
                        self._goodbye.set()
                    continue
                with trio.CancelScope() as self._sending:
                    await self._output.send(frame)
                self._sending = None
            self._more = trio.Event()
            await self._more.wait()
