"""A stage whose work for the old turn an interruption cancels."""

from collections.abc import Awaitable, Callable
from typing import final

import trio
from attrs import frozen

from ..frames import EndFrame, Frame, InterruptionFrame
from .link import StageInput
from .stage import AsyncStage, check_shape, gives_awaitable, name_of

FrameHandler = Callable[[Frame, trio.abc.SendChannel[Frame]], Awaitable[None]]
"""``async def handle(frame, output)``."""


@final
@frozen(repr=False)
class _PerTurn:
    handle: FrameHandler

    def __repr__(self) -> str:
        return f"per_turn({name_of(self.handle)})"

    async def __call__(self, input: trio.abc.ReceiveChannel[Frame], output: trio.abc.SendChannel[Frame]) -> None:  # noqa: A002
        if not isinstance(input, StageInput):
            raise TypeError(f"{self!r} reads from a Pipeline's link: make it a stage of a Pipeline")
        async for frame in input:
            if isinstance(frame, InterruptionFrame | EndFrame):
                await self.handle(frame, output)
            else:
                with input.turn():
                    await self.handle(frame, output)


def per_turn(handle: FrameHandler) -> AsyncStage:
    """Make a stage of ``async def handle(frame, output)``, called for each frame in order.

    An interruption cancels the call under way, and the next call is for the ``InterruptionFrame`` itself, which is not
    cancelled: the place to tell a model what was not heard. Nor is the call for an ``EndFrame``, whose goodbye would
    leave the other side on the line. What the cancelled call sent and what waited for it is of
    the old turn, and dropped. A handler that does not care about a frame passes it on: ``await output.send(frame)``.
    """
    if not gives_awaitable(handle):
        raise TypeError(f"per_turn takes `async def handle(frame, output)`, and {name_of(handle)} is no async function")
    check_shape(handle, ("frame", "output"))
    return _PerTurn(handle)
