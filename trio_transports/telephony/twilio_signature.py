"""Knowing that a caller is Twilio: the signature it puts on every WebSocket upgrade, as ``params.authorize``.

Rules
1. The signature is base64 of HMAC-SHA1, keyed with the account's auth token, over the URL that the TwiML names and the
   form's parameters sorted by name. An upgrade has no form. Twilio streams over ``wss`` only, so that is the scheme,
   whatever a proxy in front has made of it.
2. The URL must be the one Twilio used. ``url`` states it; a bare origin takes the path and query of each peer.
   Without it the request's own ``Host`` is believed, or with ``trust_forwarded`` the ``X-Forwarded-Host`` of a proxy.
3. The default port and a slash at the end of the path may be written or not: Twilio and proxies differ in both.
4. Signatures are compared in constant time.

From https://www.twilio.com/docs/usage/security
"""

from base64 import b64encode
from collections.abc import Mapping
from hmac import compare_digest, digest
from types import MappingProxyType
from typing import final
from urllib.parse import SplitResult, urlsplit

from attrs import Attribute, define, field

from ..wire.peer import Peer
from ..wire.refusal import Refusal
from .hang_up import text_field

_NO_FORM: Mapping[str, str] = MappingProxyType({})


def twilio_signature(auth_token: str, url: str, form: Mapping[str, str] = _NO_FORM) -> str:
    """What Twilio puts into ``X-Twilio-Signature`` for this URL; for a webhook ``form`` is what it posted."""
    signed = url + "".join(name + form[name] for name in sorted(form))
    # A stranger's request line can hold any bytes; they need not make sense here, only not match.
    message = signed.encode("utf-8", "surrogatepass")
    return b64encode(digest(auth_token.encode(), message, "sha1")).decode("ascii")


def _public_url(instance: object, attribute: "Attribute[str | None]", value: object) -> None:
    if value is None:
        return
    parts = urlsplit(value) if isinstance(value, str) else None
    if parts is None or parts.scheme not in {"wss", "ws"} or not parts.hostname or parts.fragment:
        raise ValueError(
            f"{type(instance).__name__}.{attribute.name} must be the URL that the TwiML names, such as "
            f"wss://voice.example.com/twilio, not {value!r}"
        )


def _spellings(called: SplitResult) -> set[str]:
    """The ways in which Twilio may have written this URL when it signed it."""
    default = ":443" if called.scheme == "wss" else ":80"
    hosts = {called.netloc, called.netloc.removesuffix(default)}
    if ":" not in called.netloc.rpartition("]")[2]:
        hosts.add(called.netloc + default)
    bare = called.path.rstrip("/")
    paths = {called.path, bare, bare + "/"}
    return {called._replace(netloc=host, path=path).geturl() for host in hosts for path in paths}


@final
@define(eq=False)
class TwilioSignature:
    """Admits only upgrades that carry Twilio's signature. Give ``url`` where a proxy stands in front."""

    auth_token: str = field(validator=text_field, repr=False)
    url: str | None = field(default=None, validator=_public_url)
    trust_forwarded: bool = field(default=False, kw_only=True)

    async def __call__(self, peer: Peer) -> Refusal | None:
        if self.is_signed(peer):
            return None
        # What was expected helps whoever set the URL wrong, and tells a stranger nothing that the token does not guard.
        return Refusal(status=403, body=f"no signature of Twilio's for {self._called(peer).geturl()}")

    def is_signed(self, peer: Peer) -> bool:
        told = (peer.header("X-Twilio-Signature") or "").encode("utf-8", "replace")
        # As bytes, since a stranger's header may hold what compare_digest refuses in text.
        return any(
            compare_digest(told, twilio_signature(self.auth_token, url).encode())
            for url in _spellings(self._called(peer))
        )

    def _called(self, peer: Peer) -> SplitResult:
        configured = urlsplit(self.url or "")
        if configured.path or configured.query:
            return configured
        if self.url is None:
            forwarded = peer.header("X-Forwarded-Host") if self.trust_forwarded else None
            # The first of several is the one the caller saw; each further proxy appends its own.
            host = (forwarded or peer.header("Host") or "").partition(",")[0].strip()
            configured = SplitResult("wss", host, "", "", "")
        return configured._replace(path=peer.path, query=peer.query_string)
