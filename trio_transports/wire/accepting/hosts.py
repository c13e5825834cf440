"""Which ``Host`` a caller may name: the guard against DNS rebinding (HAZARDS 47).

A page of another site can have its own name resolve to this machine's address, and is then of the same origin as this
server, as far as the browser can tell. What it cannot do is name the server by an address, or by ``localhost``.
"""

from collections.abc import Collection
from ipaddress import ip_address

from ..refusal import Refusal


def wrong_host(host: str | None, names: Collection[str] = ()) -> Refusal | None:
    """Refuse a ``Host`` other than an IP address, ``localhost``, or one of ``names``; ``"*"`` among them is any."""
    if "*" in names or (host is not None and _is_of_this_server(host, names)):
        return None
    said = "names no host" if host is None else "names a host that this server does not go by"
    return Refusal(status=421, body=f"the request {said}: reach it by its address, or tell it its name\n")


def host_name(host: str) -> str:
    """The name in a ``Host`` header, without its port, in lower case; an IPv6 address without its brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.rpartition(":")[0].lower() if host.count(":") == 1 else host.lower()


def _is_of_this_server(host: str, names: Collection[str]) -> bool:
    name = host_name(host).removesuffix(".")
    return _is_address(name) or name == "localhost" or name.endswith(".localhost") or name in map(str.lower, names)


def _is_address(name: str) -> bool:
    try:
        ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True
