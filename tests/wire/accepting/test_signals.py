"""Which handlers of signals stand while servers run, and after; none is sent here."""

import signal

import pytest

from trio_transports.wire.accepting.signals import SIGNALS, told_by_signals


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in SIGNALS]


async def test_what_was_there_before_is_back_when_the_last_server_has_ended() -> None:
    """Two servers share the handlers of the first; whichever ends first. Twice."""
    before = handlers()
    for _ in range(2):
        with told_by_signals(lambda: None):
            ours = handlers()
            assert ours != before
            with told_by_signals(lambda: None):
                assert handlers() == ours
            assert handlers() == ours
        assert handlers() == before


async def test_off_is_off() -> None:
    before = handlers()
    with told_by_signals(lambda: pytest.fail("nobody asked"), is_on=False):
        assert handlers() == before
