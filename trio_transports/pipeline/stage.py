"""What a stage is, and how a plain function of one frame is called."""

import inspect
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, TypeAlias, TypeGuard, cast, get_args

import trio

from ..frames import CancelFrame, Frame, InterruptionFrame

AsyncStage: TypeAlias = Callable[[trio.abc.ReceiveChannel[Frame], trio.abc.SendChannel[Frame]], Awaitable[None]]
"""A stage as an async function of two channels, its input and its output."""
FrameFunction: TypeAlias = Callable[[Frame], "Frame | Iterable[Frame] | None"]
"""A stage as a function of one frame: it returns a frame, several, or None to drop it."""
Stage: TypeAlias = AsyncStage | FrameFunction
"""What a ``Pipeline`` is made of."""

_FRAME_TYPES: Final = frozenset(get_args(Frame))


def name_of(stage: object) -> str:
    return getattr(stage, "__qualname__", None) or repr(stage)


def gives_awaitable(function: object) -> bool:
    """Whether it is an async function, or an object that is called like one."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004 - asks what it is


def is_async(stage: Stage) -> TypeGuard[AsyncStage]:
    return gives_awaitable(stage)


def check_stage(stage: object) -> None:
    """Refuse what is no stage when the pipeline is made, not in the middle of a call."""
    if isinstance(stage, trio.abc.ReceiveChannel | trio.abc.SendChannel):
        raise TypeError(
            f"{type(stage).__name__} is a channel, not a stage: a pipeline has the stages alone, and is run between "
            "two channels, `await Pipeline([...]).run(session.input, session.output)`"
        )
    if not callable(stage):
        raise TypeError(
            f"a stage is `async def stage(input, output)` or a function of one frame; {stage!r} cannot be called"
        )
    if inspect.isasyncgenfunction(stage):
        raise TypeError(f"stage {name_of(stage)} is an async generator: write `await output.send(frame)`, not `yield`")
    check_shape(stage, ("input", "output") if is_async(stage) else ("frame",))


def check_shape(function: Callable[..., object], arguments: Sequence[str]) -> None:
    """Refuse a function that cannot be called with these arguments."""
    try:
        signature = inspect.signature(function)
    except ValueError:
        return  # some callables written in C do not tell
    try:
        signature.bind(*arguments)
    except TypeError as exc:
        kind = "a plain function" if len(arguments) == 1 else "an async stage"
        shape = f"({', '.join(arguments)})"
        raise TypeError(
            f"stage {name_of(function)}{signature} is {kind}, which is called with {shape}: {exc}"
        ) from None


def frames_of(result: object, function: object, frame: Frame | None = None) -> Sequence[Frame]:
    """Take what a function may give, None, a frame or several, or say that it is none of these."""
    if result is None:
        return ()
    if type(result) in _FRAME_TYPES:
        return (cast("Frame", result),)
    if isinstance(result, Iterable) and not isinstance(result, str | bytes):
        results = tuple(result)
        wrong = next((item for item in results if type(item) not in _FRAME_TYPES), None)
        if wrong is None:
            return results
        result = wrong
    cause = "" if frame is None else f" for a {type(frame).__name__}"
    raise TypeError(
        f"stage {name_of(function)} gave {result!r}{cause}: a function gives None, a frame, or several frames"
    )


def through(functions: Sequence[FrameFunction], frame: Frame) -> tuple[Frame, ...]:
    """Give what comes out of a run of functions. An interruption or a cancellation passes them all in any case."""
    frames: tuple[Frame, ...] = (frame,)
    for function in functions:
        following: list[Frame] = []
        for each in frames:
            results = frames_of(function(each), function, each)
            if isinstance(each, InterruptionFrame | CancelFrame) and not any(result is each for result in results):
                following.append(each)
            following.extend(results)
        frames = tuple(following)
    return frames
