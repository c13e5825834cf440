"""A session joined to a realtime backend: what is heard of an answer that was cut off, and a backend that dies."""

import json
from base64 import b64decode, b64encode
from collections.abc import Sequence
from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock

from tests.agent.memory import MemoryAdapter
from tests.pipeline.test_turns import Sink
from trio_transports import (
    AudioFrame,
    CancelFrame,
    DTMFFrame,
    EndFrame,
    Frame,
    Session,
    TextFrame,
    TransportParams,
    UserStartedSpeakingFrame,
)
from trio_transports.agent import realtime
from trio_transports.agent.outcomes import AgentConnectionLost
from trio_transports.agent.protocols.elevenlabs import ElevenLabsAgentProtocol
from trio_transports.agent.protocols.openai_realtime import OpenAIRealtimeProtocol
from trio_transports.errors import ConnectionClosed
from trio_transports.pipeline import Pipeline
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.session.playback import REMEMBERED
from trio_transports.testing import phone_call, speech_like
from trio_transports.testing.phones import ClearOrder, PlayOrder
from trio_transports.wire.memory import MemoryWire

RATE = 24000
PARAMS = TransportParams(
    serializer=JSONFrameSerializer(),
    audio_in_enabled=True,
    audio_out_enabled=True,
    audio_out_sample_rate=RATE,
    audio_out_auto_silence=False,
)


def delta(item: str, value: int, duration_s: float) -> str:
    pcm = value.to_bytes(2, "little") * round(duration_s * RATE)
    event = {"type": "response.output_audio.delta", "item_id": item, "delta": b64encode(pcm).decode()}
    return json.dumps(event)


async def truncations(wire: MemoryWire, told: list[tuple[object, object]]) -> None:
    with suppress(ConnectionClosed):
        while True:
            event = json.loads(await wire.receive())
            if event["type"] == "conversation.item.truncate":
                told.append((event["item_id"], event["audio_end_ms"]))


@pytest.mark.parametrize("ahead_s", [0.0, 0.3])
async def test_an_agent_that_notices_late(ahead_s: float, autojump_clock: MockClock) -> None:
    """It streams on after the session has interrupted it, twice: none of that is heard, the new answers are whole."""
    adapter = MemoryAdapter(OpenAIRealtimeProtocol(), paced=False)
    told: list[tuple[object, object]] = []

    async def bot(session: Session) -> None:
        async with adapter:
            await Pipeline([realtime(adapter)], allow_interruptions=True).run(session.input, session.output)

    async def agent(items: Sequence[str]) -> None:
        await trio.sleep(0.01)
        for value, item in enumerate(items, start=1):
            await adapter.agent.send(delta(item, value, ahead_s))
            for _ in range(75):
                await adapter.agent.send(delta(item, value, 0.02))
                await trio.sleep(0.02)

    async with phone_call(bot, "browser", params=PARAMS) as phone, trio.open_nursery() as nursery:
        nursery.start_soon(agent, ["one", "two", "three"])
        await trio.sleep(0.02)
        nursery.start_soon(truncations, adapter.agent, told)
        for until_s in (1.0, 1.5):
            await trio.sleep(until_s)
            for message in JSONFrameSerializer().encode(UserStartedSpeakingFrame()):
                await phone.wire.send(message)
        await trio.sleep(3)
        nursery.cancel_scope.cancel()
    turns: list[bytes] = [b""]
    for _, order in phone.orders:
        if isinstance(order, ClearOrder):
            turns.append(b"")
        elif isinstance(order, PlayOrder):
            turns[-1] += order.pcm
    assert [sorted(set(turn) - {0}) for turn in turns] == [[1], [2], [3]]
    assert turns[2].count(b"\3\0") >= 1.5 * RATE
    assert [item for item, _ in told] == ["one", "two"]
    assert all(900 < heard_ms < 1100 for _, heard_ms in told[:1] if isinstance(heard_ms, int))


@pytest.mark.parametrize("goodbye", [EndFrame(), CancelFrame()], ids=["end", "cancel"])
async def test_a_stage_before_it_ends_the_call(goodbye: EndFrame | CancelFrame, autojump_clock: MockClock) -> None:
    """In order, behind what the agent has said, or at once: the caller is not left on the line, in call after call."""
    adapter = MemoryAdapter(OpenAIRealtimeProtocol(), paced=False)

    def ends_on_a_key(frame: Frame) -> Frame:
        return goodbye if isinstance(frame, DTMFFrame) else frame

    async def bot(session: Session) -> None:
        async with adapter:
            await Pipeline([ends_on_a_key, realtime(adapter)]).run(session.input, session.output)

    for _ in range(2):
        async with phone_call(bot, "browser", params=PARAMS) as phone:
            await trio.sleep(0.1)
            await adapter.agent.send(delta("one", 1, 1.0))
            await trio.sleep(0.3)
            for message in JSONFrameSerializer().encode(DTMFFrame(digit="1")):
                await phone.wire.send(message)
            with trio.fail_after(5):
                await phone.has_ended.wait()
        assert phone.closed is not None
        assert phone.closed.code == 1000
        said = b"".join(order.pcm for _, order in phone.orders if isinstance(order, PlayOrder))
        assert (said.count(b"\1\0") >= 0.99 * RATE) is isinstance(goodbye, EndFrame)


@pytest.mark.parametrize("interrupts", [False, True])
async def test_a_stage_before_it_ends_the_call_and_returns(interrupts: bool, autojump_clock: MockClock) -> None:
    """Nothing more comes from the caller then, and the agent's words wait for room: they and the reason leave first.

    An agent that hears the caller once more takes its words back; the goodbye leaves all the same.
    """
    adapter = MemoryAdapter(OpenAIRealtimeProtocol(), paced=False)

    async def leaves_on_a_key(input: trio.abc.ReceiveChannel[Frame], output: trio.abc.SendChannel[Frame]) -> None:  # noqa: A002
        async for frame in input:
            if isinstance(frame, DTMFFrame):
                await output.send(EndFrame(reason="done"))
                return
            await output.send(frame)

    for _ in range(2):
        feed, source = trio.open_memory_channel[Frame](10)
        sink = Sink(takes_s=0.5)
        async with adapter, trio.open_nursery() as nursery:
            pipeline = Pipeline([leaves_on_a_key, realtime(adapter)], max_queued_frames=4, end_grace_secs=1)
            nursery.start_soon(pipeline.run, source, sink)
            for _ in range(40):
                await adapter.agent.send(delta("one", 1, 0.02))
            await trio.sleep(1)
            await feed.send(DTMFFrame(digit="1"))
            await trio.sleep(1)
            if interrupts:
                await adapter.agent.send(json.dumps({"type": "input_audio_buffer.speech_started"}))
            await adapter.agent.send(delta("two", 2, 0.02))
        assert sink.frames[-1] == EndFrame(reason="done")
        said = [frame for frame in sink.frames if isinstance(frame, AudioFrame)]
        assert len(said) < 10 if interrupts else len(said) == 40
        assert all(frame.utterance == "one" for frame in said)


async def test_an_agent_that_is_quicker_than_it_is_heard(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """What waits to be said is bounded, and the oldest counted and told of; it is still heard when it takes words back.

    Twice.
    """
    ahead_s = 2.0
    adapter = MemoryAdapter(OpenAIRealtimeProtocol(), paced=False, max_unread_s=ahead_s)
    feed, source = trio.open_memory_channel[Frame](10)
    sink = Sink(takes_s=0.1)
    async with adapter, trio.open_nursery() as nursery:
        nursery.start_soon(Pipeline([realtime(adapter)], max_queued_frames=4).run, source, sink)
        for item in ("one", "two"):
            dropped_s = adapter.statistics().audio_in_dropped_s
            sink.frames.clear()
            text = {"type": "response.output_audio_transcript.delta", "item_id": item, "delta": "word "}
            for n in range(10):
                for _ in range(50):
                    await adapter.agent.send(delta(item, 1 + n, 0.02))
                await adapter.agent.send(json.dumps(text))
                await trio.sleep(0.01)
            said_s = 0.02 * sum(isinstance(frame, AudioFrame) for frame in sink.frames)
            dropped_s = adapter.statistics().audio_in_dropped_s - dropped_s
            assert 10 - ahead_s - 0.2 <= dropped_s + said_s <= 10 - ahead_s + 0.01
            assert adapter.statistics().frames_dropped == (8 if item == "one" else 16)
            await trio.sleep(10)
            assert [frame.text for frame in sink.frames if isinstance(frame, TextFrame)] == ["word "]
            await adapter.agent.send(json.dumps({"type": "input_audio_buffer.speech_started"}))
            await trio.sleep(0.01)
            await adapter.agent.send(delta(f"after {item}", 1, 0.02))
            await trio.sleep(1)
            last = sink.frames[-1]
            assert isinstance(last, AudioFrame)
            assert last.utterance == f"after {item}"
        feed.close()
    assert len([record for record in caplog.records if "ahead of what is said" in record.getMessage()]) == 1


@pytest.mark.parametrize("listens", [True, False])
@pytest.mark.parametrize("paced", [True, False])
async def test_a_live_caller_is_heard_without_holes(listens: bool, paced: bool, autojump_clock: MockClock) -> None:
    """However the adapter sends, and whether or not the line is silent between turns; in two turns."""
    adapter = MemoryAdapter(OpenAIRealtimeProtocol(server_vad=listens), paced=paced)
    feed, source = trio.open_memory_channel[Frame](10)
    heard: list[int] = []

    async def listen() -> None:
        with suppress(ConnectionClosed):
            while True:
                event = json.loads(await adapter.agent.receive())
                if event["type"] == "input_audio_buffer.append":
                    heard.extend(b64decode(event["audio"])[::2])

    async with adapter, trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        nursery.start_soon(Pipeline([realtime(adapter)]).run, source, Sink())
        for value in (1, 2):
            for _ in range(50):
                await feed.send(AudioFrame(audio=bytes([value, 0]) * 480, sample_rate=RATE))
                await trio.sleep(0.02)
            await trio.sleep(1)
        feed.close()
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    for value in (1, 2):
        assert heard.count(value) == RATE
        first = heard.index(value)
        assert set(heard[first : first + RATE]) == {value}


async def test_what_waited_to_be_said_was_not_heard(autojump_clock: MockClock) -> None:
    """Of two utterances that came at once, the second never began: the agent is told that too."""
    adapter = MemoryAdapter(OpenAIRealtimeProtocol(), paced=False)
    told: list[tuple[object, object]] = []

    async def bot(session: Session) -> None:
        async with adapter:
            await Pipeline([realtime(adapter)]).run(session.input, session.output)

    async with phone_call(bot, "browser", params=PARAMS) as phone, trio.open_nursery() as nursery:
        await trio.sleep(0.01)
        nursery.start_soon(truncations, adapter.agent, told)
        for item in ("first", "second"):
            for _ in range(100):
                await adapter.agent.send(delta(item, 1, 0.2))
        await trio.sleep(1)
        await adapter.agent.send(json.dumps({"type": "input_audio_buffer.speech_started"}))
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert phone.orders
    assert [item for item, _ in told] == ["first", "second"]
    assert told[1] == ("second", 0)


async def test_what_was_heard_to_its_end_is_never_cut_off(autojump_clock: MockClock) -> None:
    """In a call of more turns than a session remembers utterances, with an interruption at the end of each."""
    adapter = MemoryAdapter(OpenAIRealtimeProtocol(), paced=False)
    told: list[tuple[object, object]] = []

    async def bot(session: Session) -> None:
        async with adapter:
            await Pipeline([realtime(adapter)]).run(session.input, session.output)

    async with phone_call(bot, "browser", params=PARAMS) as phone, trio.open_nursery() as nursery:
        await trio.sleep(0.01)
        nursery.start_soon(truncations, adapter.agent, told)
        for turn in range(REMEMBERED + 3):
            await adapter.agent.send(delta(f"item {turn}", 1, 0.1))
            await trio.sleep(1)
            await adapter.agent.send(json.dumps({"type": "input_audio_buffer.speech_started"}))
            await trio.sleep(0.1)
        nursery.cancel_scope.cancel()
    assert phone.orders
    assert told == []


async def test_an_agent_that_dies_in_the_middle_of_its_answer(autojump_clock: MockClock) -> None:
    """Its exception leaves the pipeline as itself while the caller speaks, so that the call can go on without it."""
    adapter = MemoryAdapter(OpenAIRealtimeProtocol(), paced=False)
    caught: list[AgentConnectionLost] = []

    async def bot(session: Session) -> None:
        async with adapter:
            try:
                await Pipeline([realtime(adapter)]).run(session.input, session.output)
            except AgentConnectionLost as exc:
                caught.append(exc)
        await session.output.send(speech_like(0.3))

    async with phone_call(bot, "browser", params=PARAMS) as phone, trio.open_nursery() as nursery:
        nursery.start_soon(phone.speak, speech_like(3.0))
        await trio.sleep(0.5)
        await adapter.agent.send(delta("old", 1, 3.0))
        await trio.sleep(0.5)
        await adapter.agent.aclose(1011, "died")
        with trio.fail_after(10):
            await phone.has_ended.wait()
    assert len(caught) == 1
    assert phone.closed is not None
    assert phone.closed.code == 1000


ELEVENLABS_RATE = 16000


def event(number: int, value: int, duration_s: float = 0.1) -> str:
    pcm = value.to_bytes(2, "little") * round(duration_s * ELEVENLABS_RATE)
    audio = {"audio_base_64": b64encode(pcm).decode(), "event_id": number}
    return json.dumps({"type": "audio", "audio_event": audio})


SIGNS = {
    "the interruption": {"type": "interruption", "interruption_event": {"event_id": 12}},
    "the transcript": {"type": "user_transcript", "user_transcription_event": {"user_transcript": "stop"}},
    "a pause": None,
}


@pytest.mark.parametrize("sign", SIGNS)
async def test_an_agent_without_names_that_notices_late(sign: str, autojump_clock: MockClock) -> None:
    """Its old answer goes on for 0.4 s after each of two interruptions: none of that is heard, and all of the new one.

    The new one is told from it by what the agent says of turns, or by a pause before it.
    """
    adapter = MemoryAdapter(ElevenLabsAgentProtocol(), paced=False)

    async def bot(session: Session) -> None:
        async with adapter:
            await Pipeline([realtime(adapter)], allow_interruptions=True).run(session.input, session.output)

    async with phone_call(bot, "browser", params=PARAMS) as phone:
        await trio.sleep(0.01)
        number = 0
        for value in (1, 2, 3):
            for n in range(14 if value < 3 else 20):
                number += 1
                await adapter.agent.send(event(number, 1000 * value))
                await trio.sleep(0.1)
                if n == 9 and value < 3:
                    for message in JSONFrameSerializer().encode(UserStartedSpeakingFrame()):
                        await phone.wire.send(message)
            if value < 3:
                told = SIGNS[sign]
                if told is None:
                    await trio.sleep(0.6)
                else:
                    await adapter.agent.send(json.dumps(told).replace("12", str(number)))
        await trio.sleep(1)
    turns: list[list[int]] = [[]]
    for _, order in phone.orders:
        if isinstance(order, ClearOrder):
            turns.append([])
        elif isinstance(order, PlayOrder):
            turns[-1] += [round(value / 1000) for value in memoryview(order.pcm).cast("h")]
    heard = [{value for value in turn if value and turn.count(value) > 100} for turn in turns]
    assert [turn for turn in heard if turn] == [{1}, {2}, {3}]
    assert turns[-1].count(3) == pytest.approx(2.0 * RATE, rel=0.02)


async def test_a_caller_who_speaks_first_makes_nothing_late(autojump_clock: MockClock) -> None:
    """Each turn of a caller is an interruption; where the agent was silent, its answer is heard, however quick."""
    adapter = MemoryAdapter(ElevenLabsAgentProtocol(), paced=False)

    async def bot(session: Session) -> None:
        async with adapter:
            await Pipeline([realtime(adapter)], allow_interruptions=True).run(session.input, session.output)

    async with phone_call(bot, "browser", params=PARAMS) as phone:
        await trio.sleep(0.01)
        for turn in range(2):
            for message in JSONFrameSerializer().encode(UserStartedSpeakingFrame()):
                await phone.wire.send(message)
            await trio.sleep(0.05)
            await adapter.agent.send(event(turn + 1, 9000, 1.0))
            heard = await phone.listen()
            assert heard.duration_s == pytest.approx(1.0, abs=0.1)


async def test_an_agent_that_never_pauses_is_heard_again(autojump_clock: MockClock) -> None:
    """It streams on and tells nothing: it is silenced for a while, and not for ever."""
    adapter = MemoryAdapter(ElevenLabsAgentProtocol(), paced=False)

    async def bot(session: Session) -> None:
        async with adapter:
            await Pipeline([realtime(adapter)], allow_interruptions=True).run(session.input, session.output)

    async with phone_call(bot, "browser", params=PARAMS) as phone:
        await trio.sleep(0.01)
        for number in range(80):
            await adapter.agent.send(event(number, 9000))
            await trio.sleep(0.1)
            if number == 10:
                for message in JSONFrameSerializer().encode(UserStartedSpeakingFrame()):
                    await phone.wire.send(message)
        (cleared_s,) = phone.clears_s
        next_s = next(at for at, order in phone.orders if isinstance(order, PlayOrder) and at > cleared_s + 0.05)
        assert next_s - cleared_s == pytest.approx(3.0, abs=0.2)
