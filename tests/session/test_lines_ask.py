"""What a line asks of the session in virtual time: a pause in the audio, and numbers in the order of the wire."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import TypeAlias

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.real.telephony.sounds import tone
from tests.serializers.genesys_conversation import GENESYS_OPEN, client
from trio_transports import (
    AudioFrame,
    ConnectionClosed,
    EndFrame,
    InterruptionFrame,
    MessageFrame,
    Session,
    TransportParams,
)
from trio_transports._nursery import open_services
from trio_transports.frames import JSONValue
from trio_transports.serializers import FrameSerializer, Message
from trio_transports.serializers.asterisk import AsteriskFrameSerializer
from trio_transports.serializers.detect import DetectingFrameSerializer
from trio_transports.serializers.genesys import GenesysFrameSerializer
from trio_transports.session.broadcast import Broadcast
from trio_transports.session.events import Event
from trio_transports.session.run import open_session
from trio_transports.wire.memory import memory_wire_pair

ASTERISK_START = '{"event":"MEDIA_START","format":"slin16","optimal_frame_size":640}'


Say: TypeAlias = Callable[[Message], Awaitable[None]]
Heard: TypeAlias = list[tuple[float, Message]]


@asynccontextmanager
async def held(serializer: FrameSerializer, *said: Message) -> AsyncIterator[tuple[Session, Say, Heard]]:
    near, far = memory_wire_pair(buffer_messages=1000)
    heard: Heard = []

    async def listen() -> None:
        try:
            while True:
                message = await far.receive()
                heard.append((trio.current_time(), message))
        except ConnectionClosed:
            return

    params = TransportParams(
        serializer=serializer, audio_in_enabled=True, audio_out_enabled=True, audio_out_auto_silence=False
    )
    events: Broadcast[Event] = Broadcast()
    async with open_services() as services:
        services.start_soon(listen, name="listener")
        async with open_session(near, params, events=events) as session:
            for message in said:
                await far.send(message)
            yield session, far.send, heard


def speech(duration_s: float, rate: int) -> AudioFrame:
    return AudioFrame(audio=tone(440, duration_s, rate), sample_rate=rate)


def audio_times(heard: Heard) -> list[float]:
    return [at_s for at_s, message in heard if isinstance(message, bytes)]


def commands(heard: Heard) -> list[object]:
    """What Asterisk was told, but for the marks that ask where it is."""
    told = [json.loads(message) for _, message in heard if isinstance(message, str)]
    return [each for each in told if each["command"] != "MARK_MEDIA"]


@pytest.mark.parametrize("make", [AsteriskFrameSerializer, DetectingFrameSerializer])
async def test_xoff_stops_the_clock(make: type[FrameSerializer], autojump_clock: MockClock) -> None:
    """Between XOFF and XON no audio leaves; then the rest does at its pace, without a burst and with nothing lost."""
    async with held(make(), ASTERISK_START) as (session, say, heard):
        await session.output.send(speech(2, 16000))
        for pause in range(1, 3):
            await trio.sleep(0.3)
            await say('{"event":"MEDIA_XOFF"}')
            await wait_all_tasks_blocked()
            before = len(audio_times(heard))
            await trio.sleep(5)
            assert 15 * pause <= before <= 16 * pause
            assert len(audio_times(heard)) == before
            await say('{"event":"MEDIA_XON"}')
        await session.output.drain()
    times = audio_times(heard)
    assert len(times) == 100
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert sum(gap > 4 for gap in gaps) == 2
    assert all(gap > 4 or gap == pytest.approx(0.02, abs=0.012) for gap in gaps)
    assert min(gaps) > 0.005


@pytest.mark.parametrize("make", [AsteriskFrameSerializer, DetectingFrameSerializer])
async def test_what_ends_a_pause_leaves_while_it_lasts(make: type[FrameSerializer], autojump_clock: MockClock) -> None:
    """A command that no audio is ahead of; behind audio it waits for that, unless it is urgent. Each time."""
    go_on: JSONValue = {"command": "CONTINUE_MEDIA"}
    async with held(make(), ASTERISK_START) as (session, say, heard):
        for _ in range(2):
            await say('{"event":"MEDIA_XOFF"}')
            await wait_all_tasks_blocked()
            heard.clear()
            await session.output.send(MessageFrame(message=go_on))
            await trio.sleep(1)
            assert commands(heard) == [go_on]
            await session.output.send(speech(0.2, 16000))
            await session.output.send(MessageFrame(message=go_on))
            await trio.sleep(5)
            assert (commands(heard), audio_times(heard)) == ([go_on], [])
            await session.output.send(MessageFrame(message=go_on, urgent=True))
            await trio.sleep(5)
            assert (commands(heard), audio_times(heard)) == ([go_on] * 2, [])
            await say('{"event":"MEDIA_XON"}')
            await session.output.drain()
            await wait_all_tasks_blocked()
            assert (commands(heard), len(audio_times(heard))) == ([go_on] * 3, 10)


@pytest.mark.parametrize("make", [GenesysFrameSerializer, DetectingFrameSerializer])
async def test_a_bot_that_has_paused_the_client_speaks_and_resumes(
    make: type[FrameSerializer], autojump_clock: MockClock
) -> None:
    """What pauses is the client's audio: a question is asked meanwhile, and the pause is ended, each time."""
    async with held(make(), GENESYS_OPEN) as (session, say, heard):
        await session.input.receive()
        seq = 2
        for _ in range(2):
            for kind, answer in (("pause", "paused"), ("resume", "resumed")):
                heard.clear()
                with trio.fail_after(10):
                    await session.output.send(MessageFrame(message={"type": kind}))
                    await session.output.send(speech(1, 8000))
                    await session.output.drain()
                await wait_all_tasks_blocked()
                said = [json.loads(message)["type"] for _, message in heard if isinstance(message, str)]
                assert said[-1:] == [kind]
                assert len(audio_times(heard)) == 5
                await say(client(answer, seq, 1))
                seq += 1
                await wait_all_tasks_blocked()


@pytest.mark.parametrize("make", [GenesysFrameSerializer, DetectingFrameSerializer])
async def test_numbers_are_those_of_the_wire(make: type[FrameSerializer], autojump_clock: MockClock) -> None:
    """Answers overtake what is queued, and still each message of this side has the next number."""
    async with held(make(), GENESYS_OPEN) as (session, say, heard):
        await session.input.receive()
        await session.output.send(speech(1, 8000))
        for seq in range(2, 6):
            await say(client("ping", seq, 1))
            await session.output.send(InterruptionFrame())
            await session.output.send(speech(0.5, 8000))
            await trio.sleep(0.1)
        await session.output.send(EndFrame(reason="done"))
    told = [json.loads(message) for _, message in heard if isinstance(message, str)]
    assert [message["seq"] for message in told] == list(range(1, len(told) + 1))
    assert [message["type"] for message in told].count("pong") == 4
    assert [message["type"] for message in told].count("event") == 4
    assert (told[0]["type"], told[-1]["type"]) == ("opened", "disconnect")
    assert told[-1]["clientseq"] == 5
