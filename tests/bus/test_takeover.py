"""The scaling example in virtual time: each bot killed in mid-sentence is a pause of so long, and nothing more."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Unpack, cast, final

import pytest
import trio
import trio.testing
from attrs import define, field

from tests.tools import requires_module
from trio_transports import Session
from trio_transports.bus import BusMessage, BusSubscription, LocalBus, Worker, WorkerRunner
from trio_transports.bus.subscription import SubscribeOptions
from trio_transports.frames import AudioFrame, Frame, TextFrame

requires_module("coredis", extra="redis")

from trio_transports.examples.scaling_redis import HEARTBEAT_S, WORD_S, Bot, Edge, beep  # noqa: E402

WORDS = 8
KILL_AFTER = 3
NOTICED_S = 3 * HEARTBEAT_S


@final
@define(eq=False)
class Process:
    """One process's bus on the network of all. Killed, it says nothing any more, not even goodbye."""

    network: LocalBus
    scope: trio.CancelScope = field(factory=trio.CancelScope)
    is_killed: bool = False
    is_running: bool = True

    async def send(self, message: BusMessage) -> None:
        if self.is_killed:
            await trio.lowlevel.checkpoint()
        else:
            await self.network.send(message)

    def send_now(self, message: BusMessage) -> bool:
        return self.is_killed or self.network.send_now(message)

    def subscribe(self, name: str, **options: Unpack[SubscribeOptions]) -> BusSubscription:
        return self.network.subscribe(name, **options)

    @asynccontextmanager
    async def running(self, *, hold: bool = False) -> AsyncIterator[None]:
        yield

    def release(self) -> None: ...

    async def run(self, worker: Worker, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        runner = WorkerRunner(f"runner of {worker.name}", bus=self, heartbeat=HEARTBEAT_S)
        with self.scope:
            await runner.run(worker, task_status=task_status)

    def kill(self) -> None:
        self.is_killed = True
        self.scope.cancel()


@final
@define(eq=False)
class Caller(trio.abc.SendChannel[Frame]):
    """What of a session the edge needs: it hears, and kills who speaks after so many words."""

    bots: dict[str, Process]
    words: list[str] = field(factory=list)
    heard_at_s: list[float] = field(factory=list)
    audio: list[bytes] = field(factory=list)
    kill_after: int | None = None
    killed: list[str] = field(factory=list)

    @property
    def output(self) -> "Caller":
        return self

    async def send(self, frame: Frame) -> None:
        await trio.lowlevel.checkpoint()
        if isinstance(frame, AudioFrame):
            self.audio.append(frame.audio)
            return
        assert isinstance(frame, TextFrame)
        bot, number, word = frame.text.split()
        self.words.append(word)
        self.heard_at_s.append(trio.current_time())
        if int(number) == self.kill_after:
            self.killed.append(bot)
            self.bots[bot].kill()

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()

    def pauses_s(self) -> list[float]:
        return [after - before for before, after in zip(self.heard_at_s, self.heard_at_s[1:], strict=False)]


@pytest.mark.parametrize("phase", [0.0, 0.3, 0.6, 0.9])
async def test_each_bot_that_is_killed_is_a_pause_under_a_second(
    phase: float, autojump_clock: trio.testing.MockClock
) -> None:
    """At any point of a heartbeat, four kills in a row: no word or beep is missing or twice, each pause is short."""
    network = LocalBus()
    bots: dict[str, Process] = {}
    async with trio.open_nursery() as nursery:

        async def start(name: str) -> None:
            bots[name] = Process(network)
            await nursery.start(partial(bots[name].run, Bot(name)))

        edge = Edge("edge", ["bot-1", "bot-2"])
        await nursery.start(partial(Process(network).run, edge))
        for name in edge.bots:
            await start(name)
        for round_ in range(4):
            await trio.sleep(phase * HEARTBEAT_S)
            caller = Caller(bots, kill_after=KILL_AFTER)
            words = [f"w{round_}-{number}" for number in range(WORDS)]
            await edge.answer(" ".join(words), cast("Session", caller))
            assert caller.words == words
            assert caller.audio == [beep(number) for number in range(WORDS)]
            pauses_s = caller.pauses_s()
            pause_s = pauses_s.pop(KILL_AFTER - 1)
            assert NOTICED_S - HEARTBEAT_S - WORD_S < pause_s <= NOTICED_S + HEARTBEAT_S < 1
            assert pauses_s == pytest.approx([WORD_S] * len(pauses_s))
            (killed,) = caller.killed
            await start(killed)  # for the other one to hand over to
        nursery.cancel_scope.cancel()
