"""What the providers' handshake checks share: the URL that was called, comparison in constant time, and replay.

Rules
1. The URL must be the one that the provider used. ``url`` states it; a bare origin takes the path and query of each
   peer. Without it the request's own ``Host`` is believed, or with ``trust_forwarded`` the ``X-Forwarded-Host`` of a
   proxy. The scheme is ``wss``, whatever a proxy in front has made of it.
2. The default port and a slash at the end of the path may be written or not: providers and proxies differ in both.
3. What a stranger wrote is compared as bytes, in constant time, with everything that would be right.
4. What proves itself once is remembered, so that it proves itself only once: a bounded number, the oldest forgotten
   first. Only what was right is remembered, so a stranger cannot fill the memory.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from hmac import compare_digest
from math import inf
from typing import Any, Final, final
from urllib.parse import SplitResult, urlsplit

from attrs import define, field

from ..wire.peer import Peer

MEMORY: Final = 10_000
MAX_PROOF_CHARS: Final = 512


def public_url(named_by: str) -> Callable[[object, Any, object], None]:
    """A validator for the URL that ``named_by`` has the provider call."""

    def check(instance: object, attribute: Any, value: object) -> None:  # noqa: ANN401 - attrs' own
        if value is None:
            return
        parts = urlsplit(value) if isinstance(value, str) else None
        if parts is None or parts.scheme not in {"wss", "ws"} or not parts.hostname or parts.fragment:
            raise ValueError(
                f"{type(instance).__name__}.{attribute.name} must be the URL that {named_by} names, such as "
                f"wss://voice.example.com/call, not {value!r}"
            )

    return check


def url_called(peer: Peer, url: str | None, *, trust_forwarded: bool) -> SplitResult:
    """The URL that this peer was sent to; rule 1."""
    configured = urlsplit(url or "")
    if configured.path or configured.query:
        return configured
    if url is None:
        forwarded = peer.header("X-Forwarded-Host") if trust_forwarded else None
        # The first of several is the one the caller saw; each further proxy appends its own.
        host = (forwarded or peer.header("Host") or "").partition(",")[0].strip()
        configured = SplitResult("wss", host, "", "", "")
    return configured._replace(path=peer.path, query=peer.query_string)


def spellings(called: SplitResult) -> set[str]:
    """The ways in which the provider may have written this URL when it signed it; rule 2."""
    default = ":443" if called.scheme in ("wss", "https") else ":80"
    hosts = {called.netloc, called.netloc.removesuffix(default)}
    if ":" not in called.netloc.rpartition("]")[2]:
        hosts.add(called.netloc + default)
    bare = called.path.rstrip("/")
    paths = {called.path, bare, bare + "/"}
    return {called._replace(netloc=host, path=path).geturl() for host in hosts for path in paths}


def is_one_of(told: str, expected: Iterable[str]) -> bool:
    """Whether a stranger's word is one of the right ones; rule 3."""
    word = told.encode("utf-8", "replace")
    found = False
    for each in expected:
        found |= compare_digest(word, each.encode("utf-8", "replace"))
    return found


@final
@define(eq=False)
class Seen:
    """What has proved itself lately; rule 4."""

    _until_s: OrderedDict[str, float] = field(factory=OrderedDict, init=False)

    def is_new(self, proof: str, *, until_s: float = inf, now_s: float | None = None) -> bool:
        """Whether this proof comes for the first time; it is remembered until then, on the wall's clock."""
        now_s = time.time() if now_s is None else now_s
        if len(proof) > MAX_PROOF_CHARS or self._until_s.get(proof, -inf) > now_s:
            return False
        while self._until_s and (len(self._until_s) >= MEMORY or next(iter(self._until_s.values())) <= now_s):
            self._until_s.popitem(last=False)
        self._until_s[proof] = until_s
        self._until_s.move_to_end(proof)
        return True
