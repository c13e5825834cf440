"""What of an app stands between its WebSocket and the server: nothing that looks at messages, or something that may.

A session's messages may go past ASGI (``hosting.short_way``) only where nobody would miss them there. Middleware that
counts, changes or traces events wraps ``receive`` or ``send``, and must see each.

Rules
1. Seen through is only what is known to pass every message on as it is: a WebSocket of Starlette's own class (FastAPI's
   is the same) whose methods nobody has replaced, as tracing may, and the ``send`` by which its exception handling
   notes that a plain HTTP response has begun.
2. Everything else is taken for something that looks. It costs time alone: what goes the ordinary way is not wrong.
"""

import sys
from collections.abc import Awaitable, Callable
from types import FunctionType
from typing import Any, Final

_STARLETTE: Final = "starlette.websockets"
_METHODS: Final = frozenset({"receive", "send"})
_PASSING_ON: Final = {
    ("starlette._exception_handler", "wrap_app_handling_exceptions.<locals>.wrapped_app.<locals>.sender")
}

Call = Callable[..., Awaitable[Any]]


def underneath(source: object, receive: Call, send: Call) -> tuple[Call, Call]:
    """The ``receive`` and ``send`` that an app's are in the end: those of the server, where nothing looks."""
    cls = type(source)
    if cls.__module__ == _STARLETTE and _is_as_written(cls) and not _METHODS & vars(source).keys():
        receive, send = getattr(source, "_receive", receive), getattr(source, "_send", send)
    while (inner := _passed_on_to(send)) is not None:
        send = inner
    return receive, send


def _is_as_written(cls: type) -> bool:
    methods = [vars(cls).get(name) for name in _METHODS]
    its_own = vars(sys.modules[_STARLETTE])
    return all(isinstance(method, FunctionType) and method.__globals__ is its_own for method in methods)


def _passed_on_to(send: Call) -> Call | None:
    """What a ``send`` calls that is known to do nothing else with messages."""
    code, cells = getattr(send, "__code__", None), getattr(send, "__closure__", None)
    if code is None or not cells or (send.__module__, getattr(send, "__qualname__", "")) not in _PASSING_ON:
        return None
    inner: Call | None = dict(zip(code.co_freevars, cells, strict=True))["send"].cell_contents
    return inner
