"""What is handed to a transport, its parameters and its handler: looked at where it is given, not in the first call."""

import inspect
from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypeVar

from ..params import TransportParams
from ..session.session import Session

Handler: TypeAlias = Callable[[Session], Awaitable[None]]
P = TypeVar("P", bound=TransportParams)


def check_params(given: object, wanted: type[P], where: str) -> None:
    """Raise TypeError for anything but parameters of this kind."""
    if isinstance(given, wanted):
        return
    if given is wanted:
        raise TypeError(f"{where}.params is the class {wanted.__name__} itself: make one, {wanted.__name__}(...)")
    shown = type(given).__name__ if isinstance(given, TransportParams) else repr(given)
    raise TypeError(
        f"{where}.params must be {wanted.__name__}(...), not {shown}: each transport has parameters of its own"
    )


def check_handler(handler: object, where: str) -> None:
    """Raise TypeError for what cannot be a handler: it is called once for each caller, with the session."""
    if inspect.iscoroutine(handler):
        name = handler.__qualname__
        handler.close()  # else Python would warn that it was never awaited, and that is not the mistake
        raise TypeError(f"{where} takes the handler itself, not what calling it gives: write {name}, not {name}(...)")
    if not callable(handler):
        raise TypeError(f"{where} takes a handler, `async def bot(session)`, not {handler!r}")
    name = name_of(handler)
    if inspect.isasyncgenfunction(handler) or inspect.isgeneratorfunction(handler):
        raise TypeError(f"handler {name} is a generator: write `await session.output.send(frame)`, not `yield frame`")
    try:
        signature = inspect.signature(handler)
    except ValueError:
        return  # some callables written in C do not tell
    try:
        signature.bind("session")
    except TypeError as exc:
        raise TypeError(
            f"handler {name}{signature} is called with the session alone, and cannot be: {exc}. Write "
            "`async def bot(session)`, and functools.partial for what else it needs"
        ) from None
    is_async = inspect.iscoroutinefunction(handler)
    is_plain = hasattr(handler, "__code__") and not is_async
    if is_plain and signature.return_annotation in (None, "None"):
        raise _not_async(name)


async def call(handler: Handler, session: Session) -> None:
    """Run a handler, or say that it is a plain function."""
    under_way = handler(session)
    if not inspect.isawaitable(under_way):
        raise _not_async(name_of(handler))
    await under_way


def name_of(handler: object) -> str:
    return getattr(handler, "__qualname__", None) or repr(handler)


def _not_async(name: str) -> TypeError:
    return TypeError(
        f"handler {name} is a plain function: write `async def {name.rpartition('.')[2]}(session)`, and `async for "
        "frame in session.input` inside"
    )
