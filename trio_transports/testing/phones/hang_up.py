"""A provider's interface for hanging up, faked: it writes down what it was asked, and does as it is told."""

from typing import final

import trio
from attrs import define, field

from ..._documented import documented
from ...errors import TransportError
from ...session.session import Session


@documented
@final
@define(eq=False)
class FakeHangUp:
    """Give it as ``params.hang_up``. It takes ``takes_s``, and fails where ``fails`` says so."""

    takes_s: float = 0.0
    """Seconds that it takes; more than ``hang_up_timeout`` shows what happens then."""
    fails: bool = False
    """Whether it raises ``TransportError`` as if the provider had refused."""
    calls: list[str | None] = field(factory=list, init=False)
    """The ids of the calls that were hung up, in order; None for a line whose calls have none."""

    async def __call__(self, session: Session) -> None:
        await trio.sleep(self.takes_s)
        if self.fails:
            raise TransportError("the fake provider was told to refuse")
        self.calls.append(session.start.call_id if session.start is not None else None)
