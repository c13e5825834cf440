"""When a client dials again."""

from typing import Any, final

from attrs import Attribute, field, frozen

from .._documented import documented
from .._moved import suggesting
from . import checks


@documented
@final
@suggesting("params")
@frozen(kw_only=True)
class ReconnectPolicy:
    """When a client dials again: exponential backoff with jitter, until ``max_attempts`` in a row have failed.

    An attempt has failed too if its connection did not last ``stable_after`` seconds: see ``wire.dialling``.
    """

    max_attempts: int | None = field(default=None, validator=checks.number(least=1, optional=True, whole=True))
    """How many attempts in a row may fail before the client gives up and the session ends as the loss would have ended
    it. None tries for ever: right for a worker, wrong for a command line, which would hang on a server that is gone."""
    initial_delay: float = field(default=0.5, validator=checks.number(least=0))
    """Seconds before the first attempt. Near 0, many clients that lost one server come back in the same moment and
    knock it over again."""
    max_delay: float = field(default=30.0, validator=checks.number(least=0))
    """The longest wait between two attempts, in seconds. It is also how late a client can notice that the server is
    back."""
    multiplier: float = field(default=2.0, validator=checks.number(least=1))
    """How many times longer each wait is than the one before, until ``max_delay``. 1 waits equally long each time."""
    jitter: float = field(default=0.5, validator=checks.number(least=0))
    """The share of each wait that chance may take off: 0.5 waits between half and all of it. 0 lets all clients of a
    lost server return at the same moment."""
    max_queued_audio_secs: float = field(default=1.0, validator=checks.number(least=0))
    """How many seconds of queued audio are still sent on the next connection; older audio is dropped and counted. More
    than a second or two is speech that nobody waits for any more."""
    stable_after: float = field(default=5.0, validator=checks.number(least=0))
    """How many seconds a connection must last to count as a success and start the backoff anew. 0 has a server
    that accepts and drops at once dialled again after ``initial_delay`` each time, and never given up."""

    def __attrs_post_init__(self) -> None:
        if self.max_delay < self.initial_delay:
            raise ValueError("ReconnectPolicy.max_delay must not be below initial_delay")
        if self.jitter > 1:
            raise ValueError("ReconnectPolicy.jitter is a share of the delay: it must be between 0 and 1")

    def delay_s(self, attempt: int, random: float) -> float:
        """The wait before ``attempt`` (from 1), made shorter by up to ``jitter`` of itself by ``random`` in [0, 1)."""
        exponent = min(attempt - 1, 64)
        delay = min(self.max_delay, self.initial_delay * self.multiplier**exponent)
        return delay * (1 - self.jitter * random)


def policy(instance: object, attribute: "Attribute[Any]", value: object) -> None:
    """Check for a policy, or None."""
    if value is not None and not isinstance(value, ReconnectPolicy):
        raise TypeError(f"{checks.named(instance, attribute)} must be a ReconnectPolicy or None, not {value!r}")
