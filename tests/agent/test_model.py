"""Any program of an adapter's verbs and its agent's doings, in virtual time: what must hold of it holds.

Every chunk carries its number in each sample, so what arrives says by itself what it is.

``python -m tests.agent.test_model 3000`` runs as many programs as it is told, and says what they met.
"""

import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import numpy as np
import trio
from attrs import define, field, frozen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.agent.memory import MemoryAdapter, Plain, all_messages
from trio_transports.agent import (
    AgentConnectionLost,
    AgentFinished,
    AgentOutcome,
    AgentSilent,
    AudioChunk,
    TurnRules,
)
from trio_transports.errors import TransportError

VERBS = (
    *("say", "say paced", "hear", "hear", "wait", "agent says", "agent says", "agent text", "drain"),
    *("interrupt", "end turn", "call", "give up saying", "give up hearing", "give up draining"),
)
RULES = TurnRules(first_audio_timeout_s=0.3, tail_silence_s=0.05, cap_s=1.0, silence_dbfs=-120, in_real_time=False)
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


class Interruptible(Plain):
    """Says the end of a turn, and stops the agent, by a word each."""

    def encode_end(self) -> str:
        return "end"

    def encode_interrupt(self) -> str:
        return "stop"


@define(eq=False)
class Story:
    """What was done, and what came of it."""

    done: Counter[str] = field(factory=Counter)
    given_up: list[int] = field(factory=list)
    """What was not sent in time."""
    words: list[str] = field(factory=list)
    """What else was said, in order."""

    sent: list[int] = field(factory=list)
    said: list[int] = field(factory=list)
    heard: list[int] = field(factory=list)
    ending: str | None = None
    number: int = 0
    outcomes: list[str] = field(factory=list)

    def next(self) -> int:
        self.number += 1
        return self.number


async def attempt(verb: Callable[[], Awaitable[object]], story: Story) -> bool:
    """A verb does what it says, or says that the call is over; and then it is."""
    try:
        await verb()
    except TransportError:
        assert story.ending, "a verb said that the call is over, and nobody had ended it"
        return False
    return True


async def do(step: Step, adapter: MemoryAdapter, story: Story) -> None:
    story.done[step.verb] += 1
    match step.verb:
        case "say" | "say paced":
            number, is_paced = story.next(), step.verb == "say paced"
            # Paced pieces shorter than a message share one, and what is sent at once between them comes after it.
            lasting_s = max(step.amount_s, PACED_S) if is_paced else step.amount_s
            if await attempt(lambda: adapter.send_audio(chunk(number, lasting_s), paced=is_paced), story):
                story.sent.append(number)
        case "give up saying":
            number = story.next()
            with trio.move_on_after(step.amount_s - 0.005) as limit:
                if await attempt(lambda: adapter.send_audio(chunk(number, PACED_S), paced=True), story):
                    story.sent.append(number)
            if limit.cancelled_caught:
                story.given_up.append(number)
        case "hear":
            await hear(adapter, story, step.amount_s)
        case "give up hearing":
            with trio.move_on_after(step.amount_s / 2):
                await hear(adapter, story, step.amount_s)
        case "wait":
            await trio.sleep(step.amount_s)
        case "drain":
            await attempt(adapter.drain, story)
        case "give up draining":
            with trio.move_on_after(step.amount_s - 0.005):
                await attempt(adapter.drain, story)
        case "interrupt":
            if await attempt(adapter.interrupt, story):
                story.words.append("stop")
        case "end turn":
            if await attempt(adapter.end_turn, story):
                story.words.append("end")
        case "call":
            await call(adapter, story, step.amount_s)
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


async def call(adapter: MemoryAdapter, story: Story, answers_s: float) -> None:
    """The agent may answer meanwhile. What it had said before is told apart, and nothing of it all is lost."""
    number, unheard = story.next(), story.said[len(story.heard) :]

    async def answer() -> None:
        await trio.sleep(answers_s)
        story.said.append(story.next())
        await adapter.agent.send(chunk(story.said[-1], 0.02).data)

    async with trio.open_nursery() as nursery:
        if not story.ending and answers_s < 1:
            nursery.start_soon(answer)
        try:
            answered = await adapter.call(chunk(number, PACED_S), rules=RULES)
            came = [*answered.earlier, *answered.chunks]
            assert answered.chunks, f"no outcome was raised, and there is no answer: {answered!r}"
            assert not story.ending or unheard, "an answer after the end, and nothing had been said before it"
        except AgentOutcome as outcome:
            partly = outcome.answer
            came = [*partly.earlier, *partly.chunks] if partly is not None else []
            story.outcomes.append(f"call: {type(outcome).__name__}")
            is_known = bool(story.ending) or isinstance(outcome, AgentSilent)
        except TransportError:
            is_known, came = bool(story.ending), []
        else:
            is_known = True
            story.outcomes.append(f"call: {answered.ended_by}")
    assert is_known, "the call had an outcome, and nobody had ended it"
    heard = list(dict.fromkeys(number for each in came for number in np.frombuffer(each.data, "<i2").tolist()))
    assert heard == story.said[len(story.heard) :][: len(heard)], f"of {story.said} it has {heard} in the call"
    story.heard += heard
    if not story.ending:
        assert len(story.heard) == len(story.said), f"of {story.said} only {story.heard} were heard by now"
        story.sent.append(number)
        story.words.append("end")


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


async def run(program: Sequence[Step]) -> Story:
    adapter, story = MemoryAdapter(Interruptible()), Story()
    arrived: list[tuple[float, str | bytes]] = []
    with trio.fail_after(3600):
        async with trio.open_nursery() as nursery, adapter:

            @nursery.start_soon
            async def listen() -> None:
                arrived.extend(await all_messages(adapter.agent))

            for step in program:
                await do(step, adapter, story)
    judge(story, arrived)
    return story


def judge(story: Story, arrived: Sequence[tuple[float, str | bytes]]) -> None:
    assert story.heard == story.said[: len(story.heard)], "what the agent says is heard in its order, none left out"
    samples = np.concatenate(
        [np.frombuffer(data, dtype="<i2") for _, data in arrived if isinstance(data, bytes)] or [np.zeros(0, "<i2")]
    )
    assert not set(story.given_up) & set(samples.tolist()), "what was given up arrived all the same"
    spoken = [int(number) for number in dict.fromkeys(samples.tolist()) if number]
    assert spoken == sorted(spoken), f"what the caller says arrives in its order: {spoken}"
    if story.ending in (None, "disconnect"):
        assert spoken == story.sent, f"of {story.sent} came {spoken}, on a connection that nobody had cut"
        words = Counter(data for _, data in arrived if isinstance(data, str))
        assert words == Counter(story.words), f"of {story.words} came {words}"


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(PROGRAMS)
def test_any_program_keeps_the_rules(program: Sequence[Step]) -> None:
    trio.run(partial(run, program), clock=MockClock(autojump_threshold=0))


def main(programs: int) -> None:
    done, outcomes, endings = Counter[str](), Counter[str](), Counter[str]()

    @settings(max_examples=programs, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(PROGRAMS)
    def search(program: Sequence[Step]) -> None:
        story = trio.run(partial(run, program), clock=MockClock(autojump_threshold=0))
        done.update(story.done)
        outcomes.update(story.outcomes)
        endings[f"{story.ending}"] += 1

    search()
    print(f"{programs} programs, {done.total()} steps: " + told(done))
    print(f"outcomes: {told(outcomes)}; ended by: {told(endings)}")


def told(counted: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counted.most_common())


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
