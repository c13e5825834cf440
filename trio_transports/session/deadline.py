"""How long a write may take, and how long goodbye may.

Rules
1. Every write has a deadline. It is one scope, set between writes too, that moves at most once in a tenth of
   ``send_timeout``: setting it for each write would cost more than all else in the outbox. Fired without a write under
   way it means nothing.
2. From the moment goodbye is asked for, all that is left to write shares one deadline, ``close_timeout``.
"""

from math import inf
from typing import final

import trio
from attrs import define, field


@final
@define(eq=False)
class Deadline:
    """Owned by one outbox, whose task runs in ``scope``."""

    _send_timeout_s: float
    _close_timeout_s: float
    scope: trio.CancelScope = field(factory=trio.CancelScope, init=False)
    _goodbye_until_s: float = field(default=inf, init=False)

    def writing(self) -> None:
        """A write begins: it may take ``send_timeout``, give or take a tenth.

        Said of every write, also where the scope has fired just now: that was not about this one.
        """
        if self._goodbye_until_s < inf:
            return
        limit_s = trio.current_time() + self._send_timeout_s
        if not limit_s - 0.1 * self._send_timeout_s <= self.scope.deadline <= limit_s:
            self.scope.deadline = limit_s

    def saying_goodbye(self) -> None:
        """From now on everything has to be over within ``close_timeout``."""
        self._goodbye_until_s = trio.current_time() + self._close_timeout_s
        self.scope.deadline = min(self.scope.deadline, self._goodbye_until_s)

    @property
    def has_passed(self) -> bool:
        """Whether that is over for the write that began last."""
        return trio.current_time() >= self.scope.deadline

    @property
    def has_goodbye_passed(self) -> bool:
        return trio.current_time() >= self._goodbye_until_s

    def renew(self) -> None:
        """Go on after it has fired."""
        self.scope = trio.CancelScope(deadline=self._goodbye_until_s)
