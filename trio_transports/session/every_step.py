"""Steps that are all taken, whatever one of them raises: the end of a session has several of the user's own."""

from collections.abc import Callable
from contextlib import ExitStack


def take_every_step(*steps: Callable[[], object]) -> None:
    """Take them in order. What one raises comes out after the last; of several the last, with those before as context.

    A cancellation cannot be among them: no step waits.
    """
    with ExitStack() as stack:
        for step in reversed(steps):
            stack.callback(step)
