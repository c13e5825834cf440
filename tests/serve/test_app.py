"""The app of a bot: its documents, its health, its figures, wherever it is mounted."""

import json
import sys
from argparse import ArgumentTypeError
from xml.etree import ElementTree as ET

import pytest
import trio
from trio.testing import MockClock

from tests.observe.places import SECRET, asgi_caller, call
from tests.observe.test_tracing import spans, traced
from tests.playground.test_start import ask
from trio_transports import Session
from trio_transports.__main__ import main
from trio_transports.cli.kinds import public_url
from trio_transports.observe.tracing import SessionTracer
from trio_transports.playground.routes import _path
from trio_transports.serve import ServeOptions, bot_app
from trio_transports.serve.answers import DOCUMENTS
from trio_transports.session.events import Event


async def bot(session: Session) -> None:
    async for frame in session.input:
        await session.output.send(frame)


async def test_health_and_figures() -> None:
    """Before any call; a POST is refused, and so is a host that this server does not go by."""
    app = bot_app(bot)
    health = await ask(app, "GET", "/health")
    assert (health.status, health.document) == (200, {"status": "ok", "calls": 0})
    figures = await ask(app, "GET", "/metrics")
    assert figures.headers["content-type"].startswith("text/plain; version=")
    assert b"\ntrio_transports_sessions 0.0\n" in figures.body
    for path in ("/health", "/metrics"):
        assert (await ask(app, "POST", path)).status == 405
        assert (await ask(app, "GET", path, host="evil.example")).status == 421
    assert (await ask(bot_app(bot, host_names=["bot.example"]), "GET", "/health", host="bot.example")).status == 200


async def test_without_the_extra_figures_say_which(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server without prometheus-client serves all the same, and its /metrics names the extra."""
    monkeypatch.delitem(sys.modules, "trio_transports.observe.prometheus", raising=False)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    answer = await ask(bot_app(bot), "GET", "/metrics")
    assert answer.status == 501
    assert b"trio-transports[metrics]" in answer.body


@pytest.mark.parametrize("provider", DOCUMENTS)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_each_provider_is_sent_to_the_bot(provider: str, method: str) -> None:
    """The document names this server's /ws: secure for a public name, or the public address where that is told."""
    for app, host, expected in (
        (bot_app(bot, host_names=["bot.example"]), "bot.example", "wss://bot.example/ws"),
        (bot_app(bot), "127.0.0.1:8765", "ws://127.0.0.1:8765/ws"),
        (bot_app(bot, public_url="https://voice.example/x"), "10.0.0.7:80", "wss://voice.example/x/ws"),
    ):
        answer = await ask(app, method, f"/answer/{provider}", host=host)
        assert answer.status == 200
        assert expected in answer.body.decode()
        if provider == "vonage":
            assert answer.headers["content-type"] == "application/json"
            assert json.loads(answer.body)[0]["action"] == "connect"
        else:
            assert answer.headers["content-type"] == "application/xml"
            assert ET.fromstring(answer.body).tag == "Response"


@pytest.mark.parametrize("url", ["bot.example", "https://", "ftp://bot.example", "https://bot.example/?a", ""])
def test_a_public_address_is_one(url: str) -> None:
    """What nobody could call is refused where it is set, and on the command line."""
    with pytest.raises(ValueError, match=r"write one such as https://bot\.example"):
        bot_app(bot, public_url=url)
    with pytest.raises(ArgumentTypeError, match=r"write one such as https://bot\.example"):
        public_url(url)


async def test_what_stands_in_the_query_goes_along() -> None:
    """Escaped, bounded, and refused in words where the provider cannot say it."""
    app = bot_app(bot)
    told = await ask(app, "GET", '/answer/twilio?room=5&name="<b>')
    (stream,) = ET.fromstring(told.body).iter("Stream")
    assert [parameter.attrib for parameter in stream] == [
        {"name": "room", "value": "5"},
        {"name": "name", "value": '"<b>'},
    ]
    for unsayable in ("%00", "%1b", "%ef%bf%bf"):
        refused = await ask(app, "GET", f"/answer/twilio?room={unsayable}")
        assert refused.status == 400
        assert b"cannot stand in XML" in refused.body
    refused = await ask(app, "GET", "/answer/plivo?room=a-b")
    assert refused.status == 400
    assert b"letters and digits" in refused.body
    many = "&".join(f"a{number}=1" for number in range(100))
    assert (await ask(app, "GET", f"/answer/twilio?{many}")).status == 400


@pytest.mark.parametrize("leaves_root", [True, False])
async def test_it_may_be_mounted_below_a_path(leaves_root: bool) -> None:
    """As Starlette does (the path is the whole one) and as others do (the path is the rest)."""
    app = bot_app(bot)
    prefix = "/voice" if leaves_root else ""
    for path, status in (("/health", 200), ("/", 200), ("/client/voice.js", 200), ("/nothing", 404)):
        assert (await ask(app, "GET", prefix + path, root="/voice")).status == status
    document = await ask(app, "GET", f"{prefix}/answer/twilio", root="/voice")
    assert b"ws://127.0.0.1:80/voice/ws" in document.body


async def test_a_public_url_is_a_name_of_the_server() -> None:
    """Behind a proxy that passes on ``Host``, callers who name it get in; others do not."""
    app = bot_app(bot, public_url="wss://voice.example:444/x")
    for host in ("voice.example:444", "voice.example"):
        assert (await ask(app, "GET", "/health", host=host)).status == 200
    assert (await ask(app, "GET", "/health", host="evil.example")).status == 421


@pytest.mark.parametrize(
    ("path", "root", "app_root"),
    [
        ("/health", "", ""),
        ("/voice/health", "/voice", ""),
        ("/a/b/health", "/a/b", ""),
        ("/api/voice/health", "/api/voice", "/api"),
        ("/voice/health", "/api/voice", "/api"),
        ("/health", "/api", ""),
    ],
)
def test_the_path_below_where_it_is_mounted(path: str, root: str, app_root: str) -> None:
    """As frameworks tell it: with the prefix in the path, or taken off by a proxy."""
    assert _path({"path": path, "root_path": root, "app_root_path": app_root}) == "/health"


async def test_observers_are_told_of_every_call(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """Two calls become spans without a word of their headers and queries; an observer that fails costs no call."""
    tracer, exporter = traced()

    def broken(_event: Event) -> None:
        raise ZeroDivisionError("an observer's own")

    app = bot_app(bot, observers=[broken, tracer.note])
    for _ in range(2):
        caller = asgi_caller()
        caller.message('{"type": "text", "text": "hello"}')
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call, app, caller)
            await trio.sleep(1)
            assert "hello" in "".join(event.get("text") or "" for event in caller.sent)
            caller.disconnect(1000)
    calls = spans(exporter, "session")
    assert [(each.attributes or {})["url.path"] for each in calls] == ["/ws", "/ws"]
    assert SECRET not in "".join(each.to_json() for each in exporter.get_finished_spans())
    for event in ("Connected", "Disconnected"):
        assert caplog.text.count(f"an observer failed at {event}\n") == 2


def test_serve_makes_spans_when_asked() -> None:
    """``--otel`` is an observer; without it nothing of OpenTelemetry is there. Workers are told too."""
    assert ServeOptions().observers() == ()
    (observer,) = ServeOptions.of_json(ServeOptions(traces=True).to_json()).observers()
    assert isinstance(observer.__self__, SessionTracer)  # type: ignore[attr-defined]


def test_without_the_extra_otel_says_which(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is served, as a wrong argument."""
    monkeypatch.delitem(sys.modules, "trio_transports.observe.tracing", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", None)
    assert main(["serve", "--otel", "--port", "0"]) == 2
    assert "trio-transports[otel]" in capsys.readouterr().err
