"""Where one connection's failure ends, and what goes on beyond it."""

from collections.abc import Callable

import pytest
import trio
import trio.testing

from trio_transports.errors import ConnectionClosed
from trio_transports.testing import memory_wire_pair
from trio_transports.wire.accepting.boundary import (
    closing_what_fails,
    failure_in,
    failures_end_here,
    is_interrupt,
)

FAILURE, INTERRUPT, EXIT = ValueError("one call's"), KeyboardInterrupt(), SystemExit(3)


def group(*errors: BaseException) -> BaseException:
    return BaseExceptionGroup("several", errors)


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (FAILURE, False),
        (EXIT, False),
        (INTERRUPT, True),
        (group(FAILURE, EXIT), False),
        (group(FAILURE, group(INTERRUPT)), True),
    ],
)
def test_a_ctrl_c_is_found(error: BaseException, is_one: bool) -> None:
    """Alone, or among others."""
    assert is_interrupt(error) is is_one


def leaves(error: BaseException | None) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for each in error.exceptions for leaf in leaves(each)]
    return [] if error is None else [error]


@pytest.mark.parametrize(
    ("error", "ending", "passing"),
    [
        (FAILURE, [FAILURE], []),
        (EXIT, [EXIT], []),
        (INTERRUPT, [], [INTERRUPT]),
        (group(FAILURE, EXIT), [FAILURE, EXIT], []),
        (group(FAILURE, group(INTERRUPT, EXIT)), [FAILURE, EXIT], [INTERRUPT]),
        (group(INTERRUPT), [], [INTERRUPT]),
    ],
)
def test_each_goes_its_own_way(error: BaseException, ending: list[BaseException], passing: list[BaseException]) -> None:
    """A failure is told and ends there, once; what is meant for more than one connection goes on."""
    assert leaves(failure_in(error)) == ending
    told: list[BaseException] = []
    went_on: BaseException | None = None
    try:
        with failures_end_here(told.append):
            raise error
    except BaseException as exc:
        went_on = exc
    assert (leaves(went_on), [leaf for each in told for leaf in leaves(each)]) == (passing, ending)
    assert len(told) == bool(ending)


@pytest.mark.parametrize(
    ("error", "code"), [(FAILURE, 1011), (EXIT, 1011), (group(FAILURE, INTERRUPT), 1011), (INTERRUPT, None)]
)
async def test_a_peer_is_told_of_a_failure(error: BaseException, code: int | None) -> None:
    """And of nothing else; what failed comes out as it was."""
    near, far = memory_wire_pair()
    with pytest.raises(BaseException) as caught:
        async with closing_what_fails(near, 2.0):
            raise error
    assert caught.value is error
    near.abort()
    with pytest.raises(ConnectionClosed) as closed:
        await far.receive()
    assert closed.value.code == (code or 1006)


async def test_a_peer_that_does_not_answer_is_told_no_longer_than_that(autojump_clock: trio.testing.MockClock) -> None:
    near, far = memory_wire_pair()
    far.unresponsive = True
    with pytest.raises(ValueError, match="one call's"):
        async with closing_what_fails(near, 2.0):
            raise FAILURE
    assert trio.current_time() == 2


async def test_a_deadline_takes_nothing_from_what_failed(autojump_clock: trio.testing.MockClock) -> None:
    """What failed comes out, though the time for something larger is over while the peer is told."""
    near, far = memory_wire_pair()
    far.unresponsive = True
    with pytest.raises(ValueError, match="one call's"), trio.move_on_after(1):
        async with closing_what_fails(near, 2.0):
            raise FAILURE
    assert trio.current_time() == 2


def test_nothing_is_told_of_what_goes_well() -> None:
    told: list[BaseException] = []
    tell: Callable[[BaseException], object] = told.append
    with failures_end_here(tell):
        pass
    assert told == []
