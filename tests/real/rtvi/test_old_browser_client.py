"""A client of protocol 1.x, the npm packages of that time, in a real Chromium: it is served in its own words."""

from pathlib import Path

import pytest

from tests.real.demo.chromium import Browser
from tests.real.rtvi import npm
from tests.real.rtvi.test_browser_client import HEARS_THE_TONE, connect, happened, visiting


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> str:
    modules = npm.install(tmp_path_factory.mktemp("npm"), npm.OLD_CLIENT)
    return npm.bundle(modules, Path(__file__).with_name("client.js"))


async def test_an_old_client_is_served_twice(browser: Browser, script: str) -> None:
    """Its connect resolves with its own version; sound, words, requests and calls reach it; again in a next call."""
    async with visiting(browser, script) as (page, served, _):
        for number in (1, 2):
            ready = await connect(page)
            assert ready["version"] == "1.0.0"
            assert len(served.bots) == number
            asked = "window.client.sendClientRequest('weather', {at: 'Brno'}, 30000)"
            assert await page.evaluate(asked) == {"celsius": 21, "asked": {"at": "Brno"}}
            refused = "window.client.sendClientRequest('secret', null, 30000).then(() => 'answered', () => 'refused')"
            assert await page.evaluate(refused) == "refused"

            tone = "window.client.sendClientRequest('tone', {hz: 1000, seconds: 4}, 30000)"
            assert await page.evaluate(tone) == {"queued": 4}
            await page.wait_for(HEARS_THE_TONE)
            await happened(page, "BotStartedSpeaking")
            await happened(page, "BotStoppedSpeaking")
            assert (await happened(page, "BotTranscript"))[0]["data"] == {"text": "A tone."}

            await page.evaluate("window.client.sendClientMessage('call')")
            await page.wait_for("window.of('ServerMessage').length")
            expected = {"result": {"title": "A page", "given": {"short": True}}}
            assert (await happened(page, "ServerMessage"))[0]["data"] == expected

            await page.evaluate("window.client.disconnectBot()")
            await happened(page, "Disconnected")
            await page.evaluate("window.happened = []; window.pitches = []; true")
