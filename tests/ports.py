"""Ports for programs that are told where to listen before they do."""

import random
import socket

_PORTS = range(10_000, 22_000)
"""Below those that connections take for themselves (from 32768), with those 10,000 above on which Redis' nodes talk."""

_dice = random.SystemRandom()


def free_port() -> int:
    """Find a port on which nothing listens, that no other test is likely to find before it is taken.

    The system's own choice (port 0) is given to the next connection that asks, which may come in between.
    """
    while True:
        port = _dice.choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
