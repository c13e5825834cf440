"""The end of a process that makes spans: the last of them go out, if whoever collects them takes them in time.

OpenTelemetry's provider sends what waits as Python ends, and waits for half a minute. A supervisor, systemd and
Kubernetes count on the drain and a little more: a collector that says nothing is not to hold a server that long.
"""

import atexit
import logging
from threading import Thread
from typing import Final

logger = logging.getLogger("trio_transports.serve")

WITHIN_S: Final = 1.5
"""Less than a supervisor gives a worker after its calls."""


def send_last_spans() -> None:
    """Shut the provider down that the bot's module has set up; nothing is made into spans after it."""
    from opentelemetry import trace

    shut_down = getattr(trace.get_tracer_provider(), "shutdown", None)
    if shut_down is None:  # the interface's own stand-in: nobody has set one up
        return
    sending = Thread(target=shut_down, name="the last spans", daemon=True)
    sending.start()
    sending.join(WITHIN_S)
    if sending.is_alive():
        atexit.unregister(shut_down)
        logger.warning("the last spans were not taken within %g s: they are given up", WITHIN_S)
