"""The reference in a real browser: it looks right, and its search finds names and texts.

With ``TT_SCREENSHOTS`` set to a folder, the pictures that are taken on the way are kept there.
"""

import os
from pathlib import Path

import trio

from tests.real.demo.chromium import Page, open_chromium
from tests.tools import requires
from trio_transports.audio.format import AudioFormat
from trio_transports.audio.wav import write_wav
from trio_transports.docs import build_page

RESULTS = "[...document.querySelectorAll('#results li')].map((found) => found.textContent)"


async def search(page: Page, words: str) -> list[str]:
    """Type words into the box as a person would; give what is found, best first."""
    await page.evaluate("document.getElementById('search').select()")
    await page.call("Input.insertText", text=words)
    found: list[str] = await page.evaluate(RESULTS)
    return found


async def test_the_search_of_the_reference(tmp_path: Path) -> None:
    """A name comes first, part of a name is enough, a text is found too, and a result leads to its place; twice."""
    path, silence = tmp_path / "reference.html", tmp_path / "silence.wav"
    await trio.to_thread.run_sync(lambda: path.write_text(build_page(), encoding="utf-8"))
    write_wav(silence, AudioFormat(8000), bytes(1600))
    program = requires("chromium", "chromium-browser", "google-chrome")
    async with open_chromium(program, tmp_path / "profile", silence) as browser, browser.open_page() as page:
        await page.show(width=1280, height=900, dark=False)
        await page.goto(path.as_uri())
        for _ in range(2):
            await page.press("/", 191, "/")
            assert await page.evaluate("document.activeElement.id") == "search"
            assert (await search(page, "Session"))[0] == "Session"
            assert any(found.endswith(".idle_timeout") for found in await search(page, "idle_t"))
            assert any(found.endswith("audio_in_jitter_ms") for found in await search(page, "bad mobile line"))
            assert await search(page, "xyzzy") == ["Nothing found."]
            assert (await search(page, "silence_grace"))[0].endswith("Params.silence_grace_ms")
            await page.evaluate("document.querySelector('#results a').click()")
            assert (await page.evaluate("location.hash")).endswith("Params.silence_grace_ms")
            await page.wait_for("Math.abs(document.querySelector(':target').getBoundingClientRect().top) < innerHeight")
            await picture(page, "found")
            await page.press("Escape", 27)
            assert await page.evaluate("document.getElementById('contents').hidden") is False
        await page.show(width=400, height=800, dark=True, mobile=True)
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it scrolls sideways"
        await picture(page, "phone")
        assert page.complaints == []


async def picture(page: Page, name: str) -> None:
    folder = os.environ.get("TT_SCREENSHOTS")
    if folder:
        await page.screenshot(Path(folder) / f"reference-{name}.png", whole=False)
