"""What an engine is asked to hold to, whichever it is."""

from typing import final

from attrs import frozen

from ..params import TransportParams


@final
@frozen(kw_only=True)
class WireSettings:
    """Keepalive is off when ``ping_interval_s`` is None."""

    max_message_bytes: int = 1024 * 1024
    ping_interval_s: float | None = 20
    ping_timeout_s: float = 20

    @classmethod
    def of(cls, params: TransportParams) -> "WireSettings":
        return cls(
            max_message_bytes=params.max_message_bytes,
            ping_interval_s=params.ping_interval,
            ping_timeout_s=params.ping_timeout or params.send_timeout,
        )
