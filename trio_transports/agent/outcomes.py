"""The four ways in which an agent's audio does not come: silent, finished, lost, never there.

Rules
1. Silence means that the connection lives: messages or answered pings say so. A peer that answers no ping is lost.
2. Finished means that the agent closed with a code for good order, or says that it hung up, or that the caller left.
3. Everything else that ends a connection is a loss, with the code that names the fault (1006: no handshake at all);
   also a limit of this side's, such as ``idle_timeout`` or ``max_message_bytes``.
4. Each says with whom, how long after dialling, and with which close code; None where the connection was not closed.
"""

from typing import TYPE_CHECKING, Final, final

from .._showing import shown_text, shown_url
from ..errors import TransportError

if TYPE_CHECKING:
    from .turn import Answer

CLEAN_CLOSE_CODES: Final = frozenset({1000, 1001, 1005})
"""Normal closure, going away, and a close message that states no code."""


class AgentOutcome(TransportError):
    """What the four have in common. ``answer`` is what ``call`` had heard by then, else None."""

    def __init__(
        self,
        what: str,
        *,
        peer: str,
        elapsed_s: float,
        close_code: int | None = None,
        reason: str = "",
        answer: "Answer | None" = None,
    ) -> None:
        self.peer = peer
        self.elapsed_s = elapsed_s
        self.close_code = close_code
        self.reason = reason
        self.answer = answer
        super().__init__(what)

    def __str__(self) -> str:
        details = [f"{self.elapsed_s:.2f} s after dialling"]
        if self.close_code is not None:
            details.append(f"close code {self.close_code}" + (f" {self.reason!r}" if self.reason else ""))
        if self.answer is not None:
            details.append(f"{self.answer.duration_s:.2f} s of an answer had come")
        return f"{shown_url(self.peer)}: {shown_text(str(self.args[0]))} ({', '.join(details)})"


@final
class AgentSilent(AgentOutcome, TimeoutError):
    """No audio within the time given, on a connection that lives. ``messages`` other than audio came meanwhile.

    ``unsent_s`` is how much of this side's own speech, of what was said while waiting, had still to leave.
    ``dead_after_s`` is how long a peer that answers no ping can go unnoticed; None where pings are off.
    """

    def __init__(
        self,
        *,
        peer: str,
        elapsed_s: float,
        waited_s: float,
        messages: int = 0,
        dead_after_s: float | None = None,
        unsent_s: float = 0.0,
        answer: "Answer | None" = None,
    ) -> None:
        self.waited_s = waited_s
        self.unsent_s = unsent_s
        self.messages = messages
        self.dead_after_s = dead_after_s
        what = f"connected, and no audio came for {waited_s:g} s"
        what += f", only {messages} other message(s)" if messages else ", nor anything else"
        if unsent_s > 0:
            what += f"; {unsent_s:.3g} s of this side's own speech had not left yet"
        if dead_after_s is not None:
            what += f"; a dead peer would be found out within {dead_after_s:g} s"
        super().__init__(what, peer=peer, elapsed_s=elapsed_s, answer=answer)


@final
class AgentFinished(AgentOutcome):
    """The conversation ended in good order, and all audio has been read."""


@final
class AgentConnectionLost(AgentOutcome):
    """The connection broke, and all audio that had come before has been read."""


@final
class AgentUnreachable(AgentOutcome, ConnectionError):
    """There never was a connection; ``__cause__`` says why."""
