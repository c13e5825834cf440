"""Plivo beside the audio: ending a call through its interface, and knowing its callers by their signature.

Rules of the signature (version 3)
1. ``X-Plivo-Signature-V3`` is base64 of HMAC-SHA256, keyed with the auth token, over the URL, a dot and the nonce of
   ``X-Plivo-Signature-V3-Nonce``. There may be several, with commas between, while tokens are changed.
2. A nonce counts once: of those that were right the last ``MEMORY`` are remembered.
"""

from base64 import b64encode
from hmac import digest
from typing import TYPE_CHECKING, final

from attrs import define, field

from .._documented import documented
from ..wire.peer import Peer
from ..wire.refusal import Refusal
from .handshake import Seen, is_one_of, public_url, spellings, url_called
from .hang_up import (
    DEFAULT_TIMEOUT_S,
    EndedCall,
    basic,
    call_id_of,
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

_MAX_SIGNATURES = 8


def plivo_signature(auth_token: str, url: str, nonce: str) -> str:
    """What Plivo puts into ``X-Plivo-Signature-V3`` for this URL and nonce."""
    message = f"{url}.{nonce}".encode("utf-8", "surrogatepass")
    return b64encode(digest(auth_token.encode(), message, "sha256")).decode("ascii")


@documented
@final
@define(eq=False)
class PlivoSignature:
    """Admits only upgrades that carry Plivo's signature, once. Give ``url`` where a proxy stands in front."""

    auth_token: str = field(validator=text_field, repr=False)
    """The account's secret at the provider. Keep it out of the source: ``os.environ[...]``. ``repr`` leaves it out."""
    url: str | None = field(default=None, validator=public_url("the XML"))
    """The address that the provider was given, where a proxy in front makes it look different here; None: what the
    request names. A wrong one refuses everybody."""
    trust_forwarded: bool = field(default=False, kw_only=True)
    """Believe what a proxy says in ``X-Forwarded-Host``; the scheme is taken for ``wss`` in any case. Only behind a
    proxy that overwrites it: a caller can write it too."""
    _seen: Seen = field(factory=Seen, init=False, repr=False)

    async def __call__(self, peer: Peer) -> Refusal | None:
        """None for a caller that Plivo signed for, else the refusal."""
        called = url_called(peer, self.url, trust_forwarded=self.trust_forwarded)
        nonce = peer.header("X-Plivo-Signature-V3-Nonce") or ""
        told = [each.strip() for each in (peer.header("X-Plivo-Signature-V3") or "").split(",", _MAX_SIGNATURES)]
        urls = spellings(called) | spellings(called._replace(scheme="https" if called.scheme == "wss" else "http"))
        expected = [plivo_signature(self.auth_token, url, nonce) for url in urls]
        if not nonce or not any(is_one_of(each, expected) for each in told[:_MAX_SIGNATURES]):
            return Refusal(status=403, body=f"no signature of Plivo's for {called.geturl()}")
        if not self._seen.is_new(nonce):
            return Refusal(status=403, body="this signature of Plivo's was used before")
        return None


def _has_ended(response: "httpx2.Response") -> bool:
    return response.status_code == 404


@documented
@final
@define(eq=False)
class PlivoHangUp:
    """Deletes the live call."""

    auth_id: str = field(validator=text_field)
    """The account's id, as Plivo's console shows it."""
    auth_token: str = field(validator=text_field, repr=False)
    """The account's secret at the provider. Keep it out of the source: ``os.environ[...]``. ``repr`` leaves it out."""
    base_url: str = field(default="https://api.plivo.com", kw_only=True, validator=web_address)
    """Where the provider's interface is; another address is for tests and for regions of its own."""
    timeout_s: float = field(default=DEFAULT_TIMEOUT_S, kw_only=True, validator=seconds)
    """Seconds that the provider may take to answer; past it, ``HangUpFailed``. The session's ``hang_up_timeout`` is a
    limit too."""
    _tls: "ssl.SSLContext" = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._tls = client_tls(self)

    async def __call__(self, session: EndedCall) -> None:
        """End the call that the session carried, or raise HangUpFailed."""
        call_id = call_id_of(session, "Plivo")
        credentials = basic(self.auth_id, self.auth_token)
        await end_call(
            "Plivo",
            call_id,
            method="DELETE",
            url=f"{self.base_url.rstrip('/')}/v1/Account/{segment(self.auth_id)}/Call/{segment(call_id)}/",
            authorization=f"Basic {credentials}",
            secrets=(self.auth_token, credentials),
            already_ended=_has_ended,
            tls=self._tls,
            timeout_s=self.timeout_s,
        )
