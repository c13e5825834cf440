"""Serving an ASGI app on hypercorn's trio worker, guarded against what a bare one does not survive."""

from typing import TYPE_CHECKING

from .._lazy import lazily

if TYPE_CHECKING:
    from .counting import callers as callers
    from .leaving import is_leaving as is_leaving
    from .server import serve_asgi as serve_asgi

__all__ = ["callers", "is_leaving", "serve_asgi"]

if not TYPE_CHECKING:  # to a type checker an unknown name is unknown
    __getattr__, __dir__ = lazily(
        __name__,
        {
            ".counting": "callers",
            ".leaving": "is_leaving",
            ".server": "serve_asgi",
        },
    )
