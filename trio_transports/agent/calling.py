"""One exchange of turns: what the caller says goes out, and what the agent answers is gathered.

Rules
1. Audio that lay unread before is put aside first: it is of an earlier turn (``Answer.earlier``).
2. The turn is sent and written to the wire; from that moment latencies count. What came meanwhile has its own times.
3. The answer is over when ``TurnGatherer`` says so. What came after that moment stays unread.
4. An outcome carries what had been heard by then. After any other error, and after a cancellation, that is put back
   and can be received.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import final

import trio
from attrs import define, field

from .chunk import AudioChunk
from .conversation import Conversation
from .inbox import Arrived
from .outcomes import AgentFinished, AgentOutcome
from .turn import Answer, TurnGatherer, TurnRules


@final
@define(eq=False)
class Exchange:
    """Used once. ``send_turn`` sends the caller's turn and returns when its last audio is on the wire."""

    _conversation: Conversation
    _rules: TurnRules
    _gatherer: TurnGatherer = field(init=False)
    _taken: list[Arrived] = field(factory=list, init=False)
    _earlier: list[AudioChunk] = field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        self._gatherer = TurnGatherer(self._rules)

    async def run(self, send_turn: Callable[[], Awaitable[None]], end_turn: Callable[[], Awaitable[None]]) -> Answer:
        """Send a turn and gather the answer to it. Cancelled, what was gathered is there for the next call."""
        conversation = self._conversation
        if conversation.is_calling:
            raise trio.BusyResourceError("another call() is under way: one turn at a time")
        if conversation.is_finished:
            await trio.lowlevel.checkpoint()
            raise conversation.fate.outcome()
        conversation.is_calling = True
        try:
            self._put_aside()
            await self._send(send_turn, end_turn)
            return await self._gather()
        except AgentOutcome:
            raise
        except BaseException:  # however it is left, the next call finds what came; then it is raised again
            conversation.inbox.put_back(self._taken)
            raise
        finally:
            conversation.is_calling = False

    def _put_aside(self) -> None:
        while (arrived := self._conversation.inbox.take_nowait()) is not None:
            item = self._conversation.said(arrived)
            if isinstance(item, AudioChunk):
                self._taken.append(arrived)
                self._earlier.append(item)

    async def _send(self, send_turn: Callable[[], Awaitable[None]], end_turn: Callable[[], Awaitable[None]]) -> None:
        conversation = self._conversation
        try:
            try:
                await send_turn()
            finally:
                self._gatherer.turn_sent(trio.current_time())
            await end_turn()
            await conversation.sending.drain()
        except AgentOutcome:
            if conversation.fate.ending is None:
                with trio.move_on_after(conversation.close_timeout_s):
                    await conversation.fate.has_ended.wait()

    async def _gather(self) -> Answer:
        gatherer, inbox = self._gatherer, self._conversation.inbox
        messages = self._conversation.hearing.messages
        while gatherer.ended_by is None:
            arrived = inbox.take_nowait()
            if arrived is None:
                if inbox.has_ended:
                    await trio.lowlevel.checkpoint()
                    return self._stream_ended()
                with trio.move_on_at(gatherer.deadline) as limit, suppress(trio.EndOfChannel):
                    arrived = await inbox.take()
                if arrived is None and not limit.cancelled_caught:
                    continue
            elif arrived.at > gatherer.deadline:
                inbox.put_back([arrived])
                arrived = None
            if arrived is None:
                gatherer.expired()
                break
            item = self._conversation.said(arrived)
            self._taken.append(arrived)
            gatherer.heard(item, arrived.at)
        else:
            await trio.lowlevel.checkpoint()
        if gatherer.ended_by is None:
            waited_s = self._rules.first_audio_timeout_s
            raise self._conversation.silent(waited_s, self._conversation.hearing.messages - messages, self._partial())
        return self._answer()

    def _stream_ended(self) -> Answer:
        outcome = self._conversation.fate.outcome()
        if isinstance(outcome, AgentFinished):
            self._gatherer.finished()
            if self._gatherer.ended_by is not None:
                return self._answer()
        outcome.answer = self._partial()
        raise outcome

    def _answer(self) -> Answer:
        return self._gatherer.answer(tuple(self._earlier))

    def _partial(self) -> Answer | None:
        answer = self._answer()
        return answer if answer.chunks or answer.earlier or answer.events else None
