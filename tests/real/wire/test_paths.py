"""Every path keeps every promise of a wire: its contract, and a cancellation at each step of each of its verbs.

What other tests show of a path stands in ``SHOWN``; what they leave is shown here.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import pytest
import trio

from tests.real.wire.paths import PATHS
from tests.session.sweep import CancelAtStep
from trio_transports import ConnectionClosed
from trio_transports.testing import check_wire
from trio_transports.wire import Wire
from trio_transports.wire.protocol import Batches, HandsOver, SendsNow

LIMIT: Final = 1 << 20
SHORT: Final = "short"
LONG: Final = bytes(range(256)) * 400
"""Of many reads, and more than the sockets hold."""
GOODBYE: Final = (4321, "bye")


@contextmanager
def cancelled_at(step: int) -> Iterator[trio.CancelScope]:
    """Cancel what runs inside when any task is about to take its ``step``-th step from here."""
    instrument = CancelAtStep(step)
    trio.lowlevel.add_instrument(instrument)
    try:
        with trio.CancelScope() as scope:
            instrument.arm(scope)
            yield scope
            instrument.scope = None
    finally:
        trio.lowlevel.remove_instrument(instrument)


def steps() -> Iterator[int]:
    """Every one at first, then fewer: a long message is written and read in much the same steps again and again."""
    step = 1.0
    while True:
        yield int(step)
        step = step + 1 if step < 16 else step * 1.5


async def take_one(wire: Wire, verb: str, got: list[str | bytes]) -> None:
    """Receive at least one message by that verb."""
    if verb == "receive_each":
        assert isinstance(wire, HandsOver)
        await wire.receive_each(lambda message: got.append(message) or True)  # type: ignore[func-returns-value]
    elif verb == "receive_several":
        assert isinstance(wire, Batches)
        got += await wire.receive_several()
    else:
        got.append(await wire.receive())


async def read_to_the_end(wire: Wire, got: list[str | bytes]) -> ConnectionClosed:
    while True:
        try:
            got.append(await wire.receive())
        except ConnectionClosed as closed:
            return closed


def verbs(wire: Wire) -> list[str]:
    offered = {"receive_each": isinstance(wire, HandsOver), "receive_several": isinstance(wire, Batches)}
    return ["receive", *(verb for verb, is_offered in offered.items() if is_offered)]


async def sweep_receiving(near: Wire, far: Wire, verb: str, message: str | bytes) -> int:
    """Have one message sent for each step that its receiver is cancelled at; return how many there were."""
    got: list[str | bytes] = []
    for sent, step in enumerate(steps(), 1):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(near.send, message)
            with cancelled_at(step) as scope:
                await take_one(far, verb, got)
            while len(got) < sent:
                await take_one(far, verb, got)
        assert got == [message] * sent, f"{verb} cancelled at step {step}"
        if not scope.cancelled_caught:
            return sent
    raise AssertionError("steps never end")


@pytest.mark.parametrize("receiver", ["client", "server"])
@pytest.mark.parametrize("path", PATHS)
async def test_receiving_is_cancelled_at_each_step(path: str, receiver: str) -> None:
    """By each verb, of a short message and of one of many reads: nothing is lost, and nothing comes twice."""
    with trio.fail_after(20):
        async with PATHS[path].pair(max_message_bytes=LIMIT) as wires:
            near, far = wires if receiver == "server" else wires[::-1]
            for verb in verbs(far):
                for message in (SHORT, LONG):
                    assert await sweep_receiving(near, far, verb, message) > 1
            await near.send("and on it goes")
            assert await far.receive() == "and on it goes"


async def sent_and_cancelled(near: Wire, far: Wire, message: str | bytes, step: int) -> bool:
    """Send one message that is cancelled at this step; whether it was, and all that both sides are to see of it."""
    await near.send("before")
    got: list[str | bytes] = []
    ends: list[ConnectionClosed] = []
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def read() -> None:
            ends.append(await read_to_the_end(far, got))

        with cancelled_at(step) as scope:
            await near.send(message)
        try:
            await near.send("behind")
        except ConnectionClosed as closed:
            assert scope.cancelled_caught, f"sent, and yet closed: {closed!r}"
            assert closed.code == 1006, repr(closed)
            expected = [["before"]]
        else:  # it was over, or not begun
            near.abort()
            expected = [["before", "behind"], ["before"]] if scope.cancelled_caught else [["before", message, "behind"]]
    assert [*map(len, got)] in [[*map(len, each)] for each in expected] and got in expected, f"at step {step}"
    assert [(end.code, end.initiator) for end in ends] == [(1006, "error")]
    return scope.cancelled_caught


@pytest.mark.parametrize("sender", ["client", "server"])
@pytest.mark.parametrize("path", PATHS)
async def test_sending_is_cancelled_at_each_step(path: str, sender: str) -> None:
    """Either all of the message arrives, or nothing of it and the connection is broken; nothing follows a half."""
    with trio.fail_after(20):
        async with PATHS[path].pairs(LIMIT) as make:
            for message in (SHORT, LONG):
                for step in steps():
                    async with make() as wires:
                        near, far = wires if sender == "client" else wires[::-1]
                        if not await sent_and_cancelled(near, far, message, step):
                            break


async def closed_and_cancelled(near: Wire, far: Wire, step: int, *, reads: bool) -> bool:
    """Close with a goodbye that is cancelled at this step; whether it was, and that both sides are told one end."""
    await near.send("last words")
    got: list[str | bytes] = []
    ends: dict[str, ConnectionClosed] = {}
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def read_far() -> None:
            ends["far"] = await read_to_the_end(far, got)

        if reads:

            @nursery.start_soon
            async def read_near() -> None:
                ends["near"] = await read_to_the_end(near, [])

        with cancelled_at(step) as scope:
            await near.aclose(*GOODBYE)
    if not reads:
        ends["near"] = await read_to_the_end(near, [])
    told = {side: (end.code, end.initiator) for side, end in ends.items()}
    assert got == ["last words"], f"at step {step}"
    if not scope.cancelled_caught:
        assert told == {"near": (GOODBYE[0], "local"), "far": (GOODBYE[0], "remote")}, f"at step {step}"
    assert told["near"] in [(GOODBYE[0], "local"), (1006, "local")], f"at step {step}"
    assert told["far"] in [(GOODBYE[0], "remote"), (1006, "error")], f"at step {step}"
    for wire, side in ((near, "near"), (far, "far")):
        with pytest.raises(ConnectionClosed):
            await wire.send("too late")
        with pytest.raises(ConnectionClosed) as again:
            await wire.receive()
        assert (again.value.code, again.value.initiator) == told[side]
    await near.aclose()
    return scope.cancelled_caught


@pytest.mark.parametrize("closer", ["client", "server"])
@pytest.mark.parametrize("path", PATHS)
async def test_closing_is_cancelled_at_each_step(path: str, closer: str) -> None:
    """What was said before arrives, each side is told one end and the same each time, and nobody waits for ever."""
    with trio.fail_after(20):
        async with PATHS[path].pairs(LIMIT) as make:
            for reads in (False, True):
                for step in steps():
                    async with make() as wires:
                        near, far = wires if closer == "client" else wires[::-1]
                        if not await closed_and_cancelled(near, far, step, reads=reads):
                            break


CONTRACT_ELSEWHERE: Final = frozenset()


@pytest.mark.parametrize("path", [name for name in PATHS if name not in CONTRACT_ELSEWHERE])
async def test_the_contract(path: str) -> None:
    """Both ends of a pair keep the contract of wires."""
    await check_wire(PATHS[path].pair)
