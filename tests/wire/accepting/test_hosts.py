"""Which Host a caller may name."""

import pytest

from trio_transports.wire.accepting.hosts import wrong_host


@pytest.mark.parametrize(
    ("host", "names", "is_right"),
    [
        ("127.0.0.1:8000", (), True),
        ("127.0.0.1", (), True),
        ("[::1]:8000", (), True),
        ("[fe80::1%25eth0]:8000", (), True),
        ("192.168.1.20:8000", (), True),
        ("localhost:8000", (), True),
        ("LOCALHOST", (), True),
        ("localhost.", (), True),
        ("bot.localhost:80", (), True),
        ("evil.example:8000", (), False),
        ("127.0.0.1.evil.example", (), False),
        ("localhost.evil.example:8000", (), False),
        ("evil.example", ("voice.example",), False),
        ("Voice.example:443", ("voice.example",), True),
        ("evil.example", ("*",), True),
        ("", (), False),
        (None, (), False),
        (None, ("*",), True),
        ("[::1", (), True),
        ("a b", (), False),
    ],
)
def test_names(host: str | None, names: tuple[str, ...], *, is_right: bool) -> None:
    """An address and localhost are this server; any other name has to be told to it."""
    refusal = wrong_host(host, names)
    assert (refusal is None) is is_right
    if refusal is not None:
        assert refusal.status == 421
        assert ("names no host" in refusal.body) is (host is None)
