"""What may be an ``authorize`` or a ``hang_up``: whatever can be awaited once it is called."""

import functools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from trio_transports import TransportParams


async def plainly(_session: object) -> None:
    pass


def decorated(function: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    @functools.wraps(function)
    def logged(*args: object) -> Awaitable[None]:
        return function(*args)

    return logged


def in_thread(function: Callable[..., object]) -> Callable[..., Awaitable[None]]:
    @functools.wraps(function)
    async def run(*args: object) -> None:
        function(*args)

    return run


def at_once(_session: object) -> None:
    pass


class HangUp:
    async def __call__(self, _session: object) -> None:
        pass

    async def bound(self, _session: object) -> None:
        pass


@pytest.mark.parametrize(
    "hang_up",
    [
        plainly,
        decorated(plainly),
        functools.partial(plainly),
        lambda session: plainly(session),
        in_thread(at_once),
        decorated(HangUp()),
        in_thread(functools.partial(at_once)),
        HangUp(),
        HangUp().bound,
    ],
    ids=[
        "async",
        "decorated",
        "partial",
        "lambda",
        "made async",
        "round an object",
        "round a partial",
        "object",
        "method",
    ],
)
def test_what_can_be_awaited_is_taken(hang_up: Any) -> None:  # noqa: ANN401 - each has a type of its own
    assert TransportParams(hang_up=hang_up).hang_up is hang_up


def test_what_says_that_it_cannot_be_is_refused() -> None:
    """Decorated or not."""

    def wrong(_session: object) -> None:
        pass

    for each in (wrong, decorated(wrong)):  # type: ignore[arg-type]  # the mistake
        with pytest.raises(TypeError, match="hang_up is a plain function: write `async def wrong`"):
            TransportParams(hang_up=each)  # type: ignore[arg-type]  # the mistake
