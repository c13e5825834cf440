"""A pipeline between the two ends of a session: the guide's server, in memory and in virtual time."""

from collections.abc import Sequence
from functools import partial
from typing import final

import pytest
import trio
from attrs import define, field
from trio.testing import MockClock

from tests.session.helpers import RATE
from tests.session.helpers import params as with_silence
from trio_transports.errors import ConnectionClosed
from trio_transports.frames import (
    AudioFrame,
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    Frame,
    InterruptionFrame,
    TextFrame,
    UserStartedSpeakingFrame,
)
from trio_transports.pipeline import Pipeline
from trio_transports.testing import memory_session
from trio_transports.vad import SpeechEvent, SpeechStarted, SpeechStopped

params = partial(with_silence, audio_out_auto_silence=False)


@final
@define(eq=False)
class AnythingButSilence:
    """Speech begins and ends with the message that does."""

    _at_s: float = field(default=0.0, init=False)
    _speaks: bool = field(default=False, init=False)

    def start(self, sample_rate: int) -> None:
        pass

    def analyze(self, pcm: bytes) -> Sequence[SpeechEvent]:
        at_s, self._at_s = self._at_s, self._at_s + len(pcm) / 2 / RATE
        if any(pcm) == self._speaks:
            return ()
        self._speaks = not self._speaks
        return (SpeechStarted(at_s) if self._speaks else SpeechStopped(at_s),)

    def stop(self) -> None:
        pass

    def fresh(self) -> "AnythingButSilence":
        return AnythingButSilence()


def audio(sample: int, duration_s: float = 0.02) -> AudioFrame:
    return AudioFrame(audio=sample.to_bytes(2, "little") * round(duration_s * RATE), sample_rate=RATE)


async def test_audio_and_messages_come_back_in_order(autojump_clock: MockClock) -> None:
    """An echo of functions: what the peer sent is what it gets."""

    def shout(frame: Frame) -> Frame | None:
        match frame:
            case TextFrame(text=text):
                return TextFrame(text=text.upper())
            case AudioFrame():
                return frame
            case _:
                return None

    async with memory_session(params()) as (session, peer), trio.open_nursery() as nursery:
        nursery.start_soon(Pipeline([shout]).run, session.input, session.output)
        await peer.send(audio(1))
        await peer.send(TextFrame(text="between"))
        await peer.send(audio(2))
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    kinds = [type(heard.frame) for heard in peer.recorder.heard]
    assert kinds == [AudioFrame, TextFrame, AudioFrame]
    assert peer.recorder.of(TextFrame) == [TextFrame(text="BETWEEN")]
    assert peer.recorder.audio == audio(1).audio + audio(2).audio


async def test_barge_in_silences_a_bot_that_is_in_the_middle_of_it(autojump_clock: MockClock) -> None:
    """A stage that would talk for minutes, blocked by a full output, is stopped by the user's speech at once."""
    heard_by_bot: list[type[Frame]] = []

    async def storyteller(input: trio.abc.ReceiveChannel[Frame], output: trio.abc.SendChannel[Frame]) -> None:  # noqa: A002
        for _ in range(10_000):
            await output.send(audio(0x1111))
        async for frame in input:
            heard_by_bot.append(type(frame))
            if isinstance(frame, InterruptionFrame):
                await output.send(audio(0x2222))

    settings = params(vad_enabled=True, vad_analyzer=AnythingButSilence, audio_out_max_queue_secs=1.0)
    async with memory_session(settings) as (session, peer), trio.open_nursery() as nursery:
        pipeline = Pipeline([storyteller], allow_interruptions=True)
        nursery.start_soon(pipeline.run, session.input, session.output)
        for _ in range(100):
            await peer.send(audio(0))
            await trio.sleep(0.02)
        told = len(peer.recorder.audio)
        assert told / 2 / RATE == pytest.approx(2.0, abs=0.05)
        spoke_at_s = trio.current_time()
        await peer.send(audio(0x3333))
        await trio.sleep(2)
        nursery.cancel_scope.cancel()
    (cut_at_s,) = [heard.at_s for heard in peer.recorder.heard if isinstance(heard.frame, InterruptionFrame)]
    assert cut_at_s - spoke_at_s < 0.02
    after = peer.recorder.audio[told:]
    assert b"\x11\x11" not in after
    assert after.count(b"\x22\x22") == RATE // 50
    assert heard_by_bot[0] is InterruptionFrame
    assert UserStartedSpeakingFrame in heard_by_bot


async def test_a_pipeline_ends_with_its_peer(autojump_clock: MockClock) -> None:
    """The input ends when the peer has gone: run returns, if nothing is left to send."""
    async with memory_session(params()) as (session, peer):
        await peer.send(TextFrame(text="bye"))
        await peer.close()
        with trio.fail_after(1):
            await Pipeline([lambda frame: None]).run(session.input, session.output)


async def test_sending_to_a_peer_that_has_gone_is_connection_closed(autojump_clock: MockClock) -> None:
    """It leaves run as itself, which is what a server takes for a normal end."""

    async def talks(input: trio.abc.ReceiveChannel[Frame], output: trio.abc.SendChannel[Frame]) -> None:  # noqa: A002
        while True:
            await output.send(TextFrame(text="still here"))
            await trio.sleep(0.1)

    async with memory_session(params()) as (session, peer):

        async def leave() -> None:
            await trio.sleep(1)
            await peer.close(1001, "no more")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(leave)
            with pytest.raises(ConnectionClosed, match="closed by the peer, code 1001: no more"):
                await Pipeline([talks]).run(session.input, session.output)


async def test_a_session_that_interrupts_by_itself_is_passed_on(autojump_clock: MockClock) -> None:
    """Its interruption empties the pipeline too; one chunk at most was already on its way."""

    async def talks(input: trio.abc.ReceiveChannel[Frame], output: trio.abc.SendChannel[Frame]) -> None:  # noqa: A002
        for _ in range(500):
            await output.send(audio(0x1111))
        async for _ in input:
            pass

    settings = params(
        vad_enabled=True, vad_analyzer=AnythingButSilence, allow_interruptions=True, audio_out_max_queue_secs=1.0
    )
    async with memory_session(settings) as (session, peer), trio.open_nursery() as nursery:
        nursery.start_soon(Pipeline([talks]).run, session.input, session.output)
        await trio.sleep(1.01)
        told = len(peer.recorder.audio)
        await peer.send(audio(0x3333))
        await trio.sleep(2)
        nursery.cancel_scope.cancel()
    assert peer.recorder.of(InterruptionFrame)
    assert len(peer.recorder.audio) - told <= 640


async def test_what_the_session_noticed_does_not_travel_back(autojump_clock: MockClock) -> None:
    """A pipeline that passes everything on sends the peer its own notices, and none of the session's."""
    settings = params(vad_enabled=True, vad_analyzer=AnythingButSilence)
    async with memory_session(settings) as (session, peer), trio.open_nursery() as nursery:
        seen: list[Frame] = []

        def watch(frame: Frame) -> Frame:
            seen.append(frame)
            return frame

        nursery.start_soon(Pipeline([watch]).run, session.input, session.output)
        for _ in range(2):
            for sample in (0x3333, 0x3333, 0):
                await peer.send(audio(sample))
                await trio.sleep(0.02)
            await trio.sleep(1)
        told = [frame for frame in seen if isinstance(frame, UserStartedSpeakingFrame)]
        assert [frame.notice for frame in told] == [True, True]
        assert peer.recorder.of(UserStartedSpeakingFrame) == []
        assert peer.recorder.of(BotStartedSpeakingFrame) == []
        assert peer.recorder.of(BotStoppedSpeakingFrame) == []
        await peer.send(UserStartedSpeakingFrame(at_s=3.0))
        await trio.sleep(1)
        assert peer.recorder.of(UserStartedSpeakingFrame) == [UserStartedSpeakingFrame(at_s=3.0)]
        assert not seen[-1].notice  # type: ignore[union-attr]
        nursery.cancel_scope.cancel()


async def test_statistics_tell_what_a_pipeline_dropped(autojump_clock: MockClock) -> None:
    """By kind, in the session's own statistics."""

    async def llm(input: trio.abc.ReceiveChannel[Frame], output: trio.abc.SendChannel[Frame]) -> None:  # noqa: A002
        for n in range(3):
            await output.send(TextFrame(text=str(n)))
        async for frame in input:
            await output.send(frame)

    async def tts(input: trio.abc.ReceiveChannel[Frame], output: trio.abc.SendChannel[Frame]) -> None:  # noqa: A002
        await trio.sleep(1)

    async with memory_session(params()) as (session, peer), trio.open_nursery() as nursery:
        nursery.start_soon(Pipeline([llm, tts]).run, session.input, session.output)
        await peer.send(InterruptionFrame())
        await trio.sleep(0.5)
        assert session.statistics().dropped_by_kind == {"TextFrame": 3}
        nursery.cancel_scope.cancel()
