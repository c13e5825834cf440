"""Telnyx beside the audio: ending a call through its interface, and knowing its callers by their token."""

from typing import TYPE_CHECKING, final

from attrs import define, field

from .._documented import documented
from ..wire.peer import Peer
from ..wire.refusal import Refusal
from .handshake import is_one_of
from .hang_up import (
    DEFAULT_TIMEOUT_S,
    EndedCall,
    call_id_of,
    client_tls,
    document,
    end_call,
    seconds,
    segment,
    text_field,
    web_address,
)

if TYPE_CHECKING:
    import ssl

    import httpx2


@documented
@final
@define(eq=False)
class TelnyxToken:
    """Admits only upgrades that carry the call's ``stream_auth_token``.

    It is looked for in the header ``header``, alone or behind "Bearer".
    """

    token: str = field(validator=text_field, repr=False)
    """A secret of your choice, which the call was told to bring. Long and random, or it can be guessed."""
    header: str = field(default="Authorization", kw_only=True, validator=text_field)
    """The header that it comes in."""

    async def __call__(self, peer: Peer) -> Refusal | None:
        """None for a caller that has the token, else the refusal."""
        if is_one_of(peer.header(self.header) or "", (self.token, f"Bearer {self.token}")):
            return None
        return Refusal(status=403, body=f"no stream_auth_token of this server's in {self.header}")


def _has_ended(response: "httpx2.Response") -> bool:
    match document(response):
        case {"errors": [*errors]} if response.status_code == 422:
            return any(isinstance(error, dict) and str(error.get("code")) == "90018" for error in errors)
    return False


@documented
@final
@define(eq=False)
class TelnyxHangUp:
    """Hangs up the call. ``api_key`` is the account's v2 key."""

    api_key: str = field(validator=text_field, repr=False)
    """The account's secret at the provider. Keep it out of the source: ``os.environ[...]``. ``repr`` leaves it out."""
    base_url: str = field(default="https://api.telnyx.com", kw_only=True, validator=web_address)
    """Where the provider's interface is; another address is for tests and for regions of its own."""
    timeout_s: float = field(default=DEFAULT_TIMEOUT_S, kw_only=True, validator=seconds)
    """Seconds that the provider may take to answer; past it, ``HangUpFailed``. The session's ``hang_up_timeout`` is a
    limit too."""
    _tls: "ssl.SSLContext" = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._tls = client_tls(self)

    async def __call__(self, session: EndedCall) -> None:
        """End the call that the session carried, or raise HangUpFailed."""
        call_id = call_id_of(session, "Telnyx")
        await end_call(
            "Telnyx",
            call_id,
            method="POST",
            url=f"{self.base_url.rstrip('/')}/v2/calls/{segment(call_id)}/actions/hangup",
            authorization=f"Bearer {self.api_key}",
            secrets=(self.api_key,),
            content_type="application/json",
            content=b"{}",
            already_ended=_has_ended,
            tls=self._tls,
            timeout_s=self.timeout_s,
        )
