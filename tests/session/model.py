"""What must hold of a session whatever is done with it, in any order: the judge of ``tests.session.programs``.

What arrives says by itself what it is, so no second implementation of the session is needed to judge it: ``judge``
compares the story of a program with what the peer got, the reader got, and what was told.

``python -m tests.session.model 20000`` runs as many programs as it is told, and says what they met.
"""

import logging
import sys
from collections import Counter
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from math import inf
from typing import Final

import numpy as np
import trio
from attrs import frozen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from tests.session.programs import AHEAD_S, PROGRAMS, Outcome, Program, Story, run
from tests.session.test_failures import Line
from trio_transports import (
    AudioFrame,
    Connected,
    Disconnected,
    ImageFrame,
    InterruptionFrame,
    MessageFrame,
    TextFrame,
)

MADE_UP_S: Final = 0.4
"""How much of a hole may be made up for at most: the longest burst."""


@frozen
class Arrival:
    """A run of samples of one number, or a message."""

    kind: str
    number: int
    samples: int
    at_s: float
    message: int
    """Which of all messages it came in."""


def arrivals(line: Line) -> list[Arrival]:
    """What came, but for silence, which belongs to nobody."""
    came: list[Arrival] = []
    everything = [heard for peer in line.peers for heard in peer.recorder.heard]
    for message, heard in enumerate(everything):
        match heard.frame:
            case TextFrame(text=text):
                came.append(Arrival("text", int(text), 1, heard.at_s, message))
            case MessageFrame(message=int(number)):
                came.append(Arrival("urgent", number, 1, heard.at_s, message))
            case ImageFrame(image=image):
                came.append(Arrival("picture", int.from_bytes(image, "little"), 1, heard.at_s, message))
            case InterruptionFrame():
                came.append(Arrival("interruption", 0, 0, heard.at_s, message))
            case AudioFrame(audio=pcm, destination=destination):
                samples = np.frombuffer(pcm, dtype="<i2")
                edges = [0, *(np.flatnonzero(np.diff(samples)) + 1).tolist(), len(samples)]
                came += [
                    Arrival(
                        "audio" if destination is None else "other",
                        int(samples[start]),
                        end - start,
                        heard.at_s,
                        message,
                    )
                    for start, end in pairwise(edges)
                    if samples[start]
                ]
            case _:
                pass
    return came


def judge(outcome: Outcome) -> None:
    """Every rule that holds of any program."""
    story, came = outcome.story, arrivals(outcome.line)
    _in_order(came)
    if not story.kept:  # a peer that hears what is to be said to its end is not told of interruptions
        _nothing_old(came, story)
    _nothing_lost(came, story)
    if not story.done["peer stalls"]:  # a peer that reads late hears late
        for destination in (None, "other"):
            _not_ahead_of_time(outcome.line, destination)
    _pictures([each.number for each in came if each.kind == "picture"], outcome)
    _inbound(story)
    _told(outcome)


def _in_order(came: Sequence[Arrival]) -> None:
    """Whatever is queued leaves in its order, a message after the chunk that completes the audio before it."""
    chunks: dict[int, int] = {}
    for each in came:
        if each.kind == "audio":
            chunks.setdefault(each.message, each.number)
    order = [chunks.get(each.message, each.number) for each in came if each.kind in ("text", "audio")]
    assert order == sorted(order), f"what is queued leaves in its order: {order}"
    for kind in ("text", "urgent", "audio", "other"):
        numbers = [each.number for each in came if each.kind == kind]
        assert numbers == sorted(numbers), f"each {kind} in its order: {numbers}"
        assert kind in ("audio", "other") or len(numbers) == len(set(numbers)), f"a {kind} came twice: {numbers}"


def _nothing_old(came: Sequence[Arrival], story: Story) -> None:
    floors, floor = iter(story.interruptions), 0
    for each in came:
        if each.kind == "interruption":
            floor = next(floors)
        elif each.kind in ("audio", "other", "picture"):
            assert each.number >= floor, f"{each.kind} {each.number} was heard after the interruption that dropped it"


def _nothing_lost(came: Sequence[Arrival], story: Story) -> None:
    got: Counter[int] = Counter()
    for each in came:
        got[each.number] += each.samples
    floor = story.interruptions[-1] if story.interruptions else 0
    for number, (kind, samples) in story.sent.items():
        assert got[number] <= samples, f"{kind} {number}: {got[number]} of {samples} came"
        if number in story.refused:
            assert not got[number], f"{kind} {number} came, though its sender was told that it could not be sent"
        elif number in story.given_up:
            continue
        elif number in story.written or ((number >= floor or number in story.kept) and number < story.settled):
            assert got[number] == samples, f"{kind} {number}: only {got[number]} of {samples} came"


def _not_ahead_of_time(line: Line, destination: str | None) -> None:
    """However it was queued, audio leaves no faster than it lasts, silence and all.

    Only time in which nothing left, while it was not known yet whether there is more, may be made up for: that is how a
    live source gets back what a hole in it has cost.
    """
    ahead_s, last_s = 0.0, inf
    for heard in (heard for peer in line.peers for heard in peer.recorder.heard):
        match heard.frame:
            case InterruptionFrame():
                ahead_s, last_s = 0.0, inf
            case AudioFrame() as frame if frame.destination == destination:
                ahead_s = max(-MADE_UP_S, ahead_s - max(0.0, heard.at_s - last_s)) + frame.duration_s
                last_s = heard.at_s
                assert ahead_s <= AHEAD_S + 1e-6, f"audio left {ahead_s} s ahead of its time"
            case _:
                pass


def _pictures(came: Sequence[int], outcome: Outcome) -> None:
    """Live pictures come once or are counted as dropped; nobody tells more of them."""
    story, counters = outcome.story, outcome.session.statistics()
    assert len(came) == len(set(came)), f"a picture came twice: {came}"
    assert set(came) <= story.pictures, "what was refused, or never sent, does not come"
    assert len(came) <= counters.pictures_sent
    assert counters.pictures_sent + counters.pictures_dropped == len(story.pictures), "each is sent or dropped"
    if not story.losses:
        assert len(came) == counters.pictures_sent, "what was shown is what is counted"


def _inbound(story: Story) -> None:
    assert story.heard == story.said[: len(story.heard)], "what the peer says is heard in its order, none left out"
    if story.ending in ((1000, "local"), (4002, "remote")) and not story.losses and not story.done["cancel frame"]:
        assert story.heard == story.said, "what came before the end is read before it"


def _told(outcome: Outcome) -> None:
    story = outcome.story
    kinds = [type(event) for event in outcome.events]
    assert (kinds.count(Connected), kinds.count(Disconnected)) == (1, 1), kinds
    assert isinstance(outcome.events[-1], Disconnected), "the end is told last"
    [end] = [event for event in outcome.events if isinstance(event, Disconnected)]
    known = {story.ending, *([(4001, "local"), (1000, "local"), (4002, "remote")] if story.ends_soon else ())}
    if story.ends_soon and story.losses:  # what is lost while it is being closed is not dialled again
        known.add((1006, "error"))
    assert (end.code, end.initiator) in known, f"it ended with {end.code} by {end.initiator}, not {story.ending}"
    counters = outcome.session.statistics()
    losses = story.losses if story.reconnects else 0
    least = losses - 1 if story.ends_soon and losses else losses  # it may have been closed while it dialled
    assert least <= counters.reconnects <= losses
    assert counters.malformed_messages <= story.babbled, "only what means nothing is counted as that"
    if story.ending == (1000, "local") and not story.done["cancel frame"]:
        assert counters.malformed_messages == story.babbled, "what means nothing is counted, and ends no call"
    if not story.losses:
        assert counters.messages_sent == len(outcome.line.peers[0].messages), "what was sent is what is counted"


def check(program: Program, *, sends_now: bool, reconnects: bool) -> Outcome:
    outcome = trio.run(
        partial(run, program, sends_now=sends_now, reconnects=reconnects), clock=MockClock(autojump_threshold=0)
    )
    judge(outcome)
    return outcome


def main(programs: int) -> None:
    logging.getLogger("trio_transports").setLevel(logging.ERROR)  # of what the peer babbles it is warned
    done, endings = Counter[str](), Counter[str]()

    @settings(max_examples=programs, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(PROGRAMS, st.booleans(), st.booleans())
    def search(program: Program, sends_now: bool, reconnects: bool) -> None:
        outcome = check(program, sends_now=sends_now, reconnects=reconnects)
        done.update(outcome.story.done)
        endings[f"{outcome.story.ending}"] += 1

    search()
    print(
        f"{programs} programs, {done.total()} steps: "
        + ", ".join(f"{count} {verb}" for verb, count in done.most_common())
    )
    print("ended as " + ", ".join(f"{ending}: {count}" for ending, count in endings.most_common()))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
