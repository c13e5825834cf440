"""call(): a turn and its answer."""

from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock

from tests.agent.memory import MemoryAdapter, Wordy
from trio_transports._nursery import open_services
from trio_transports.agent import (
    AgentConnectionLost,
    AgentFinished,
    AgentSilent,
    Answer,
    AudioChunk,
    Transcript,
    TurnEnded,
    TurnRules,
    silent_chunk,
)
from trio_transports.wire.memory import MemoryWire

SPOKEN = AudioChunk(b"\1\1" * 12000)  # half a second
VOICE = b"\x10\x10" * 480  # 20 ms
RULES = TurnRules(first_audio_timeout_s=5.0, tail_silence_s=1.0, cap_s=20.0)


class Bounded(Wordy):
    """Says when its turn ends."""

    def encode_end(self) -> str:
        return "over"


async def calling(
    agent: Callable[[MemoryWire], Awaitable[None]], *, paced: bool = True, rules: TurnRules = RULES
) -> Answer:
    """One call to an agent that behaves like this after it has heard "over"."""
    async with MemoryAdapter(Bounded()) as adapter, open_services() as services:

        async def behave() -> None:
            while await adapter.agent.receive() != "over":
                pass
            await agent(adapter.agent)

        services.start_soon(behave, name="agent")
        return await adapter.call(SPOKEN, paced=paced, rules=rules)
    raise AssertionError


async def speak(wire: MemoryWire, seconds: float, pcm: bytes = VOICE) -> None:
    for _ in range(round(seconds / 0.02)):
        await wire.send(pcm)
        await trio.sleep(0.02)


async def test_a_turn_that_the_agent_ends(autojump_clock: MockClock) -> None:
    """The whole answer, its words, and the time to its first byte."""

    async def agent(wire: MemoryWire) -> None:
        await trio.sleep(0.75)
        await wire.send("say hello")
        await speak(wire, 2.0)
        await wire.send("over")

    answer = await calling(agent)
    assert answer.ended_by == "turn_end"
    assert answer.duration_s == pytest.approx(2.0)
    assert answer.audio.data == VOICE * 100
    assert answer.transcript == "hello"
    assert answer.first_byte_s == pytest.approx(0.75)
    assert answer.first_voice_s == pytest.approx(0.75)
    assert answer.events == (Transcript("hello"), TurnEnded())
    assert answer.earlier == ()


async def test_a_turn_that_ends_in_silence(autojump_clock: MockClock) -> None:
    """One tail after the last voice; the time it took is the answer's own plus the tail."""

    async def agent(wire: MemoryWire) -> None:
        await speak(wire, 1.0)
        await speak(wire, 0.5, bytes(960))

    start = trio.current_time()
    answer = await calling(agent)
    assert answer.ended_by == "tail_silence"
    assert answer.duration_s == pytest.approx(1.5)
    assert trio.current_time() - start == pytest.approx(0.48 + 1.0 + 1.0, abs=0.05)


async def test_a_turn_that_never_ends(autojump_clock: MockClock) -> None:
    """Is cut at the cap; what comes later stays unread."""

    async def agent(wire: MemoryWire) -> None:
        await speak(wire, 60.0)

    answer = await calling(agent)
    assert answer.ended_by == "cap"
    assert answer.duration_s == pytest.approx(20.0, abs=0.1)


async def test_an_answer_at_once_is_waited_for_in_real_time(autojump_clock: MockClock) -> None:
    """An agent that sends ahead and pauses is not cut off; unless nobody plays."""

    async def agent(wire: MemoryWire) -> None:
        for _ in range(2):
            await wire.send(VOICE * 150)
            await trio.sleep(2.5)

    assert (await calling(agent)).duration_s == pytest.approx(6.0)
    rules = TurnRules(tail_silence_s=1.0, in_real_time=False)
    assert (await calling(agent, rules=rules)).duration_s == pytest.approx(3.0)


async def test_the_turn_at_once(autojump_clock: MockClock) -> None:
    """Not paced, the caller's turn takes no time, and is cut into messages of half a second."""
    received: list[str | bytes] = []
    async with MemoryAdapter(Bounded(), paced=False) as adapter:
        await adapter.agent.send(VOICE)
        await trio.sleep(0.1)
        start = trio.current_time()
        async with trio.open_nursery() as nursery:

            async def behave() -> None:
                while (message := await adapter.agent.receive()) != "over":
                    received.append(message)
                await adapter.agent.send("over")

            nursery.start_soon(behave)
            answer = await adapter.call(b"\1\1" * 30000, rules=RULES)
        assert trio.current_time() == start
    assert [len(message) for message in received] == [24000, 24000, 12000]
    assert (answer.ended_by, answer.chunks) == ("turn_end", ())
    assert [chunk.data for chunk in answer.earlier] == [VOICE]


async def test_silence_is_no_answer(autojump_clock: MockClock) -> None:
    """Neither none nor sent silence; what had come is in the outcome."""

    async def agent(wire: MemoryWire) -> None:
        await wire.send("say hm")
        await speak(wire, 1.0, bytes(960))

    with pytest.raises(AgentSilent, match="no audio came for 5 s") as silent:
        await calling(agent)
    assert silent.value.messages == 1
    assert silent.value.answer is not None
    assert silent.value.answer.transcript == "hm"
    assert silent.value.answer.duration_s == pytest.approx(1.0)
    assert silent.value.answer.first_voice_s is None


async def test_a_clean_close_completes_the_answer(autojump_clock: MockClock) -> None:
    """When it had begun; else there is none."""

    async def says_something(wire: MemoryWire) -> None:
        await speak(wire, 0.5)
        await wire.aclose(1000)

    answer = await calling(says_something)
    assert answer.ended_by == "finished"
    assert answer.duration_s == pytest.approx(0.5)

    async def says_nothing(wire: MemoryWire) -> None:
        await wire.aclose(1000)

    with pytest.raises(AgentFinished) as finished:
        await calling(says_nothing)
    assert finished.value.answer is None


async def test_a_lost_connection_is_never_an_answer(autojump_clock: MockClock) -> None:
    """However much had come; that is in the outcome."""

    async def agent(wire: MemoryWire) -> None:
        await speak(wire, 0.5)
        wire.abort()

    with pytest.raises(AgentConnectionLost, match=r"0\.50 s of an answer had come") as lost:
        await calling(agent)
    assert lost.value.answer is not None
    assert lost.value.answer.ended_by is None
    assert lost.value.close_code == 1006


async def test_an_agent_that_goes_while_the_caller_speaks(autojump_clock: MockClock) -> None:
    """What it had said is the answer, if it left in good order."""
    async with trio.open_nursery() as nursery, MemoryAdapter() as adapter:

        async def behave() -> None:
            await adapter.agent.receive()
            await adapter.agent.send(VOICE * 50)
            await adapter.agent.aclose(1000)

        nursery.start_soon(behave)
        answer = await adapter.call(silent_chunk(5.0), rules=RULES)
    assert answer.ended_by == "finished"
    assert answer.duration_s == pytest.approx(1.0)


async def test_a_hang_up_ends_the_answer(autojump_clock: MockClock) -> None:
    """And there is no further turn."""

    async def agent(wire: MemoryWire) -> None:
        await speak(wire, 0.5)
        await wire.send("bye")

    assert (await calling(agent)).ended_by == "agent_hung_up"
    async with MemoryAdapter(Wordy()) as adapter:
        await adapter.agent.send("bye")
        await trio.sleep(0.1)
        with pytest.raises(AgentFinished):
            await adapter.call(SPOKEN)


async def test_a_decode_error_comes_out_of_the_call(autojump_clock: MockClock) -> None:
    """As itself; what had come before can still be received, and the next turn goes on."""
    async with trio.open_nursery() as nursery, MemoryAdapter(Bounded()) as adapter:

        async def behave() -> None:
            while await adapter.agent.receive() != "over":
                pass
            for message in (VOICE, "bad", VOICE * 2, "over"):
                await adapter.agent.send(message)
            while await adapter.agent.receive() != "over":
                pass
            await adapter.agent.send("over")

        nursery.start_soon(behave)
        with pytest.raises(KeyError):
            await adapter.call(SPOKEN, rules=RULES)
        assert (await adapter.recv_audio(timeout=1.0)).data == VOICE
        assert (await adapter.recv_audio(timeout=1.0)).data == VOICE * 2
        assert (await adapter.call(SPOKEN, rules=RULES)).ended_by == "turn_end"


async def test_a_cancelled_call_loses_nothing(autojump_clock: MockClock) -> None:
    """Cancelled while it speaks or while it listens, all that had come can be received, in order."""
    for cancel_at in (0.1, 1.0):
        async with MemoryAdapter() as adapter:
            await adapter.agent.send(b"\1\0" * 480)
            await trio.sleep(0.05)
            with trio.move_on_after(cancel_at):
                async with trio.open_nursery() as nursery:

                    async def behave(adapter: MemoryAdapter = adapter) -> None:
                        await trio.sleep(0.06)
                        await adapter.agent.send(b"\2\0" * 480)

                    nursery.start_soon(behave)
                    await adapter.call(SPOKEN, rules=RULES)
            heard = [(await adapter.recv_audio(timeout=0)).data[0] for _ in range(2)]
            assert heard == [1, 2]


async def test_one_reader_at_a_time(autojump_clock: MockClock) -> None:
    """While a call gathers, nobody else may take its audio."""
    async with MemoryAdapter() as adapter, trio.open_nursery() as nursery:
        nursery.start_soon(adapter.call, SPOKEN)
        await trio.sleep(1.0)
        for action in (adapter.recv_audio, adapter.chunks().receive, lambda: adapter.call(SPOKEN)):
            with pytest.raises(trio.BusyResourceError):
                await action()
        nursery.cancel_scope.cancel()


async def test_what_comes_after_the_answer_stays_unread(autojump_clock: MockClock) -> None:
    """An answer that was over while the caller still spoke does not swallow the next one."""
    async with trio.open_nursery() as nursery, MemoryAdapter() as adapter:

        async def behave() -> None:
            await adapter.agent.receive()
            await adapter.agent.send(VOICE)
            await trio.sleep(4.0)
            await adapter.agent.send(VOICE * 2)

        nursery.start_soon(behave)
        answer = await adapter.call(silent_chunk(3.0), rules=RULES)
        assert answer.audio.data == VOICE
        assert answer.first_byte_s == pytest.approx(-2.98)
        assert (await adapter.recv_audio(timeout=5.0)).data == VOICE * 2
