"""Serving an ASGI app on hypercorn's trio worker, guarded against what a bare one does not survive."""

from .counting import callers as callers
from .leaving import is_leaving as is_leaving
from .server import serve_asgi as serve_asgi

__all__ = ["callers", "is_leaving", "serve_asgi"]
