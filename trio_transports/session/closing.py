"""How a session is closed by this side: politely, at once, or by a frame that ends the call.

Rules
1. Politely: nothing more is taken, what is queued is flushed within ``drain_timeout``, then goodbye is said.
2. At once: nothing more leaves but the goodbye, which the send task says within ``close_timeout``.
3. Whoever closes waits for the end that long and a second more. Then the caller ends it by force.
4. An ``EndFrame`` ends the call once what was queued before it, and the end silence, has left; and, where the dialect
   tells, once it was played. Then the dialect's own word for the end leaves, if it has one, and the close with 1000.
   That happens in the session, whatever is raised in the task that sent the frame, or becomes of it, and takes as long
   as rule 1 does: what is left then is dropped. An interruption drops what is queued as ever, and so brings the end
   nearer.
   Where the peer answers that word with its own, the close waits for it, ``close_timeout`` at most.
5. A ``CancelFrame`` goes straight to the goodbye. One that comes while an ``EndFrame`` is ending the call does so too:
   what is left is dropped, and no answer is waited for.
"""

from collections.abc import Sequence
from functools import partial
from math import inf
from typing import Final, final

import trio
from attrs import define, field

from .._offers import offers
from ..errors import ConnectionClosed, Ending
from ..frames import CancelFrame, EndFrame
from ..serializers.protocol import AwaitsClose, Message
from .clock import Timer
from .every_step import take_every_step
from .outbound import Outbound
from .state import Life, State

_BACKSTOP_S: Final = 1.0


@final
@define(eq=False)
class SessionClosing:
    """Owned by one session."""

    _life: Life
    _outbound: Outbound
    ends_call: bool = field(default=False, init=False)
    """A frame that ends the call was sent; rules 4 and 5."""
    _words: Sequence[Message] = field(default=(), init=False)
    _reason: str = field(default="", init=False)
    _limit: Timer = field(init=False)
    _was_asked: bool = field(default=False, init=False)
    _was_said: bool = field(default=False, init=False)
    awaits_answer: bool = field(default=False, init=False)
    """The word for the end is said, and the peer's own was not heard yet."""

    def __attrs_post_init__(self) -> None:
        self._limit = Timer(inf, self._is_late)

    # Rules 1 to 3

    def now(self, code: int, reason: str) -> None:
        """Begin to say goodbye."""
        if self._life.close(Ending(code, reason, "local")):
            self._outbound.say_goodbye(code, reason)
            self._outbound.wake()

    async def at_once(self, code: int, reason: str) -> None:
        """Say goodbye, and wait for the end."""
        await self.at_once_uncancelled(code, reason)
        await trio.lowlevel.checkpoint_if_cancelled()

    async def at_once_uncancelled(self, code: int, reason: str) -> None:
        """Say goodbye, and wait for the end; a cancellation meanwhile is for whatever waits next."""
        self.now(code, reason)
        if not self._life.over.is_set():
            limit_s = self._outbound.params.close_timeout + _BACKSTOP_S
            with trio.CancelScope(shield=True, deadline=trio.current_time() + limit_s):
                await self._life.over.wait()

    async def politely(self, code: int, reason: str) -> None:
        """Flush, say goodbye, and wait for the end. Cancelled, it closes at once, unflushed."""
        try:
            await self.drain()
        except trio.Cancelled:
            self.now(code, reason)
            raise
        await self.at_once(code, reason)

    async def drain(self) -> None:
        """Take nothing more and flush what is queued, within its own length or what ``drain_timeout`` says."""
        if self._life.state.is_ending:
            return
        self._life.to(State.DRAINING)
        if self.ends_call:
            await self._life.over.wait()
            return
        self._outbound.stop_filling()
        with trio.move_on_after(self._outbound.drain_limit_s):
            try:
                await self._outbound.drain()
            except ConnectionClosed:
                return

    # Rules 4 and 5

    async def end_call(self, frame: EndFrame | CancelFrame, *, plays_silence: bool) -> None:
        """End the call and wait for that. Cancelling it only ends the waiting."""
        outbound = self._outbound
        words, self._reason = outbound.serializer.encode(frame), frame.reason or ""
        self._life.to(State.DRAINING)
        self.ends_call, self._words = True, words
        if isinstance(frame, EndFrame) and outbound.is_ready:
            # A filter or mixer of the user's that raises meanwhile is heard of by who sent the frame, but ends nothing.
            take_every_step(
                outbound.end_audio if plays_silence else outbound.stop_filling,
                self._set_limit,
                partial(outbound.when_drained, self._all_has_left),
            )
        else:  # at once: before the peer's start nothing could be queued
            self._say_it()
        await self._wait_for_end()

    def _set_limit(self) -> None:
        self._limit.at_s = trio.current_time() + self._outbound.drain_limit_s
        self._set(self._limit)

    def _set(self, timer: Timer) -> None:
        """By no tick of the clock, in which a mixer of the user's may raise."""
        clock = self._outbound.clock
        clock.timers.append(timer)
        clock.look_again_at(timer.at_s)

    async def cut_off(self, frame: CancelFrame) -> None:
        """Have no more said of what a frame is ending already, and wait for the end; rule 5."""
        if not (self._was_said or self._life.state.is_ending):
            self._words, self._reason = self._outbound.serializer.encode(frame), frame.reason or ""
            self._say_words()
        self._has_no_answer(inf)
        await self._wait_for_end()

    async def _wait_for_end(self) -> None:
        await self._life.over.wait()
        if not self._was_said:
            self._life.check_connected()

    def _all_has_left(self) -> None:
        if not self._was_asked:
            self._was_asked = True
            if not self._outbound.marks.ask(self._say_it):
                self._say_it()

    def _say_it(self) -> None:
        if not self._was_said:
            self._say_words()
            self.awaits_answer = self._peer_answers
            if self.awaits_answer:
                self._set(Timer(trio.current_time() + self._outbound.params.close_timeout, self._has_no_answer))
            else:
                self.now(1000, self._reason)

    def _say_words(self) -> None:
        self._was_said = True
        self._limit.at_s = inf
        self._outbound.outbox.put_last(self._words)

    @property
    def _peer_answers(self) -> bool:
        serializer = self._outbound.serializer
        return offers(serializer, AwaitsClose) and serializer.awaits_close

    def heard(self) -> None:
        """Close once the peer has said its own word for the end."""
        if not self._peer_answers:
            self._has_no_answer(inf)

    def _has_no_answer(self, _now_s: float) -> float:
        self.awaits_answer = False
        self.now(1000, self._reason)
        return inf

    def _is_late(self, _now_s: float) -> float:
        self._say_it()
        return inf
