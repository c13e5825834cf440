"""Whether an outcome may be timed, and whether the machine rather than the peer made it.

Rules
1. Altered or lost messages are wrong. Slowness is missing, and says so.
2. An outcome is *disturbed* when somebody else had the server's core for more than a small share of the window. It is
   measured again, a few times at most; the calmest counts, and how long the server waited stands beside its figures.
3. An outcome is *spoiled* when the wall clock was set while it was made: round trips and gaps are told by the kernel's
   stamps, which are of that clock. It is never timed.
"""

from typing import final

from attrs import frozen

from .load.jobs import Outcome
from .results import CALM as CALM

LOAD_LIMIT = 0.85
"""The share of a core above which the load itself is no longer believed."""
HOLE_MS = 40.0
"""A chunk that was sent so late left a gap of sixty milliseconds: a transport may take that for a hole."""
NO_CORE_S = 0.3
"""A server that waited for a core for so long may have stood still for longer than a burst can make up for."""
CLOCK_STEP_S = 0.0002
"""Both clocks run at the same rate, also while it is adjusted: what they differ by changes only where one is set."""


def is_spoiled(outcome: Outcome) -> bool:
    """Whether the wall clock was set meanwhile; rule 3."""
    return abs(outcome.numbers.get("clock_moved_s", 0.0)) > CLOCK_STEP_S


def disturbance(outcome: Outcome) -> float:
    """The share of the window in which the server was ready to run and had no core."""
    window_s = outcome.numbers.get("window_s", 0.0)
    return outcome.numbers.get("server_waited_s", 0.0) / window_s if window_s else 0.0


def stood_still(outcome: Outcome) -> bool:
    """Whether the load was late enough for a hole, before anything was missing, or the server had no core."""
    numbers = outcome.numbers
    return numbers.get("load_late_before_loss_ms", 0.0) >= HOLE_MS or numbers.get("server_waited_s", 0.0) >= NO_CORE_S


@final
@frozen(kw_only=True)
class Verdict:
    wrong: str = ""
    slow: str = ""


def judge(outcome: Outcome, *, overload: bool) -> Verdict:
    """Whether an outcome may be timed."""
    if outcome.failure:
        return Verdict(slow=outcome.failure) if outcome.slow or overload else Verdict(wrong=outcome.failure)
    examples = "; ".join(outcome.examples)
    shortened = outcome.numbers.get("shortened", 0)
    if shortened and stood_still(outcome):
        # There was a hole in what was sent, or the server had no core for longer than a burst can take back. Then a
        # transport may leave audio out, and from there on nobody can tell what is right: it is not timed.
        return Verdict(slow=f"{shortened:.0f} messages were shortened after a standstill: {examples}")
    if outcome.altered:
        return Verdict(wrong=f"{outcome.altered} messages altered: {examples}")
    if outcome.lost and not overload:
        return Verdict(wrong=f"{outcome.lost} messages lost: {examples}")
    numbers = outcome.numbers
    if numbers.get("slow_calls"):
        return Verdict(slow=f"{numbers['slow_calls']:.0f} calls took too long: {examples}")
    if numbers.get("behind"):
        return Verdict(slow=f"{numbers['behind']:.0f} chunks were still on their way when time was up")
    window_s = numbers.get("window_s", 0.0)
    if window_s and numbers["load_cpu_s"] > LOAD_LIMIT * window_s:
        return Verdict(slow=f"the load itself used {numbers['load_cpu_s'] / window_s:.0%} of a core")
    return Verdict()
