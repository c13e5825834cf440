"""Genesys beside the audio: knowing its callers by the HTTP message signature of the upgrade.

Rules (the AudioHook security guide, and the draft of HTTP Message Signatures it stands on)
1. Everything in ``COMPONENTS`` is signed, by HMAC-SHA256 with the client secret; ``keyid`` is what ``X-API-KEY`` says.
2. The nonce has 22 characters at least and counts once; ``created`` is ``max_age_s`` ago at most.
3. A refusal is told ``REFUSAL_DELAY_S`` after the question, whatever was wrong, and says nothing of it.
"""

import re
import time
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping, Sequence
from hmac import compare_digest, digest
from typing import Final, final

import trio
from attrs import Attribute, define, field

from .._documented import documented
from ..wire.peer import Peer
from ..wire.refusal import Refusal
from .handshake import Seen, url_called
from .hang_up import seconds, text_field

COMPONENTS: Final = (
    "@request-target",
    "@authority",
    "audiohook-organization-id",
    "audiohook-session-id",
    "audiohook-correlation-id",
    "x-api-key",
)
REFUSAL_DELAY_S: Final = 0.5
MIN_NONCE_CHARS: Final = 22
LEEWAY_S: Final = 5.0

_MAX_HEADER_CHARS: Final = 4096
_INPUT: Final = re.compile(r"(?P<label>[a-z*][a-z0-9_.*-]*)=(?P<all>\((?P<names>[^()]*)\)(?P<params>(?:;[^,]*)?))")
_PARAMETER: Final = re.compile(r';(?P<name>[a-z*][a-z0-9_.*-]*)=(?:"(?P<text>[^"\\]*)"|(?P<number>-?[0-9]{1,15}))')


def genesys_signature(secret: bytes, values: Mapping[str, str], names: Sequence[str], parameters: str) -> str:
    """Base64 of the signature over these components; ``parameters`` as they stand in ``Signature-Input``."""
    lines = [f'"{name}": {values[name]}' for name in names]
    base = "\n".join([*lines, f'"@signature-params": {parameters}'])
    return b64encode(digest(secret, base.encode("utf-8", "replace"), "sha256")).decode("ascii")


def _key(instance: object, attribute: "Attribute[str]", value: str) -> None:
    text_field(instance, attribute, value)
    try:
        b64decode(value, validate=True)
    except (Base64Error, ValueError):
        raise ValueError("GenesysSignature.client_secret must be base64, as Genesys shows it") from None


@documented
@final
@define(eq=False)
class GenesysSignature:
    """Admits only upgrades that Genesys signed, once. Give ``url`` where a proxy stands in front."""

    api_key: str = field(validator=text_field, repr=False)
    """The key that Genesys names itself by."""
    client_secret: str = field(validator=_key, repr=False)
    """The secret that Genesys signs with, base64 as its page shows it. Keep it out of the source."""
    url: str | None = None
    """The address that the provider was given, where a proxy in front makes it look different here; None: what the
    request names. A wrong one refuses everybody."""
    trust_forwarded: bool = field(default=False, kw_only=True)
    """Believe what a proxy says in ``X-Forwarded-Host``; the scheme is taken for ``wss`` in any case. Only behind a
    proxy that overwrites it: a caller can write it too."""
    max_age_s: float = field(default=10.0, kw_only=True, validator=seconds)
    """How many seconds old a proof may be. Longer lets a stolen one be used longer; shorter refuses callers when clocks
    differ."""
    now_s: Callable[[], float] = field(default=time.time, kw_only=True, repr=False)
    """The clock, in seconds; another one is for tests."""
    _seen: Seen = field(factory=Seen, init=False, repr=False)

    async def __call__(self, peer: Peer) -> Refusal | None:
        """None for a caller that Genesys signed for, else the refusal; rule 3."""
        asked_at_s = trio.current_time()
        if self.is_signed(peer):
            return None
        await trio.sleep_until(asked_at_s + REFUSAL_DELAY_S)
        return Refusal(status=401, body="no valid signature of Genesys'")

    def is_signed(self, peer: Peer) -> bool:
        """Whether the upgrade is signed, fresh, and comes for the first time."""
        told = peer.header("Signature-Input") or ""
        found = _INPUT.fullmatch(told.strip()) if len(told) <= _MAX_HEADER_CHARS else None
        if found is None:
            return False
        names = [name.strip('"') for name in found["names"].split()]
        given = {each["name"]: each["text"] or each["number"] or "" for each in _PARAMETER.finditer(found["params"])}
        values = self._values(peer, names)
        if values is None or not set(COMPONENTS) <= set(names):
            return False
        expected = genesys_signature(b64decode(self.client_secret), values, names, found["all"])
        signature = f"{found['label']}=:{expected}:".encode()
        is_right = compare_digest((peer.header("Signature") or "").strip().encode("utf-8", "replace"), signature)
        is_known = compare_digest(given.get("keyid", "").encode(), self.api_key.encode("utf-8", "replace"))
        if not (is_right and is_known and values["x-api-key"] == self.api_key):
            return False
        if given.get("alg", "hmac-sha256") != "hmac-sha256":
            return False
        return self._is_fresh(given)

    def _is_fresh(self, given: Mapping[str, str]) -> bool:
        """Rule 2."""
        now_s, nonce = self.now_s(), given.get("nonce", "")
        created_s, expires_s = _seconds(given.get("created")), _seconds(given.get("expires"))
        if created_s is None or not now_s - self.max_age_s <= created_s <= now_s + LEEWAY_S:
            return False
        if expires_s is not None and expires_s < now_s:
            return False
        until_s = created_s + self.max_age_s + LEEWAY_S
        return len(nonce) >= MIN_NONCE_CHARS and self._seen.is_new(nonce, until_s=until_s, now_s=now_s)

    def _values(self, peer: Peer, names: Sequence[str]) -> dict[str, str] | None:
        called = url_called(peer, self.url, trust_forwarded=self.trust_forwarded)
        target = called.path + (f"?{called.query}" if called.query else "")
        derived = {"@request-target": target or "/", "@authority": called.netloc.lower().removesuffix(":443")}
        values = {name: derived.get(name) or peer.header(name) for name in names}
        return None if any(value is None for value in values.values()) else values  # type: ignore[return-value]


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.lstrip("-").isdecimal() else None
