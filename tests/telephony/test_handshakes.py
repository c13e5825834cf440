"""Who is let in by each provider's own proof: the right one once, and nobody else whatever they send."""

import hmac
import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from trio_transports.telephony import BasicAuth, GenesysSignature, PlivoSignature, TelnyxToken, VonageJWT
from trio_transports.telephony.genesys import COMPONENTS, genesys_signature
from trio_transports.telephony.handshake import MEMORY, Seen
from trio_transports.telephony.plivo import plivo_signature
from trio_transports.wire import Peer
from trio_transports.wire.refusal import Refusal

Authorize: TypeAlias = Callable[[Peer], Awaitable[Refusal | None]]
NOW_S = 1_800_000_000.0
SECRET = "s3cret"


def upgrade(path: str = "/call", query: str = "", **headers: str) -> Peer:
    pairs = {"Host": "voice.example.com", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return Peer(address="127.0.0.1", path=path, query_string=query, headers=tuple(pairs.items()))


async def is_admitted(authorize: Authorize, peer: Peer) -> bool:
    refusal = await authorize(peer)
    assert refusal is None or (refusal.status in (401, 403) and SECRET not in refusal.body)
    return refusal is None


# Plivo


def plivo_peer(url: str = "wss://voice.example.com/call", nonce: str = "12345", token: str = SECRET) -> Peer:
    return upgrade(X_Plivo_Signature_V3=plivo_signature(token, url, nonce), X_Plivo_Signature_V3_Nonce=nonce)


def test_plivo_by_its_definition() -> None:
    """HMAC-SHA256 over URL, dot and nonce."""
    expected = b64encode(hmac.digest(b"token", b"wss://a.example/b?c=d.77", "sha256")).decode()
    assert plivo_signature("token", "wss://a.example/b?c=d", "77") == expected


@pytest.mark.parametrize(
    "url",
    [
        "wss://voice.example.com/call",
        "wss://voice.example.com:443/call",
        "https://voice.example.com/call",
        "wss://voice.example.com/call/",
    ],
)
async def test_plivo_is_admitted_once(url: str) -> None:
    """A signature lets one call in; sent again it is a replay. Another nonce is another call."""
    authorize = PlivoSignature(SECRET)
    for nonce in ("1", "2"):
        assert await is_admitted(authorize, plivo_peer(url, nonce))
        for _ in range(2):
            assert not await is_admitted(authorize, plivo_peer(url, nonce))


async def test_plivo_with_two_tokens() -> None:
    """While tokens are changed there are two signatures, and either is enough."""
    right = plivo_signature(SECRET, "wss://voice.example.com/call", "n")
    peer = upgrade(X_Plivo_Signature_V3=f"wrong, {right}", X_Plivo_Signature_V3_Nonce="n")
    assert await is_admitted(PlivoSignature(SECRET), peer)


@pytest.mark.parametrize(
    "peer",
    [
        upgrade(),
        plivo_peer(token="another"),
        plivo_peer("wss://voice.example.com/other"),
        plivo_peer("ws://voice.example.com/call"),
        plivo_peer(nonce=""),
        upgrade(X_Plivo_Signature_V3_Nonce="1"),
        upgrade(X_Plivo_Signature_V3=",".join(["x"] * 100), X_Plivo_Signature_V3_Nonce="1"),
    ],
)
async def test_others_are_not_plivo(peer: Peer) -> None:
    """A wrong token, URL or scheme, no nonce, no signature."""
    assert not await is_admitted(PlivoSignature(SECRET), peer)


async def test_plivo_behind_a_proxy() -> None:
    """The URL that the XML names counts, or the forwarded host where that is trusted."""
    peer = Peer(
        path="/inner", headers=(*plivo_peer("wss://public.example.com/call").headers, ("x-forwarded-host", "p"))
    )
    assert await is_admitted(PlivoSignature(SECRET, url="wss://public.example.com/call"), peer)
    assert not await is_admitted(PlivoSignature(SECRET), peer)


# Vonage


def jwt(claims: dict[str, object], *, secret: str = SECRET, alg: str = "HS256") -> str:
    def part(value: object) -> str:
        return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    signed = f"{part({'alg': alg, 'typ': 'JWT'})}.{part(claims)}"
    signature = hmac.digest(secret.encode(), signed.encode(), "sha256")
    return f"{signed}.{urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def vonage(**settings: object) -> VonageJWT:
    return VonageJWT(SECRET, now_s=lambda: NOW_S, **settings)  # type: ignore[arg-type]


CLAIMS: dict[str, object] = {"iat": NOW_S - 5, "jti": "j1", "api_key": "k1", "iss": "Vonage"}


async def test_vonage_is_admitted_once() -> None:
    """A token lets one call in; sent again it is a replay. Without an id the signature is one."""
    authorize = vonage(api_key="k1")
    anonymous = {name: value for name, value in CLAIMS.items() if name != "jti"}
    for claims in (CLAIMS, CLAIMS | {"jti": "j2"}, anonymous, CLAIMS | {"jti": "j3", "exp": NOW_S + 1}):
        peer = upgrade(Authorization=f"Bearer {jwt(claims)}")
        assert await is_admitted(authorize, peer)
        for _ in range(2):
            assert not await is_admitted(authorize, peer)


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        jwt(CLAIMS),
        f"Basic {jwt(CLAIMS)}",
        "Bearer a.b.c",
        "Bearer " + "x." * 5000,
        f"Bearer {jwt(CLAIMS, secret='another')}",
        f"Bearer {jwt(CLAIMS, alg='none')}",
        f"Bearer {jwt(CLAIMS, alg='HS512')}",
        f"Bearer {jwt(CLAIMS | {'iat': NOW_S - 1000})}",
        f"Bearer {jwt(CLAIMS | {'iat': NOW_S + 1000})}",
        f"Bearer {jwt(CLAIMS | {'iat': True})}",
        f"Bearer {jwt(CLAIMS | {'iat': '5'})}",
        f"Bearer {jwt({'jti': 'x', 'api_key': 'k1'})}",
        f"Bearer {jwt(CLAIMS | {'exp': NOW_S - 100})}",
        f"Bearer {jwt(CLAIMS | {'api_key': 'k2'})}",
        f"Bearer {jwt(CLAIMS).rpartition('.')[0]}.",
    ],
)
async def test_others_are_not_vonage(authorization: str) -> None:
    """No token, another secret or algorithm, too old, too new, expired, of another account."""
    assert not await is_admitted(vonage(api_key="k1"), upgrade(Authorization=authorization))


# Genesys

EXAMPLE = {
    "Host": "audiohook.example.com",
    "Audiohook-Organization-Id": "d7934305-0972-4844-938e-9060eef73d05",
    "Audiohook-Session-Id": "30b0e395-84d3-4570-ac13-9a62d8f514c0",
    "Audiohook-Correlation-Id": "e160e428-53e2-487c-977d-96989bf5c99d",
    "X-API-KEY": "SGVsbG8sIEkgYW0gdGhlIEFQSSBrZXkh",
    "Signature": "sig1=:NZBwyBHRRyRoeLqy1IzOa9VYBuI8TgMFt2GRDkDuJh4=:",
    "Signature-Input": 'sig1=("@request-target" "@authority" "audiohook-organization-id" "audiohook-session-id" '
    '"audiohook-correlation-id" "x-api-key");keyid="SGVsbG8sIEkgYW0gdGhlIEFQSSBrZXkh";nonce="VGhpc0lzQVVuaXF1ZU5vbmNl";'
    'alg="hmac-sha256";created=1641013200;expires=3282026430',
}
EXAMPLE_KEY, EXAMPLE_SECRET = EXAMPLE["X-API-KEY"], "TXlTdXBlclNlY3JldEtleVRlbGxOby0xITJAMyM0JDU="
EXAMPLE_PATH, EXAMPLE_S = "/api/v1/voicebiometrics/ws", 1641013200.0


def genesys(now_s: float = EXAMPLE_S, **settings: object) -> GenesysSignature:
    return GenesysSignature(EXAMPLE_KEY, EXAMPLE_SECRET, now_s=lambda: now_s, **settings)  # type: ignore[arg-type]


def genesys_peer(
    path: str = EXAMPLE_PATH,
    query: str = "",
    secret: bytes | None = None,
    names: tuple[str, ...] = COMPONENTS,
    **given: str,
) -> Peer:
    """Signed by the definition, with other parameters than the published example's."""
    from base64 import b64decode

    told = {
        "keyid": f'"{EXAMPLE_KEY}"',
        "nonce": '"0123456789abcdefghijkl"',
        "alg": '"hmac-sha256"',
        "created": "1641013200",
    }
    parameters = "(" + " ".join(f'"{name}"' for name in names) + ")"
    parameters += "".join(f";{name}={value}" for name, value in (told | given).items() if value)
    headers = {name: value for name, value in EXAMPLE.items() if not name.startswith("Signature")}
    values = {name.lower(): value for name, value in headers.items()}
    target = path + (f"?{query}" if query else "")
    values |= {"@request-target": target, "@authority": headers["Host"]}
    signature = genesys_signature(secret or b64decode(EXAMPLE_SECRET), values, names, parameters)
    headers |= {"Signature": f"s=:{signature}:", "Signature-Input": f"s={parameters}"}
    return Peer(path=path, query_string=query, headers=tuple(headers.items()))


async def test_the_published_example(autojump_clock: MockClock) -> None:
    """The example of the provider's documentation is right, once; any header changed it is not."""
    peer = Peer(path=EXAMPLE_PATH, headers=tuple(EXAMPLE.items()))
    authorize = genesys()
    assert await is_admitted(authorize, peer)
    assert not await is_admitted(authorize, peer)
    for name, value in EXAMPLE.items():
        changed = EXAMPLE | {name: value[:-3] + "xxx"}
        assert not await is_admitted(genesys(), Peer(path=EXAMPLE_PATH, headers=tuple(changed.items())))
        missing = tuple(pair for pair in EXAMPLE.items() if pair[0] != name)
        assert not await is_admitted(genesys(), Peer(path=EXAMPLE_PATH, headers=missing))
    assert not await is_admitted(genesys(), Peer(path="/other", headers=tuple(EXAMPLE.items())))


async def test_genesys_query_and_time(autojump_clock: MockClock) -> None:
    """The query is signed with the path; ten seconds is how old a signature may be."""
    assert await is_admitted(genesys(), genesys_peer(query="a=b"))
    for age_s, expected in ((-4, True), (-6, False), (9, True), (11, False)):
        assert await is_admitted(genesys(EXAMPLE_S + age_s), genesys_peer()) is expected


@pytest.mark.parametrize(
    "peer",
    [
        genesys_peer(nonce='"short"'),
        genesys_peer(nonce=""),
        genesys_peer(keyid='"another"'),
        genesys_peer(alg='"rsa-sha512"'),
        genesys_peer(created=""),
        genesys_peer(expires="1641013199"),
        genesys_peer(names=COMPONENTS[1:]),
        genesys_peer(secret=b"another"),
        Peer(path=EXAMPLE_PATH),
    ],
)
async def test_others_are_not_genesys(peer: Peer, autojump_clock: MockClock) -> None:
    """A short nonce, another key, algorithm or secret, no time, too few components."""
    assert not await is_admitted(genesys(), peer)


async def test_a_refusal_takes_half_a_second(autojump_clock: MockClock) -> None:
    """Whatever was wrong, Genesys is told after 500 ms; who is right does not wait."""
    for peer, expected_s in ((genesys_peer(), 0.0), (genesys_peer(), 0.5), (Peer(), 0.5)):
        authorize = genesys() if not expected_s else GenesysSignature("other", EXAMPLE_SECRET)
        began_s = trio.current_time()
        await authorize(peer)
        assert trio.current_time() - began_s == pytest.approx(expected_s)


def test_a_secret_that_is_none() -> None:
    """A secret that is no base64 is found where it is set."""
    with pytest.raises(ValueError, match=r"GenesysSignature\.client_secret must be base64"):
        GenesysSignature("key", "not base64!")


# Tokens and passwords


async def test_telnyx_and_its_token() -> None:
    """The token alone or behind Bearer, in the header it was said to be in."""
    for value, expected in ((SECRET, True), (f"Bearer {SECRET}", True), ("", False), ("Bearer x", False)):
        assert await is_admitted(TelnyxToken(SECRET), upgrade(Authorization=value)) is expected
        assert await is_admitted(TelnyxToken(SECRET, header="X-Token"), upgrade(X_Token=value)) is expected
    assert not await is_admitted(TelnyxToken(SECRET), upgrade())


async def test_basic() -> None:
    """The right user and password; a refusal says which scheme is wanted."""
    right = b64encode(f"ada:{SECRET}".encode()).decode()
    authorize = BasicAuth("ada", SECRET)
    for value in (f"Basic {right}", f"basic {right}"):
        for _ in range(2):
            assert await is_admitted(authorize, upgrade(Authorization=value))
    for value in ("", right, f"Bearer {right}", "Basic " + b64encode(b"ada:x").decode(), "Basic ?"):
        assert not await is_admitted(authorize, upgrade(Authorization=value))
    refusal = await authorize(upgrade())
    assert refusal is not None
    assert dict(refusal.headers)["WWW-Authenticate"].startswith("Basic")
    with pytest.raises(ValueError, match="no colon"):
        BasicAuth("a:b", "c")


def every() -> list[Authorize]:
    return [
        PlivoSignature(SECRET, trust_forwarded=True),
        vonage(),
        TelnyxToken(SECRET),
        BasicAuth("ada", SECRET),
    ]


@settings(max_examples=60, deadline=None)
@given(
    headers=st.dictionaries(
        st.sampled_from(
            ["Authorization", "Host", "X-Forwarded-Host", "X-Plivo-Signature-V3", "X-Plivo-Signature-V3-Nonce"]
        ),
        st.one_of(st.text(max_size=60), st.text(max_size=40).map(lambda text: f"Bearer {text}.{text}.{text}")),
    ),
    path=st.text(max_size=20),
    query=st.text(max_size=20),
)
async def test_strangers_are_refused_whatever_they_send(headers: dict[str, str], path: str, query: str) -> None:
    """No text in any header, path or query raises or gets in."""
    peer = Peer(path=path, query_string=query, headers=tuple(headers.items()))
    for authorize in every():
        assert not await is_admitted(authorize, peer)


@settings(max_examples=100, deadline=None)
@given(told=st.text(max_size=200), signature=st.text(max_size=60))
def test_strangers_are_not_genesys(told: str, signature: str) -> None:
    """No Signature-Input raises or gets in, one that begins rightly neither."""
    for text in (told, EXAMPLE["Signature-Input"][: len(told)] + told):
        headers = EXAMPLE | {"Signature-Input": text, "Signature": signature}
        assert not genesys().is_signed(Peer(path=EXAMPLE_PATH, headers=tuple(headers.items())))


@pytest.mark.parametrize(
    "make",
    [lambda: PlivoSignature(""), lambda: VonageJWT(""), lambda: TelnyxToken(""), lambda: BasicAuth("u", "")],
)
def test_secrets_are_required(make: Callable[[], object]) -> None:
    """An empty secret would let anybody in."""
    with pytest.raises(ValueError, match="must not be empty"):
        make()


def test_secrets_are_hidden() -> None:
    """No repr shows one."""
    assert SECRET not in repr([*every(), genesys()])
    assert EXAMPLE_SECRET not in repr(genesys())


class TestSeen:
    def test_once(self) -> None:
        """A proof is new once, until its time is over; then it is no proof any more for whoever checks that first."""
        seen = Seen()
        assert seen.is_new("a", until_s=10, now_s=0)
        assert not seen.is_new("a", until_s=10, now_s=9)
        assert seen.is_new("a", until_s=30, now_s=20)
        assert not seen.is_new("a", until_s=30, now_s=21)

    def test_it_is_bounded(self) -> None:
        """It remembers so many, and the oldest goes first; one too long to be kept is not new."""
        seen = Seen()
        for number in range(MEMORY + 10):
            assert seen.is_new(str(number), now_s=0)
        assert not seen.is_new(str(MEMORY + 9), now_s=0)
        assert seen.is_new("0", now_s=0)
        assert not seen.is_new("x" * 1000, now_s=0)
