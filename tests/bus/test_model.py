"""Any program of what is done with a bus, in any order: what must hold of it holds."""

from hypothesis import HealthCheck, example, given, settings

from tests.bus.model import check
from tests.bus.programs import PROGRAMS, Program, Step


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(PROGRAMS)
@example([Step("lose here"), Step("ask", "a", "far", "slow", 1.0)])  # its request left on the next connection
@example(  # a cancellation that overtakes its request
    [
        Step("lose here"),
        Step("wait", seconds=0.01),
        Step("ask", "a", "far", "slow", 1.0),
        Step("wait", seconds=0.01),
        Step("leave"),
    ]
)
def test_any_program_keeps_the_rules(program: Program) -> None:
    check(program)
