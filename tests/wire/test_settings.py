"""What a wire is asked to hold to, taken from a transport's parameters."""

import pytest

from trio_transports import TransportParams
from trio_transports.wire.settings import WireSettings


@pytest.mark.parametrize(
    ("given", "interval_s", "timeout_s"),
    [
        ({}, 20, 20),
        ({"ping_timeout": 3.0, "send_timeout": 7.0}, 20, 3.0),
        ({"ping_interval": None, "ping_timeout": None, "send_timeout": 7.0}, None, 7.0),
    ],
)
def test_it_is_what_the_parameters_say(
    given: dict[str, float | None], interval_s: float | None, timeout_s: float
) -> None:
    """Without a limit for pongs, the one for writes is theirs: a peer that hangs is found in any case."""
    settings = WireSettings.of(TransportParams(max_message_bytes=500, **given))  # type: ignore[arg-type]
    assert (settings.max_message_bytes, settings.ping_interval_s, settings.ping_timeout_s) == (
        500,
        interval_s,
        timeout_s,
    )
