"""A session's turn analyzer: which pauses are told, when, and what an interruption makes of it, in virtual time."""

import threading
from collections.abc import Callable

import pytest
import trio
from attrs import define, field
from trio.testing import MockClock

from tests.session.hearing import Planned
from tests.session.helpers import CHUNK_BYTES, CHUNK_S, RATE, audio, params
from trio_transports import (
    AudioFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    TransportParams,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from trio_transports.pipeline import Pipeline
from trio_transports.pipeline.stages import utterances
from trio_transports.testing import memory_session
from trio_transports.vad import ProsodyTurnAnalyzer, SpeechEvent, SpeechStarted, SpeechStopped


@define(eq=False)
class After:
    """Says yes after so much silence, and writes down what it was asked, and where."""

    silence_s: float
    asked: list[tuple[float, float]] = field(factory=list)
    threads: set[int] = field(factory=set)

    def is_complete(self, turn: bytes, sample_rate: int, silence_secs: float) -> bool:
        self.asked.append((round(len(turn) / 2 / sample_rate, 1), round(silence_secs, 1)))
        self.threads.add(threading.get_ident())
        return silence_secs >= self.silence_s


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A virtual clock jumps while a thread works: here the analyzer is called where it is asked."""

    async def inline(function: Callable[..., object], *arguments: object, **_how: object) -> object:
        await trio.lowlevel.checkpoint()
        return function(*arguments)

    monkeypatch.setattr(trio.to_thread, "run_sync", inline)


def speech(*times: tuple[float, float]) -> Planned:
    """Speech between these times, noticed 0.2 s late each time."""
    plan: list[tuple[float, SpeechEvent]] = []
    for start_s, stop_s in times:
        plan += [(start_s + 0.2, SpeechStarted(start_s)), (stop_s + 0.2, SpeechStopped(stop_s))]
    return Planned(plan)


def listening(analyzer: After, *times: tuple[float, float], **changes: object) -> TransportParams:
    return params(vad_enabled=True, vad_analyzer=speech(*times), turn_analyzer=analyzer, **changes)


async def told(
    settings: TransportParams, duration_s: float, *, ends: bool = False, answers_at_s: float | None = None
) -> list[tuple[str, float]]:
    """What a handler is told beside audio, and when, by a caller who sends audio all the time."""
    names: list[tuple[str, float]] = []
    async with memory_session(settings) as (session, peer), trio.open_nursery() as nursery:
        began_s = trio.current_time()

        @nursery.start_soon
        async def listen() -> None:
            async for frame in session.input:
                if isinstance(
                    frame, UserStartedSpeakingFrame | UserStoppedSpeakingFrame | InterruptionFrame | EndFrame
                ):
                    names.append((type(frame).__name__.removesuffix("Frame"), round(trio.current_time() - began_s, 1)))

        @nursery.start_soon
        async def answer() -> None:
            if answers_at_s is not None:
                await trio.sleep(answers_at_s)
                await session.output.send(audio(RATE * 5))

        for number in range(round(duration_s / CHUNK_S)):
            await peer.send(AudioFrame(audio=bytes(CHUNK_BYTES), sample_rate=RATE))
            await trio.sleep_until(began_s + (number + 1) * CHUNK_S)
        if ends:
            await peer.send(EndFrame())
        await peer.close()
    return names


async def test_a_pause_is_not_told(no_threads: None, autojump_clock: MockClock) -> None:
    """Two turns of two pieces each are two turns, and each ends with the silence that the analyzer wants."""
    analyzer = After(0.75)
    times = ((1.0, 2.0), (2.5, 3.0), (5.0, 6.0), (6.5, 7.0))
    assert await told(listening(analyzer, *times), 9) == [
        ("UserStartedSpeaking", 1.2),
        ("UserStoppedSpeaking", 3.8),
        ("UserStartedSpeaking", 5.2),
        ("UserStoppedSpeaking", 7.8),
    ]
    assert {silence_s for _, silence_s in analyzer.asked} == {0.2, 0.4, 0.6, 0.8}
    turn_s = [heard_s for heard_s, silence_s in analyzer.asked if silence_s == 0.8]
    assert turn_s == pytest.approx([3.1, 3.1], abs=0.15)  # from 0.3 s before the turn on, and not the one before


async def test_a_pause_has_an_end(no_threads: None, autojump_clock: MockClock) -> None:
    """Twice: an analyzer that never says yes is overruled, exactly when the parameter says."""
    settings = listening(After(99), (1.0, 2.0), (5.0, 6.0), turn_max_pause_secs=1.5)
    assert [at for name, at in await told(settings, 9) if name == "UserStoppedSpeaking"] == [3.5, 7.5]


@pytest.mark.parametrize("ends", [True, False], ids=["says so", "is gone"])
async def test_the_end_of_a_call_ends_the_turn(ends: bool, no_threads: None, autojump_clock: MockClock) -> None:
    """What is held is told before the caller's EndFrame, and when the connection ends without one."""
    names = [name for name, _ in await told(listening(After(99), (1.0, 2.0)), 2.5, ends=ends)]
    assert names == ["UserStartedSpeaking", "UserStoppedSpeaking", *(["End"] if ends else [])]


async def test_going_on_interrupts_nobody_but_a_bot_that_speaks(no_threads: None, autojump_clock: MockClock) -> None:
    """In a pause of a turn nothing is told; over a bot that could not wait, it is a turn of its own, and interrupts."""
    times = ((1.0, 2.0), (2.8, 4.0))
    names = [name for name, _ in await told(listening(After(1), *times, allow_interruptions=True), 8)]
    assert names == ["UserStartedSpeaking", "Interruption", "UserStoppedSpeaking"]
    spoken_over = listening(After(1), *times, allow_interruptions=True, audio_out_enabled=True)
    names = [name for name, _ in await told(spoken_over, 8, answers_at_s=2.5)]
    began = ["UserStartedSpeaking", "Interruption"]
    assert names == [*began, "UserStoppedSpeaking", *began, "UserStoppedSpeaking"]


async def test_utterances_of_such_a_session_are_turns(no_threads: None, autojump_clock: MockClock) -> None:
    """The stage behind it gathers both pieces and the pause between them as one utterance."""
    heard: list[float] = []

    def note(frame: Frame) -> None:
        if isinstance(frame, AudioFrame):
            heard.append(frame.duration_s)

    async with (
        memory_session(listening(After(0.75), (1.0, 2.0), (2.5, 3.0))) as (session, peer),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(Pipeline([utterances(), note]).run, session.input, session.output)
        for _ in range(round(5 / CHUNK_S)):
            await peer.send(AudioFrame(audio=bytes(CHUNK_BYTES), sample_rate=RATE))
            await trio.sleep(CHUNK_S)
        await peer.close()
    (turn_s,) = heard
    assert turn_s > 2.0


async def test_it_is_asked_in_a_thread() -> None:
    """In real time: the receive task goes on while the analyzer thinks, and its failure ends the session."""
    analyzer = After(0.1)
    names = await told(listening(analyzer, (0.1, 0.2), (0.7, 0.8)), 1.2)
    assert [name for name, _ in names] == ["UserStartedSpeaking", "UserStoppedSpeaking"] * 2
    assert threading.get_ident() not in analyzer.threads

    class Broken(After):
        def is_complete(self, turn: bytes, sample_rate: int, silence_secs: float) -> bool:
            raise ZeroDivisionError("this analyzer is broken")

    with pytest.raises(ZeroDivisionError, match="this analyzer is broken"):
        await told(listening(Broken(1), (0.1, 0.2)), 1.0)


@define(eq=False)
class Stuck(After):
    """Never answers, until it is let go."""

    free: threading.Event = field(factory=threading.Event)

    def is_complete(self, turn: bytes, sample_rate: int, silence_secs: float) -> bool:
        self.asked.append((0, silence_secs))
        self.free.wait(60)
        return True


async def test_one_that_never_answers_holds_up_neither_turns_nor_the_end(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The clock ends each turn, it is asked nothing more meanwhile, and the session ends while its thread hangs."""
    analyzer = Stuck(0)
    try:
        with trio.fail_after(100):
            names = await told(listening(analyzer, (1.0, 2.0), (5.0, 6.0), turn_max_pause_secs=1.5), 9)
            ended = await told(listening(analyzer, (1.0, 2.0)), 2.5)
    finally:
        analyzer.free.set()
    assert [at for name, at in names if name == "UserStoppedSpeaking"] == [3.5, 7.5]
    assert [name for name, _ in ended] == ["UserStartedSpeaking", "UserStoppedSpeaking"]
    assert caplog.text.count("still thinks about an earlier pause") == 1


async def test_an_answer_that_is_none_is_refused(autojump_clock: MockClock, no_threads: None) -> None:
    """An async function's is always true: it would end each turn at once, and nobody would know why."""

    class Async(After):
        async def is_complete(self, turn: bytes, sample_rate: int, silence_secs: float) -> bool:  # type: ignore[override]
            return False

    class Wordy(After):
        def is_complete(self, turn: bytes, sample_rate: int, silence_secs: float) -> bool:
            return "no"  # type: ignore[return-value]

    for analyzer in (Async(1), Wordy(1)):
        with pytest.raises(TypeError, match=r"is_complete gave .* gives True or False.* not `async def`"):
            await told(listening(analyzer, (0.1, 0.2)), 1.0)


def test_without_voice_activity_it_is_refused() -> None:
    """There is nobody who would tell it of a pause."""
    with pytest.raises(ValueError, match=r"TransportParams\.turn_analyzer needs vad_enabled=True"):
        params(turn_analyzer=ProsodyTurnAnalyzer())
    with pytest.raises(TypeError, match=r"TransportParams\.turn_analyzer must have is_complete"):
        params(vad_enabled=True, turn_analyzer=3)
