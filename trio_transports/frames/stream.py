"""How a call's stream begins and ends."""

from collections.abc import Mapping
from typing import final

from attrs import Factory, frozen

from .._documented import documented
from .common import JSONValue


@documented
@final
@frozen(kw_only=True)
class StartFrame:
    """The peer announced its stream: who is calling and what is carried. Fields a dialect lacks stay None."""

    stream_id: str | None = None
    """What the dialect calls this stream; its messages are addressed with it."""
    call_id: str | None = None
    """The provider's name for the telephone call: what ``hang_up`` ends."""
    account_id: str | None = None
    """The account at the provider that the call belongs to."""
    from_number: str | None = None
    """Who calls, as the provider writes it, most often ``+`` and digits. A caller may hide or forge it."""
    to_number: str | None = None
    """The number that was called."""
    audio_in_sample_rate: int | None = None
    """Samples per second, in Hz, of the audio that the peer will send."""
    audio_out_sample_rate: int | None = None
    """Samples per second, in Hz, of the audio that the peer wants."""
    parameters: Mapping[str, JSONValue] = Factory(dict)
    """What the application that began the call gave to the stream, and what else the provider tells."""


@documented
@final
@frozen(kw_only=True)
class EndFrame:
    """The stream ends in good order.

    Sent, it ends the call: what is queued is played, then the end silence, then the session says goodbye.
    """

    reason: str | None = None
    """Why, for dialects that can say it; None says nothing."""


@documented
@final
@frozen(kw_only=True)
class CancelFrame:
    """The stream ends at once. Sent, it ends the call and drops what is queued."""

    reason: str | None = None
    """Why, for dialects that can say it; None says nothing."""
