"""Any program of verbs, in any order: what must hold of a session holds."""

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.session.model import check
from tests.session.programs import PROGRAMS, Program, Step


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(PROGRAMS, st.booleans(), st.booleans())
@example([Step("audio", 0.04), Step("end")], True, False)
@example([Step("peer stalls"), Step("peer stalls")], False, False)
@example([Step("close soon", 0.0), Step("drop")], False, True)
@example([Step("close soon", 0.001), Step("drop")], False, True)
@example([Step("audio", 0.04), Step("close soon", 0.0), Step("drop")], False, True)
@example([Step("audio", 0.5), Step("give up write", 0.001), Step("give up drain", 0.02), Step("cancel")], True, False)
@example([Step("peer stalls"), Step("give up send", 0.0), Step("drop"), Step("crash")], False, True)
@example([Step("audio", 0.001), Step("peer stalls"), Step("wait", 0.25), Step("crash")], False, False)
@example([Step("audio", 0.001), Step("peer stalls"), Step("wait", 0.25), Step("close"), Step("crash")], True, True)
@example(
    [Step("audio", 0.001), Step("wait", 0.25), Step("audio", 0.5), Step("wait", 0.25), Step("audio", 0.2)], False, False
)
def test_any_program_keeps_the_rules(program: Program, sends_now: bool, reconnects: bool) -> None:
    check(program, sends_now=sends_now, reconnects=reconnects)


def test_a_picture_that_was_handed_over_and_dropped_is_counted() -> None:
    """Found by such a program: whichever task runs first, each picture is shown or counted as dropped."""
    for _ in range(25):
        outcome = check(
            [Step("audio", 0.001), Step("picture"), Step("interrupt"), Step("wait", 0.25)],
            sends_now=False,
            reconnects=True,
        )
        counted = outcome.session.statistics()
        assert counted.pictures_sent + counted.pictures_dropped == 1
