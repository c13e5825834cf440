"""Any program of what is done with a bus, its workers and a proxy pair; ``tests.bus.model`` judges what came of it.

Rules
1. A program is a list of steps, done one after the other, in virtual time, on two runners that a proxy pair joins:
   ``a``, ``b`` and ``c`` are here, ``far`` is there. ``a`` and ``far`` speak across.
2. Every message and every job carries its number, so what arrives says by itself what it is.
3. ``Story`` is what was done, what each worker got, and how each job ended.
"""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import inf
from typing import Final, Literal, TypeAlias

import trio
from attrs import define, field, frozen
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from tests.bus.proxies import wire_pair
from trio_transports.bus import (
    BusCancelWorkerMessage,
    BusDataMessage,
    BusEndWorkerMessage,
    BusMessage,
    BusSystemMessage,
    JobError,
    JobGroupError,
    JobRequest,
    LocalBus,
    Payload,
    WebSocketProxyClient,
    WebSocketProxyServer,
    Worker,
    WorkerRunner,
    job,
)
from trio_transports.errors import TransportError
from trio_transports.params import ReconnectPolicy
from trio_transports.wire import Wire
from trio_transports.wire.memory import MemoryWire

HERE: Final = ("a", "b", "c")
ACROSS: Final = {("a", "far"), ("far", "a")}
LONGEST_S: Final = 6.0
"""No job takes longer, and no pause between two steps."""

Verb: TypeAlias = Literal[
    "add", "end", "cancel", "send", "urgent", "ask", "ask all", "leave", "lose here", "lose there", "refuse", "wait"
]
Doing: TypeAlias = Literal["echo", "slow", "stream", "refuse", "crash", "unknown"]


@frozen
class Step:
    """One thing that is done. ``who`` does it, ``whom`` it is done to; the rest is for some verbs only."""

    verb: Verb
    who: str = "a"
    whom: str = "far"
    doing: Doing = "echo"
    seconds: float = 0.0
    timeout: float | None = None


Program: TypeAlias = list[Step]

_TIMES = st.sampled_from([0.0, 0.01, 0.3, 1.0, LONGEST_S])
_DOINGS: st.SearchStrategy[Doing] = st.sampled_from(["slow", "slow", "stream", "echo", "refuse", "crash", "unknown"])
_ASKED = st.builds(
    Step,
    st.sampled_from(["ask", "ask all"]),
    st.sampled_from(["a", "a", "far"]),
    st.sampled_from(["far", "far", "far", "b", "c", "a"]),
    _DOINGS,
    _TIMES,
    st.none() | _TIMES.filter(bool),
)
STEPS: st.SearchStrategy[Step] = st.one_of(
    st.builds(Step, st.sampled_from(["add", "end", "cancel"]), st.just("a"), st.sampled_from(["b", "c"])),
    st.builds(
        Step,
        st.sampled_from(["send", "urgent"]),
        st.sampled_from(["a", "b", "c", "far"]),
        st.sampled_from(["a", "b", "c", "far", "everybody"]),
    ),
    _ASKED,
    _ASKED,
    st.builds(Step, st.sampled_from(["leave", "lose here", "lose there", "refuse"])),
    st.builds(Step, st.just("wait"), seconds=_TIMES),
)
PROGRAMS: st.SearchStrategy[Program] = st.lists(STEPS, min_size=1, max_size=40)


@define(eq=False)
class Asked:
    """One job that was asked of one worker, or of several."""

    number: int
    step: Step
    asked_of: tuple[str, ...]
    began_s: float
    ended_s: float = inf
    ends: list[object] = field(factory=list)
    """How it came out: one of these, and of a known type."""
    events: list[int] = field(factory=list)
    scope: trio.CancelScope = field(factory=trio.CancelScope)
    were_ready: bool = False
    """Whether all of them were known when it was asked: then it comes to its end."""


@define(eq=False)
class Done:
    """One job that a worker began."""

    number: int
    worker: str
    ended_s: float = inf


@define(eq=False)
class Story:
    done: Counter[str] = field(factory=Counter)
    sent: dict[int, tuple[str, str, str]] = field(factory=dict)
    """By number: from whom, to whom, and in which lane."""
    expected: dict[str, set[int]] = field(factory=dict)
    """What nothing excuses a worker from having got."""
    got: dict[str, list[int]] = field(factory=dict)
    asked: list[Asked] = field(factory=list)
    begun: list[Done] = field(factory=list)
    losses: int = 0
    stuck: list[int] = field(factory=list)
    """Jobs that never ended by themselves, though whoever was asked was there."""
    leaks: dict[str, int] = field(factory=dict)
    """What was left behind, by what it is; each has to be none."""


class Member(Worker):
    """Gets messages, and does jobs of all kinds."""

    def __init__(self, name: str, story: Story) -> None:
        super().__init__(name)
        self.story = story

    async def on_bus_message(self, message: BusMessage) -> None:
        if isinstance(message, BusDataMessage | BusSystemMessage) and message.id:
            self.story.got.setdefault(self.name, []).append(message.id)

    async def on_job_request(self, request: JobRequest) -> Payload:
        raise JobError(f"no job named {request.job_name}")

    async def _do(self, request: JobRequest) -> Payload:
        number, seconds = request.payload["number"], request.payload["seconds"]
        assert isinstance(number, int)
        assert isinstance(seconds, float)
        done = Done(number, self.name)
        self.story.begun.append(done)
        try:
            if request.job_name == "stream":
                for part in range(3):
                    await request.send_update({"part": part})
                    await trio.sleep(seconds / 3)
            elif request.job_name != "echo":
                await trio.sleep(seconds)
            if request.job_name == "refuse":
                raise JobError(str(number))
            if request.job_name == "crash":
                raise ValueError(number)
            return {"number": number}
        finally:
            done.ended_s = trio.current_time()

    @job("echo")
    async def echo(self, request: JobRequest) -> Payload:
        return await self._do(request)

    @job("slow", sequential=True)
    async def slow(self, request: JobRequest) -> Payload:
        return await self._do(request)

    @job("stream")
    async def stream(self, request: JobRequest) -> Payload:
        return await self._do(request)

    @job("refuse")
    async def refuse(self, request: JobRequest) -> Payload:
        return await self._do(request)

    @job("crash")
    async def crash(self, request: JobRequest) -> Payload:
        return await self._do(request)


@define(eq=False)
class World:
    """Two runners, and what joins them."""

    nursery: trio.Nursery
    story: Story = field(factory=Story)
    here: WorkerRunner = field(factory=lambda: WorkerRunner("here"))
    there: WorkerRunner = field(factory=lambda: WorkerRunner("there"))
    members: dict[str, Member] = field(factory=dict)
    wires: list[tuple[MemoryWire, MemoryWire]] = field(factory=list)
    refusals: int = 0

    @asynccontextmanager
    async def open_wire(self) -> AsyncIterator[Wire]:
        await trio.lowlevel.checkpoint()
        if self.refusals:
            self.refusals -= 1
            raise TransportError("refused")
        near, far = wire_pair()
        gate = WebSocketProxyServer(f"gate {len(self.wires)}", websocket=far, worker_name="far", remote_worker_name="a")
        self.wires.append((near, far))
        self.nursery.start_soon(self.there.run_worker, gate)
        try:
            yield near
        finally:
            near.abort()

    async def begin(self) -> None:
        far = self.members["far"] = Member("far", self.story)
        await self.nursery.start(self.there.run, far)
        proxy = WebSocketProxyClient(
            "proxy",
            url="ws://test/",
            local_worker_name="a",
            remote_worker_name="far",
            open_wire=self.open_wire,
            reconnect=ReconnectPolicy(initial_delay=0.1, max_delay=0.5),
        )
        a = self.members["a"] = Member("a", self.story)
        await self.nursery.start(self.here.run, a, proxy)
        await trio.sleep(1)

    # The verbs.

    async def do(self, step: Step) -> None:
        self.story.done[step.verb] += 1
        match step.verb:
            case "add":
                if step.whom not in self.members:
                    self.members[step.whom] = Member(step.whom, self.story)
                    await self.here.add_worker(self.members[step.whom])
            case "end" | "cancel":
                kind = BusEndWorkerMessage if step.verb == "end" else BusCancelWorkerMessage
                await self.here.bus.send(kind(source="here", target=step.whom))
                self.members.pop(step.whom, None)
                self.story.expected.pop(step.whom, None)  # it need not handle what waits
                await trio.sleep(1)
            case "send" | "urgent":
                await self.send(step)
            case "ask" | "ask all":
                self.ask(step)
            case "leave":
                for asked in self.story.asked:
                    asked.scope.cancel()
            case "lose here" | "lose there":
                self.story.losses += 1
                self.wires[-1][step.verb == "lose there"].abort()
            case "refuse":
                self.story.losses += 1
                self.refusals += 2
            case "wait":
                await trio.sleep(step.seconds)

    async def send(self, step: Step) -> None:
        sender = self.members.get(step.who)
        if sender is None:
            return
        number = len(self.story.sent) + 1
        kind = BusSystemMessage if step.verb == "urgent" else BusDataMessage
        target = None if step.whom == "everybody" else step.whom
        self.story.sent[number] = (step.who, step.whom, step.verb)
        await sender.send(kind(source=step.who, target=target, id=number))
        if step.who == "far":
            hearers = ["a"] if step.whom == "a" and not self.story.losses else []
        else:
            hearers = [name for name in HERE if name in self.members and name != step.who and target in (None, name)]
            if step.who == step.whom:
                hearers.append(step.who)  # a worker may write to itself
            if (step.who, step.whom) in ACROSS and not self.story.losses:
                hearers.append("far")
        if step.who == step.whom == "far":
            hearers.append("far")
        for name in hearers:
            self.story.expected.setdefault(name, set()).add(number)

    def ask(self, step: Step) -> None:
        whom = step.whom if (step.who == "a" or step.whom == "a") else "a"
        asked_of = (whom,) if step.verb == "ask" else tuple(dict.fromkeys((whom, "b" if step.who == "a" else whom)))
        asked = Asked(len(self.story.asked) + 1, step, asked_of, trio.current_time())
        self.story.asked.append(asked)
        self.nursery.start_soon(self._ask, asked)

    async def _ask(self, asked: Asked) -> None:
        step, asker = asked.step, self.members[asked.step.who]
        payload: Payload = {"number": asked.number, "seconds": step.seconds}
        asked.were_ready = all(whom in asker.registry for whom in asked.asked_of)
        try:
            with asked.scope:
                if step.verb == "ask":
                    (whom,) = asked.asked_of
                    async with asker.job(whom, step.doing, payload, timeout=step.timeout) as one:
                        async for event in one:
                            assert event.data is not None
                            asked.events.append(int(str(event.data["part"])))
                    asked.ends.append({whom: one.response})
                else:
                    group = asker.job_group(*asked.asked_of, name=step.doing, payload=payload, timeout=step.timeout)
                    asked.ends.append(dict(await group))
            if asked.scope.cancelled_caught:
                asked.ends.append("left")
        except (JobError, JobGroupError) as exc:
            asked.ends.append(exc)
        asked.ended_s = trio.current_time()


async def run(program: Program) -> Story:
    """Do it, let everything come to its end, and look what is left."""
    tasks_before = trio.lowlevel.current_statistics().tasks_living
    async with trio.open_nursery() as nursery:
        world = World(nursery)
        await world.begin()
        for step in program:
            await world.do(step)
        await trio.sleep(LONGEST_S * (3 + len(program)))  # sequential jobs wait for each other
        for asked in world.story.asked:
            if not asked.ends and asked.were_ready:
                world.story.stuck.append(asked.number)
            asked.scope.cancel()  # who waits for a worker that never comes
        await trio.sleep(2)
        await wait_all_tasks_blocked()
        _look(world)
        world.here.end()
        world.there.end()
        await trio.sleep(10)
        world.story.leaks["workers"] = len(world.here.workers) + len(world.there.workers)
        nursery.cancel_scope.cancel()
    for runner in (world.here, world.there):
        assert isinstance(runner.bus, LocalBus)
        world.story.leaks[f"subscriptions {runner.name}"] = len(runner.bus._fanout.subscriptions)
    world.story.leaks["tasks"] = trio.lowlevel.current_statistics().tasks_living - tasks_before
    return world.story


def _look(world: World) -> None:
    leaks = world.story.leaks
    for name, member in world.members.items():
        life = member._life
        assert life is not None, f"{name} runs to the end"
        leaks[f"asked by {name}"] = len(life.asked._pending)
        leaks[f"done by {name}"] = len(life.done._running) + life.done._bytes
        leaks[f"unread by {name}"] = life.subscription.statistics().waiting_bytes
    for runner in (world.here, world.there):
        for worker in runner.workers:
            if isinstance(worker, WebSocketProxyClient | WebSocketProxyServer):
                leaks[f"waiting in {worker.name}"] = worker.statistics().waiting
