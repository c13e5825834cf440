"""One observer for every transport: what must hold of a call whatever happens on the way.

Rules
1. Told once: ``Connected`` and ``Disconnected``, one of each for each session, the end last. Who never connected is
   told by an exception.
2. No untold loss: what was sent and did not arrive is explained by what the sender was told. An end that is not its own
   good one, or that it left before all had come back, explains that the rest did not arrive; a gap, with something
   behind it that did, is explained only by a reconnection or a counter. What arrives is in order, and nothing twice.
3. No invented goodbye: an end with 1000 by the peer is told only where the peer had said goodbye.
4. Bounded: a call ends within ``LIMIT_S`` by itself.
5. Nothing is left: tasks, descriptors and sessions are as before.
6. Others are untouched: one call beside all the others, without faults, hears everything and goes on.
"""

import gc
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from math import inf
from typing import Final
from weakref import WeakSet

import trio
from attrs import define, field

from trio_transports import Connected, Disconnected, Session
from trio_transports.session.events import Event

LIMIT_S: Final = 30.0
"""Whoever leaves is gone within 2 s; the rest is for a busy machine."""


def tasks(of: trio.lowlevel.Task | None = None) -> Iterator[trio.lowlevel.Task]:
    task = of or trio.lowlevel.current_root_task()
    assert task is not None
    yield task
    for nursery in task.child_nurseries:
        for child in nursery.child_tasks:
            yield from tasks(child)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@define(eq=False)
class Witness:
    """Hears what transports tell, and holds no session for it."""

    connected: Counter[str] = field(factory=Counter, init=False)
    ended: dict[str, list[tuple[int, str]]] = field(factory=dict, init=False)
    dropped_s: dict[str, float] = field(factory=dict, init=False)
    """How much audio each session has counted as dropped."""
    sessions: WeakSet[Session] = field(factory=WeakSet, init=False)

    async def follow(self, events: trio.abc.ReceiveChannel[Event]) -> None:
        async for event in events:
            self.hear(event)
            del event  # it would hold the session until the next one

    def hear(self, event: Event) -> None:
        match event:
            case Connected(session=session):
                self.connected[session.id] += 1
                self.sessions.add(session)
            case Disconnected(session=session, code=code, initiator=initiator):
                self.ended.setdefault(session.id, []).append((code, initiator))
                counted = session.statistics()
                self.dropped_s[session.id] = counted.audio_in_dropped_s + counted.audio_out_dropped_s
            case _:
                pass

    @property
    def under_way(self) -> int:
        return len(self.connected) - len(self.ended)

    def forget(self) -> None:
        """Let go of sessions that were told to begin and to end once each, so that only mistakes are kept."""
        for each in [each for each, ends in self.ended.items() if len(ends) == self.connected[each] == 1]:
            del self.ended[each], self.connected[each], self.dropped_s[each]

    def mistakes(self) -> list[str]:
        """Rule 1, once all calls are over."""
        twice = [f"a session was told to begin {count} times" for count in self.connected.values() if count != 1]
        twice += [
            f"a session was told to end {len(ends)} times: {ends}" for ends in self.ended.values() if len(ends) != 1
        ]
        return [
            *twice,
            *(
                f"a session has ended that never began: {self.ended[each]}"
                for each in self.ended.keys() - self.connected
            ),
            *("a session began and its end was never told" for _ in self.connected.keys() - self.ended),
        ]


@define(eq=False)
class Call:
    """One call, as it looked from both ends."""

    name: str
    kind: str
    patience_s: float = 2.0
    """How long the near end waits for what does not come back before it leaves."""
    starved_s: Callable[[], float] = lambda: 0.0
    """For how long the machine has given this process no turn, so far."""
    loses_bits: bool = False
    """What arrives may be anything, so only the rules about ends, time and leftovers are asked."""
    sent: list[int] = field(factory=list)
    """What was accepted to be sent, near end."""
    heard: list[int] = field(factory=list)
    """What came of it, far end."""
    back: list[int] = field(factory=list)
    """What came back, near end."""
    turn: int = 0
    """The number of this call among all: what is not left to chance goes by it."""
    explained: list[str] = field(factory=list)
    """What the near end was told that would explain that the rest did not arrive."""
    told_lost: list[str] = field(factory=list)
    """What it was told that would explain a gap."""
    dropped_s: float = 0.0
    """How much audio both ends have counted as dropped."""
    lost_by_dropping_s: float = inf
    """How much of it explains the loss of a word; words that are written are not dropped."""
    left: bool = False
    """It left before all had come back: what was on its way then may be lost."""
    loses_nothing: bool = False
    """Nothing that is done to it would explain a loss."""
    said_goodbye: bool = False
    mistakes: list[str] = field(factory=list)
    far_end: tuple[int, str] | None = None

    @property
    def is_whole(self) -> bool:
        """Whether everything came, there and back."""
        return self.sent == self.heard == self.back and bool(self.sent)

    def judge(self) -> Sequence[str]:
        mistakes = list(self.mistakes)
        if not self.loses_bits:
            for what, came in (("heard", self.heard), ("came back", self.back)):
                if came != sorted(set(came)):
                    mistakes.append(f"what {what} is out of order, or twice: {came}")
            mistakes += self._lost("did not arrive", self.sent, self.heard)
            mistakes += self._lost("did not come back", self.heard, self.back)
            if strange := set(self.heard) - set(self.sent):
                mistakes.append(f"{sorted(strange)} arrived and was never sent")
            if strange := set(self.back) - set(self.heard):
                mistakes.append(f"{sorted(strange)} came back and was never heard")
            if self.far_end == (1000, "remote") and not self.said_goodbye:
                mistakes.append("the far end was told of a goodbye that nobody had said")
        told = [*self.explained, *self.told_lost, f"{self.dropped_s} s dropped", *(["it left"] if self.left else [])]
        return [f"{self.name} ({self.kind}): {mistake}; told were {told}" for mistake in mistakes]

    def _lost(self, what: str, given: Sequence[int], came: Sequence[int]) -> Iterator[str]:
        """Rule 2, for one way."""
        missing = sorted(set(given) - set(came))
        gaps = [number for number in missing if came and number < max(came)]
        explained = self.told_lost or self.dropped_s >= max(1, len(missing)) * self.lost_by_dropping_s
        if gaps and not explained:
            yield f"{gaps} of {len(given)} {what}, what came after them did, and nobody was told"
        elif missing and not (explained or self.explained or (self.left and not self.loses_nothing)):
            yield f"{missing} of {len(given)} {what}, and nobody was told"


@define(eq=False)
class Leftovers:
    """What a place holds when no call is under way, compared with what it holds after them."""

    tasks: int = field(init=False)
    descriptors: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.tasks, self.descriptors = len(list(tasks())), descriptors()

    async def mistakes(self, witness: Witness, under_way: int = 0, within_s: float = LIMIT_S) -> list[str]:
        """Rule 5: wait until all is gone but so many sessions, and say what is not."""
        said = [""]
        with trio.move_on_after(within_s):
            while said:
                said = list(self._left(witness, under_way))
                await trio.sleep(0.02)
        return said

    def _left(self, witness: Witness, under_way: int) -> Iterator[str]:
        if (now := len(list(tasks()))) > self.tasks:
            yield f"{now - self.tasks} tasks are left: {sorted({task.name for task in tasks()})}"
        if (now := descriptors()) > self.descriptors:
            yield f"{now - self.descriptors} descriptors are left open"
        gc.collect()
        if (left := len(witness.sessions) - under_way) > 0:
            yield f"{left} sessions are still in memory"


async def until(condition: Callable[[], object], within_s: float, starved_s: Callable[[], float] = lambda: 0.0) -> bool:
    """Wait for what nobody announces; returns whether it came. Time in which this process had no turn is none."""
    until_s = trio.current_time() + within_s - starved_s()
    while not condition():
        if trio.current_time() > until_s + starved_s():
            return False
        await trio.sleep(0.01)
    await trio.lowlevel.checkpoint()
    return True
