"""``/start`` and its tokens: what clients are told, who is let in with it, and what is refused."""

import hmac
import json
from collections.abc import Sequence
from math import inf, nan
from string import ascii_letters, digits
from typing import Any

import pytest
import trio
from attrs import define, evolve, field
from trio.testing import MockClock

from trio_transports import AsgiWebsocketParams, Session
from trio_transports.frames import JSONValue
from trio_transports.playground import StartTokens, bot_routes, routed
from trio_transports.playground.asgi import MAX_BODY_BYTES, Route
from trio_transports.playground.routes import bot_params
from trio_transports.playground.start import start_route, with_tokens
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.wire.accepting.admission import admit
from trio_transports.wire.peer import Peer
from trio_transports.wire.refusal import Refusal


@define(eq=False)
class Answer:
    status: int = 0
    headers: dict[str, str] = field(factory=dict)
    body: bytes = b""

    @property
    def document(self) -> Any:  # noqa: ANN401 - whatever was answered
        return json.loads(self.body)


async def ask(
    route: Route,
    method: str,
    path: str,
    body: Sequence[bytes] = (b"",),
    *,
    host: str = "127.0.0.1:80",
    scheme: str = "http",
    root: str = "",
    **headers: str,
) -> Answer:
    """Call an ASGI app by hand."""
    found, parts = Answer(), list(body)
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "http",
        "method": method,
        "path": path.partition("?")[0],
        "root_path": root,
        "scheme": scheme,
        "query_string": path.partition("?")[2].encode(),
        "headers": [(b"host", host.encode()), *named],
    }

    async def receive() -> dict[str, Any]:
        if not parts:
            return {"type": "http.disconnect"}
        part = parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(parts)}

    async def send(event: Any) -> None:  # noqa: ANN401 - an ASGI event
        if event["type"] == "http.response.start":
            found.status = event["status"]
            found.headers = {name.decode(): value.decode() for name, value in event["headers"]}
        else:
            found.body += event["body"]

    await route(scope, receive, send)
    return found


async def ignore(session: Session) -> None:
    async for _ in session.input:
        pass


@pytest.mark.parametrize("body", [b"", b"{}", b'{"any": ["thing"]}', b"[]", b" null "])
async def test_a_post_is_told_where_to_go(body: bytes) -> None:
    """Any JSON, or none, is answered with the socket's address and nothing that the clients refuse."""
    answer = await ask(start_route(), "POST", "/start", (body,))
    assert answer.status == 200
    assert answer.document == {"ws_url": "ws://127.0.0.1:80/ws"}
    assert answer.headers["content-type"] == "application/json"


async def test_the_address_is_the_callers_own() -> None:
    """TLS, a name, a path in front and a public address show in what the client is told."""
    secure = await ask(start_route(), "POST", "/start", scheme="https", host="bot.example")
    assert secure.document == {"ws_url": "wss://bot.example/ws"}
    public = start_route("/talk", public_url="https://bot.example/mine/")
    assert (await ask(public, "POST", "/start")).document == {"ws_url": "wss://bot.example/mine/talk"}


async def test_the_body_reaches_the_application() -> None:
    """What the client asks with is given to ``on_start`` before the answer."""
    asked: list[JSONValue] = []

    async def on_start(body: JSONValue) -> None:
        asked.append(body)

    route = start_route(on_start=on_start)
    assert (await ask(route, "POST", "/start", (b'{"voice":', b' "low"}'))).status == 200
    assert (await ask(route, "POST", "/start")).status == 200
    assert asked == [{"voice": "low"}, None]


@pytest.mark.parametrize(
    ("method", "body", "status", "why"),
    [
        ("GET", (b"",), 405, "only POST"),
        ("POST", (b"{",), 400, "not JSON"),
        ("POST", (b"\xff",), 400, "not JSON"),
        ("POST", (b"[" * 100_000,), 413, "at most"),
        ("POST", (b" " * MAX_BODY_BYTES, b" "), 413, "at most"),
        ("POST", (), 413, "gone"),
    ],
)
async def test_what_is_refused(method: str, body: Sequence[bytes], status: int, why: str) -> None:
    """Under the name that clients show (``detail``), with a status that says whose fault it is."""
    answer = await ask(start_route(), method, "/start", body)
    assert answer.status == status
    assert why in answer.document["detail"]


async def test_deep_nesting_is_refused() -> None:
    """A body within the bound that nests too deeply is the caller's mistake, not a crash."""
    answer = await ask(start_route(), "POST", "/start", (b"[" * 60_000,))
    assert answer.status == 400


async def test_pages_of_other_origins() -> None:
    """One that is allowed is answered with CORS, its preflight too; another is refused; one's own needs nothing."""
    route = start_route(allowed_origins=["https://app.example"])
    answer = await ask(route, "POST", "/start", origin="https://app.example")
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    preflight = await ask(route, "OPTIONS", "/start", origin="https://app.example")
    assert preflight.status == 204
    assert "content-type" in preflight.headers["access-control-allow-headers"]
    refused = await ask(route, "POST", "/start", origin="https://evil.example")
    assert refused.status == 403
    assert "access-control-allow-origin" not in refused.headers
    own = await ask(route, "POST", "/start", origin="http://127.0.0.1:80")
    assert own.status == 200
    for odd in ("null", "http://[", "http://127.0.0.1:80@evil.example", "ftp://127.0.0.1:80", "é"):
        assert (await ask(route, "POST", "/start", origin=odd)).status == 403


async def knock(app: Route, path: str, *, host: str = "127.0.0.1:80", extensions: Sequence[str] = ()) -> list[Any]:
    """Ask an app for a WebSocket, by hand, and give what it answers."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(event: Any) -> None:  # noqa: ANN401 - what ASGI allows
        sent.append(event)

    scope = {
        "type": "websocket",
        "path": path.partition("?")[0],
        "query_string": path.partition("?")[2].encode(),
        "headers": [(b"host", host.encode())],
        "extensions": {each: {} for each in extensions},
    }
    await app(scope, receive, send)
    return sent


@pytest.mark.parametrize("path", ["/start", "/", "/about", "/status", "/nowhere"])
async def test_a_websocket_is_refused_where_there_is_none(path: str) -> None:
    """Someone who opens one at /start, or at a page, is refused before the upgrade, and told where it is."""
    app = routed(bot_routes(ignore))
    assert [event["type"] for event in await knock(app, path)] == ["websocket.close"]
    start, body = await knock(app, path, extensions=["websocket.http.response"])
    assert start["status"] == 404
    assert b"/ws" in body["body"]


@pytest.mark.parametrize(
    ("path", "host", "status", "why"),
    [
        ("/ws", "evil.example", 421, b"tell it its name"),
        ("/ws?dialect=morse", "127.0.0.1", 400, b"dialect must be one of asterisk, "),
        ("/ws?pcm=7999", "127.0.0.1", 400, b"pcm a rate in Hz from 8000 to 192000"),
        ("/ws?pcm=16000", "127.0.0.1", 503, b"try again later"),
    ],
)
async def test_a_caller_is_told_why_it_is_refused(path: str, host: str, status: int, why: bytes) -> None:
    """By a status and a sentence, where the server knows others than 403."""
    app = routed(bot_routes(ignore, max_sessions=0))
    assert [event["type"] for event in await knock(app, path, host=host)] == ["websocket.close"]
    start, body = await knock(app, path, host=host, extensions=["websocket.http.response"])
    assert start["status"] == status
    assert why in body["body"]
    assert ((b"retry-after", b"1") in start["headers"]) is (status == 503)


async def test_who_is_on_the_way_in_takes_a_place(autojump_clock: MockClock) -> None:
    """Ten who come at once to a bot that takes two: two get in; as many do when these have gone, or never arrived."""
    present: list[int] = [0]
    most: list[int] = []
    ends = trio.Event()

    async def answered(_: Session) -> None:
        present[0] += 1
        most.append(present[0])
        await ends.wait()
        present[0] -= 1

    async def is_slow(peer: Peer) -> bool:
        await trio.sleep(1)
        return not peer.query.get("wrong")

    settings = evolve(bot_params(), authorize=is_slow)
    app = routed(bot_routes(answered, settings, max_sessions=2))
    told: list[str] = []

    async def come(query: bytes = b"") -> None:
        has_come, has_gone = False, trio.Event()

        async def receive() -> dict[str, Any]:
            nonlocal has_come
            if has_come:
                await has_gone.wait()
                return {"type": "websocket.disconnect", "code": 1000}
            has_come = True
            return {"type": "websocket.connect"}

        async def send(event: Any) -> None:  # noqa: ANN401 - what ASGI allows
            await trio.lowlevel.checkpoint()
            told.append(event["type"])
            if event["type"] == "websocket.close":
                has_gone.set()

        head = [(b"host", b"127.0.0.1:80")]
        await app({"type": "websocket", "path": "/ws", "query_string": query, "headers": head}, receive, send)

    for _ in range(2):
        ends, told[:], most[:] = trio.Event(), [], []
        await come(b"wrong=1&pcm=16000")  # authorize turns it away: its place is free again
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(come, b"pcm=16000")
            await trio.sleep(5)
            assert most == [1, 2]
            assert told.count("websocket.accept") == 2
            ends.set()


async def test_a_token_lets_in_until_it_is_old() -> None:
    """By the query or as a bearer; not a changed one, not another server's, not after its time."""
    now_s = [1000.0]
    tokens = StartTokens(ttl_s=30, now_s=lambda: now_s[0])
    answer = await ask(start_route(tokens=tokens), "POST", "/start")
    assert set(answer.document) == {"ws_url"}  # clients of protocol 1.x refuse any other member
    address, _, token = answer.document["ws_url"].partition("?token=")
    assert address == "ws://127.0.0.1:80/ws"
    assert await tokens.authorize(Peer(query_string=f"token={token}"))
    assert await tokens.authorize(Peer(headers=(("Authorization", f"Bearer {token}"),)))
    shared = StartTokens(secret=tokens.secret, ttl_s=30, now_s=lambda: now_s[0])
    assert shared.is_valid(token)
    assert not StartTokens().is_valid(token)
    assert token not in repr(tokens)
    for wrong in ("", token[:-1], token + "A", "B" + token[1:], token.swapcase(), "é", "=", "x" * 10_000, "a" * 43):
        assert not tokens.is_valid(wrong)
    assert not await tokens.authorize(Peer())
    now_s[0] += 29
    assert tokens.is_valid(token)
    now_s[0] += 2
    assert not tokens.is_valid(token)


def test_a_token_has_one_form() -> None:
    """What a lenient decoder would skip, and bits that it would not look at, make another token, and none of ours."""
    tokens = StartTokens()
    for _ in range(2):
        token = tokens.issue()
        assert tokens.is_valid(token)
        last = ascii_letters + digits + "-_"
        twins = [token[:-1] + each for each in last if each != token[-1]]
        for wrong in (f"{token[:9]}!{token[9:]}", f"{token[:9]}\n{token[9:]}", f" {token}", f"{token}=", *twins):
            assert not tokens.is_valid(wrong), wrong


def test_signatures_are_compared_in_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """However much of one is right: by the one function that promises it, for every token that is long enough."""
    tokens, compared = StartTokens(), list[tuple[int, int]]()

    def note(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return False

    token = tokens.issue()
    monkeypatch.setattr(hmac, "compare_digest", note)
    for each in (token, "A" * len(token)):
        assert not tokens.is_valid(each)
    assert compared == [(16, 16)] * 2


async def test_a_token_is_asked_for_besides_what_the_application_asks() -> None:
    """Whoever gives both means both: neither lets in whom the other refuses, and a refusal is its own."""
    asked: list[str] = []

    async def knows(peer: Peer) -> Refusal | None:
        asked.append(peer.path)
        return Refusal(status=402, body="pay first") if peer.header("unpaid") else None

    tokens = StartTokens()
    both = with_tokens(AsgiWebsocketParams(serializer=JSONFrameSerializer(), authorize=knows), tokens).authorize
    assert both is not None
    token = f"token={tokens.issue()}"
    for _ in range(2):
        assert await admit(Peer(query_string=token), authorize=both) is None
        refused = await admit(Peer(), authorize=both)
        assert refused is not None
        assert refused.status == 401
        refused = await admit(Peer(query_string=token, headers=(("unpaid", "1"),)), authorize=both)
        assert refused is not None
        assert refused.status == 402
    assert len(asked) == 4


@pytest.mark.parametrize(
    "changes",
    [{"ttl_s": each} for each in (0, inf, 1e15, nan)] + [{"secret": each} for each in ("text", b"", b"short")],
)
def test_settings_are_checked(changes: dict[str, Any]) -> None:
    """No time to live or one without end, and a secret that is no bytes or can be guessed, are found at once."""
    with pytest.raises((ValueError, TypeError), match=next(iter(changes))):
        StartTokens(**changes)


async def test_the_routes_of_a_bot() -> None:
    """The page, the client, what it is about; no sessions are shown unless asked for; other names are refused."""
    app = routed(bot_routes(ignore, title="A bot", lede="Talk to it."))
    page = await ask(app, "GET", "/")
    assert page.status == 200
    assert b"<h1" in page.body
    client = await ask(app, "GET", "/client/voice.js")
    assert client.headers["content-type"].startswith("text/javascript")
    about = await ask(app, "GET", "/about")
    assert about.document["title"] == "A bot"
    assert about.document["needs_token"] is False
    assert (await ask(app, "GET", "/status")).document["sessions"] is None
    shown = routed(bot_routes(ignore, shows_sessions=True, tokens=StartTokens()))
    assert (await ask(shown, "GET", "/status")).document["sessions"] == []
    assert (await ask(shown, "GET", "/about")).document["needs_token"] is True
    for path in ("/", "/start", "/about"):
        assert (await ask(app, "POST", path, host="evil.example")).status == 421
    assert (await ask(app, "GET", "/page.html")).status == 404
    assert (await ask(app, "HEAD", "/style.css")).body == b""
    named = routed(bot_routes(ignore, host_names=["Bot.Example"]))
    assert (await ask(named, "GET", "/", host="bot.example:8000")).status == 200


async def test_ones_own_routes_stand_beside() -> None:
    """A bot's routes are a mapping: others are added, and any of them can be replaced."""
    routes = dict(bot_routes(ignore, AsgiWebsocketParams(serializer=JSONFrameSerializer())))
    routes["/mine"] = start_route("/elsewhere")
    assert (await ask(routed(routes), "POST", "/mine")).document == {"ws_url": "ws://127.0.0.1:80/elsewhere"}
