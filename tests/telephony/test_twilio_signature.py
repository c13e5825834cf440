"""Twilio's signature: the published examples, the URL it is taken over, and who is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_transports.telephony import TwilioSignature, twilio_signature
from trio_transports.wire import Peer

TOKEN = "12345"
FORM = {"CallSid": "CA1234567890ABCDE", "Digits": "1234", "To": "+18005551212"}


def upgrade(
    *, token: str = TOKEN, signed: str | None = None, path: str = "/call", query: str = "", **headers: str
) -> Peer:
    """An upgrade of ``signed``, which is the URL that Twilio signs."""
    pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]
    if signed is not None:
        pairs.append(("x-twilio-signature", twilio_signature(token, signed)))
    return Peer(address="127.0.0.1", path=path, query_string=query, headers=tuple(pairs))


async def is_admitted(signature: TwilioSignature, peer: Peer) -> bool:
    refusal = await signature(peer)
    assert refusal is None or refusal.status == 403
    return refusal is None


@pytest.mark.parametrize(
    ("caller", "expected"),
    [("+14158675309", "RSOYDt4T1cUTdK1PDd93/VVr8B8="), ("+12349013030", "0/KCTR6DLpKmkAf8muzZqo1nDgQ=")],
)
def test_published_signatures(caller: str, expected: str) -> None:
    """The two examples in the provider's documentation and its own libraries."""
    form = FORM | {"From": caller, "Caller": caller}
    assert twilio_signature(TOKEN, "https://mycompany.com/myapp.php?foo=1&bar=2", form) == expected


async def test_the_hosts_own_url_is_signed() -> None:
    """Without a URL it is wss, the Host header, the path and the query: TLS may have ended before this server."""
    peer = upgrade(signed="wss://voice.example.com/call?a=b%20c", query="a=b%20c", host="voice.example.com")
    assert await is_admitted(TwilioSignature(TOKEN), peer)


@pytest.mark.parametrize(
    "change",
    [
        {"token": "54321"},
        {"path": "/other"},
        {"query": "x=1"},
        {"host": "other.example.com"},
        {"signed": "ws://voice.example.com/call"},
        {"signed": None},
    ],
)
async def test_anything_else_is_refused(change: dict[str, str]) -> None:
    """A wrong token, another path, query, host or scheme, and no signature at all."""
    right = {"signed": "wss://voice.example.com/call", "host": "voice.example.com"}
    assert not await is_admitted(TwilioSignature(TOKEN), upgrade(**right | change))


async def test_a_configured_url_wins_over_the_request() -> None:
    """Behind a proxy that rewrites host and path, the URL of the TwiML counts."""
    signature = TwilioSignature(TOKEN, url="wss://voice.example.com/public?x=1")
    assert await is_admitted(signature, upgrade(signed="wss://voice.example.com/public?x=1", host="10.0.0.7:8765"))
    assert not await is_admitted(signature, upgrade(signed="wss://10.0.0.7:8765/call", host="10.0.0.7:8765"))


async def test_a_configured_origin_takes_each_requests_path() -> None:
    """One origin serves several TwiML URLs."""
    signature = TwilioSignature(TOKEN, url="wss://voice.example.com")
    for path in ("/a", "/b/c"):
        assert await is_admitted(signature, upgrade(signed=f"wss://voice.example.com{path}", path=path, host="inner"))
    assert not await is_admitted(signature, upgrade(signed="wss://voice.example.com/a", path="/b", host="inner"))


async def test_a_forwarded_host_counts_only_when_trusted() -> None:
    """Anybody can send that header, so believing it is a decision."""
    peer = upgrade(
        signed="wss://voice.example.com/call", host="inner:80", x_forwarded_host="voice.example.com, proxy.example.com"
    )
    assert await is_admitted(TwilioSignature(TOKEN, trust_forwarded=True), peer)
    assert not await is_admitted(TwilioSignature(TOKEN), peer)


async def test_trusting_a_proxy_that_says_nothing_falls_back_to_host() -> None:
    """A direct call to a server that trusts its proxy is checked against Host."""
    peer = upgrade(signed="wss://voice.example.com/call", host="voice.example.com")
    assert await is_admitted(TwilioSignature(TOKEN, trust_forwarded=True), peer)


@pytest.mark.parametrize(
    ("signed", "host", "path"),
    [
        ("wss://example.com/call", "example.com:443", "/call"),
        ("wss://example.com:443/call", "example.com", "/call"),
        ("wss://example.com:8443/call", "example.com:8443", "/call"),
        ("wss://[2001:db8::1]/call", "[2001:db8::1]:443", "/call"),
        ("wss://[2001:db8::1]:443/call", "[2001:db8::1]", "/call"),
        ("wss://example.com", "example.com", "/"),
        ("wss://example.com/", "example.com", "/"),
        ("wss://example.com/call/", "example.com", "/call"),
        ("wss://example.com/call", "example.com", "/call/"),
    ],
)
async def test_the_default_port_and_the_last_slash_may_differ(signed: str, host: str, path: str) -> None:
    """Twilio and what stands between write the same URL in these ways."""
    assert await is_admitted(TwilioSignature(TOKEN), upgrade(signed=signed, host=host, path=path))


async def test_another_port_is_another_url() -> None:
    """Only the default port is interchangeable with none."""
    peer = upgrade(signed="wss://example.com/call", host="example.com:8443")
    assert not await is_admitted(TwilioSignature(TOKEN), peer)


async def test_a_refusal_names_the_url() -> None:
    """So that whoever set up the proxy sees which URL was checked; the token is not in it."""
    refusal = await TwilioSignature("hidden-token")(upgrade(host="inner:80"))
    assert refusal is not None
    assert "wss://inner:80/call" in refusal.body
    assert "hidden" not in refusal.body


@given(
    signature=st.text(max_size=40),
    host=st.text(max_size=40),
    path=st.text(max_size=40),
    query=st.text(max_size=40),
    forwarded=st.text(max_size=40),
)
async def test_strangers_are_refused_whatever_they_send(
    signature: str, host: str, path: str, query: str, forwarded: str
) -> None:
    """No text in any header, path or query raises or gets in."""
    headers = (("X-Twilio-Signature", signature), ("Host", host), ("X-Forwarded-Host", forwarded))
    peer = Peer(path=path, query_string=query, headers=headers)
    for authorize in (TwilioSignature(TOKEN, trust_forwarded=True), TwilioSignature(TOKEN, url="wss://example.com")):
        assert not await is_admitted(authorize, peer)


@pytest.mark.parametrize("url", ["", "voice.example.com", "https://voice.example.com", "wss://", "wss://a/#b", 7])
def test_a_url_that_no_twiml_can_name_is_refused(url: str) -> None:
    """It would refuse every caller; better to be told at once."""
    with pytest.raises(ValueError, match=r"TwilioSignature\.url must be the URL that the TwiML names"):
        TwilioSignature(TOKEN, url=url)


def test_the_token_is_required_and_hidden() -> None:
    """An empty token would let anybody sign."""
    with pytest.raises(ValueError, match=r"TwilioSignature\.auth_token must not be empty"):
        TwilioSignature("")
    assert "hidden" not in repr(TwilioSignature("hidden"))
