"""The page for a bot that is none of ours: with a token, words, pictures and calls of functions."""

import base64
import os
from pathlib import Path

import trio
from attrs import evolve

from tests.real.demo.chromium import Browser, Page
from tests.real.rtvi.bots import tone
from trio_transports import (
    BotStoppedSpeakingFrame,
    BotThinkingFrame,
    DTMFFrame,
    ErrorFrame,
    FunctionCallFrame,
    FunctionResultFrame,
    ImageFrame,
    Session,
    TextFrame,
    TranscriptionFrame,
)
from trio_transports.playground import StartTokens, bot_routes, routed
from trio_transports.playground.routes import bot_params
from trio_transports.playground.serving import serve_app

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


async def bot(session: Session) -> None:
    """Answers what is written, and goes when 9 is pressed."""
    output = session.output
    async for frame in session.input:
        match frame:
            case TextFrame(text=text):
                await output.send(TranscriptionFrame(text="Where is", final=False))
                await output.send(TranscriptionFrame(text="Where is it?"))
                await output.send(BotThinkingFrame(thinking=True))
                await output.send(FunctionCallFrame(name="find", call_id="c-1", arguments={"what": text}))
                await output.send(FunctionResultFrame(name="find", call_id="c-1", result="here"))
                await output.send(ErrorFrame(error="the map is old"))
                for word in ("It ", "is ", "here."):
                    await output.send(TextFrame(text=word))
                    await output.send(tone(440, 0.3))
                await output.send(ImageFrame(image=PIXEL, size=(1, 1), format="PNG"))
                await output.send(BotStoppedSpeakingFrame())
            case DTMFFrame(digit="9"):
                return
            case _:
                pass


async def text_of(page: Page, element_id: str) -> str:
    text: str = await page.evaluate(f"document.getElementById({element_id!r}).innerText")
    return text


async def test_its_words_pictures_and_calls_are_shown(browser: Browser, tmp_path: Path) -> None:
    """Let in by its token; guesses give way to what was said, words stream into one bubble, its leaving is told."""
    tokens = StartTokens()
    params = evolve(bot_params(), video_out_enabled=True)
    routes = bot_routes(bot, params, title="Find it", lede="Ask where something is.", tokens=tokens)
    async with serve_app("127.0.0.1", 0, routed(routes)) as url, browser.open_page() as page:
        await page.show(width=1440, height=900, dark=False)
        await page.goto(url)
        await page.wait_for("document.getElementById('title').innerText === 'Find it'")
        assert await text_of(page, "lede") == "Ask where something is."
        assert await page.evaluate("document.getElementById('controls').hidden")
        await page.click("connect-mic")
        await page.wait_for("window.demo.counters().session")
        assert await page.evaluate("document.getElementById('sessions-panel').hidden")
        assert await text_of(page, "session-id") == await page.evaluate("window.demo.counters().session")
        await page.evaluate(
            "document.getElementById('text').value = 'the key'; document.getElementById('write').requestSubmit()"
        )
        await page.wait_for("document.getElementById('transcript').innerText.includes('It is here.')")
        lines = await page.evaluate("[...document.querySelectorAll('#transcript .words')].map((w) => w.innerText)")
        assert lines == ["the key", "Where is it?", "It is here."]
        await page.wait_for("document.getElementById('picture').naturalWidth === 1024")
        log = await text_of(page, "log")
        for told in (
            'Calls find({"what":"the key"})',
            'find gave "here"',
            "Error: the map is old",
            "The bot is thinking",
        ):
            assert told in log
        folder = Path(os.environ.get("TT_SCREENSHOTS", tmp_path))
        await page.screenshot(folder / "any-bot.png")

        await page.evaluate("document.getElementById('keypad-button').click()")
        await page.evaluate("[...document.querySelectorAll('.key')].find((key) => key.textContent === '9').click()")
        await page.wait_for("document.getElementById('lost-text').innerText === 'The bot hung up.'")
        assert await page.evaluate("window.demo.counters().state") == "ended"
        await page.screenshot(folder / "hung-up.png", whole=False)
        # Its button is a call anew.
        await page.click("reconnect")
        await page.wait_for("window.demo.counters().session")
        assert page.complaints == []


async def test_without_its_token_a_caller_stays_out(browser: Browser) -> None:
    """The page says that it cannot connect when the server takes no more tokens."""
    async with browser.open_page() as page:
        routes = bot_routes(bot, tokens=StartTokens(ttl_s=0.001))
        async with serve_app("127.0.0.1", 0, routed(routes)) as url:
            await page.goto(url)
            await page.wait_for("document.getElementById('version').innerText !== ''")
            await trio.sleep(0.1)
            await page.click("connect-mic")
            await page.wait_for("!document.getElementById('notice').hidden")
            assert await text_of(page, "notice") == "The server cannot be reached."
            assert await page.evaluate("window.demo.counters().state") == "idle"
