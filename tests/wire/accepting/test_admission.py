"""Who is let in."""

import pytest
import trio

from trio_transports import AsgiWebsocketParams, WebsocketServerParams
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.wire import Peer
from trio_transports.wire.accepting.admission import Authorize, admit
from trio_transports.wire.refusal import Refusal


def caller(origin: str | None = None, host: str | None = None) -> Peer:
    named = (("Origin", origin), ("Host", host))
    headers = tuple((name, value) for name, value in named if value is not None)
    return Peer(address="10.0.0.7", headers=headers)


@pytest.mark.parametrize(
    ("origin", "allowed", "is_in"),
    [
        ("https://good.example", ["https://good.example"], True),
        ("HTTPS://GOOD.example", ["https://good.example"], True),
        ("https://good.example:443", ["https://good.example"], True),
        ("http://good.example", ["http://good.example:80"], True),
        ("https://good.example:8443", ["https://good.example"], False),
        ("http://good.example", ["https://good.example"], False),
        ("https://evil.good.example", ["https://good.example"], False),
        ("https://good.example.evil", ["https://good.example"], False),
        ("https://good.example@evil.example", ["https://good.example"], False),
        ("https://[::1]:8000", ["https://[::1]:8000"], True),
        ("https://good.example:port", ["https://good.example"], False),
        ("https://good.example:port", ["https://good.example:other"], False),
        ("null", ["https://good.example"], False),
        ("null", ["null"], True),
        ("https://any.example", ["*"], True),
        ("", ["https://good.example"], False),
        ("https://good.example", [], False),
        (None, ["https://good.example"], True),
        (None, [], True),
        ("https://any.example", None, False),
    ],
)
async def test_origins(origin: str | None, allowed: list[str] | None, *, is_in: bool) -> None:
    """An origin is let in by scheme, host and port, in any case; who names none is no browser."""
    refusal = await admit(caller(origin), allowed_origins=allowed)
    assert (refusal is None) is is_in
    if refusal is not None:
        assert refusal.status == 403
        assert refusal.body.startswith("origin not allowed: ")


@pytest.mark.parametrize(
    ("origin", "host", "is_in"),
    [
        ("https://voice.example", "voice.example", True),
        ("https://VOICE.example:443", "voice.example", True),
        ("http://localhost:3000", "localhost:8765", True),
        ("http://127.0.0.1:3000", "127.0.0.1:8765", True),
        ("http://[::1]:3000", "[::1]:8765", True),
        ("https://evil.example", "voice.example", False),
        ("https://voice.example.evil.example", "voice.example", False),
        ("https://voice.example@evil.example", "voice.example", False),
        ("http://localhost:3000", "127.0.0.1:8765", False),
        ("null", "voice.example", False),
        ("https://voice.example", None, False),
        ("", "", False),
        (None, "voice.example", True),
    ],
)
async def test_origins_by_default(origin: str | None, host: str | None, *, is_in: bool) -> None:
    """Pages of the same host get in, on any port, and no others; the answer says what would let them in."""
    refusal = await admit(caller(origin, host))
    assert (refusal is None) is is_in
    if refusal is not None:
        assert refusal.status == 403
        assert "allowed_origins" in refusal.body


async def test_an_origin_forges_no_line() -> None:
    """What is said of it is escaped, and cut."""
    refusal = await admit(caller("https://x/\r\nall is well" + "x" * 1000))
    assert refusal is not None
    assert refusal.body.strip().isprintable()
    assert len(refusal.body) < 400


def answering(answer: object) -> Authorize:
    async def authorize(_peer: Peer) -> bool | int | Refusal | None:
        await trio.lowlevel.checkpoint()
        return answer  # type: ignore[return-value]

    return authorize


@pytest.mark.parametrize(
    ("answer", "status"),
    [(None, None), (True, None), (False, 401), (300, 300), (402, 402), (599, 599), (Refusal(status=418), 418)],
)
async def test_answers_of_authorize(answer: object, status: int | None) -> None:
    """None and True let in; False, a status and a Refusal do not."""
    refusal = await admit(caller(), authorize=answering(answer))
    assert (refusal.status if refusal else None) == status


@pytest.mark.parametrize("answer", [0, 200, 299, 600, 1000, "yes", object()])
async def test_an_answer_that_means_nothing_lets_nobody_in(answer: object, caplog: pytest.LogCaptureFixture) -> None:
    """What authorize may not answer is logged, and the caller gets 500."""
    refusal = await admit(caller(), authorize=answering(answer))
    assert refusal is not None
    assert refusal.status == 500
    assert "authorize answered" in caplog.text


async def test_a_crash_of_authorize_lets_nobody_in(caplog: pytest.LogCaptureFixture) -> None:
    """An authorize that raises is logged with its traceback, and the caller gets 500 without a word of it."""

    async def authorize(_peer: Peer) -> None:
        raise RuntimeError("the secret database is down")

    refusal = await admit(caller(), authorize=authorize)
    assert refusal == Refusal(status=500, body="internal error")
    assert "the secret database is down" in caplog.text


async def test_an_origin_is_refused_before_anything_is_asked() -> None:
    """Authorize is not called for a page that is not allowed."""
    asked: list[Peer] = []

    async def authorize(peer: Peer) -> None:
        asked.append(peer)

    await admit(caller("https://evil.example"), allowed_origins=["https://good.example"], authorize=authorize)
    assert asked == []


@pytest.mark.parametrize(
    "origin",
    [
        "good.example",
        "good.example:443",
        "localhost:3000",
        "//good.example",
        "https://",
        "https:good.example",
        "https://good.example/app",
        "https://good.example?x",
        "https://user@good.example",
        "https://good.example:port",
        "https://good.example:0",
        "https://*.good.example",
        "https://münchen.example",
        "https://[::1",
        "",
    ],
)
async def test_an_entry_that_matches_nothing_is_a_mistake(origin: str) -> None:
    """An allowed origin that no browser can name is refused where it is given, by both that accept callers."""
    for params in (WebsocketServerParams, AsgiWebsocketParams):
        with pytest.raises(ValueError, match=rf"{params.__name__}\.allowed_origins has .* nothing matches"):
            params(serializer=JSONFrameSerializer(), allowed_origins=["https://good.example", origin])


@pytest.mark.parametrize(
    ("entry", "origin"),
    [
        ("https://good.example/", "https://good.example"),
        (" HTTPS://Good.Example:443 ", "https://good.example"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("chrome-extension://abcdef", "chrome-extension://abcdef"),
        ("https://xn--mnchen-3ya.example", "https://xn--mnchen-3ya.example"),
        ("null", "null"),
        ("*", "https://any.example"),
    ],
)
async def test_an_entry_that_is_accepted_matches(entry: str, origin: str) -> None:
    """What the parameters accept as an origin lets that origin in."""
    params = WebsocketServerParams(serializer=JSONFrameSerializer(), allowed_origins=[entry])
    assert await admit(caller(origin), allowed_origins=params.allowed_origins) is None
