"""Any program of an adapter's verbs and its agent's doings, in virtual time: what must hold of it holds.

Every chunk carries its number in each sample, so what arrives says by itself what it is.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
import trio
from attrs import define, field, frozen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.agent.memory import MemoryAdapter, all_messages
from trio_transports.agent import AgentConnectionLost, AgentFinished, AgentSilent, AudioChunk
from trio_transports.errors import TransportError

VERBS = ("say", "say paced", "hear", "hear", "wait", "agent says", "agent says", "agent text", "drain")
PACED_S = 0.02
ENDINGS = ("agent closes", "agent fails", "agent drops", "disconnect")


@frozen
class Step:
    verb: str
    amount_s: float


def steps(verbs: Sequence[str]) -> st.SearchStrategy[Step]:
    return st.builds(Step, st.sampled_from(verbs), st.sampled_from((0.005, 0.02, 0.1, 1.0)))


PROGRAMS = st.tuples(
    st.lists(steps(VERBS), min_size=1, max_size=25),
    st.lists(steps(ENDINGS), max_size=2),
    st.lists(steps((*VERBS, "disconnect")), max_size=8),
).map(lambda parts: [step for part in parts for step in part])


def chunk(number: int, lasting_s: float) -> AudioChunk:
    return AudioChunk(np.full(round(24000 * lasting_s), number, dtype="<i2").tobytes())


@define(eq=False)
class Story:
    """What was done, and what came of it."""

    sent: list[int] = field(factory=list)
    said: list[int] = field(factory=list)
    heard: list[int] = field(factory=list)
    ending: str | None = None
    number: int = 0
    outcomes: list[str] = field(factory=list)

    def next(self) -> int:
        self.number += 1
        return self.number


async def do(step: Step, adapter: MemoryAdapter, story: Story) -> None:
    match step.verb:
        case "say" | "say paced":
            number, is_paced = story.next(), step.verb == "say paced"
            # Paced pieces shorter than a message share one, and what is sent at once between them comes after it.
            lasting_s = max(step.amount_s, PACED_S) if is_paced else step.amount_s
            try:
                await adapter.send_audio(chunk(number, lasting_s), paced=is_paced)
                story.sent.append(number)
            except TransportError:
                assert story.ending, "sending failed, and nobody had ended the call"
        case "hear":
            await hear(adapter, story, step.amount_s)
        case "wait":
            await trio.sleep(step.amount_s)
        case "drain":
            try:
                await adapter.drain()
            except TransportError:
                assert story.ending, "draining failed, and nobody had ended the call"
        case "disconnect":
            story.ending = story.ending or step.verb
            await adapter.disconnect()
        case _ if story.ending:
            return
        case "agent says":
            number = story.next()
            await adapter.agent.send(chunk(number, step.amount_s).data)
            story.said.append(number)
        case "agent text":
            await adapter.agent.send("something that is no audio")
        case "agent closes" | "agent fails":
            story.ending = step.verb
            await adapter.agent.aclose(1000 if step.verb == "agent closes" else 1011)
        case "agent drops":
            story.ending = step.verb
            adapter.agent.abort()
    if step.verb.startswith("agent"):
        await wait_all_tasks_blocked()


async def hear(adapter: MemoryAdapter, story: Story, timeout_s: float) -> None:
    """Every outcome is the one that it says."""
    unheard = len(story.said) - len(story.heard)
    began_s = trio.current_time()
    try:
        got = await adapter.recv_audio(timeout_s)
        story.heard.append(int(np.frombuffer(got.data, dtype="<i2")[0]))
        return
    except AgentSilent:
        assert not unheard, "something had been said, and the agent was called silent"
        assert not story.ending, f"the call was over ({story.ending}), and the agent was called silent"
        assert trio.current_time() - began_s >= timeout_s - 1e-6, "the agent was called silent before its time"
        story.outcomes.append("silent")
    except AgentFinished:
        assert story.ending in ("agent closes", "disconnect"), f"finished, though {story.ending}"
        story.outcomes.append("finished")
    except AgentConnectionLost:
        assert story.ending in ("agent fails", "agent drops"), f"lost, though {story.ending}"
        story.outcomes.append("lost")
    assert not unheard or story.ending == "disconnect", f"{unheard} chunks were unread, and none was given"


async def run(program: Sequence[Step]) -> None:
    adapter, story = MemoryAdapter(), Story()
    arrived: list[tuple[float, str | bytes]] = []
    with trio.fail_after(3600):
        async with trio.open_nursery() as nursery, adapter:

            @nursery.start_soon
            async def listen() -> None:
                arrived.extend(await all_messages(adapter.agent))

            for step in program:
                await do(step, adapter, story)
    judge(story, arrived)


def judge(story: Story, arrived: Sequence[tuple[float, str | bytes]]) -> None:
    assert story.heard == story.said[: len(story.heard)], "what the agent says is heard in its order, none left out"
    samples = np.concatenate(
        [np.frombuffer(data, dtype="<i2") for _, data in arrived if isinstance(data, bytes)] or [np.zeros(0, "<i2")]
    )
    spoken = [int(number) for number in dict.fromkeys(samples.tolist()) if number]
    assert spoken == sorted(spoken), f"what the caller says arrives in its order: {spoken}"
    if story.ending in (None, "disconnect"):
        assert spoken == story.sent, f"of {story.sent} came {spoken}, on a connection that nobody had cut"


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(PROGRAMS)
def test_any_program_keeps_the_rules(program: Sequence[Step]) -> None:
    trio.run(partial(run, program), clock=MockClock(autojump_threshold=0))
