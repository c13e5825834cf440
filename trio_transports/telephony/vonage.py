"""Vonage beside the audio: knowing its callers by the JWT that ``authorization.type: vonage`` has them send.

Rules
1. It comes as ``Authorization: Bearer``, is signed by HMAC-SHA256 with the account's signature secret, and says so: any
   other algorithm is refused, "none" first of all.
2. It counts from ``iat`` for ``max_age_s``, or to ``exp`` where it says that, give or take ``LEEWAY_S``.
3. Its ``jti`` counts once.
"""

import json
import time
from base64 import urlsafe_b64decode
from binascii import Error as Base64Error
from collections.abc import Callable
from hmac import compare_digest, digest
from typing import Any, Final, final

from attrs import define, field

from .._documented import documented
from ..wire.peer import Peer
from ..wire.refusal import Refusal
from .handshake import Seen
from .hang_up import seconds, text_field

LEEWAY_S: Final = 30.0
_MAX_TOKEN_CHARS: Final = 8192


@documented
@final
@define(eq=False)
class VonageJWT:
    """Admits only upgrades with a JWT of Vonage's; ``api_key`` also has it be of that account."""

    signature_secret: str = field(validator=text_field, repr=False)
    """The account's signature secret, as its settings show it. Keep it out of the source."""
    api_key: str | None = None
    """The account that the token must be for; None takes any that the secret signed."""
    max_age_s: float = field(default=300.0, kw_only=True, validator=seconds)
    """How many seconds old a proof may be. Longer lets a stolen one be used longer; shorter refuses callers when clocks
    differ."""
    now_s: Callable[[], float] = field(default=time.time, kw_only=True, repr=False)
    """The clock, in seconds; another one is for tests."""
    _seen: Seen = field(factory=Seen, init=False, repr=False)

    async def __call__(self, peer: Peer) -> Refusal | None:
        """None for a caller that Vonage signed for, else the refusal with what is wrong."""
        wrong = self._wrong_with(peer.header("Authorization") or "")
        return None if wrong is None else Refusal(status=401, body=f"no JWT of Vonage's: {wrong}")

    def _wrong_with(self, header: str) -> str | None:
        kind, _, token = header.partition(" ")
        parts = token.strip().split(".")
        if kind.lower() != "bearer" or len(parts) != 3 or len(token) > _MAX_TOKEN_CHARS:
            return "a Bearer token of three parts is wanted"
        signed = f"{parts[0]}.{parts[1]}".encode("utf-8", "replace")
        expected = digest(self.signature_secret.encode(), signed, "sha256")
        signature, head, claims = _bytes(parts[2]), _object(parts[0]), _object(parts[1])
        if not compare_digest(signature, expected) or head.get("alg") != "HS256":
            return "it is not signed with this server's secret by HS256"
        if self.api_key is not None and claims.get("api_key") != self.api_key:
            return "it is of another account"
        now_s, issued_s, expires_s = self.now_s(), _time(claims.get("iat")), _time(claims.get("exp"))
        if issued_s is None or issued_s > now_s + LEEWAY_S:
            return "it does not say when it was issued, or not yet"
        until_s = issued_s + self.max_age_s if expires_s is None else expires_s
        if until_s + LEEWAY_S <= now_s:
            return "it has expired"
        proof = claims.get("jti")
        proof = proof if isinstance(proof, str) and proof else parts[2]
        if not self._seen.is_new(proof, until_s=until_s + LEEWAY_S, now_s=now_s):
            return "it was used before"
        return None


def _bytes(text: str) -> bytes:
    try:
        return urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except (Base64Error, ValueError):
        return b""


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(_bytes(text))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _time(value: object) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) < 1e12 else None  # type: ignore[arg-type]
