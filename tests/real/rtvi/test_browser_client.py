"""Pipecat's own npm client in a real Chromium with a microphone, talking to a bot that is served here."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import define, evolve, field

from tests.real.demo.chromium import PATIENCE_S, Browser, Page, write_speech
from tests.real.rtvi.bots import Bot, pitch
from tests.real.starved import fail_or_warn, watch_core
from trio_transports import Session
from trio_transports.playground import StartTokens, bot_routes, routed
from trio_transports.playground.asgi import Receive, Route, Scope, Send
from trio_transports.playground.routes import bot_params
from trio_transports.playground.serving import serve_app

TRIES = 3
HEARS_THE_TONE = "window.pitches.some((each) => Math.abs(each - 1000) < 15)"
PAGE = b"<!doctype html><title>A page</title><link rel=icon href='data:,'><script type=module src=/bundle.js></script>"


@pytest.fixture(name="script", scope="module")
def _script(npm_client: str) -> str:
    return npm_client


@pytest.fixture(scope="module")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("speech") / "speech.wav"
    write_speech(path, "Testing, one, two.", pause_s=2)
    return path


@define(eq=False)
class Served:
    """The bots of a server's callers, the latest last."""

    script: str
    bots: list[Bot] = field(factory=list)
    tokens: StartTokens = field(factory=StartTokens)

    async def answer(self, session: Session) -> None:
        bot = Bot(session)
        self.bots.append(bot)
        await bot.run()

    def app(self) -> Route:
        params = evolve(bot_params(), allow_interruptions=False)  # what the microphone hears must not stop the tone
        routes = dict(bot_routes(self.answer, params, tokens=self.tokens))
        routes["/client.html"] = _given(b"text/html", PAGE)
        routes["/bundle.js"] = _given(b"text/javascript", self.script.encode())
        return routed(routes)


def _given(kind: bytes, body: bytes) -> Route:
    async def route(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
        await send({"type": "http.response.body", "body": body})

    return route


@asynccontextmanager
async def visiting(browser: Browser, script: str) -> AsyncIterator[tuple[Page, Served, str]]:
    served = Served(script)
    async with serve_app("127.0.0.1", 0, served.app()) as url, browser.open_page() as page:
        await page.goto(f"{url}/client.html")
        await page.wait_for("!!window.connect")
        yield page, served, url


async def happened(page: Page, name: str) -> list[dict[str, Any]]:
    """What was told under this name, once there is any."""
    found: list[dict[str, Any]] = await page.wait_for(f"window.of({name!r}).length && window.of({name!r})")
    return found


async def connect(page: Page, url: str = "") -> dict[str, Any]:
    ready: dict[str, Any] = await page.evaluate(f"window.connect({url + '/start'!r})")
    return ready


async def test_connect_resolves_and_sound_has_its_speed_both_ways(browser: Browser, script: str) -> None:
    """bot-ready ends the wait; speech is found in the microphone at 16 kHz; a tone is played at its own pitch."""
    async with visiting(browser, script) as (page, served, _):
        ready = await connect(page)
        assert ready["version"] == "2.2.0"
        assert ready["about"]["library"] == "trio-transports"
        assert await page.evaluate("window.client.state") == "ready"
        (bot,) = served.bots
        assert bot.session.start is not None

        lasted_ms, waited = list[float](), list[float]()
        while not lasted_ms or (not 3500 < lasted_ms[-1] < 6000 and len(lasted_ms) < TRIES):
            await page.evaluate("window.happened = []; true")
            no_core = watch_core()
            tone = "window.client.sendClientRequest('tone', {hz: 1000, seconds: 4}, 30000)"
            assert await page.evaluate(tone) == {"queued": 4}
            began = (await happened(page, "BotStartedSpeaking"))[0]["at"]
            await page.wait_for(HEARS_THE_TONE)
            ended = (await happened(page, "BotStoppedSpeaking"))[0]["at"]
            lasted_ms.append(ended - began)
            waited.append(no_core())
            for name in (
                "BotTtsStarted",
                "BotTtsText",
                "BotTtsStopped",
                "BotLlmStarted",
                "BotLlmText",
                "BotLlmStopped",
            ):
                await happened(page, name)
            await page.wait_for("window.of('BotOutput').length >= 3")
            outputs = [each["data"]["spoken_status"] for each in await happened(page, "BotOutput")]
            assert outputs == ["new", "in-progress", "completed"]
        if not 3500 < lasted_ms[-1] < 6000:
            fail_or_warn(f"four seconds of a tone lasted so many milliseconds: {lasted_ms}", waited)

        speeds, waited = list[float](), list[float]()
        while not speeds or (abs(speeds[-1] - 1) > 0.25 and len(speeds) < TRIES):
            no_core = watch_core()
            heard_before, at_s = len(bot.heard), trio.current_time()
            await trio.sleep(3)
            speeds.append((len(bot.heard) - heard_before) / 2 / bot.rate / (trio.current_time() - at_s))
            waited.append(no_core())
        assert bot.rate == 16000
        if abs(speeds[-1] - 1) > 0.25:
            fail_or_warn(f"so many seconds of the microphone were heard in each: {speeds}", waited)


async def test_speech_and_its_transcript_are_told(browser: Browser, script: str) -> None:
    """The microphone's speech starts and stops events without a word of the bot's, and transcripts come in order."""
    async with visiting(browser, script) as (page, _, __):
        await connect(page)
        await happened(page, "UserStartedSpeaking")
        await happened(page, "UserStoppedSpeaking")
        await page.wait_for("window.of('UserTranscript').some((each) => each.data.final)")
        first, second = (await happened(page, "UserTranscript"))[:2]
        assert (first["data"]["text"], first["data"]["final"]) == ("Testing", False)
        assert (second["data"]["text"], second["data"]["final"]) == ("Testing, one, two.", True)


async def test_requests_calls_keys_and_text(browser: Browser, script: str) -> None:
    """Requests are answered or refused under their ids, functions of the page are called, keys and text arrive."""
    async with visiting(browser, script) as (page, _, __):
        await connect(page)
        asked = "window.client.sendClientRequest('weather', {at: 'Brno'}, 30000)"
        assert await page.evaluate(asked) == {"celsius": 21, "asked": {"at": "Brno"}}
        refused = "window.client.sendClientRequest('secret', null, 30000).catch((error) => error.data)"
        assert await page.evaluate(refused) == {"error": "not for you"}

        await page.evaluate("window.client.sendClientMessage('call')")
        await page.wait_for("window.of('ServerMessage').length")
        expected = {"title": "A page", "given": {"short": True}}
        assert (await happened(page, "ServerMessage"))[0]["data"] == {"result": expected}
        assert (await happened(page, "LLMFunctionCallStarted"))[0]["data"] == {"function_name": "page_title"}
        stopped = (await happened(page, "LLMFunctionCallStopped"))[0]["data"]
        assert stopped["result"] == expected
        assert stopped["cancelled"] is False

        await page.evaluate("window.client.sendDTMF('12#')")
        await page.wait_for("window.of('ServerMessage').some((each) => each.data.digits === '12#')")

        await page.evaluate("window.client.sendText('hello')")
        await page.wait_for("window.of('BotOutput').some((each) => each.data.text === 'You wrote hello.')")

        assert await page.evaluate("window.client.sendClientRequest('everything', 1, 30000)") is None
        assert (await happened(page, "Metrics"))[0]["data"]["ttfb"][0]["value"] == 0.25
        assert (await happened(page, "Error"))[0]["data"]["data"] == {"error": "a small one", "fatal": False}
        await happened(page, "UserMuteStarted")
        await happened(page, "UserMuteStopped")


async def test_the_bot_can_be_sent_away(browser: Browser, script: str) -> None:
    """disconnect-bot ends the handler and the session; a second call after it works as the first."""
    async with visiting(browser, script) as (page, served, _):
        for number in (1, 2):
            await connect(page)
            assert len(served.bots) == number
            await page.evaluate("window.client.disconnectBot()")
            with trio.fail_after(PATIENCE_S):
                while served.bots[-1].session.is_connected:  # noqa: ASYNC110 - the session's own state
                    await trio.sleep(0.02)
            await happened(page, "Disconnected")  # the client itself takes the bot's leaving for the end
            await page.evaluate("window.happened = []; true")


async def test_a_server_that_comes_back(browser: Browser, script: str) -> None:
    """The client hears that the server has gone, and connects again to the one that took its place."""
    served = Served(script)
    async with browser.open_page() as page:
        async with serve_app("127.0.0.1", 0, served.app()) as url:
            await page.goto(f"{url}/client.html")
            await page.wait_for("!!window.connect")
            await connect(page)
        told = (await happened(page, "Error"))[0]["data"]["data"]
        assert "1001" in told["error"]
        await happened(page, "Disconnected")
        async with serve_app("127.0.0.1", int(url.rpartition(":")[2]), served.app()):
            ready = await connect(page)
            assert ready["version"] == "2.2.0"
            assert await page.evaluate("window.client.sendClientRequest('weather', 1, 30000)") == {
                "celsius": 21,
                "asked": 1,
            }


async def test_without_a_token_nobody_is_let_in(browser: Browser, script: str) -> None:
    """/start's token is what the socket asks for: without it the client's connect is refused."""
    async with visiting(browser, script) as (page, served, url):
        await page.evaluate("window.connect('/start').then(() => window.client.disconnect())")
        address = f"{url.replace('http', 'ws', 1)}/ws"
        refused = await page.evaluate(
            f"new Promise((done) => {{ const s = new WebSocket({address!r}); s.onerror = () => done('refused');"
            " s.onopen = () => done('let in') })"
        )
        assert refused == "refused"
        assert len(served.bots) == 1


def test_the_tests_own_measure() -> None:
    """The pitch of a tone is what it was made with."""
    from tests.real.rtvi.bots import tone

    assert pitch(tone(440, 1.0).audio, 24000) == pytest.approx(440, abs=2)
