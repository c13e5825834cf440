"""Twilio beside the audio: ending a call through its interface, and knowing its callers by their signature.

Rules of the signature (https://www.twilio.com/docs/usage/security)
1. It is base64 of HMAC-SHA1, keyed with the account's auth token, over the URL that the TwiML names and the form's
   parameters sorted by name. An upgrade has no form. Twilio streams over ``wss`` only, so that is the scheme, whatever
   a proxy in front has made of it.
2. The URL must be the one Twilio used: see ``CalledURL``.
3. Signatures are compared in constant time.
"""

from base64 import b64encode
from collections.abc import Mapping
from hmac import digest
from types import MappingProxyType
from typing import TYPE_CHECKING, final

from attrs import Factory, define, field
from attrs.validators import optional

from .._documented import documented
from ..wire.peer import Peer
from ..wire.refusal import Refusal
from .handshake import is_one_of, public_url, spellings, url_called
from .hang_up import (
    DEFAULT_TIMEOUT_S,
    EndedCall,
    basic,
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

_NO_FORM: Mapping[str, str] = MappingProxyType({})


def twilio_signature(auth_token: str, url: str, form: Mapping[str, str] = _NO_FORM) -> str:
    """What Twilio puts into ``X-Twilio-Signature`` for this URL; for a webhook ``form`` is what it posted."""
    signed = url + "".join(name + form[name] for name in sorted(form))
    # A stranger's request line can hold any bytes; they need not make sense here, only not match.
    message = signed.encode("utf-8", "surrogatepass")
    return b64encode(digest(auth_token.encode(), message, "sha1")).decode("ascii")


@documented
@final
@define(eq=False)
class TwilioSignature:
    """Admits only upgrades that carry Twilio's signature. Give ``url`` where a proxy stands in front."""

    auth_token: str = field(validator=text_field, repr=False)
    """The account's secret at the provider. Keep it out of the source: ``os.environ[...]``. ``repr`` leaves it out."""
    url: str | None = field(default=None, validator=public_url("the TwiML"))
    """The address that the provider was given, where a proxy in front makes it look different here; None: what the
    request names. A wrong one refuses everybody."""
    trust_forwarded: bool = field(default=False, kw_only=True)
    """Believe what a proxy says in ``X-Forwarded-Host``; the scheme is taken for ``wss`` in any case. Only behind a
    proxy that overwrites it: a caller can write it too."""

    async def __call__(self, peer: Peer) -> Refusal | None:
        """None for a caller that Twilio signed for, else the refusal."""
        if self.is_signed(peer):
            return None
        # What was expected helps whoever set the URL wrong, and tells a stranger nothing that the token does not guard.
        called = url_called(peer, self.url, trust_forwarded=self.trust_forwarded)
        return Refusal(status=403, body=f"no signature of Twilio's for {called.geturl()}")

    def is_signed(self, peer: Peer) -> bool:
        """Whether the upgrade carries the signature for the URL it was made to."""
        called = url_called(peer, self.url, trust_forwarded=self.trust_forwarded)
        expected = (twilio_signature(self.auth_token, url) for url in spellings(called))
        return is_one_of(peer.header("X-Twilio-Signature") or "", expected)


def _has_ended(response: "httpx2.Response") -> bool:
    match document(response):
        case {"code": 20404} if response.status_code == 404:
            return True
    return False


def _host(edge: str | None, region: str | None) -> str:
    return "https://" + ".".join(part for part in ("api", edge, region, "twilio.com") if part)


@documented
@final
@define(eq=False)
class TwilioHangUp:
    """Completes the call. ``edge`` and ``region`` go together, such as ``edge="dublin", region="ie1"``.

    ``api_key`` is the SK... of an API key whose secret is then ``auth_token``'s. SignalWire takes the same request at
    ``base_url="https://SPACE.signalwire.com/api/laml"``.
    """

    account_sid: str = field(validator=text_field)
    """The account's id, ``AC...``."""
    auth_token: str = field(validator=text_field, repr=False)
    """The account's secret at the provider. Keep it out of the source: ``os.environ[...]``. ``repr`` leaves it out.
    With ``api_key``, that key's secret."""
    edge: str | None = None
    """The edge to ask, such as ``dublin``; None is Twilio's own choice. It goes with ``region``."""
    region: str | None = None
    """The region that the account's calls are in, such as ``ie1``; None is the United States. A call of another region
    is not found."""
    api_key: str | None = field(default=None, kw_only=True, validator=optional(text_field))
    """The id of an API key, ``SK...``, to be used instead of the account's own token; None uses that."""
    base_url: str = field(
        default=Factory(lambda self: _host(self.edge, self.region), takes_self=True),
        kw_only=True,
        validator=web_address,
    )
    """Where the provider's interface is; another address is for tests and for regions of its own."""
    timeout_s: float = field(default=DEFAULT_TIMEOUT_S, kw_only=True, validator=seconds)
    """Seconds that the provider may take to answer; past it, ``HangUpFailed``. The session's ``hang_up_timeout`` is a
    limit too."""
    _tls: "ssl.SSLContext" = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if (self.edge is None) != (self.region is None):
            raise ValueError("TwilioHangUp.edge and region go together: Twilio's hosts are api.EDGE.REGION.twilio.com")
        self._tls = client_tls(self)

    async def __call__(self, session: EndedCall) -> None:
        """End the call that the session carried, or raise HangUpFailed."""
        call_id = call_id_of(session, "Twilio")
        credentials = basic(self.api_key or self.account_sid, self.auth_token)
        path = f"/2010-04-01/Accounts/{segment(self.account_sid)}/Calls/{segment(call_id)}.json"
        await end_call(
            "Twilio",
            call_id,
            method="POST",
            url=self.base_url.rstrip("/") + path,
            authorization=f"Basic {credentials}",
            secrets=(self.auth_token, credentials),
            content_type="application/x-www-form-urlencoded",
            content=b"Status=completed",
            already_ended=_has_ended,
            tls=self._tls,
            timeout_s=self.timeout_s,
        )
