"""Every kind of fault, once on every transport: what must hold of a call holds, and of the one beside it.

``python -m tests.real.faults 20`` tries each twenty times, and prints what came through.
"""

import logging

import pytest
import trio

from tests.readme import README
from tests.real.faults.callers import CALLERS
from tests.real.faults.kinds import HARMLESS, KINDS
from tests.real.faults.observer import Call, Leftovers, Witness
from tests.real.faults.places import PLACES
from tests.real.faults.trial import Trial
from tests.real.starved import fail_or_warn, watch_core
from trio_transports import Connected, Disconnected
from trio_transports.params import WebsocketServerParams
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.session.broadcast import Broadcast
from trio_transports.session.run import open_session
from trio_transports.testing import memory_wire_pair


@pytest.mark.timeout(400)  # up to three tries
@pytest.mark.parametrize("transport", PLACES)
async def test_every_fault_is_survived(transport: str, caplog: pytest.LogCaptureFixture) -> None:
    """Each call ends as it must; what loses nothing loses nothing; the call beside them notices none of it."""
    caplog.set_level(logging.ERROR)
    waited: list[float] = []
    for _ in range(3):
        no_core = watch_core()
        trial = Trial(transport)
        await trial.run()
        waited.append(no_core())
        if not trial.has_shown_nothing:  # else the machine stood still: once more
            break
    if trial.has_shown_nothing:
        fail_or_warn(trial.has_shown_nothing, waited)
        return
    assert not trial.all_mistakes, "\n".join(trial.all_mistakes)
    assert all(tally.calls == 1 for tally in trial.tallies.values())
    # The machine may be so slow that a connection is given up; it is not for all of them.
    assert sum(trial.tallies[kind].whole for kind in KINDS if kind in HARMLESS) >= 2
    assert sum(tally.struck for tally in trial.tallies.values()) > 100
    assert trial.beside > 10 or transport.startswith("bus")
    assert not caplog.records, "what a peer or the network does is no error of this side's"


def test_the_readme_counts_what_is_tried() -> None:
    """Kinds, transports, dialects, and the calls that its two commands make of them."""
    dialects = [transport for transport in PLACES if transport.startswith("dialects")]
    told = f"{len(KINDS)} kinds of fault on {len(PLACES)} transports, three of which take the {len(CALLERS)} dialects"
    assert f"{told} in turn, {2 * 3 * len(KINDS) * len(PLACES)} calls with two seeds:" in README.read_text("utf-8")
    assert len(dialects) == 3
    assert 3 * len(KINDS) >= len(CALLERS)


def call(**known: object) -> Call:
    return Call("c", "test", **{"sent": [0, 1], "heard": [0, 1], "back": [0, 1], **known})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("what", "seen"),
    [
        (call(), 0),
        (call(heard=[0], back=[0]), 1),
        (call(heard=[0], back=[0], explained=["it ended as (1006, 'error')"]), 0),
        (call(heard=[0], back=[0], left=True), 0),
        (call(heard=[0], back=[0], left=True, loses_nothing=True), 1),
        (call(heard=[1], back=[1], left=True, explained=["it ended as (1006, 'error')"]), 1),
        (call(heard=[1], back=[1], told_lost=["it reconnected"]), 0),
        (call(heard=[1], back=[1], dropped_s=9.0), 1),
        (call(heard=[1], back=[1], dropped_s=0.02, lost_by_dropping_s=0.02), 0),
        (call(heard=[1], back=[1], dropped_s=0.01, lost_by_dropping_s=0.02), 1),
        (call(back=[1]), 1),
        (call(back=[0]), 1),
        (call(back=[0], left=True), 0),
        (call(heard=[0, 1, 2]), 2),
        (call(heard=[1, 0]), 1),
        (call(heard=[0, 1, 1]), 1),
        (call(back=[0, 1, 2]), 1),
        (call(far_end=(1000, "remote")), 1),
        (call(far_end=(1000, "remote"), said_goodbye=True), 0),
        (call(heard=[1, 0], loses_bits=True), 0),
        (call(mistakes=["too late"], loses_bits=True), 1),
    ],
)
def test_the_observer_sees(what: Call, seen: int) -> None:
    """Losses that nobody was told of, disorder, repetitions, and a goodbye that was never said."""
    assert len(what.judge()) == seen


async def test_the_observer_sees_ends_that_are_told_twice_or_never() -> None:
    params, witness = WebsocketServerParams(serializer=JSONFrameSerializer()), Witness()
    near, _ = memory_wire_pair()
    async with open_session(near, params, events=Broadcast()) as session:
        witness.hear(Connected(session))
        assert len(witness.mistakes()) == 1
        for count in (0, 1):
            witness.hear(Disconnected(session, 1000, "", "local"))
            assert len(witness.mistakes()) == count


async def test_the_observer_sees_what_is_left() -> None:
    """A task, a descriptor, and a session that somebody holds."""
    before = Leftovers()
    assert not await before.mistakes(Witness())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)
        with open("/dev/null"):  # noqa: ASYNC230
            near, _ = memory_wire_pair()
            witness, params = Witness(), WebsocketServerParams(serializer=JSONFrameSerializer())
            async with open_session(near, params, events=Broadcast()) as session:
                witness.hear(Connected(session))
            assert len(await before.mistakes(witness, within_s=0.1)) == 3
        nursery.cancel_scope.cancel()
