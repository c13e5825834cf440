"""A WebSocket address, taken apart."""

import pytest

from trio_transports.wire.dialling import Address


@pytest.mark.parametrize(
    ("url", "port", "header", "resource"),
    [
        ("ws://host", 80, "host", "/"),
        ("ws://host:80/", 80, "host", "/"),
        ("ws://host:443/", 443, "host:443", "/"),
        ("wss://host/call?token=t", 443, "host", "/call?token=t"),
        ("wss://host:443/call", 443, "host", "/call"),
        ("wss://host:80?x", 80, "host:80", "/?x"),
        ("wss://[::1]/", 443, "[::1]", "/"),
        ("ws://[::1]:8765/", 8765, "[::1]:8765", "/"),
        ("ws://MÜNCHEN.example/", 80, "xn--mnchen-3ya.example", "/"),
    ],
)
def test_what_is_asked_for_and_where(url: str, port: int, header: str, resource: str) -> None:
    """The port of its kind where it names none; and Host names no port that its kind has anyway."""
    address = Address.parse(url)
    assert (address.port, address.host_header, address.resource) == (port, header, resource)
    assert address.is_secure is url.startswith("wss")
    assert "token=t" not in f"{address} {address!r}"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://host/", "write ws://host:port/path"),
        ("ws:///path", "write ws://host:port/path"),
        ("ws://host:port/", "is not a WebSocket URL: "),
        ("ws://host:65536/", "is not a WebSocket URL: "),
        ("ws://host/a b", "its path or query has ' '; write %20 for it"),
        ("ws://host/ü", "its path or query has 'ü'; write %C3%BC for it"),
        ("ws://host/?a\x7fb", "its path or query has '\\x7f'; write %7F for it"),
    ],
)
def test_what_is_none_is_told(url: str, why: str) -> None:
    """Without its query."""
    with pytest.raises(ValueError) as caught:
        Address.parse(url)
    assert why in str(caught.value)


@pytest.mark.parametrize("character", ["!", "~"])
def test_every_printable_character_may_be_in_it(character: str) -> None:
    assert Address.parse(f"ws://host/{character}").resource == f"/{character}"


def test_bytes_are_no_address() -> None:
    with pytest.raises(TypeError, match="is a str like ws://host:port/path, not bytes"):
        Address.parse(b"ws://host/")  # type: ignore[arg-type]
