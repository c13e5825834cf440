"""The demo's server, for as long as a block runs."""

from contextlib import AbstractAsyncContextManager

from ..playground.serving import serve_app
from .app import DemoApp


def serve_demo(host: str, port: int, app: DemoApp | None = None) -> AbstractAsyncContextManager[str]:
    """Serve the demo and give its URL; when the body ends, every session is told 1001. A busy port is an OSError."""
    return serve_app(host, port, app or DemoApp(host_names=(host,)))
