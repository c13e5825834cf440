"""How a call's stream begins and ends."""

from collections.abc import Mapping
from typing import final

from attrs import Factory, frozen

from .common import JSONValue


@final
@frozen(kw_only=True)
class StartFrame:
    """The peer announced its stream: who is calling and what is carried. Fields a dialect lacks stay None."""

    stream_id: str | None = None
    call_id: str | None = None
    account_id: str | None = None
    from_number: str | None = None
    to_number: str | None = None
    audio_in_sample_rate: int | None = None
    audio_out_sample_rate: int | None = None
    parameters: Mapping[str, JSONValue] = Factory(dict)


@final
@frozen(kw_only=True)
class EndFrame:
    """The stream ends in good order."""

    reason: str | None = None


@final
@frozen(kw_only=True)
class CancelFrame:
    """The stream ends at once."""

    reason: str | None = None
