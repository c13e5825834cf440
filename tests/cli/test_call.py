"""When a call ends by itself, and calls by each line."""

from math import inf

import pytest
import trio
from trio.testing import MockClock

from tests.session.helpers import RATE, params, pcm
from trio_transports.audio.format import AudioFormat
from trio_transports.cli import call as call_module
from trio_transports.cli.call import Call, CallPlan
from trio_transports.cli.dialects import make_caller
from trio_transports.cli.echo import say_back
from trio_transports.cli.meters import Meters
from trio_transports.pipeline import Pipeline
from trio_transports.serializers.detect import DetectingFrameSerializer
from trio_transports.session.broadcast import Broadcast
from trio_transports.session.events import Event
from trio_transports.session.run import open_session
from trio_transports.testing import speech_like
from trio_transports.testing.phones import LINES, line_named
from trio_transports.wire.memory import MemoryWire, memory_wire_pair


async def _call(answer_after_s: float, clock: MockClock, *, stall_s: float = 0.0, tail_s: float = 0.4) -> Call:
    """Say one frame to a peer that answers later; first this process stalls for a moment."""
    call = Call(AudioFormat(RATE), pcm(640), CallPlan(tail_s=tail_s, limit_s=60), Meters(is_on=False))
    wire, peer = memory_wire_pair()
    events: Broadcast[Event] = Broadcast()

    async def answer(wire: MemoryWire) -> None:
        message = await wire.receive()
        await trio.sleep(answer_after_s)
        clock.jump(stall_s)
        await wire.send(message)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer, peer)
        async with open_session(wire, params(audio_out_auto_silence=False), events=events) as session:
            await call.run(session)
        nursery.cancel_scope.cancel()
    return call


async def test_an_answer_within_the_tail_is_heard(autojump_clock: MockClock) -> None:
    """It is waited for, and not for longer than the tail after it."""
    began_s = trio.current_time()
    call = await _call(0.3, autojump_clock)
    assert bytes(call.heard) == pcm(640)
    assert 0.7 <= trio.current_time() - began_s < 0.8


async def test_an_answer_after_the_tail_is_not_waited_for(autojump_clock: MockClock) -> None:
    """Nothing for as long as the tail is the end."""
    assert not (await _call(0.6, autojump_clock)).heard


async def test_a_stall_of_this_process_is_not_silence(autojump_clock: MockClock) -> None:
    """What arrived while the machine was busy elsewhere is heard, however long that took, and again after it."""
    for stall_s in (0.5, 30.0):
        call = await _call(0.1, autojump_clock, stall_s=stall_s)
        assert bytes(call.heard) == pcm(640)


@pytest.mark.parametrize("line", [name for name in LINES if name not in ("relay", "browser")])
async def test_a_call_by_each_line(line: str, autojump_clock: MockClock) -> None:
    """By the name of a provider the file is said on its line, twice in one test, and the echo of all of it is heard."""
    rate = line_named(line).rate
    for _ in range(2):
        said = speech_like(1.0, sample_rate=rate).audio
        call = Call(AudioFormat(rate), said, CallPlan(tail_s=2, limit_s=9), Meters(is_on=False))
        near, far = memory_wire_pair(buffer_messages=256)
        events: Broadcast[Event] = Broadcast()
        caller = params(
            serializer=make_caller(line, AudioFormat(rate)), audio_out_auto_silence=False, audio_out_sample_rate=rate
        )

        async def echo(wire: MemoryWire, events: Broadcast[Event] = events) -> None:
            bot = params(
                serializer=DetectingFrameSerializer(), audio_out_auto_silence=False, audio_out_sample_rate=None
            )
            async with open_session(wire, bot, events=events) as session:
                await Pipeline([say_back]).run(session.input, session.output)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(echo, far)
            async with open_session(near, caller, events=events) as session:
                await call.run(session)
        assert call.said_bytes == len(call.pcm)
        assert call.heard_something
        assert len(call.heard) / 2 / rate == pytest.approx(1.0, abs=0.21)


async def test_a_server_that_never_takes_the_call_ends_it(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """In a dialect in which it has to say so: it would be waited for without end. One that is late is waited for."""
    monkeypatch.setattr(call_module, "ANSWER_S", 20.0)
    for answers_after_s, is_unanswered in ((inf, True), (19.0, False)):
        line = line_named("genesys")
        call = Call(AudioFormat(line.rate), pcm(16000), CallPlan(tail_s=5, limit_s=60), Meters(is_on=False))
        wire, peer = memory_wire_pair()
        events: Broadcast[Event] = Broadcast()

        async def serve(peer: MemoryWire = peer, answers_after_s: float = answers_after_s) -> None:
            await trio.sleep(answers_after_s)
            settings = params(serializer=DetectingFrameSerializer())
            async with open_session(peer, settings, events=Broadcast()) as session:
                await Pipeline([say_back]).run(session.input, session.output)

        began_s = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            settings = params(serializer=make_caller("genesys", AudioFormat(line.rate)))
            async with open_session(wire, settings, events=events) as session:
                await call.run(session)
            nursery.cancel_scope.cancel()
        assert call.is_unanswered is is_unanswered
        assert (call.said_bytes == len(call.pcm)) is not is_unanswered
        if is_unanswered:
            assert 20 <= trio.current_time() - began_s < 25
