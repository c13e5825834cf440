"""The end of a turn beyond silence: what the stage does with an analyzer's answers, in virtual time."""

import threading
from collections.abc import Callable

import pytest
import trio
from attrs import define, evolve, field
from trio.testing import MockClock

from tests.pipeline.test_turns import Sink, speech
from trio_transports.frames import AudioFrame, EndFrame, Frame, UserStartedSpeakingFrame, UserStoppedSpeakingFrame
from trio_transports.pipeline import Pipeline
from trio_transports.pipeline.stages import turn_analyzer

CHUNK_S = 0.02


@define(eq=False)
class After:
    """Says yes after so much silence, and writes down what it was asked."""

    silence_s: float
    asked: list[tuple[int, float]] = field(factory=list)

    def is_complete(self, turn: bytes, sample_rate: int, silence_secs: float) -> bool:
        assert sample_rate == 16000
        self.asked.append((len(turn) // 640, round(silence_secs, 2)))
        return silence_secs >= self.silence_s


async def call(
    analyzer: After, spoken: list[tuple[str, float]], *, ends: bool = False, **settings: float
) -> list[tuple[str, float]]:
    """Speak and pause for so long each, noticed 0.2 s late; give what came out but audio, with its times."""
    feed, source = trio.open_memory_channel[Frame](10_000)
    sink = Sink()
    async with trio.open_nursery() as nursery:
        stage = turn_analyzer(analyzer, **settings)
        nursery.start_soon(Pipeline([stage]).run, source, sink)
        began_s, heard_s, at_s = trio.current_time(), 0.0, 0.0
        for what, duration_s in spoken:
            for n in range(round(duration_s / CHUNK_S)):
                if n == 10:
                    kind = UserStartedSpeakingFrame if what == "speech" else UserStoppedSpeakingFrame
                    await feed.send(kind(at_s=at_s))
                await feed.send(speech(1) if what == "speech" else AudioFrame(audio=bytes(640), sample_rate=16000))
                heard_s += CHUNK_S
                await trio.sleep(CHUNK_S)
            at_s = heard_s
        if ends:
            await feed.send(EndFrame())
        feed.close()
    names = {UserStartedSpeakingFrame: "started", UserStoppedSpeakingFrame: "stopped", EndFrame: "end"}
    return [
        (names[type(frame)], round(at - began_s, 1))
        for frame, at in zip(sink.frames, sink.times_s, strict=True)
        if not isinstance(frame, AudioFrame)
    ]


@pytest.fixture(params=[0.0])
def no_threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A virtual clock jumps while a thread works: the analyzer is called where it is asked, and takes so long."""

    async def inline(function: Callable[..., bool], *arguments: object, **_how: object) -> bool:
        await trio.sleep(request.param)
        return function(*arguments)

    monkeypatch.setattr(trio.to_thread, "run_sync", inline)


async def test_a_pause_is_not_the_end(autojump_clock: MockClock, no_threads: None) -> None:
    """Two pauses that the analyzer sees through are one turn; the silence it wants ends it, twice in one call."""
    analyzer = After(0.85)
    turn = [("speech", 1.0), ("silence", 0.6), ("speech", 1.0), ("silence", 0.6), ("speech", 1.0), ("silence", 2.0)]
    told = await call(analyzer, [*turn, *turn])
    assert told == [("started", 0.2), ("stopped", 5.2), ("started", 6.4), ("stopped", 11.4)]
    assert max(silence for _, silence in analyzer.asked) < 1.1


async def test_a_pause_has_an_end(autojump_clock: MockClock, no_threads: None) -> None:
    """An analyzer that never says yes is not asked for ever; nor does the end of the call lose the news."""
    told = await call(After(99), [("speech", 1.0), ("silence", 3.0)], max_pause_secs=1.5)
    assert told == [("started", 0.2), ("stopped", 2.5)]
    told = await call(After(99), [("speech", 1.0), ("silence", 0.5)])
    assert told == [("started", 0.2), ("stopped", 1.5)]
    told = await call(After(99), [("speech", 1.0), ("silence", 0.5)], ends=True)
    assert told == [("started", 0.2), ("stopped", 1.5), ("end", 1.5)]


async def test_it_is_asked_about_the_turn_and_no_more(autojump_clock: MockClock, no_threads: None) -> None:
    """Not about the turn before, and not about more than it wants."""
    analyzer = After(0.1)
    await call(analyzer, [("speech", 1.0), ("silence", 1.0)] * 2)
    first, second = analyzer.asked
    assert first == (60, 0.2)
    assert second in ((75, 0.2), (76, 0.2))  # one more came while the thread was answering
    analyzer = After(0.1)
    await call(analyzer, [("speech", 9.0), ("silence", 1.0)], max_turn_secs=3.0)
    assert analyzer.asked == [(150, 0.2)]


@pytest.mark.parametrize("no_threads", [0.3, 0.7], indirect=True)
async def test_one_that_is_slower_than_it_is_asked(autojump_clock: MockClock, no_threads: None) -> None:
    """Speech that goes on while it thinks goes on with the turn, and is heard; the turn ends when it says so."""
    analyzer = After(1.1)
    turn = [("speech", 1.0), ("silence", 0.5), ("speech", 1.0), ("silence", 3.0)]
    told = await call(analyzer, [*turn, *turn])
    assert [name for name, _ in told] == ["started", "stopped"] * 2
    assert [at for name, at in told if name == "started"] == [0.2, 5.7]
    assert all(2.5 + 1.1 <= at % 5.5 <= 2.5 + 1.1 + 0.9 for name, at in told if name == "stopped")
    assert max(pieces for pieces, silence in analyzer.asked) > 150


async def test_one_that_never_answers_holds_up_nobody(autojump_clock: MockClock) -> None:
    """The clock ends both turns; a pipeline that is cancelled ends, though the thread still hangs."""
    free = threading.Event()

    class Stuck(After):
        def is_complete(self, turn: bytes, sample_rate: int, silence_secs: float) -> bool:
            return free.wait(60)

    try:
        with trio.fail_after(100):
            told = await call(Stuck(0), [("speech", 1.0), ("silence", 3.0)] * 2, max_pause_secs=1.5)
        assert [name for name, _ in told] == ["started", "stopped"] * 2
        assert [at for name, at in told if name == "stopped"] == [2.5, 6.5]
    finally:
        free.set()


def test_times_that_make_no_sense_are_refused() -> None:
    """They are named."""
    with pytest.raises(ValueError, match="ask_every_secs=0"):
        turn_analyzer(After(1), ask_every_secs=0)


async def test_another_track_is_not_the_users_time(autojump_clock: MockClock, no_threads: None) -> None:
    """Its audio is as long as the user's own: counted with it, no pause would ever be short enough to ask about."""
    analyzer = After(0.4)
    feed, source = trio.open_memory_channel[Frame](10_000)
    sink = Sink()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Pipeline([turn_analyzer(analyzer)]).run, source, sink)
        heard_s = 0.0
        for _ in range(2):
            await feed.send(UserStartedSpeakingFrame(at_s=heard_s))
            for what in [speech(1)] * 150 + [AudioFrame(audio=bytes(640), sample_rate=16000)] * 100:
                if what == speech(1):
                    ended_s = heard_s + CHUNK_S
                elif heard_s - ended_s == pytest.approx(0.2):
                    await feed.send(UserStoppedSpeakingFrame(at_s=ended_s))
                for destination in (None, "outbound"):
                    await feed.send(evolve(what, destination=destination))
                heard_s += CHUNK_S
                await trio.sleep(CHUNK_S)
        feed.close()
    assert len(analyzer.asked) >= 4
    assert all(pieces <= 250 for pieces, _ in analyzer.asked)
    assert sum(isinstance(frame, UserStoppedSpeakingFrame) for frame in sink.frames) == 2
