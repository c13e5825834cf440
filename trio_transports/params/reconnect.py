"""When a client dials again."""

from typing import Any, final

from attrs import Attribute, field, frozen

from .._moved import suggesting
from . import checks


@final
@suggesting("params")
@frozen(kw_only=True)
class ReconnectPolicy:
    """When a client dials again: exponential backoff with jitter, until ``max_attempts`` in a row have failed.

    An attempt has failed too if its connection did not last ``stable_after`` seconds: see ``wire.dialling``.
    """

    max_attempts: int | None = field(default=None, validator=checks.number(least=1, optional=True, whole=True))
    initial_delay: float = field(default=0.5, validator=checks.number(least=0))
    max_delay: float = field(default=30.0, validator=checks.number(least=0))
    multiplier: float = field(default=2.0, validator=checks.number(least=1))
    jitter: float = field(default=0.5, validator=checks.number(least=0))
    max_queued_audio_secs: float = field(default=1.0, validator=checks.number(least=0))
    stable_after: float = field(default=5.0, validator=checks.number(least=0))

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
