"""How much one address may take of a server, before it is asked what it wants.

Rules
1. An address is an IPv4 address, or the /64 network of an IPv6 address: one customer of a provider has that many. An
   IPv4 address written as IPv6, also by a translator (NAT64), is that IPv4 address. It is that of the socket: what a
   caller writes into ``Forwarded`` or ``X-Forwarded-For`` is its own invention. Behind a proxy every caller has the
   proxy's address, and on a Unix socket all have one.
2. ``max_connections_per_address`` counts connections from accept to close, handshakes included; past it: 429.
3. ``max_handshakes_per_second`` is a bucket for each address, as deep as a second's worth, one at the least; past it:
   429, and Retry-After says when the next one fits.
4. What is remembered of an address goes when it has no connection and its bucket is full. No more than
   ``MAX_ADDRESSES`` are remembered: past that, those longest unheard of without a connection are forgotten.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from math import ceil
from typing import Final, final

import trio
from attrs import define, field, frozen

from ..refusal import Refusal

_TRANSLATED: Final = IPv6Network("64:ff9b::/96")
MAX_ADDRESSES: Final = 10_000
_ROUNDING: Final = 1e-6
"""Who waits as long as it was told, and asks meanwhile, is not refused for what its fractions do not add up to."""


@final
@frozen(kw_only=True)
class AddressLimits:
    """None is no limit."""

    max_connections_per_address: int | None = None
    max_handshakes_per_second: float | None = None


@final
@define(eq=False)
class _Known:
    """What is remembered of one address."""

    tokens: float
    filled_at_s: float
    connections: int = 0


@final
@define(eq=False)
class Addresses:
    """Everybody who is connected, or was a moment ago."""

    _limits: AddressLimits
    _known: dict[str, _Known] = field(factory=dict, init=False)

    def __len__(self) -> int:
        return len(self._known)

    @contextmanager
    def connection(self, address: str) -> Iterator[Refusal | None]:
        """Count a connection while the block runs; what is given is why it is not let in."""
        name = network_of(address)
        known = self._of(name)
        refusal = self._refusal(known)
        known.connections += 1
        try:
            yield refusal
        finally:
            known.connections -= 1
            self._maybe_forget(name, known)

    def _of(self, name: str) -> _Known:
        known = self._known.pop(name, None) or _Known(self._depth, trio.current_time())
        self._known[name] = known  # the last of the dictionary was heard of last
        if len(self._known) > MAX_ADDRESSES:
            oldest = next((key for key, each in self._known.items() if not each.connections), None)
            if oldest is not None and oldest != name:
                del self._known[oldest]
        return known

    @property
    def _depth(self) -> float:
        return max(1.0, self._limits.max_handshakes_per_second or 1.0)

    def _refusal(self, known: _Known) -> Refusal | None:
        limits = self._limits
        most = limits.max_connections_per_address
        if most is not None and known.connections >= most:
            return _too_many(f"there are {most} connections from this address already", 1)
        rate = limits.max_handshakes_per_second
        if rate is None:
            return None
        now_s = trio.current_time()
        known.tokens = min(self._depth, known.tokens + (now_s - known.filled_at_s) * rate)
        known.filled_at_s = now_s
        if known.tokens < 1 - _ROUNDING:
            return _too_many(
                f"this address asks more often than {rate:g} times a second", ceil((1 - known.tokens) / rate)
            )
        known.tokens = max(0.0, known.tokens - 1)
        return None

    def _maybe_forget(self, name: str, known: _Known) -> None:
        rate = self._limits.max_handshakes_per_second
        is_full = rate is None or known.tokens + (trio.current_time() - known.filled_at_s) * rate >= self._depth
        if not known.connections and is_full and self._known.get(name) is known:
            del self._known[name]


def network_of(address: str) -> str:
    """Rule 1."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    if found in _TRANSLATED:
        return str(IPv4Address(int(found) & 0xFFFF_FFFF))
    return str(IPv6Address(int(found) >> 64 << 64))


def _too_many(why: str, retry_after_s: int) -> Refusal:
    return Refusal(status=429, body=f"{why}: try again later\n", headers=(("Retry-After", str(retry_after_s)),))
