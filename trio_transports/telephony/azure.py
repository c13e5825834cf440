"""Azure Communication Services beside the audio: ending a call through its interface.

The call is the one that the upgrade named, in ``x-ms-call-connection-id``: its messages do not name it.
"""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from email.utils import formatdate
from hashlib import sha256
from hmac import digest
from typing import TYPE_CHECKING, Protocol, final
from urllib.parse import urlsplit

from attrs import Attribute, define, field

from .._documented import documented
from ..wire.peer import Peer
from .hang_up import (
    DEFAULT_TIMEOUT_S,
    HangUpFailed,
    checked_call_id,
    client_tls,
    end_call,
    seconds,
    segment,
    text_field,
    web_address,
)

if TYPE_CHECKING:
    import ssl

    import httpx2

API_VERSION = "2024-09-15"


class EndedUpgrade(Protocol):
    """What this hang-up needs of a session."""

    @property
    def peer(self) -> Peer: ...


def _has_ended(response: "httpx2.Response") -> bool:
    return response.status_code == 404


def _key(instance: object, attribute: "Attribute[str]", value: str) -> None:
    text_field(instance, attribute, value)
    try:
        b64decode(value, validate=True)
    except (Base64Error, ValueError):
        raise ValueError("AzureHangUp.access_key must be base64, as the portal shows it") from None


@documented
@final
@define(eq=False)
class AzureHangUp:
    """Terminates the call for everybody in it. ``endpoint`` is the resource's, https://NAME.communication.azure.com."""

    endpoint: str = field(validator=web_address)
    """The resource's address: ``https://NAME.communication.azure.com``."""
    access_key: str = field(validator=_key, repr=False)
    """The resource's key, base64 as the portal shows it. ``repr`` leaves it out."""
    timeout_s: float = field(default=DEFAULT_TIMEOUT_S, kw_only=True, validator=seconds)
    """Seconds that the provider may take to answer; past it, ``HangUpFailed``. The session's ``hang_up_timeout`` is a
    limit too."""
    _tls: "ssl.SSLContext" = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._tls = client_tls(self)

    async def __call__(self, session: EndedUpgrade) -> None:
        """End the call, or raise HangUpFailed."""
        connection = session.peer.header("x-ms-call-connection-id")
        if not connection:
            why = "the upgrade named none in x-ms-call-connection-id"
            raise HangUpFailed(f"there is no Azure call to end: {why}", provider="Azure")
        call_id = checked_call_id(connection, "Azure", "the upgrade")
        path = f"/calling/callConnections/{segment(call_id)}:terminate?api-version={API_VERSION}"
        url = self.endpoint.rstrip("/") + path
        authorization, headers = self._signed(url)
        await end_call(
            "Azure",
            call_id,
            method="POST",
            url=url,
            authorization=authorization,
            headers=headers,
            secrets=(self.access_key,),
            content=b"",
            already_ended=_has_ended,
            tls=self._tls,
            timeout_s=self.timeout_s,
        )

    def _signed(self, url: str) -> tuple[str, dict[str, str]]:
        """The authorization of an empty POST to ``url`` now, and the headers that it signs."""
        parts = urlsplit(url)
        date, content = formatdate(usegmt=True), b64encode(sha256(b"").digest()).decode()
        target = f"{parts.path}?{parts.query}"
        signed = f"POST\n{target}\n{date};{parts.netloc};{content}"
        signature = b64encode(digest(b64decode(self.access_key), signed.encode(), "sha256")).decode()
        authorization = f"HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature={signature}"
        return authorization, {"x-ms-date": date, "x-ms-content-sha256": content}
