"""What programs say about the page: axe-core of its accessibility, the TypeScript compiler of its client's types."""

import subprocess
from pathlib import Path

import pytest
import trio

from tests.real.demo.chromium import Browser
from tests.real.rtvi import npm
from tests.tools import requires
from trio_transports import playground
from trio_transports.demo.serving import serve_demo

CLIENT = Path(playground.__file__).parent / "client"


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return npm.install(tmp_path_factory.mktemp("npm"), (*npm.AXE, *npm.TYPESCRIPT))


async def test_axe_finds_nothing(browser: Browser, modules: Path) -> None:
    """Idle, connected, muted and lost; light and dark; desk and phone: no violation of any rule of axe's."""
    axe = (modules / "axe-core" / "axe.min.js").read_text("utf-8")
    async with browser.open_page() as page:

        async def check(state: str) -> None:
            for dark in (False, True):
                for width, height in ((1440, 900), (390, 844)):
                    await page.show(width=width, height=height, dark=dark, mobile=width < 500, reduced=True)
                    await trio.sleep(0.3)
                    found = await page.evaluate(
                        "axe.run().then(({violations}) => violations.map("
                        "(v) => `${v.id}: ${v.nodes.map((n) => n.html.slice(0, 120)).join(' | ')}`))"
                    )
                    assert found == [], (state, dark, width)
                    assert await page.evaluate("document.documentElement.scrollWidth") <= width, (state, width)

        async with serve_demo("127.0.0.1", 0) as url:
            await page.goto(url)
            await page.wait_for("!!document.getElementById('control-delay_ms')")
            await page.evaluate(axe + "; true")
            await check("idle")
            await page.click("connect-mic")
            await page.wait_for("window.demo.counters().session")
            await page.click("keypad-button")
            await page.evaluate(
                "document.getElementById('text').value = 'hello'; document.getElementById('write').requestSubmit()"
            )
            await page.wait_for("document.getElementById('transcript').innerText.includes('You wrote: hello')")
            await check("connected")
            await page.click("mute")
            await check("muted")
        await page.wait_for("!document.getElementById('lost').hidden")
        await check("lost")


def test_the_clients_types_hold(modules: Path, tmp_path: Path) -> None:
    """The JSDoc of the client module is checked by the TypeScript compiler, strictly."""
    compiler = modules / "typescript" / "bin" / "tsc"
    options = (
        "--checkJs",
        "--allowJs",
        "--noEmit",
        "--strict",
        "--target",
        "es2022",
        "--module",
        "es2022",
        "--strictPropertyInitialization",
        "false",
        "--lib",
        "es2022,dom,dom.iterable",
    )
    command = [str(requires("node")), str(compiler), *options, str(CLIENT / "voice.js")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout
