"""Where the Redis server is at the moment: at the one address given, or where Sentinels or a cluster say.

Rules
1. It is asked again before each connection: after a failover the next attempt goes to the new server.
2. Sentinels are asked one after another for the master of ``service_name``. Nodes of a cluster are asked who has
   ``key``; the one that has answers itself. The first answer counts; no answer at all is a lost connection.
3. All keys of a bus in a cluster have the channel in braces, so one node has them all.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeAlias, final

from attrs import define, field

from ..._extras import require

require("coredis", extra="redis", needed_by="trio_transports.bus.redis")

from coredis import exceptions as coredis_exceptions  # noqa: E402

HostPort: TypeAlias = tuple[str, int]
Ask: TypeAlias = Callable[[HostPort, tuple[bytes | str, ...], bool], Awaitable[Any]]
"""Sends one command to a server at an address, with the bus's own name and password or without, and gives the reply."""

UNREACHABLE: Final = (coredis_exceptions.RedisError, OSError)


@final
@define(eq=False)
class ServerAddresses:
    """What a bus was told of where its server is."""

    sentinels: Sequence[HostPort] = ()
    service_name: str = ""
    startup_nodes: Sequence[HostPort] = ()
    key: str = ""
    _known: list[HostPort] = field(factory=list, init=False)
    """Nodes of the cluster that were named since."""

    @property
    def is_fixed(self) -> bool:
        return not self.sentinels and not self.startup_nodes

    def __str__(self) -> str:
        if self.sentinels:
            return f"the master {self.service_name!r} of {len(self.sentinels)} Sentinels"
        return f"a cluster of which {', '.join(f'{host}:{port}' for host, port in self.startup_nodes)} are known"

    async def find(self, ask: Ask) -> HostPort:
        """Ask where the server is. Cancelling it changes nothing."""
        cause: Exception | None = None
        for address in self.sentinels or (*self._known, *self.startup_nodes):
            try:
                if self.sentinels:
                    reply = await ask(address, (b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", self.service_name), False)
                    if reply:
                        return _text(reply[0]), int(reply[1])
                    cause = ConnectionError(f"the Sentinel at {address} knows no master {self.service_name!r}")
                else:
                    await ask(address, (b"EXISTS", self.key), True)
                    return address
            except coredis_exceptions.MovedError as exc:
                self._known = [(exc.host or address[0], exc.port)]
                return self._known[0]
            except UNREACHABLE as exc:
                cause = exc
        self._known.clear()
        raise ConnectionError(f"{self} cannot be found: {cause}") from cause


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode()
