"""The page in a real browser, with a microphone that hears speech made by espeak-ng.

With ``TT_SCREENSHOTS`` set to a folder, the pictures that are taken on the way are kept there.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest
import trio

from tests.real.demo.chromium import PATIENCE_S, Browser, Page, write_speech
from trio_transports.demo.app import DemoApp
from trio_transports.demo.pinging import PingingSerializer
from trio_transports.demo.serving import serve_demo
from trio_transports.frames import MessageFrame
from trio_transports.params import WebsocketClientParams
from trio_transports.playground.dialect import PCMFrameSerializer
from trio_transports.transports.client import WebsocketClientTransport

PAUSE_S = 4.0
IN_SIGHT = (
    "(() => { const r = document.getElementById('lost').getBoundingClientRect();"
    " return r.height > 0 && r.top >= 0 && r.bottom <= innerHeight && r.left >= 0 && r.right <= innerWidth })()"
)


@pytest.fixture(scope="module")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("speech") / "speech.wav"
    write_speech(path, "Testing, one, two, three, four.", pause_s=PAUSE_S)
    return path


@asynccontextmanager
async def visiting(browser: Browser, app: DemoApp | None = None) -> AsyncIterator[Page]:
    """A page of a fresh server, at desk size; whatever it complains of fails the test."""
    async with serve_demo("127.0.0.1", 0, app) as url, browser.open_page() as page:
        await page.show(width=1440, height=900, dark=False)
        await page.goto(url)
        await page.wait_for("!!document.getElementById('control-delay_ms')")
        yield page
        assert page.complaints == []


HEARD_ON = """window.heardOn = [];
window.demo.voice.addEventListener("interrupted", () => {
  const heard = window.demo.counters().heard;
  setTimeout(() => window.heardOn.push(window.demo.counters().heard - heard), 300);
})"""
"""What is still heard after a barge-in while "Stop!" is being said, by the page's own clock."""

THREE_PONGS = """new Promise((done) => {
  let count = 0;
  window.demo.voice.addEventListener("pong", () => (count += 1) === 3 && done(true));
})"""
"""The server has heard all that was sent before, and told what it found."""

SLOW_PAGE = """data:text/html,<body style="visibility:hidden">
<button id="press" onclick="window.pressed = 1">Press</button>
<script>setTimeout(() => document.body.setAttribute("style", "padding-top: 200px"), 700)</script>"""


async def test_a_click_finds_a_button_that_comes_late(browser: Browser) -> None:
    """The page hides what can be pressed until it knows the bot's name: a click before that would hit nothing."""
    async with browser.open_page() as page:
        await page.goto(SLOW_PAGE)
        await page.click("press")
        assert await page.evaluate("window.pressed") == 1


async def counter(page: Page, name: str) -> float:
    value: float = await page.evaluate(f"window.demo.counters().{name}")
    return value


async def text_of(page: Page, element_id: str) -> str:
    text: str = await page.evaluate(f"document.getElementById({element_id!r}).innerText")
    return text


async def call_once(url: str) -> str:
    """Be another caller for a moment, and give the session's id as the server knows it."""
    params = WebsocketClientParams(serializer=PingingSerializer(PCMFrameSerializer()))
    async with WebsocketClientTransport(f"{url.replace('http', 'ws', 1)}/ws?pcm=16000", params).session() as session:
        await session.output.send_message({"type": "ping", "t": 1})
        pong = await session.input.receive()
    assert isinstance(pong, MessageFrame)
    assert isinstance(pong.message, dict)
    told = pong.message["session"]
    assert isinstance(told, dict)
    return str(told["id"])


async def keep(page: Page, name: str, tmp_path: Path) -> None:
    folder = Path(os.environ.get("TT_SCREENSHOTS", tmp_path))
    await page.screenshot(folder / f"{name}.png")


async def test_a_visit_with_a_microphone(browser: Browser, tmp_path: Path) -> None:
    """Connect, be heard, hear oneself, barge in, disconnect, come back: all without a complaint."""
    app = DemoApp()
    async with visiting(browser, app) as page:
        await page.click("connect-mic")
        await page.wait_for("document.getElementById('connection').dataset.kind === 'on'")
        await page.wait_for("window.demo.counters().session")
        first = await page.evaluate("window.demo.counters().session")
        assert list(app.bots) == [first]

        await page.wait_for("window.demo.counters().speech >= 1")
        await page.wait_for("document.getElementById('mood').dataset.kind === 'you'")
        await page.wait_for("window.demo.counters().answers >= 1")
        await page.wait_for("window.demo.counters().heard > 20")
        assert await counter(page, "peak") > 0.05

        await page.evaluate(HEARD_ON)
        while not await counter(page, "interruptions"):  # an answer may be over before a busy machine has clicked
            await page.wait_for("document.getElementById('mood').innerText === 'Answering'")
            await page.click("barge")
            with trio.move_on_after(3):
                await page.wait_for("window.demo.counters().interruptions")
        await page.wait_for(
            "document.getElementById('log').innerText.includes('Barge-in: the answer was stopped after')"
        )
        # "Stop!" is still being said: the old answer must not be heard any more.
        assert (await page.wait_for("window.heardOn.length && window.heardOn"))[0] <= 5
        await keep(page, "visit", tmp_path)

        assert first in await text_of(page, "sessions")
        count = "${window.demo.counters().interruptions}"  # on a busy machine the visitor may have interrupted again
        await page.wait_for(f"document.getElementById('stats').innerText.includes(`Interruptions\\n{count}`)")
        assert float(await text_of(page, "rtt")) < 5000
        assert float(await text_of(page, "jitter")) < 150  # what is 200 ms late or more is a pause, and counts nowhere

        await page.click("disconnect")
        await page.wait_for("document.getElementById('connection-text').innerText === 'Not connected'")
        await page.wait_for("document.getElementById('sessions').innerText === 'Nobody is connected'")
        assert app.bots == {}
        assert "You disconnected (code 1000" in await text_of(page, "log")
        assert await page.evaluate("document.getElementById('lost').hidden")

        await page.click("connect-mic")
        await page.wait_for("window.demo.counters().session")
        assert await page.evaluate("window.demo.counters().session") != first
        (bot,) = app.bots.values()
        with trio.fail_after(PATIENCE_S):
            while bot.session.statistics().audio_received_s < 0.5:  # noqa: ASYNC110 - the session's own counter
                await trio.sleep(0.02)


async def test_a_visit_without_a_microphone_by_keyboard(browser: Browser) -> None:
    """The page says that there is none and speaks for the visitor; Tab and Enter are enough for all of it."""
    async with visiting(browser) as page:
        await page.evaluate(
            "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('none', 'NotFoundError') }"
        )
        await page.press("Tab", 9)
        assert await page.evaluate("document.activeElement.className") == "skip"
        await page.press("Tab", 9)
        assert await page.evaluate("document.activeElement.id") == "connect-mic"
        ring = await page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
        assert ring == "3px"
        await page.press("Enter", 13, "\r")
        await page.wait_for("document.getElementById('connection').dataset.kind === 'on'")
        assert await text_of(page, "notice") == "No microphone: there is none. The buttons speak for you instead."
        assert await page.evaluate("document.activeElement.id") == "say"
        # It speaks by itself once, so that there is something to hear.
        await page.wait_for("window.demo.counters().answers >= 1")
        await page.press("Tab", 9)
        assert await page.evaluate("document.activeElement.id") == "barge"
        await page.press("Enter", 13, "\r")
        await page.wait_for("window.demo.counters().interruptions >= 1")
        assert await text_of(page, "announce") == "The answer was stopped."


async def test_the_bots_settings_reach_it(browser: Browser) -> None:
    """What is chosen on the page is what the bot does."""
    app = DemoApp()
    async with visiting(browser, app) as page:
        await page.click("connect-sample")
        await page.wait_for("window.demo.counters().session")
        (bot,) = app.bots.values()
        await page.evaluate("document.querySelector('[value=mirror]').click()")
        await page.evaluate(
            "(() => { const d = document.getElementById('control-delay_ms'); d.value = 1000;"
            " for (const kind of ['input', 'change']) d.dispatchEvent(new Event(kind, {bubbles: true})) })()"
        )
        await page.evaluate("document.getElementById('control-barge_in').click()")
        with trio.fail_after(PATIENCE_S):
            while (bot.settings.mode, bot.settings.delay_ms, bot.settings.barge_in) != ("mirror", 1000, False):  # noqa: ASYNC110
                await trio.sleep(0.02)
        assert await text_of(page, "control-delay_ms-text") == "1000 ms"
        # A mirror needs no speech: whatever is heard comes back.
        await page.wait_for("window.demo.counters().received > 50")


async def test_what_is_written_and_pressed_reaches_the_bot(browser: Browser) -> None:
    """Typed words and keys go to the bot, and its written answer appears in the conversation."""
    async with visiting(browser) as page:
        await page.click("connect-sample")
        await page.wait_for("window.demo.counters().session")
        await page.evaluate("document.getElementById('text').focus()")
        await page.call("Input.insertText", text="Can you read this?")
        await page.press("Enter", 13, "\r")
        await page.wait_for("document.getElementById('transcript').innerText.includes('You wrote: Can you read this?')")
        assert await page.evaluate("document.getElementById('text').value") == ""
        await page.click("keypad-button")
        await page.evaluate("document.querySelector('#keypad [aria-label=hash]').click()")
        await page.wait_for("document.getElementById('transcript').innerText.includes('You pressed #.')")


async def test_muted_looks_muted(browser: Browser) -> None:
    """The button, the legend, the mood and the picture say it; the bot hears silence; unmuting takes it all back."""
    async with visiting(browser) as page:
        await page.click("connect-mic")
        await page.wait_for("window.demo.counters().session")
        await page.click("mute")
        await page.wait_for("document.getElementById('mood').dataset.kind === 'muted'")
        assert await text_of(page, "mute") == "Unmute"
        assert await text_of(page, "level-you") == "muted"
        assert await page.evaluate("document.getElementById('legend-you').classList.contains('muted')")
        await page.evaluate(THREE_PONGS)
        heard = await counter(page, "speech")
        await trio.sleep(5)  # the microphone speaks in that time
        assert await counter(page, "speech") == heard
        await page.click("mute")
        assert await text_of(page, "mute") == "Mute"
        await page.wait_for(f"window.demo.counters().speech > {heard}")


async def test_events_keep_their_own_times(browser: Browser) -> None:
    """What the server tells late stands at the time at which it happened, and in its place."""
    async with browser.open_page() as page, serve_demo("127.0.0.1", 0) as url:
        other = await call_once(url)
        await trio.sleep(2.5)
        await page.goto(url)
        await page.wait_for(f"document.getElementById('log').innerText.includes('{other} connected')")
        times = await page.evaluate("[...document.querySelectorAll('#log time')].map((t) => Date.parse(t.dateTime))")
        assert times == sorted(times)
        first = await page.evaluate("document.querySelector('#log li').innerText")
        assert f"{other} connected" in first
        assert times[-1] - times[0] > 2000


async def test_a_server_that_goes_away_is_told(browser: Browser) -> None:
    """The page says so wherever it is scrolled, and comes back by itself once the server does, twice over."""
    async with browser.open_page() as page:
        await page.show(width=1440, height=900, dark=False)
        port = 0
        for turn in range(2):
            async with serve_demo("127.0.0.1", port) as url:
                port = int(url.rpartition(":")[2])
                if turn == 0:
                    await page.goto(url)
                    await page.click("connect-sample")
                await page.wait_for("window.demo.counters().session")
                await page.wait_for("document.getElementById('connection').dataset.kind === 'on'")
                assert await page.evaluate("document.getElementById('lost').hidden")
                await page.evaluate("scrollTo(0, document.body.scrollHeight)")
                if turn == 1:
                    await page.evaluate(
                        "Object.assign(window.demo.voice.settings, {firstRetryMs: 1e5, maxRetryMs: 1e5})"
                    )
            await page.wait_for("document.getElementById('connection-text').innerText === 'The server is going away'")
            assert "code 1001" in await text_of(page, "log")
            assert (await text_of(page, "lost-text")).startswith("The server is going away. Attempt ")
            assert await page.evaluate(IN_SIGHT)
            await page.wait_for("document.getElementById('sessions').innerText === 'The server does not answer'")
        # From here on it does not look for the server by itself, and only the button brings it back.
        await page.evaluate("Object.defineProperty(document, 'visibilityState', {value: 'hidden', configurable: true})")
        async with serve_demo("127.0.0.1", port):
            await page.click("reconnect")
            await page.wait_for("window.demo.counters().session")
            await page.evaluate("delete document.visibilityState")
            await page.wait_for("document.getElementById('log').innerText.includes('Connected again')")
            assert await page.evaluate("window.demo.counters().returns") == 2
            await page.wait_for("window.demo.counters().sent > 20")
            other = await call_once(url)
            await page.wait_for(f"document.getElementById('log').innerText.includes('{other} connected')")


async def test_a_server_that_is_not_there(browser: Browser) -> None:
    """Connecting to nobody says so, and gives the focus back; a slow one can be given up."""
    async with browser.open_page() as page:
        async with serve_demo("127.0.0.1", 0) as url:
            await page.goto(url)
            await page.wait_for("!!document.getElementById('control-delay_ms')")
        await page.evaluate("document.getElementById('connect-sample').focus()")
        await page.press("Enter", 13, "\r")
        await page.wait_for("document.getElementById('notice').innerText === 'The server cannot be reached.'")
        await page.wait_for("document.activeElement.id === 'connect-sample'")
        listeners = await trio.open_tcp_listeners(int(url.rpartition(":")[2]), host="127.0.0.1")
        async with listeners[0]:  # it takes connections, and never answers
            await page.press("Enter", 13, "\r")
            await page.wait_for("!document.getElementById('actions-busy').hidden")
            await page.click("cancel")
            await page.wait_for("!document.getElementById('actions-off').hidden")


async def test_it_fits_every_size_and_theme(browser: Browser, tmp_path: Path) -> None:
    """Nothing is wider than the screen, everything that can be used has a name, and nothing comes from elsewhere."""
    async with visiting(browser) as page:
        await page.click("connect-sample")
        await page.wait_for("window.demo.counters().speech >= 1")
        papers = set()
        for dark in (False, True):
            for width, height, mobile in ((1440, 900, False), (390, 844, True)):
                await page.show(width=width, height=height, dark=dark, mobile=mobile)
                await trio.sleep(0.6)
                await keep(page, f"{'dark' if dark else 'light'}-{width}", tmp_path)
                assert await page.evaluate("document.documentElement.scrollWidth") <= width
            papers.add(await page.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert len(papers) == 2
        await page.show(width=390, height=844, dark=True, mobile=True, reduced=True)
        transition = await page.evaluate("getComputedStyle(document.getElementById('say')).transitionDuration")
        assert transition in ("0s", "1e-05s")

        tree = (await page.call("Accessibility.getFullAXTree"))["nodes"]
        used = {"button", "slider", "switch", "radio", "image", "log", "table", "region", "form", "textbox", "combobox"}
        found: dict[str, list[str]] = {}
        for node in tree:
            role = node.get("role", {}).get("value")
            if role in used and not node.get("ignored"):
                assert node.get("name", {}).get("value"), node
                found.setdefault(role, []).append(node["name"]["value"])
        assert {"Say a sentence", "Barge in", "Disconnect"} <= set(found["button"])
        assert {"Barge-in"} == set(found["switch"])
        assert {"Repeats you", "Mirrors you"} == set(found["radio"])
        assert len(found["slider"]) == 2
        assert len(found["image"]) == 4
        assert found["textbox"] == ["Write to the bot"]
        assert sorted(found["combobox"]) == ["Microphone", "Speaker"]
        levels = await page.evaluate("[...document.querySelectorAll('h1, h2, h3')].map((h) => Number(h.tagName[1]))")
        assert levels[0] == 1
        assert all(later - earlier <= 1 for earlier, later in pairwise(levels))

        loaded = await page.evaluate("performance.getEntriesByType('resource').map((entry) => entry.name)")
        here = await page.evaluate("location.origin")
        assert len(loaded) >= 7
        assert all(name.startswith(here) for name in loaded)
