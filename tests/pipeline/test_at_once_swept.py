"""A run of functions, cancelled at every step while its session goes on: the next run finds all that was not taken."""

from collections.abc import Iterable, Sequence
from functools import partial
from math import inf
from typing import Final

import pytest
import trio

from tests.pipeline.test_with_session import audio, params
from tests.session.sweep import CancelAtStep, sweep
from trio_transports.frames import AudioFrame, Frame, TextFrame
from trio_transports.pipeline import Pipeline, at_once
from trio_transports.testing import memory_session

WORDS: Final = tuple(str(n) for n in range(12))
IN_TIME: Final = 6
"""So many words come one by one, the others all at a moment, so that some have to wait for room."""


def parts_of(word: str) -> Sequence[str]:
    """Of every third there are more than are sent at once."""
    return [f"{word}.{n}" for n in range(6)] if int(word) % 3 == 2 else [word]


async def two_runs(instrument: CancelAtStep, *, sends_now: bool, where: set[str]) -> None:
    taken: list[str] = []

    def say(frame: Frame) -> Iterable[Frame] | Frame | None:
        match frame:
            case TextFrame(text=word):
                taken.append(word)
                where.add(trio.lowlevel.current_task().name.rpartition(" ")[2])
                return (TextFrame(text=part) for part in parts_of(word))
            case AudioFrame():
                return frame
            case _:
                return None

    pipeline = Pipeline([say])
    settings = params(audio_out_max_queue_secs=0.04)
    async with memory_session(settings, sends_now=sends_now) as (session, peer), trio.open_nursery() as nursery:

        @nursery.start_soon
        async def speak() -> None:
            for word in WORDS:
                await peer.send(audio(int(word) + 1, 0.02))
                await peer.send(TextFrame(text=word))
                await trio.sleep(0.03 if int(word) < IN_TIME else 0)
            await trio.sleep(2)
            await peer.close()

        with trio.fail_after(60):
            with trio.CancelScope() as scope:
                instrument.arm(scope)
                await pipeline.run(session.input, session.output)
            instrument.scope = None
            before = len(taken)
            if scope.cancelled_caught:
                await pipeline.run(session.input, session.output)
    assert taken == list(WORDS), "each was taken once"
    said = [frame.text for frame in peer.recorder.of(TextFrame)]
    first, second = ([part for word in words for part in parts_of(word)] for words in (WORDS[:before], WORDS[before:]))
    whole = len(said) - len(second)
    assert said == first[:whole] + second, "what is lost is the last that the first run had taken"
    assert scope.cancelled_caught or said == first


@pytest.mark.parametrize("sends_now", [False, True], ids=["by the send task", "written at once"])
def test_what_a_cancelled_run_has_not_taken_is_the_next_ones(
    monkeypatch: pytest.MonkeyPatch, *, sends_now: bool
) -> None:
    monkeypatch.setattr(at_once, "SLOW_S", inf)
    where: set[str] = set()
    assert sweep(partial(two_runs, sends_now=sends_now, where=where)) > 100
    assert where == {"receive", "input"}, "both ways were gone"
