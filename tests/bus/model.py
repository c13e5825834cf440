"""What must hold of a bus whatever is done with it, in any order: the judge of ``tests.bus.programs``.

``python -m tests.bus.model 5000`` runs as many programs as it is told, and says what they met.
"""

import logging
import sys
from collections import Counter, defaultdict
from functools import partial

import trio
from hypothesis import HealthCheck, given, settings
from trio.testing import MockClock

from tests.bus.programs import PROGRAMS, Asked, Program, Story, run
from trio_transports.bus import JobCancelledError, JobError, JobGroupError, JobTimeoutError, WorkerGoneError

GOODBYE_S = 1.0


def judge(story: Story) -> None:
    """Every rule that holds of any program."""
    _once_and_in_order(story)
    _nothing_lost(story)
    for asked in story.asked:
        _ended_once(asked, story)
    _nobody_works_for_nothing(story)
    assert not story.stuck, f"jobs {story.stuck} got no answer and no error"
    assert not any(story.leaks.values()), f"left behind: { {name: n for name, n in story.leaks.items() if n} }"


def _once_and_in_order(story: Story) -> None:
    for name, numbers in story.got.items():
        assert len(numbers) == len(set(numbers)), f"{name} got a message twice: {numbers}"
        lanes: dict[tuple[str, str], list[int]] = defaultdict(list)
        for number in numbers:
            source, target, lane = story.sent[number]
            assert target in (name, "everybody"), f"{name} got what was sent to {target}"
            lanes[source, lane].append(number)
        for (source, lane), came in lanes.items():
            assert came == sorted(came), f"{name} got what {source} has sent ({lane}) in another order: {came}"


def _nothing_lost(story: Story) -> None:
    for name, numbers in story.expected.items():
        missing = numbers - set(story.got.get(name, ()))
        if name == "far" or any(story.sent[number][0] == "far" for number in missing):
            missing = missing if not story.losses else {n for n in missing if story.sent[n][0] == name}
        assert not missing, f"{name} did not get {missing}, and no connection was lost"


def _ended_once(asked: Asked, story: Story) -> None:
    step = asked.step
    assert len(asked.ends) == 1, f"job {asked.number} ended {len(asked.ends)} times: {asked.ends}"
    if step.timeout is not None:
        took_s = asked.ended_s - asked.began_s
        assert took_s <= step.timeout + GOODBYE_S + 1e-6, f"job {asked.number} took {took_s} s of {step.timeout}"
    (end,) = asked.ends
    match end:
        case dict():
            assert step.doing in ("echo", "slow", "stream"), f"a job {step.doing!r} has no response"
            assert end == {whom: {"number": asked.number} for whom in asked.asked_of}
            if step.verb == "ask" and step.doing == "stream":
                assert asked.events == [0, 1, 2]
        case "left":
            pass
        case JobTimeoutError():
            assert step.timeout is not None
        case WorkerGoneError() | JobCancelledError() | JobGroupError():
            pass
        case JobError(status="failed"):
            assert step.doing in ("refuse", "unknown"), end
        case JobError(status="error"):
            assert step.doing == "crash", end
        case _:
            raise AssertionError(f"job {asked.number} ended as {end!r}")
    assert asked.events == sorted(set(asked.events)), f"events of job {asked.number}: {asked.events}"


def _nobody_works_for_nothing(story: Story) -> None:
    begun = Counter((done.number, done.worker) for done in story.begun)
    assert not begun or max(begun.values()) == 1, f"a job was begun twice: {begun}"
    ended_s = {asked.number: asked.ended_s for asked in story.asked}
    for done in story.begun:
        late_s = done.ended_s - ended_s[done.number]
        assert late_s <= 0.01, f"job {done.number} went on at {done.worker} for {late_s} s"


def check(program: Program) -> Story:
    logging.getLogger("trio_transports").setLevel(logging.CRITICAL)  # jobs that crash are logged, thousands of them
    try:
        story = trio.run(partial(run, program), clock=MockClock(autojump_threshold=0))
    finally:
        logging.getLogger("trio_transports").setLevel(logging.NOTSET)
    judge(story)
    return story


def main(programs: int) -> None:
    done, ends = Counter[str](), Counter[str]()

    @settings(max_examples=programs, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(PROGRAMS)
    def search(program: Program) -> None:
        story = check(program)
        done.update(story.done)
        ends.update(type(asked.ends[0]).__name__ for asked in story.asked)

    search()
    print(
        f"{programs} programs, {done.total()} steps: "
        + ", ".join(f"{count} {verb}" for verb, count in done.most_common())
    )
    print("jobs ended as " + ", ".join(f"{end}: {count}" for end, count in ends.most_common()))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
