"""Room for the descriptors that a server may come to need, made before it has callers.

Linux keeps a process's descriptors in a table that grows by doubling. In a process with more than one thread, whoever
opens the descriptor that makes it grow waits for all processors meanwhile, 5 to 30 ms, and every call under way waits
with it: at the 256th connection, at the 512th, and so on. A table that is large enough is never grown again.
"""

import os
import sys
from contextlib import suppress
from typing import Final

MAX_ROOM: Final = 16_384
"""The table takes 8 bytes for each."""


def make_room(descriptor: int) -> None:
    """Let the table grow to what the process may have open, or ``MAX_ROOM``; ``descriptor`` is one that is open."""
    if sys.platform == "linux":
        import fcntl
        import resource

        most = min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], MAX_ROOM)
        with suppress(OSError):  # no memory for it, or the last one is in use: it grows when it must, as it would have
            os.close(fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, most - 1))
